"""Pictures for measuring, drawn by a seed: smooth patches under grain, as photographs are.

NumPy only, for the children of other frameworks must not load torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

DIFFERENT = 256  # pictures; more of them are the same again, for speed does not look at them
PATCH, GRAIN = 8, 32  # pixels a side; levels


def pictures(count: int, size: tuple[int, int, int], *, seed: int = 0) -> np.ndarray:
    """uint8 (count, C, H, W)."""
    channels, height, width = size
    rng = np.random.default_rng(seed)
    fresh = min(count, DIFFERENT)
    rows, columns = -(-height // PATCH), -(-width // PATCH)
    coarse = rng.integers(0, 256 - GRAIN, (fresh, channels, rows, columns), dtype=np.uint8)
    smooth = coarse.repeat(PATCH, axis=2).repeat(PATCH, axis=3)[:, :, :height, :width]
    drawn = smooth + rng.integers(0, GRAIN, smooth.shape, dtype=np.uint8)
    return np.ascontiguousarray(np.resize(drawn, (count, *size)))


def labels(count: int, classes: int, *, seed: int = 0) -> np.ndarray:
    """int64 (count,), drawn evenly."""
    return np.random.default_rng((seed, 1)).integers(0, classes, count)


def to_float(images: np.ndarray) -> np.ndarray:
    """uint8 to float32 from 0 to 1, as tutorials have it: what every peer is given."""
    made = images.astype(np.float32)
    made /= 255
    return made


def save(folder: Path, name: str, images: np.ndarray, labels: np.ndarray) -> None:
    np.save(folder / f"{name}-images.npy", images)
    np.save(folder / f"{name}-labels.npy", labels)


def load(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    return np.load(folder / f"{name}-images.npy"), np.load(folder / f"{name}-labels.npy")
