"""A sheet of sample pictures with their labels."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neocog.data.dataset import Split


def figure(split: Split, classes: tuple[str, ...], *, seed: int = 0, columns: int = 10) -> Figure:
    """A row for each of up to ten classes, `columns` pictures of it, drawn by `seed`."""
    rng = np.random.default_rng(seed)
    labels = split.labels.numpy()
    shown = [c for c in range(len(classes)) if (labels == c).any()]
    if len(shown) > 10:
        shown = sorted(rng.permutation(shown)[:10])
    drawn = Figure(figsize=(columns * 0.8 + 1.4, len(shown) * 0.8), layout="constrained")
    grid = drawn.subplots(len(shown), columns, squeeze=False)
    for row, label in zip(grid, shown, strict=True):
        chosen = rng.permutation(np.flatnonzero(labels == label))[:columns]
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, index in zip(row, chosen, strict=False):
            pixels = split.images[int(index)].movedim(0, 2).numpy()
            axes.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255)
        row[0].set_ylabel(classes[label], rotation=0, ha="right", va="center")
    return drawn
