"""Feature maps of one picture, a row for each layer, and what a network sees in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from neocog.report import fonts, panels
from neocog.report.heat import Heat
from neocog.report.kernels import line_between, tiled

ANSWERS = 5  # in the bars
SIDE = 60  # pixels of a map in a row, about: so that columns stand below each other


@dataclass(frozen=True, eq=False)
class Row:
    """Some maps (n, h, w) of one layer, and the channels that they are."""

    name: str
    maps: np.ndarray
    channels: Sequence[int]
    size: tuple[int, ...]  # of the layer's output: (C, H, W)


def figure(image: Tensor, rows: Sequence[Row], *, title: str) -> Figure:
    """The picture (C, H, W), and below it a row of maps for each layer, each row on one scale."""
    columns = max(len(row.maps) for row in rows)
    drawn = Figure(figsize=(0.9 * columns + 1.5, 1.15 * (len(rows) + 1)), layout="constrained")
    grid = drawn.subplots(len(rows) + 1, 1)
    panels.bare(grid[0])
    panels.picture(grid[0], image)
    grid[0].set_anchor("W")
    _left(grid[0], "the picture")
    _rows(grid[1:], rows, columns)
    fonts.set_title(drawn, title, size=10)
    return drawn


def seen(
    image: Tensor,
    heats: Sequence[Heat],
    rows: Sequence[Row],
    *,
    answers: Sequence[tuple[str, float]],
    title: str,
) -> Figure:
    """A picture, its answers as bars, heat over it, and feature maps below."""
    columns = max(len(row.maps) for row in rows) if rows else 1
    high = 1.12 * len(rows)
    drawn = Figure(figsize=(9, 3.1 + high), layout="constrained")
    top, below = drawn.subfigures(2, 1, height_ratios=(2.7, max(high, 0.01)), squeeze=False)[:, 0]
    first = top.subplots(1, 2 + len(heats), width_ratios=[1] * (1 + len(heats)) + [0.9])
    for axes in first:
        panels.bare(axes)
    panels.picture(first[0], image)
    panels.caption(first[0], "what the network is given")
    for axes, each in zip(first[1:], heats, strict=False):
        panels.heat(axes, each.image, each.values)
        panels.caption(axes, each.said)
    _bars(first[-1], answers[:ANSWERS])
    if rows:
        _rows(below.subplots(len(rows), 1, squeeze=False)[:, 0], rows, columns)
    fonts.set_title(drawn, title)
    return drawn


def _rows(lines: np.ndarray, rows: Sequence[Row], columns: int) -> None:
    """A row is one image: an axes for each map would take seconds to lay out."""
    for axes, row in zip(lines, rows, strict=True):
        panels.bare(axes)
        low, high = float(row.maps.min()), float(row.maps.max())
        level = (row.maps - min(low, 0.0)) / (max(high - min(low, 0.0), 1e-12))
        larger = np.kron(level, np.ones((1, *[max(1, SIDE // side) for side in level.shape[1:]])))
        axes.imshow(tiled(larger[..., None], columns).squeeze(2), cmap="gray", vmin=0, vmax=1)
        axes.set_anchor("W")
        height, width = larger.shape[1:]
        line = line_between(height)
        for place, channel in enumerate(row.channels):
            middle = line + place * (width + line) + width / 2
            axes.text(
                middle, line, channel, fontsize=6, color=panels.GREY, ha="center", va="bottom"
            )
        _left(axes, f"{row.name}\n{'x'.join(map(str, row.size))}")


def _bars(axes: Axes, answers: Sequence[tuple[str, float]]) -> None:
    names = [name for name, _ in answers]
    axes.barh(range(len(answers)), [chance for _, chance in answers], color=panels.RIGHT)
    axes.set(xlim=(0, 1.0), ylim=(max(len(answers), 2) - 0.4, -0.6))
    for place, (name, (_, chance)) in enumerate(zip(names, answers, strict=True)):
        ahead = chance < 0.5
        axes.text(
            chance + 0.02 if ahead else 0.02,
            place,
            f"{name}  {chance:.1%}",
            va="center",
            fontsize=8,
            color="black" if ahead else "white",
            fontfamily=fonts.families(),
        )
    panels.caption(axes, "its answers")


def _left(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8)
