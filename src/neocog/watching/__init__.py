"""Runs as they go, on a page: `neocog watch`. It loads no torch, and writes nothing."""
