"""How much room a name takes, in any script."""

from __future__ import annotations

import unicodedata


def cut(name: str, longest: int) -> str:
    """A name of at most so many columns; a sign of Chinese, Japanese or Korean takes two."""
    if columns(name) <= longest:
        return name
    kept = ""
    for sign in name:
        if columns(kept + sign) > longest - 1:
            break
        kept += sign
    return kept + "…"


def cut_within(name: str, longest: int) -> str:
    """The same with its end: names that begin alike are told apart."""
    if columns(name) <= longest:
        return name
    end = ""
    for sign in reversed(name):
        if columns(sign + end) > longest // 3:
            break
        end = sign + end
    return cut(name, longest - columns(end)) + end


def columns(text: str) -> int:
    """How many columns a terminal takes for it."""
    return sum(map(_width, text))


def _width(sign: str) -> int:
    if unicodedata.combining(sign) or unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in ("W", "F") else 1
