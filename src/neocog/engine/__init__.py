"""The training loop and what it needs. It writes no file and prints nothing."""
