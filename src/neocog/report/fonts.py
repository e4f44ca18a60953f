"""Names of classes in any script, as matplotlib can draw them here."""

from __future__ import annotations

import contextlib
import functools
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from neocog.report.names import columns, cut
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
COLUMNS = 10  # of a title, in an inch


def drawable(names: Sequence[str], *, longest: int = LONGEST) -> tuple[list[str], list[str]]:
    """(names, font families): the names as they can be drawn, and what to draw them with.

    A name with a sign that no font at hand has becomes "class 3"; one that is too long is cut.
    """
    plain = list(map(printable, names))
    families = _families("".join(plain))
    known = _signs(*map(_file, families))
    shown = [
        cut(name, longest) if all(ord(sign) in known for sign in name) else f"class {number}"
        for number, name in enumerate(plain)
    ]
    return shown, families


def drawable_line(text: str) -> tuple[str, list[str]]:
    """The same of one line of text, such as a title: a sign that no font has is replaced."""
    shown = printable(text)
    families = _families(shown)
    known = _signs(*map(_file, families))
    return "".join(s if ord(s) in known else "\N{REPLACEMENT CHARACTER}" for s in shown), families


def set_title(drawn: Figure, title: str) -> None:
    """A title over the whole figure, in as many lines as its width asks for."""
    if title:
        line, families = drawable_line(title)
        room = int(COLUMNS * drawn.get_figwidth() * len(line) / max(columns(line), 1))
        text = textwrap.fill(line, room, break_long_words=True)
        drawn.suptitle(text, fontsize=11, family=families, parse_math=False)


def cjk_font(signs: frozenset[str]) -> str | None:
    """The installed font of CJK that has most of the signs which matplotlib's own font lacks; None
    where it lacks none, or none is at hand.
    """
    lacking = {ord(sign) for sign in signs} - _signs(_file(OWN))
    if not lacking:
        return None
    most, name = _best(lacking)
    if most < len(lacking) and _list_new_fonts():
        most, name = _best(lacking)
    return name if most else None


def _best(lacking: set[int]) -> tuple[int, str]:
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    found = [(len(lacking & _signs(_file(name))), name) for name in CJK if name in installed]
    return max(found, key=lambda each: each[0], default=(0, ""))


def _list_new_fonts() -> bool:
    """Whether there were any: matplotlib lists fonts once, and misses those installed since."""
    listed = {entry.fname for entry in font_manager.fontManager.ttflist}
    new = sorted(set(font_manager.findSystemFonts()) - listed)
    for file in new:
        with contextlib.suppress(Exception):  # a damaged font, of which FreeType says what it likes
            font_manager.fontManager.addfont(file)
    return bool(new)


def _families(text: str) -> list[str]:
    font = cjk_font(frozenset(text))
    return [OWN] if font is None else [OWN, font]


def _file(family: str) -> str:
    """Where it lies; nowhere if it was taken away since matplotlib listed it."""
    wanted = font_manager.FontProperties(family=[family])
    try:
        return str(font_manager.findfont(wanted, fallback_to_default=False))
    except ValueError:
        return ""


@functools.lru_cache(maxsize=8)
def _signs_of(file: str) -> frozenset[int]:
    return frozenset(FT2Font(str(Path(file))).get_charmap() if file else ())


def _signs(*files: str) -> frozenset[int]:
    return frozenset[int]().union(*map(_signs_of, files))
