"""Names of classes in any script, as matplotlib can draw them here."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from neocog.report.names import cut
from neocog.report.page import printable

# Fonts with Chinese signs (most with Japanese and Korean ones too), as systems have them.
CJK = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC"),
    *("Source Han Sans CN", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans GB", "Heiti SC", "STHeiti", "Songti SC"),
    *("Microsoft YaHei", "SimHei", "SimSun", "DengXian", "Arial Unicode MS", "Unifont"),
)
OWN = "DejaVu Sans"  # matplotlib brings it
LONGEST = 24  # columns of a name beside a figure


def drawable(names: Sequence[str], *, longest: int = LONGEST) -> tuple[list[str], list[str]]:
    """(names, font families): the names as they can be drawn, and what to draw them with.

    A name with a sign that no font at hand has becomes "class 3"; one that is too long is cut.
    """
    families = _families("".join(names))
    known = _signs(*map(_file, families))
    shown = [
        cut(name, longest) if all(ord(sign) in known for sign in name) else f"class {number}"
        for number, name in enumerate(map(printable, names))
    ]
    return shown, families


def drawable_line(text: str) -> tuple[str, list[str]]:
    """The same of one line of text, such as a title: a sign that no font has is replaced."""
    shown = printable(text)
    families = _families(shown)
    known = _signs(*map(_file, families))
    return "".join(s if ord(s) in known else "\N{REPLACEMENT CHARACTER}" for s in shown), families


def cjk_font(signs: frozenset[str]) -> str | None:
    """The installed font of CJK that has most of the signs which matplotlib's own font lacks; None
    where it lacks none, or none is at hand.
    """
    lacking = {ord(sign) for sign in signs} - _signs(_file(OWN))
    if not lacking:
        return None
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    found = [(len(lacking & _signs(_file(name))), name) for name in CJK if name in installed]
    most, name = max(found, key=lambda each: each[0], default=(0, ""))
    return name if most else None


def _families(text: str) -> list[str]:
    font = cjk_font(frozenset(text))
    return [OWN] if font is None else [OWN, font]


def _file(family: str) -> str:
    found = font_manager.FontProperties(family=[family])
    return str(font_manager.findfont(found, fallback_to_default=False))


@functools.lru_cache(maxsize=8)
def _signs_of(file: str) -> frozenset[int]:
    return frozenset(FT2Font(str(Path(file))).get_charmap())


def _signs(*files: str) -> frozenset[int]:
    return frozenset[int]().union(*map(_signs_of, files))


def families() -> list[str]:
    """What to give a text as `fontfamily`: signs that the first lacks are taken from the others."""
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return [OWN, *[name for name in CJK if name in installed][:1]]


def shown(names: Sequence[str], *, longest: int = LONGEST) -> list[str]:
    """Each name on one line, cut where it is long; "class 3" for one that no font here can draw."""
    known = _signs(*map(_file, families()))
    return [_one(name, number, longest, known) for number, name in enumerate(names)]


def _one(name: str, number: int, longest: int, known: frozenset[int]) -> str:
    plain = " ".join(name.split())
    if not plain or not all(sign.isprintable() and ord(sign) in known for sign in plain):
        return f"class {number}"
    cut_to = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    return cut_to.replace("$", r"\$")  # between two of them matplotlib sets formulas
