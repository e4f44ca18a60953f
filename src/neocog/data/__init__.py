"""Bytes to pixels to batches. A leaf: imports nothing of ours but errors."""
