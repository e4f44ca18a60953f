"""Reliability as SVG: how often a network is right by how sure it is, on pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from neocog.analysis.calibration import Bin
from neocog.analysis.intervals import wilson
from neocog.report.page import printable

WIDTH, HEIGHT = 460, 460
LEFT, RIGHT, TOP = 56, 14, 10
SQUARE = WIDTH - LEFT - RIGHT - 60  # pixels of the diagram's side
BARS = 56  # pixels of the highest bar
GAP = 16
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Words:
    """What is written in the figure."""

    title: str
    desc: str
    x_label: str
    y_label: str
    bars: str  # of the strip below: how many pictures there are
    point: str  # of a bin: {confidence}, {accuracy}, {n}


def svg(bins: Sequence[Bin], after: Sequence[Bin] = (), *, key: str, words: Words) -> str:
    """Accuracy over confidence, a point a bin with its 95 % Wilson interval; `after`, hollow: the
    bins with a temperature. Below: the share of the pictures that each bin has.
    """
    middle = LEFT + SQUARE / 2
    parts = [
        f'<svg class="lines square" xmlns="http://www.w3.org/2000/svg"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}" role=img aria-labelledby={key}-title'
        f" aria-describedby={key}-desc>",
        f"<title id={key}-title>{_text(words.title)}</title>",
        f"<desc id={key}-desc>{_text(words.desc)}</desc>",
        *_grid(),
        f'<path class="grid ideal" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>',
        *_strip(bins),
        *_points(bins, 0, words.point, hollow=False),
        *_points(after, 1, words.point, hollow=True),
        f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{_text(words.x_label)}</text>',
        _turned(TOP + SQUARE / 2, words.y_label),
        _turned(TOP + SQUARE + GAP + BARS / 2, words.bars),
        "</svg>",
    ]
    return "\n".join(parts)


def _x(share: float) -> float:
    return round(LEFT + share * SQUARE, 1)


def _y(share: float) -> float:
    return round(TOP + (1 - share) * SQUARE, 1)


def _grid() -> Iterable[str]:
    floor = TOP + SQUARE + GAP + BARS
    for share in SHARES:
        yield f'<path class=grid d="M{_x(0)} {_y(share)}H{_x(1)}"/>'
        told = f"{100 * share:.0f} %</text>"
        yield f'<text x="{LEFT - 6}" y="{_y(share) + 4}" text-anchor="end">{told}'
        yield f'<text x="{_x(share)}" y="{floor + 17}" text-anchor="middle">{told}'
    yield f'<path class=grid d="M{_x(0)} {floor}H{_x(1)}"/>'


def _strip(bins: Sequence[Bin]) -> Iterable[str]:
    """How many pictures there are, by confidence."""
    n = sum(each.n for each in bins)
    floor = TOP + SQUARE + GAP + BARS
    for each in bins:
        high = BARS * each.n / n
        wide = max(SQUARE * (each.high - each.low) - 1, 0.5)
        yield (
            f'<rect class="c0 bar" x="{_x(each.low)}" y="{floor - high:.1f}" width="{wide:.1f}"'
            f' height="{high:.1f}"/>'
        )


def _points(bins: Sequence[Bin], colour: int, said: str, *, hollow: bool) -> Iterable[str]:
    kind = '"mark hollow"' if hollow else "mark"
    for each in bins:
        span = wilson(round(each.accuracy * each.n), each.n)
        x, y = _x(each.confidence), _y(each.accuracy)
        told = said.format(
            confidence=f"{each.confidence:.1%}", accuracy=f"{each.accuracy:.1%}", n=f"{each.n:,}"
        )
        shape = "m-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0z"
        shape = "m-3-3h6v6h-6z" if hollow else shape
        yield (
            f"<g class=c{colour}><title>{_text(told)}</title>"
            f'<path class=span d="M{x} {_y(span.low)}V{_y(span.high)}"/>'
            f'<path class={kind} d="M{x} {y}{shape}"/></g>'
        )


def _turned(y: float, text: str) -> str:
    return (
        f'<g transform="translate(13 {y:.1f}) rotate(-90)">'
        f'<text text-anchor="middle">{_text(text)}</text></g>'
    )


def _text(text: str) -> str:
    return escape(printable(text))
