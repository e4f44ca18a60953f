"""Folders that the paths of a list may not lead out of, by links neither."""

from __future__ import annotations

import os
from pathlib import Path


class Within:
    """Some folders. Asked of files by the hundred thousand, it looks at each folder once."""

    def __init__(self, *folders: str | Path) -> None:
        reals = (os.path.normcase(os.path.realpath(folder)) for folder in folders)
        self.folders = tuple(real.rstrip(os.sep) + os.sep for real in reals)
        self._real: dict[str, str] = {}

    def strays(self, path: str) -> str | None:
        """Where a file really is, if that is in none of the folders."""
        folder, name = os.path.split(path)
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        real = os.path.join(self._real[folder], name)  # noqa: PTH118 - many of them
        if os.path.islink(real):  # noqa: PTH114
            real = os.path.realpath(real)
        return None if os.path.normcase(real).startswith(self.folders) else real
