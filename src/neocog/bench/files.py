"""Where a result goes: two files named by date and machine, never over others."""

from __future__ import annotations

import json
import re
from pathlib import Path

from neocog.bench import tables
from neocog.bench.bars import Document
from neocog.errors import UsageError

HOME = Path("benchmarks/results")  # in a checkout


class Files:
    """The .json and the .md of one run: written anew whenever something more is known."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder or (HOME if HOME.is_dir() else Path())
        self.path: Path | None = None  # without its ending
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {folder}: {error.strerror or error}") from error

    def write(self, document: Document) -> Path:
        """Both files, whole or as they were; gives the .md."""
        if self.path is None:
            self.path = self._unused(stem(document))
        for ending, text in (
            (".json", json.dumps(document, indent=1) + "\n"),
            (".md", tables.page(document)),
        ):
            aside = self.path.with_name(f"{self.path.name}{ending}.new")
            aside.write_text(text, encoding="utf-8")
            aside.replace(self.path.with_name(self.path.name + ending))
        return self.path.with_name(f"{self.path.name}.md")

    def _unused(self, name: str) -> Path:
        """A result that is there already is never changed."""
        tried = (
            self.folder / f"{name}{suffix}" for suffix in ("", *(f"-{n}" for n in range(2, 999)))
        )
        return next(path for path in tried if not path.with_name(f"{path.name}.json").exists())


def stem(document: Document) -> str:
    """date-machine, as "2026-11-22-amd-epyc-2-cores"."""
    machine = re.sub(r"[^a-z0-9]+", "-", tables.machine({**document, "avx2": False}).lower())
    words = [document["date"], machine.strip("-")]
    words += ["avx2"] if document["avx2"] else []
    words += ["quick"] if document["quick"] else []
    return "-".join(words)
