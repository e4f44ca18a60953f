"""Blocks on a page: rows under each other, frames around stages, lines from box to box.

Coordinates only; `drawing` turns them into a picture. Rows end where stages end, or, in a stage
that is too long for one, where modules do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from neocog.report import lanes
from neocog.report.blocks import Block
from neocog.report.lanes import Point

WIDTH = 2330.0  # that rows may have
SIDE, TOP, BETWEEN = 44.0, 92.0, 40.0  # room beside all rows, above them and between two
BEFORE, AFTER, LABEL = 22.0, 10.0, 24.0  # room in a frame: left, right and below, for its name
CHARACTER, SMALL = 6.6, 6.0  # widths, of what a box is and of its other lines
LINE, STEP = 14.0, 24.0  # the height of a line; widths are in steps, that boxes may line up
TURN = 8.0  # between lines that go on in the next row
PORT = "->"  # the stage of a row's ends


@dataclass(frozen=True)
class Box:
    block: Block
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """From box to box, by position; a line into the next row is three, of which one wraps."""

    source: int
    target: int | None  # None where the row ends
    points: tuple[Point, ...]
    wraps: bool = False


@dataclass(frozen=True)
class Frame:
    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    boxes: list[Box]  # in the order of the blocks
    lines: list[Line]
    frames: list[Frame]
    width: float
    height: float


def layout(blocks: Sequence[Block]) -> Layout:
    """Places for all blocks, from left to right and row under row."""
    rows = _rows(blocks)
    crossing = max(len(_coming(blocks, ids)) for ids in rows)
    left, top = SIDE + TURN * max(0, crossing - 1), TOP
    placed: list[_Row] = []
    lines: list[Line] = []
    frames: list[Frame] = []
    for ids in rows:
        row = _Row(blocks, ids, left, top)
        if placed:
            lines += _continued(placed[-1], row)
        lines += row.lines()
        before = blocks[ids[0] - 1].stage if ids[0] else ""
        frames += row.frames(before)
        top = row.bottom + BETWEEN + TURN * len(row.exits)
        placed.append(row)
    boxes = [box for row in placed for box in row.boxes.values()]
    xs = [x for line in lines for x, _ in line.points] + [frame.x + frame.width for frame in frames]
    right = max([box.x + box.width for box in boxes] + xs)
    return Layout(boxes, lines, frames, right + SIDE, placed[-1].bottom + SIDE / 2)


def size(block: Block) -> tuple[float, float]:
    """Width and height of a box, by what it says."""
    text = max(len(line) * SMALL for line in block.lines)
    text = max(text, len(block.words) * CHARACTER)
    least = 36.0 if block.kind == "join" else 84.0
    width = least + STEP * max(0, math.ceil((text + 12 - least) / STEP))
    return width, LINE * len(block.lines) + 10


def _rows(blocks: Sequence[Block]) -> list[list[int]]:
    return _evenly(blocks, _pieces(blocks, range(len(blocks)), 1))


def _pieces(blocks: Sequence[Block], ids: Sequence[int], depth: int) -> list[list[int]]:
    """Stages; of a stage that is too long, even rows of its modules, and so on inwards."""
    pieces: list[list[int]] = []
    for _, members in groupby(ids, lambda i: blocks[i].path.split(".")[:depth]):
        piece = list(members)
        if _width(blocks, piece) <= WIDTH or len(piece) == 1:
            pieces.append(piece)
            continue
        deeper = any(blocks[i].path.count(".") >= depth for i in piece)
        parts = _pieces(blocks, piece, depth + 1) if deeper else [[i] for i in piece]
        pieces += _evenly(blocks, parts)
    return pieces


def _evenly(blocks: Sequence[Block], pieces: list[list[int]]) -> list[list[int]]:
    """As few rows as will do, and the longest of them as short as can be."""
    rows = _packed(blocks, pieces, WIDTH)
    low, high = WIDTH / 4, WIDTH
    while high - low > 10:
        limit = (low + high) / 2
        tried = _packed(blocks, pieces, limit)
        if len(tried) > len(rows):
            low = limit
        else:
            high, rows = limit, tried
    return rows


def _packed(blocks: Sequence[Block], pieces: list[list[int]], limit: float) -> list[list[int]]:
    """Pieces put together as long as they fit."""
    rows: list[list[int]] = []
    for piece in pieces:
        if rows and _width(blocks, rows[-1] + piece) <= limit:
            rows[-1] = rows[-1] + piece
        else:
            rows.append(piece)
    return rows


def _width(blocks: Sequence[Block], ids: Sequence[int]) -> float:
    graph, order = _graph(blocks, ids)
    return lanes.area(graph, order).width


def _entry(source: int) -> int:
    """The number of the end of a row where a value comes in; below zero, as boxes have the rest."""
    return -2 - 2 * source


def _exit(source: int) -> int:
    return -1 - 2 * source


def _source(i: int) -> int:
    return i if i >= 0 else (-1 - i) // 2


def _graph(blocks: Sequence[Block], ids: Sequence[int]) -> tuple[lanes.Graph, list[int]]:
    """A row of blocks, and its order, with an end for each value that comes from or goes on."""
    first, last = ids[0], ids[-1]
    going = sorted({s for block in blocks[last + 1 :] for s in block.inputs if s <= last})
    inputs = {_entry(s): tuple[int, ...]() for s in _coming(blocks, ids)}
    for i in ids:
        inputs[i] = tuple(s if s >= first else _entry(s) for s in blocks[i].inputs)
    inputs |= {_exit(s): (s if s >= first else _entry(s),) for s in going}
    sizes = {i: size(blocks[i]) if i >= 0 else (0.0, 0.0) for i in inputs}
    stages = {i: blocks[i].stage if i >= 0 else PORT for i in inputs}
    side_by_side = {i for i in ids if blocks[i].side_by_side}
    return lanes.Graph(inputs, sizes, stages, side_by_side), list(inputs)


def _coming(blocks: Sequence[Block], ids: Sequence[int]) -> list[int]:
    """The blocks before a row that it or a later one reads."""
    first = ids[0]
    return sorted({s for block in blocks[first:] for s in block.inputs if s < first})


class _Row:
    """Some blocks and where they stand on the page."""

    def __init__(
        self, blocks: Sequence[Block], ids: Sequence[int], left: float, top: float
    ) -> None:
        self.graph, order = _graph(blocks, ids)
        self.area = lanes.area(self.graph, order)
        self.left, self.top = left, top
        self.axis = top + LABEL + self.area.above
        self.bottom = self.axis + self.area.below + AFTER
        self.boxes = {i: self._box(blocks[i], i) for i in ids}
        self.exits = [_source(i) for i in order if i < 0 and i == _exit(_source(i))]

    def _box(self, block: Block, i: int) -> Box:
        (x, y), (width, height) = self.at(i), self.graph.sizes[i]
        return Box(block, x, y - height / 2, width, height)

    def at(self, i: int) -> Point:
        """The left end of a box or the end of a line, half way up."""
        x, y = self.area.places[i]
        return self.left + x, self.axis + y

    def lines(self) -> list[Line]:
        return [
            Line(_source(s), i if i >= 0 else None, self._points(s, i))
            for i, sources in self.graph.inputs.items()
            for s in sources
        ]

    def _points(self, source: int, target: int) -> tuple[Point, ...]:
        (x, y), (end, middle) = self.at(source), self.at(target)
        x += self.graph.sizes[source][0]
        lane = self.area.lanes.get((source, target))
        if lane is None:
            splits = len(self.graph.readers[source]) > 1 and len(self.graph.inputs[target]) == 1
            height = middle if splits else y
        else:
            height = self.axis + lane
        fork = self.left + self.area.forks[source] if source in self.area.forks else x
        join = end - lanes.JOIN
        turns = [(x, y), (fork, y), (fork, height), (join, height), (join, middle), (end, middle)]
        return _straightened(turns)

    def frames(self, before: str) -> list[Frame]:
        """A frame for each stretch that a stage has to itself, or stages that overlap share.

        A stage goes on that was the last one `before` this row.
        """
        found: list[Frame] = []
        for stage, run in groupby(self.boxes.values(), lambda box: box.block.stage):
            boxes = list(run)
            more = " (continued)" if not found and stage == before else ""
            left = min(box.x for box in boxes) - BEFORE
            width = max(box.x + box.width for box in boxes) + AFTER - left
            frame = Frame(stage + more, left, self.top, width, self.bottom - self.top)
            while stage and found and found[-1].x + found[-1].width > frame.x:
                frame = _joint(found.pop(), frame)
            found += [frame] if stage else []
        return found


def _joint(one: Frame, other: Frame) -> Frame:
    """One frame around two."""
    left, right = min(one.x, other.x), max(one.x + one.width, other.x + other.width)
    names = dict.fromkeys([*one.label.split(", "), *other.label.split(", ")])
    return replace(one, label=", ".join(names), x=left, width=right - left)


def _continued(above: _Row, below: _Row) -> list[Line]:
    """The lines from the ends of one row, around, to the beginnings of the next."""
    lines = []
    right = above.left + above.area.width + AFTER
    for n, source in enumerate(above.exits):
        (x, y), (end, middle) = above.at(_exit(source)), below.at(_entry(source))
        around, gutter = right + TURN * n, above.bottom + TURN * n + 14
        left = below.left - 16 - TURN * n
        turns = [(x, y), (around, y), (around, gutter), (left, gutter), (left, middle)]
        lines.append(Line(source, None, _straightened([*turns, (end, middle)]), wraps=True))
    return lines


def _straightened(points: Sequence[Point]) -> tuple[Point, ...]:
    """Without points that are passed straight on."""
    kept: list[Point] = []
    for point in points:
        if kept and math.dist(kept[-1], point) < 0.01:
            continue
        if len(kept) > 1 and any(kept[-2][k] == kept[-1][k] == point[k] for k in (0, 1)):
            kept.pop()
        kept.append(point)
    return tuple(kept)
