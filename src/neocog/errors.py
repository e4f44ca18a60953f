"""The errors that neocog raises for its users. Any module may import this; it imports none of ours.

An error names what was given, where, what was expected, and what would do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NeocogError(ValueError):
    """Something a user can put right; the message says how. Exit code 1 on the command line."""


class UsageError(NeocogError):
    """A name or an option that does not exist or does not fit. Exit code 2 on the command line."""


class DataError(NeocogError):
    """A data set or a picture that cannot be had, or is not what it should be."""


class DivergedError(NeocogError):
    """A loss, a gradient or a weight stopped being a finite number."""

    of_all = True  # of several processes, each finds it in the same step


def unknown(kind: str, given: str, choices: Iterable[str]) -> UsageError:
    """The error for a name that is not in `choices`: it offers the nearest right ones."""
    names = sorted(choices)
    folded = {_fold(name): name for name in names}
    begin = [key for key in folded if key.startswith(_fold(given))] if given else []
    near = [*begin, *difflib.get_close_matches(_fold(given), folded, n=3, cutoff=0.5)]
    offer = [folded[key] for key in dict.fromkeys(near)][:5] or names
    lead = "did you mean" if near else "there are"
    return UsageError(f"no {kind} is called {given!r}; {lead} {', '.join(offer)}")


def _fold(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")
