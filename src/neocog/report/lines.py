"""Lines over epochs as SVG, for pages: drawn here once, for those that stand and those that live.

Colours, fonts and the thickness of lines are those of `page.STYLE`, so a figure is light or dark as
its page is. Each has a title and a description for those who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from neocog.report.page import COLOURS, printable

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 10, 44  # margins
MARK = 6  # from the ends of the axis to the first and the last mark
MARKED = 40  # points: a line with more of them has no marks
SHOWN = 300  # points of a line, about; between them only the least and the greatest stay
WIDE = 50.0  # the greatest by the least: from there on an axis is logarithmic, if it may be
SHAPES = (  # of marks: a circle, a square, a triangle, a diamond
    "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "m-2.7-2.7h5.4v5.4h-5.4z",
    "m0-3.6l3.5 6h-7z",
    "m0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z",
)

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Points (x, y) in order of x, and how they look."""

    name: str
    points: tuple[Point, ...]
    colour: int = 0  # which of `page.COLOURS`, from the start again after the last
    dashed: bool = False
    faint: bool = False  # thin, and without marks


@dataclass(frozen=True)
class Axis:
    """How values become places, and which of them are written."""

    low: float
    high: float
    start: float  # the place of `low`
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high, value = (self._scaled(each) for each in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self, *, whole: bool = False) -> list[float]:
        return _decades(self.low, self.high) if self.log else _steps(self.low, self.high, whole)


def svg(
    lines: Sequence[Line],
    *,
    key: str,
    title: str,
    desc: str,
    x_label: str,
    y_label: str,
    percent: bool = False,
    log: bool = True,
    empty: str = "",
) -> str:
    """A figure of lines. `key` is its own on the page; `percent`: y is a share, from 0 to 1; `log`:
    y may be logarithmic, and is where the values differ much; `empty` stands in it without points.
    """
    drawn = [line for line in lines if line.points]
    x, y = _axes(drawn, percent=percent, log=log)
    parts = [
        f'<svg class=lines xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f" role=img aria-labelledby={key}-title aria-describedby={key}-desc>",
        f"<title id={key}-title>{_text(title)}</title><desc id={key}-desc>{_text(desc)}</desc>",
        *(_rows(y, percent) if drawn else ()),
        *(_columns(x) if drawn else ()),
        f'<line class=grid x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y.start}" y2="{y.start}"/>',
        _label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label),
        f'<g transform="translate(13 {(y.start + y.end) / 2}) rotate(-90)">'
        f"{_label(0, 0, y_label)}</g>",
        *(_line(line, x, y, percent) for line in drawn),
        "" if drawn else _label((LEFT + WIDTH - RIGHT) / 2, HEIGHT / 2, empty),
        "</svg>",
    ]
    return "\n".join(filter(None, parts))


def swatch(colour: int, *, hollow: bool = False) -> str:
    """A piece of a line with its mark, to stand beside its name; `hollow` as dashed lines are."""
    dashes = ' stroke-dasharray="5 4"' if hollow else ""
    return (
        f'<svg class="c{colour % len(COLOURS)}" width="30" height="12" aria-hidden=true>'
        f'<path class=mark d="M1 6H29"{dashes}/>{_mark(15, 6, colour, hollow=hollow)}</svg>'
    )


def thinned(points: Sequence[Point], count: int = SHOWN) -> list[Point]:
    """About so many points: the first and the last, and of stretches between them the least and the
    greatest, so that what stands out stays.
    """
    if len(points) <= count:
        return list(points)
    size = math.ceil(2 * len(points) / count)
    kept = {points[0], points[-1]}
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        kept |= {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
    return sorted(kept)


def in_steps(lines: Sequence[Line]) -> bool:
    """Whether the values of each stay more often than they change, as a learning rate that falls in
    steps does: by factors, which are alike on a logarithmic axis. One that falls evenly is not.
    """
    moves = [b[1] != a[1] for line in lines for a, b in pairwise(line.points)]
    return bool(moves) and 2 * sum(moves) <= len(moves)


def _axes(lines: Sequence[Line], *, percent: bool, log: bool) -> tuple[Axis, Axis]:
    xs = [x for line in lines for x, _ in line.points] or [0.0, 1.0]
    ys = [y for line in lines for _, y in line.points] or [0.0, 1.0]
    low, high = min(xs), max(xs)
    if low == high:
        low, high = low - 0.5, high + 0.5
    across = Axis(low, high, LEFT + MARK, WIDTH - RIGHT - MARK)
    low, high, start, end = min(ys), max(ys), HEIGHT - BOTTOM, TOP
    if log and low > 0 and high / low > WIDE:
        return across, Axis(low / 1.1, high * 1.1, start, end, log=True)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    low, high = max(low - room, 0.0) if low >= 0 else low - room, high + room
    return across, Axis(low, min(high, 1.0) if percent else high, start, end)


def _steps(low: float, high: float, whole: bool) -> list[float]:
    """Round numbers between the two, about six."""
    rough = (high - low) / 6
    size = 10.0 ** math.floor(math.log10(rough))
    size *= next(factor for factor in (1, 2, 5, 10) if factor * size >= rough)
    size = max(size, 1.0) if whole else size
    first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
    return [n * size for n in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten between the two; with 2 and 5 times them where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, (last - first) // 6)
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [f * 10.0**n for n in range(first, last + 1, every) for f in factors]
    return [tick for tick in ticks if low <= tick <= high]


def _rows(y: Axis, percent: bool) -> Iterable[str]:
    ticks = y.ticks()
    for tick in ticks:
        at = y.at(tick)
        yield f'<line class=grid x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield (
            f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">'
            f"{_tick(tick, ticks, percent)}</text>"
        )


def _columns(x: Axis) -> Iterable[str]:
    for tick in x.ticks(whole=True):
        yield _label(x.at(tick), HEIGHT - BOTTOM + 17, f"{tick:g}")


def _tick(value: float, ticks: Sequence[float], percent: bool) -> str:
    if not percent:
        return f"{value:.5g}"
    size = ticks[1] - ticks[0] if len(ticks) > 1 else 0.01
    return f"{100 * value:.{max(0, -math.floor(math.log10(100 * size) + 1e-9))}f} %"


def _line(line: Line, x: Axis, y: Axis, percent: bool) -> str:
    points = thinned(line.points)
    path = "L".join(f"{x.at(a):.1f} {y.at(b):.1f}" for a, b in points)
    dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
    kind = '"line faint"' if line.faint else "line"
    marks = [] if line.faint or len(points) > MARKED else points
    named = "".join(
        f"<g><title>{_text(line.name)}, {a:g}: {_value(b, percent)}</title>"
        f"{_mark(x.at(a), y.at(b), line.colour, hollow=line.dashed)}</g>"
        for a, b in marks
    )
    return (
        f'<g class="c{line.colour % len(COLOURS)}"><g><title>{_text(line.name)}</title>'
        f'<path class={kind} d="M{path}"{dashes}/></g>{named}</g>'
    )


def _mark(x: float, y: float, colour: int, *, hollow: bool) -> str:
    """A shape of its own for each colour of four: lines are told apart without colours too."""
    kind = '"mark hollow"' if hollow else "mark"
    shape = SHAPES[colour % len(SHAPES)]
    return f'<path class={kind} d="M{x:.1f} {y:.1f}{shape}"/>'


def _value(value: float, percent: bool) -> str:
    return f"{value:.2%}" if percent else f"{value:.4g}"


def _label(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{_text(text)}</text>'


def _text(text: str) -> str:
    return escape(printable(text))
