"""A network as a picture of blocks: one SVG file that stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import dist
from textwrap import shorten
from xml.sax.saxutils import escape, quoteattr

from neocog.analysis import cost
from neocog.report.blocks import Block, blocks
from neocog.report.lanes import Point
from neocog.report.layout import SIDE, Box, Frame, Layout, Line, layout
from neocog.report.words import is_box

# Fills and borders by kind: light tints of Okabe and Ito's colours, told apart by all eyes.
COLOURS = {
    "conv": ("#d6e8f6", "#0072b2", "convolution"),
    "depthwise": ("#e4f5fd", "#3795c9", "depthwise convolution"),
    "dense": ("#fbe0cf", "#d55e00", "dense"),
    "pool": ("#d3efe5", "#00805e", "pooling"),
    "join": ("#fbf6cf", "#9a8700", "joining"),
    "other": ("#f3e0ec", "#b0578d", "other layer"),
    "picture": ("#eeeeee", "#777777", "picture"),
    "end": ("#ffffff", "#c00000", "end of what can be followed"),
}
INK, GREY, PAPER = "#1b1b1b", "#555555", "#ffffff"
ROUND = 5.0  # corners of lines


def svg(table: cost.Table, *, title: str) -> str:
    """The picture of a network as blocks, from left to right, with this title."""
    made = blocks(table)
    return _draw(layout(made), table, title)


def _draw(page: Layout, table: cost.Table, title: str) -> str:
    head = _head(page, table, title)
    text = max(11.5 * len(title), 7.0 * len(_subtitle(table)))
    width = max(page.width, 640.0, text + 2 * SIDE)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" font-family="sans-serif"'
        f' width="{width:.0f}" height="{page.height:.0f}"'
        f' viewBox="0 0 {width:.0f} {page.height:.0f}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(_described(table))}</desc>",
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        *head,
        *map(_frame, page.frames),
        *map(_line, page.lines),
        *map(_box, page.boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _head(page: Layout, table: cost.Table, title: str) -> list[str]:
    """Title, totals and legend; what could not be followed, if so."""
    return [
        _text(SIDE, 32, title, size=18, bold=True),
        _text(SIDE, 50, _subtitle(table), size=12, colour="#c00000" if table.why else GREY),
        *_legend([box.block for box in page.boxes]),
    ]


def _subtitle(table: cost.Table) -> str:
    if table.why:
        return shorten(table.why, 300)
    return f"{_short(table.parameters)} weights, {_short(table.multiply_adds)} multiply-adds"


def _legend(made: Sequence[Block]) -> list[str]:
    used = {block.kind for block in made} - {"picture", "end"}
    drawn, x = [], SIDE
    for kind, (fill, border, name) in COLOURS.items():
        if kind in used:
            drawn.append(_rect(x, 61, 14, 12, fill=fill, stroke=border, rx=2))
            drawn.append(_text(x + 19, 71, name, size=11, colour=GREY))
            x += 40 + 6.4 * len(name)
    return drawn


def _described(table: cost.Table) -> str:
    """The picture in words: how much of what, the stages in order, and what is missing."""
    weighed = sum(is_box(layer) for layer in table.layers)
    stages = {layer.name.split(".")[0]: layer.output for layer in table.layers}
    words = [f"{name} {'x'.join(map(str, output))}" for name, output in stages.items()]
    missing = f". {table.why}; not seen: {', '.join(table.unseen)}" if table.why else ""
    return (
        f"A network from left to right: {weighed} layers with weights or poolings, "
        f"{table.parameters:,} weights, {table.multiply_adds:,} multiply-adds. "
        f"Stages and their outputs: {', '.join(words)}{missing}"
    )


def _frame(frame: Frame) -> str:
    room = max(3, int(frame.width / 6.6))
    label = frame.label if len(frame.label) <= room else frame.label[: room - 1] + "…"
    rect = _rect(
        frame.x, frame.y, frame.width, frame.height, fill="#f6f6f4", stroke="#d0d0cc", rx=6
    )
    text = _text(frame.x + 6, frame.y + 14, label, size=11, colour=GREY, bold=True)
    return f"<g><title>{escape(frame.label)}</title>{rect}{text}</g>"


def _box(box: Box) -> str:
    fill, border, _ = COLOURS[box.block.kind]
    dashes = ' stroke-dasharray="4 3"' if box.block.kind == "end" else ""
    rect = _rect(box.x, box.y, box.width, box.height, fill=fill, stroke=border, rx=4, more=dashes)
    x = box.x + box.width / 2
    text = [
        _text(x, box.y + 16 + 14 * n, line, size=12 if line == box.block.words else 10, middle=True)
        for n, line in enumerate(box.block.lines)
    ]
    kind = quoteattr(box.block.kind)
    return f"<g class={kind}><title>{escape(box.block.about)}</title>{rect}{''.join(text)}</g>"


def _line(line: Line) -> str:
    colour, width = ("#888888", 2.5) if line.wraps else ("#444444", 1.2)
    (x, y), half = line.points[-1], 5.0 if line.wraps else 3.5
    points = (
        [*line.points[:-1], (x - half, y)] if line.target is not None or line.wraps else line.points
    )
    path = f'<path d="{_rounded(points)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
    if points is line.points:
        return path
    head = f"M{x:.1f} {y:.1f}l{-2 * half} {-half}v{2 * half}z"
    return f'{path}<path d="{head}" fill="{colour}"/>'


def _rounded(points: Sequence[Point]) -> str:
    """A path through points whose corners are rounded."""
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        bend = min(ROUND, dist(before, at) / 2, dist(at, after) / 2)
        (ax, ay), (bx, by) = _towards(at, before, bend), _towards(at, after, bend)
        path.append(f"L{ax:.1f} {ay:.1f}Q{at[0]:.1f} {at[1]:.1f} {bx:.1f} {by:.1f}")
    return "".join([*path, f"L{points[-1][0]:.1f} {points[-1][1]:.1f}"])


def _towards(start: Point, end: Point, way: float) -> Point:
    share = way / (dist(start, end) or 1.0)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _rect(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str,
    stroke: str,
    rx: int,
    more: str = "",
) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{rx}"'
        f' fill="{fill}" stroke="{stroke}"{more}/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int,
    colour: str = INK,
    bold: bool = False,
    middle: bool = False,
) -> str:
    more = ' text-anchor="middle"' if middle else ""
    more += ' font-weight="bold"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}"'
    return f'<text {place} fill="{colour}"{more}>{escape(text)}</text>'


def _short(count: int) -> str:
    """12,345 as "12.3 thousand"."""
    for size, name in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if count >= size:
            return f"{count / size:#.3g} {name}".replace(". ", " ")
    return str(count)
