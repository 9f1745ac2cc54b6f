"""What is public, with its signatures, as a text that is kept in the repository: ``public.txt`` beside this file."""
