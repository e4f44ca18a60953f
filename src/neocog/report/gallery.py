"""Pictures in rows with a few words above each: mistakes, suspects, pairs, what excites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from neocog.report import fonts, panels

COLUMNS = 6


@dataclass(frozen=True, eq=False)
class Card:
    """A picture (C, H, W) and the lines above it."""

    image: Tensor
    text: str
    colour: str = "black"


@dataclass(frozen=True, eq=False)
class Block:
    """Cards under one heading; `columns` in a row."""

    heading: str
    cards: Sequence[Card]
    columns: int = COLUMNS


def rows(blocks: Sequence[Block], *, title: str, side: float = 1.0) -> Figure:
    """A row for each block, its heading on the left; pictures `side` inches wide."""
    columns = max(block.columns for block in blocks)
    size = (columns * side + 1.2, len(blocks) * (side + 0.2) + 0.6)
    drawn = Figure(figsize=size, layout="constrained")
    grid = drawn.subplots(len(blocks), columns, squeeze=False)
    for axes in grid.flat:
        panels.bare(axes)
    for line, block in zip(grid, blocks, strict=True):
        _fill(line, block.cards)
        line[0].set_ylabel(block.heading, rotation=0, ha="right", va="center", fontsize=8)
    fonts.set_title(drawn, title, size=10)
    return drawn


def figure(blocks: Sequence[Block], *, title: str, side: float = 1.5) -> Figure:
    """The blocks, one below the other; pictures `side` inches wide."""
    full = [block for block in blocks if block.cards] or list(blocks)
    heights = [_rows(block) * (side + 0.45) + 0.3 for block in full]
    columns = max(block.columns for block in full)
    size = (max(columns * side, 5.5), sum(heights) + 0.4)
    drawn = Figure(figsize=size, layout="constrained")
    parts = drawn.subfigures(len(full), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, block in zip(parts, full, strict=True):
        grid = part.subplots(_rows(block), block.columns, squeeze=False)
        for axes in grid.flat:
            panels.bare(axes)
        _fill(grid.flat, block.cards)
        part.suptitle(block.heading, fontsize=9, x=0.01, ha="left")
    fonts.set_title(drawn, title, size=10)
    return drawn


def _fill(places: Iterable[Axes], cards: Sequence[Card]) -> None:
    for axes, card in zip(places, cards, strict=False):
        panels.picture(axes, card.image)
        panels.caption(axes, card.text, colour=card.colour, size=7)


def _rows(block: Block) -> int:
    return max(1, -(-len(block.cards) // block.columns))
