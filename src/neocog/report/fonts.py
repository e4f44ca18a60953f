"""Names of classes as a figure can show them: in any script that a font at hand has signs for."""

from __future__ import annotations

import contextlib
import functools
import re
import textwrap
from collections.abc import Sequence

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from neocog.report.names import columns, cut
from neocog.report.page import printable

LATIN = "DejaVu Sans"  # comes with matplotlib
# Those with Chinese, Japanese and Korean signs that systems bring along, the commonest first.
CJK = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC"),
    *("Source Han Sans CN", "Microsoft YaHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC"),
    *("STHeiti", "Songti SC", "SimHei", "SimSun", "DengXian"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("Arial Unicode MS", "Unifont"),
)
LONGEST = 24  # columns of a name beside a figure
COLUMNS = 10  # of a title, in an inch


def families() -> list[str]:
    """What to give a text as `fontfamily`: signs that the first lacks are taken from the others."""
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return [LATIN, *(name for name in CJK if name in installed and _file(name))]


def shown(names: Sequence[str], *, longest: int = LONGEST) -> list[str]:
    """Each name on one line, cut where it is long; "class 3" for one that no font here can draw."""
    plain = [printable(" ".join(name.split())) for name in names]
    known = _known_of("".join(plain))
    return [
        _no_formula(cut(name, longest)) if name and _drawable(name, known) else f"class {number}"
        for number, name in enumerate(plain)
    ]


def set_title(drawn: Figure, title: str, *, size: float = 11) -> None:
    """A title over the whole figure, each of its lines in as many as the width asks for; a sign
    that no font here has is replaced.
    """
    room = int(COLUMNS * drawn.get_figwidth() * 11 / size)
    lines = [_filled(line, room) for line in title.splitlines() if line.strip()]
    if lines:
        text = _no_formula("\n".join(lines))
        drawn.suptitle(text, fontsize=size, fontfamily=families())


def _filled(line: str, room: int) -> str:
    plain = printable(" ".join(line.split()))
    known = _known_of(plain)
    drawn = "".join(s if ord(s) in known else "\N{REPLACEMENT CHARACTER}" for s in plain)
    return textwrap.fill(drawn, max(1, int(room * len(drawn) / max(columns(drawn), 1))))


def _no_formula(text: str) -> str:
    """Between two dollars matplotlib sets formulas."""
    return re.sub(r"(?<!\\)\$", r"\$", text)


def _drawable(name: str, known: frozenset[int]) -> bool:
    return all(ord(sign) in known for sign in name)


def _known_of(text: str) -> frozenset[int]:
    """The signs that can be drawn, once it has been tried to draw this."""
    known = _known()
    return _known() if not _drawable(text, known) and _list_new_fonts() else known


def _known() -> frozenset[int]:
    return _signs(tuple(map(_file, families())))


@functools.lru_cache(maxsize=8)
def _signs(files: tuple[str, ...]) -> frozenset[int]:
    return frozenset[int]().union(*(FT2Font(file).get_charmap() for file in files))


def _list_new_fonts() -> bool:
    """Whether there were any: matplotlib lists fonts once, and misses those installed since."""
    listed = {entry.fname for entry in font_manager.fontManager.ttflist}
    new = sorted(set(font_manager.findSystemFonts()) - listed)
    for file in new:
        with contextlib.suppress(Exception):  # a damaged font, of which FreeType says what it likes
            font_manager.fontManager.addfont(file)
    return bool(new)


def _file(family: str) -> str:
    """Where it lies; "" if it was taken away since matplotlib listed it."""
    try:
        wanted = font_manager.FontProperties(family=[family])
        return str(font_manager.findfont(wanted, fallback_to_default=False))
    except ValueError:
        return ""
