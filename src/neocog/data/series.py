"""Which pictures were taken one right after the other: by the numbers in their names, or by the
camera's clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from neocog.data.examine import Facts

STEP = 3  # numbers that neighbours may lie apart: a frame or two may have been sorted out
SECONDS = 3.0  # that they may lie apart by the camera's clock
_NUMBERED = re.compile(r"(.*?)(\d{1,12})(\D*)", re.DOTALL)  # the last number is the one that counts


def neighbours(facts: Sequence[Facts]) -> list[tuple[int, int]]:
    """Pairs of places, the lower first, of pictures of one class that follow one another."""
    by_name: dict[object, list[tuple[float, int]]] = {}
    by_clock: dict[object, list[tuple[float, int]]] = {}
    for place, each in enumerate(facts):
        numbered = _number(each.file)
        if numbered:
            before, number, after = numbered
            by_name.setdefault((each.label, before, after), []).append((number, place))
        if each.taken is not None:
            by_clock.setdefault((each.label, each.camera), []).append((each.taken, place))
    pairs = {*_within(by_name.values(), STEP), *_within(by_clock.values(), SECONDS)}
    return sorted(pairs)


def _number(file: str) -> tuple[str, int, str] | None:
    """IMG_0042_small -> ("IMG_", 42, "_small"), of the name without folder and suffix."""
    name = file.rpartition("/")[2]
    found = _NUMBERED.fullmatch(name.rpartition(".")[0] or name)
    return (found[1], int(found[2]), found[3].lower()) if found else None


def _within(runs: Iterable[list[tuple[float, int]]], most: float) -> Iterator[tuple[int, int]]:
    for run in runs:
        run.sort()
        for here, (value, place) in enumerate(run):
            for other, there in run[here + 1 : here + 1 + STEP]:
                if other - value > most:
                    break
                yield min(place, there), max(place, there)
