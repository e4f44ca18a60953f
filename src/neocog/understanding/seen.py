"""What is asked of a look into a network, and what comes of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from neocog.report import curves
from neocog.report.page import printable

DPI = 120
MAKER = "neocog look"  # stands in what is written, to be known again
SEARCHED = 1 << 16  # bytes of a figure: it stands at the beginning
Progress = Callable[[str, int, int], None]  # what is counted, done, of how many


@dataclass(frozen=True)
class Asked:
    """What a user named; None where it is left to the look."""

    files: tuple[Path, ...] = ()
    layer: str | None = None
    target: str | None = None  # a class, by name or number
    channel: int | None = None
    split: str = "test"
    number: int | None = None  # things shown
    sample: int | None = None  # pictures looked at
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Seen:
    """A figure, the numbers behind it, and the same in words."""

    what: str  # "cam"
    figure: Figure
    words: str  # a sentence or two, for who cannot see the figure
    numbers: dict[str, Any]  # as JSON has them
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    table: Sequence[Sequence[str]] = ()  # the same for a terminal: its head, then its rows

    def _repr_png_(self) -> bytes:
        return curves.png(self.figure)

    def content(self, kind: str) -> bytes:
        """The figure as the content of a file, "png" or "svg"; what it shows stands in it in words
        too.
        """
        said = "\n".join(map(printable, self.words.splitlines()))
        content = io.BytesIO()
        by = "Software" if kind == "png" else "Creator"
        told = {by: MAKER, "Description": said}
        self.figure.savefig(content, format=kind, dpi=DPI, metadata=told)
        return content.getvalue()

    def npz(self) -> bytes:
        """The arrays as the content of an .npz file."""
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **self.arrays)
        with zipfile.ZipFile(content, "a") as held:
            held.comment = MAKER.encode()
        return content.getvalue()


def is_ours(path: Path) -> bool:
    """Whether a file is a figure or the arrays of a look, and may be written over by another."""
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as held:
                return held.comment == MAKER.encode()
        with path.open("rb") as file:
            return MAKER.encode() in file.read(SEARCHED)
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return False
