"""What tests share besides fixtures. Must not import a test."""
