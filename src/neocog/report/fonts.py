"""Names of classes as a figure can show them: in any script that a font at hand has signs for."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from matplotlib import font_manager

LATIN = "DejaVu Sans"  # comes with matplotlib
# Those with Chinese, Japanese and Korean signs that systems bring along, the commonest first.
CJK = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC"),
    *("Microsoft YaHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC", "SimHei"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Arial Unicode MS"),
)
LONGEST = 24  # signs of a name


def families() -> list[str]:
    """What to give a text as `fontfamily`: signs that the first lacks are taken from the others."""
    return list(_families())


def shown(names: Sequence[str], *, longest: int = LONGEST) -> list[str]:
    """Each name on one line, cut where it is long; "class 3" for one that no font here can draw."""
    return [_one(name, number, longest) for number, name in enumerate(names)]


def _one(name: str, number: int, longest: int) -> str:
    plain = " ".join(name.split())
    if not plain or not all(_drawable(sign) for sign in plain):
        return f"class {number}"
    cut = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    return cut.replace("$", r"\$")  # between two of them matplotlib sets formulas


@functools.lru_cache(maxsize=4096)
def _drawable(sign: str) -> bool:
    return sign.isprintable() and any(ord(sign) in known for known in _signs())


@functools.cache
def _families() -> tuple[str, ...]:
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return (LATIN, *[name for name in CJK if name in installed][:1])


@functools.cache
def _signs() -> tuple[frozenset[int], ...]:
    """The signs of each family."""
    paths = [font_manager.findfont(name) for name in _families()]
    return tuple(frozenset(font_manager.get_font(path).get_charmap()) for path in paths)
