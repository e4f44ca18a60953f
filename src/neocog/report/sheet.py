"""Sheets of sample pictures: with their labels, and before and after augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from neocog.report import fonts
from neocog.report.names import columns as name_columns
from neocog.report.panels import bare, picture

ROWS = 10  # classes at most
GAP = 0.1  # between pictures, of a picture's width
A_SIGN = 0.09  # inches


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
    rows = [
        [images[int(i)] for i in rng.permutation(np.flatnonzero(numbers == label))[:columns]]
        for label in shown
    ]
    names = fonts.shown(classes)
    return _drawn(rows, [names[label] for label in shown], columns=columns, inches=0.8)


def before_and_after(before: Tensor, after: list[Tensor], names: list[str]) -> Figure:
    """A row of pictures as they are, and below each what became of it: uint8 or float from 0 to 1
    (N, C, H, W), a row for each of `after` with its name.
    """
    rows = [list(images) for images in (before, *after)]
    return _drawn(rows, ["as it is", *names], columns=len(before), inches=1.1)


def _drawn(
    rows: Sequence[Sequence[Tensor]], names: Sequence[str], *, columns: int, inches: float
) -> Figure:
    """Pictures of one size in rows with a name each, all in the same axes: in axes of its own each
    takes as long as all together.
    """
    height, width = rows[0][0].shape[1:]
    gap = GAP * width
    across, down = width + gap, height + gap
    beside = 0.3 + A_SIGN * max(map(name_columns, names))
    size = (columns * inches + beside, len(rows) * inches * down / across)
    drawn = Figure(figsize=size, layout="constrained")
    axes = drawn.subplots()
    bare(axes)
    for number, row in enumerate(rows):
        for column, image in enumerate(row):
            picture(axes, image, top=number * down, left=column * across)
    axes.set(xlim=(0, columns * across - gap), ylim=(len(rows) * down - gap, 0))
    middles = [number * down + height / 2 for number in range(len(rows))]
    axes.set_yticks(middles, names, fontfamily=fonts.families())
    axes.tick_params(length=0)
    return drawn
