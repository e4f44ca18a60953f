"""Sheets of sample pictures: with their labels, and before and after augmentation."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from neocog.report.panels import bare, picture

ROWS = 10  # classes at most


def figure(
    images: Tensor, labels: Tensor, classes: tuple[str, ...], *, seed: int = 0, columns: int = 10
) -> Figure:
    """A row for each of up to ten classes, `columns` pictures of it, drawn by `seed`. images uint8
    (N, C, H, W), labels (N,).
    """
    rng = np.random.default_rng(seed)
    numbers = labels.numpy()
    shown = [c for c in range(len(classes)) if (numbers == c).any()]
    if len(shown) > ROWS:
        shown = sorted(rng.permutation(shown)[:ROWS])
    drawn = Figure(figsize=(columns * 0.8 + 1.4, len(shown) * 0.8), layout="constrained")
    grid = drawn.subplots(len(shown), columns, squeeze=False)
    for row, label in zip(grid, shown, strict=True):
        chosen = rng.permutation(np.flatnonzero(numbers == label))[:columns]
        for axes in row:
            bare(axes)
        for axes, index in zip(row, chosen, strict=False):
            picture(axes, images[int(index)])
        row[0].set_ylabel(classes[label], rotation=0, ha="right", va="center")
    return drawn


def before_and_after(before: Tensor, after: list[Tensor], names: list[str]) -> Figure:
    """A row of pictures as they are, and below each what became of it: uint8 or float from 0 to 1
    (N, C, H, W), a row for each of `after` with its name.
    """
    columns = len(before)
    rows = [before, *after]
    drawn = Figure(figsize=(columns * 1.1 + 1.4, len(rows) * 1.15), layout="constrained")
    grid = drawn.subplots(len(rows), columns, squeeze=False)
    for row, images, name in zip(grid, rows, ["as it is", *names], strict=True):
        for axes, image in zip(row, images, strict=True):
            bare(axes)
            picture(axes, image)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return drawn
