"""The command line: options in, lines out. What is done is decided below."""
