"""What in pictures speaks for a class: each picture, and beside it the same under heat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from neocog.report import fonts, panels

COLUMNS = 2  # pairs in a row, where there are more than two pictures


@dataclass(frozen=True, eq=False)
class Heat:
    """One picture (C, H, W), values (h, w), and what is said above each of the two."""

    image: Tensor
    values: np.ndarray
    name: str
    said: str


def figure(shown: Sequence[Heat], *, title: str) -> Figure:
    """A row for each picture, two beside each other where there are many."""
    across = COLUMNS if len(shown) > 2 else 1
    rows = -(-len(shown) // across)
    drawn = Figure(figsize=(5.0 * across, 2.65 * rows + 0.5), layout="constrained")
    grid = drawn.subplots(rows, 2 * across, squeeze=False)
    for axes in grid.flat:
        panels.bare(axes)
    for place, each in enumerate(shown):
        row, column = divmod(place, across)
        beside, over = grid[row, 2 * column : 2 * column + 2]
        panels.picture(beside, each.image)
        panels.caption(beside, each.name)
        panels.heat(over, each.image, each.values)
        panels.caption(over, each.said)
    fonts.set_title(drawn, title, size=10)
    return drawn
