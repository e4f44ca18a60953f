"""What is asked of a look into a network, and what comes of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from neocog.report import curves
from neocog.report.page import printable

DPI = 120
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
        self.figure.savefig(content, format=kind, dpi=DPI, metadata={"Description": said})
        return content.getvalue()

    def npz(self) -> bytes:
        """The arrays as the content of an .npz file."""
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **self.arrays)
        return content.getvalue()
