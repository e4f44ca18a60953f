"""Pictures as points in planes, coloured by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neocog.report import fonts
from neocog.report.panels import bare

COLOURED = 10  # classes; more cannot be told apart


def figure(
    planes: Mapping[str, np.ndarray], labels: np.ndarray, classes: Sequence[str], *, title: str
) -> Figure:
    """Planes (N, 2) by their names, labels (N,). Of more than ten classes those with the most
    pictures have a colour, the others are grey.
    """
    numbers = coloured(labels)
    names = fonts.shown(classes)
    drawn = Figure(figsize=(4.6 * len(planes) + 1.5, 4.6), layout="constrained")
    grid = drawn.subplots(1, len(planes), squeeze=False)[0]
    for axes, (name, points) in zip(grid, planes.items(), strict=True):
        bare(axes)
        _points(axes, points, labels, [(number, names[number]) for number in numbers])
        axes.set_title(name, fontsize=9)
    handles, said = grid[0].get_legend_handles_labels()
    drawn.legend(
        handles,
        said,
        loc="outside right upper",
        frameon=False,
        prop={"family": fonts.families(), "size": 8},
        markerscale=1.6,
    )
    fonts.set_title(drawn, title, size=10)
    return drawn


def coloured(labels: np.ndarray) -> list[int]:
    """The classes that have a colour: all that have pictures, or the ten with the most."""
    found, counts = np.unique(labels, return_counts=True)
    if len(found) > COLOURED:
        found = np.sort(found[np.argsort(-counts, kind="stable")[:COLOURED]])
    return [int(number) for number in found]


def _points(
    axes: Axes, points: np.ndarray, labels: np.ndarray, named: Sequence[tuple[int, str]]
) -> None:
    colours = matplotlib.colormaps["tab10"].colors  # type: ignore[attr-defined]
    others = ~np.isin(labels, [number for number, _ in named])
    size = 14 if len(labels) <= 600 else 6
    if others.any():
        axes.scatter(
            points[others, 0],
            points[others, 1],
            s=size,
            color="#cccccc",
            linewidths=0,
            label="others",
        )
    for (number, name), colour in zip(named, colours, strict=False):
        mine = labels == number
        axes.scatter(
            points[mine, 0], points[mine, 1], s=size, color=colour, linewidths=0, label=name
        )
