"""The command line: it parses, calls one function, and prints. Nothing else of neocog prints."""
