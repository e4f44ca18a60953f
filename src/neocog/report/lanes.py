"""Where the boxes of a diagram stand, and how its lines run: coordinates, and nothing is drawn.

What all paths lead through stands on the axis of its row; what lies between two such boxes falls
apart into branches, each with a lane of its own as wide as the branches beside it; and so on inside
of each branch. A line that goes past boxes has a lane too. So no line crosses a box. What does not
fall apart in that way is set in columns, with a lane beneath for every value that is read far off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

GAP, STAGE_GAP = 22.0, 46.0  # between boxes from left to right, and where a stage begins
LANE, PASSING = 12.0, 16.0  # between lanes, and the height of a lane without boxes
FORK, JOIN = 16.0, 9.0  # how far before the next box lines part, and before a box they meet

Edge = tuple[int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Area:
    """Boxes placed: left edges from 0 on, middles from the axis on, down is positive."""

    width: float
    above: float
    below: float
    places: dict[int, Point]
    lanes: dict[Edge, float] = field(default_factory=dict)  # where a line passes boxes
    forks: dict[int, float] = field(default_factory=dict)  # where the lines out of a box part

    def moved(self, x: float, y: float) -> Area:
        return Area(
            self.width,
            self.above - y,
            self.below + y,
            {i: (left + x, middle + y) for i, (left, middle) in self.places.items()},
            {edge: lane + y for edge, lane in self.lanes.items()},
            {i: fork + x for i, fork in self.forks.items()},
        )


@dataclass(frozen=True)
class Graph:
    """What a row is made of; numbers are in the order in which the boxes ran."""

    inputs: dict[int, tuple[int, ...]]
    sizes: dict[int, Point]
    stages: dict[int, str]
    side_by_side: set[int]  # boxes whose branches stand around the axis, none of them on it
    readers: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for reader, sources in self.inputs.items():
            for source in sources:
                self.readers.setdefault(source, []).append(reader)

    def entries(self, i: int, inside: set[int]) -> int:
        """1 if something from outside comes in at i, or nothing at all."""
        sources = self.inputs[i]
        return int(not sources or any(source not in inside for source in sources))

    def exits(self, i: int, inside: set[int]) -> int:
        readers = self.readers.get(i, [])
        return int(not readers or any(reader not in inside for reader in readers))


def area(graph: Graph, ids: Sequence[int], *, join: int | None = None) -> Area:
    """Places for some boxes of a graph; `join` is the box outside that their branches lead to."""
    cuts = _on_all_paths(graph, ids)
    if cuts:
        return _in_series(graph, ids, cuts, join)
    parts = _parts(graph, ids)
    if len(parts) > 1:
        return _in_parallel(graph, parts, [], join)
    return _in_columns(graph, ids)


def _on_all_paths(graph: Graph, ids: Sequence[int]) -> list[int]:
    """The boxes that every path from left to right goes through, found by counting paths."""
    inside = set(ids)
    to, beyond = dict[int, int](), dict[int, int]()
    for i in ids:
        before = (to[source] for source in graph.inputs[i] if source in inside)
        to[i] = graph.entries(i, inside) + sum(before)
    for i in reversed(ids):
        after = (beyond[reader] for reader in graph.readers.get(i, []) if reader in inside)
        beyond[i] = graph.exits(i, inside) + sum(after)
    total = sum(to[i] for i in ids if graph.exits(i, inside))
    return [i for i in ids if to[i] * beyond[i] == total]


def _parts(graph: Graph, ids: Sequence[int]) -> list[list[int]]:
    """What hangs together, each part in order."""
    leader = {i: i for i in ids}

    def find(i: int) -> int:
        while leader[i] != i:
            i = leader[i]
        return i

    for i in ids:
        for source in graph.inputs[i]:
            if source in leader:
                first, second = sorted((find(source), find(i)), key=ids.index)
                leader[second] = first
    parts: dict[int, list[int]] = {}
    for i in ids:
        parts.setdefault(find(i), []).append(i)
    return list(parts.values())


def _in_series(graph: Graph, ids: Sequence[int], cuts: list[int], join: int | None) -> Area:
    """Boxes one after the other, with branches in between."""
    x, above, below = 0.0, 0.0, 0.0
    places: dict[int, Point] = {}
    lanes: dict[Edge, float] = {}
    forks: dict[int, float] = {}
    last: int | None = None
    for item, members, end in _items(graph, ids, cuts, join):
        if last is not None:
            x += STAGE_GAP if graph.stages[last] != graph.stages[members[0]] else GAP
            forks[last] = x - FORK
        placed = item.moved(x, 0.0)
        places |= placed.places
        lanes |= placed.lanes
        forks |= placed.forks
        above, below = max(above, item.above), max(below, item.below)
        x, last = x + item.width, end
    return Area(x, above, below, places, lanes, forks)


def _items(
    graph: Graph, ids: Sequence[int], cuts: list[int], join: int | None
) -> Iterable[tuple[Area, list[int], int]]:
    """What stands in a series, from left to right: area, members, the last of them."""
    inside, rest = set(ids), list(ids)
    ends: list[int | None] = [None, *cuts]
    for before, cut in zip(ends, [*cuts, None], strict=True):
        at = rest.index(cut) if cut is not None else len(rest)
        between, rest = rest[:at], rest[at + 1 :]
        if between:
            past = _edges_past(graph, inside, before, cut)
            parts = _parts(graph, between)
            target = join if cut is None else cut
            yield _in_parallel(graph, parts, past, target), between, between[-1]
        if cut is not None:
            width, height = graph.sizes[cut]
            yield Area(width, height / 2, height / 2, {cut: (0.0, 0.0)}), [cut], cut


def _edges_past(graph: Graph, inside: set[int], before: int | None, cut: int | None) -> list[Edge]:
    """The lines that go past all that lies between two boxes, or one of them and the outside."""
    if cut is None:
        assert before is not None
        return [(before, r) for r in graph.readers.get(before, []) if r not in inside]
    sources = graph.inputs[cut]
    if before is None:
        return [(source, cut) for source in sources if source not in inside]
    return [(before, cut)] if before in sources else []


def _in_parallel(graph: Graph, parts: list[list[int]], past: list[Edge], join: int | None) -> Area:
    """Branches above each other; lines that pass them have a lane like theirs."""
    branches = [area(graph, part, join=join) for part in parts]
    passing = Area(0.0, PASSING / 2, PASSING / 2, {}, dict.fromkeys(past, 0.0))
    if len(branches) > 1 and (join is None or join in graph.side_by_side):
        stack = [passing, *branches] if past else branches
        total = sum(one.above + one.below for one in stack) + LANE * (len(stack) - 1)
        tops, top = [], -total / 2
        for one in stack:
            tops.append(top)
            top += one.above + one.below + LANE
        return _merged([b.moved(0.0, t + b.above) for b, t in zip(stack, tops, strict=True)])
    trunk = max(branches, key=lambda branch: len(branch.places))
    others = [branch for branch in branches if branch is not trunk]
    stack, top = [trunk], -trunk.above
    for one in [*others, passing] if past else others:
        stack.append(one.moved(0.0, top - LANE - one.below))
        top -= LANE + one.above + one.below
    return _merged(stack)


def _merged(areas: Sequence[Area]) -> Area:
    whole = Area(max(a.width for a in areas), -math.inf, -math.inf, {})
    for one in areas:
        whole = Area(
            whole.width,
            max(whole.above, one.above),
            max(whole.below, one.below),
            whole.places | one.places,
            whole.lanes | one.lanes,
            whole.forks | one.forks,
        )
    return whole


def _in_columns(graph: Graph, ids: Sequence[int]) -> Area:
    """What no longer falls apart: columns by the longest way to each box."""
    columns = _columns(graph, ids)
    places, forks, x, half = dict[int, Point](), dict[int, float](), 0.0, 0.0
    for column, following in zip(columns, [*columns[1:], []], strict=True):
        heights = [graph.sizes[i][1] for i in column]
        y = -(sum(heights) + LANE * (len(column) - 1)) / 2
        half = max(half, -y)
        width = max(graph.sizes[i][0] for i in column)
        x += width
        same = len({graph.stages[i] for i in (*column, *following)}) == 1
        gap = GAP if same else STAGE_GAP
        for n, (i, height) in enumerate(zip(column, heights, strict=True)):
            places[i] = (x - width, y + height / 2)
            forks[i] = x + gap - FORK - 3 * (n % 3)
            y += height + LANE
        x += gap if following else 0.0
    lanes = _lanes_beneath(graph, columns, half)
    return Area(x, half, max([half, *(y + 4 for y in lanes.values())]), places, lanes, forks)


def _columns(graph: Graph, ids: Sequence[int]) -> list[list[int]]:
    """Boxes by the longest way to them; what goes on to the next row comes last."""
    rank: dict[int, int] = {}
    for i in ids:
        rank[i] = 1 + max((rank[s] for s in graph.inputs[i] if s in rank), default=-1)
    ends = [i for i in ids if i not in graph.readers and not any(graph.sizes[i])]
    columns = [
        [i for i in ids if rank[i] == n and i not in ends] for n in range(1 + max(rank.values()))
    ]
    return [column for column in [*columns, ends] if column]


def _lanes_beneath(graph: Graph, columns: list[list[int]], half: float) -> dict[Edge, float]:
    """Lanes for the lines that do not lead to the next column, one for each box they come from."""
    at = {i: n for n, column in enumerate(columns) for i in column}
    edges = [(source, i) for i in at for source in graph.inputs[i]]
    edges += [(i, r) for i in at for r in graph.readers.get(i, []) if r not in at]
    far = [e for e in edges if at.get(e[1], len(columns)) - at.get(e[0], -1) > 1]
    sources = list(dict.fromkeys(source for source, _ in far))
    return {edge: half + LANE + PASSING / 2 * sources.index(edge[0]) for edge in far}
