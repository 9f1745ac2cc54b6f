"""The command line: one module per group of commands. Needs the extra ``cli``; nothing below may import it."""
