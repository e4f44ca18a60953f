"""`neocog look`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from neocog.cli.output import LIVE, PLAIN, emit, table, tell
from neocog.errors import UsageError
from neocog.progress import duration
from neocog.run import RunFolder
from neocog.understanding import LOOKS, OVERVIEW, Asked, Seen, is_ours, open_subject, seen
from neocog.writing import written

KINDS = (".png", ".svg")
ONE_EACH = ("sees", "maps")  # a figure for each picture
ROWS = 40  # of a table, for people


def look(options: argparse.Namespace) -> None:
    out = _out(options.out)
    folder = RunFolder.open(options.run)
    for what, _, ending in _looks(options) if out else ():
        path = _path(out, folder, what, ending)
        for each in (path, path.with_suffix(".npz")) if options.json else (path,):
            _check_free(each)
    counting = Passing(sys.stderr)
    subject = open_subject(folder, from_dir=options.from_dir, tell=tell, progress=counting)
    facts = []
    for what, asked, ending in _looks(options):
        found = seen(subject, what, asked)
        path = _path(out, folder, what, ending)
        _write(path, found.content(path.suffix[1:].lower()))
        facts.append({**found.numbers, "words": found.words, "file": str(path)})
        if options.json:
            facts[-1]["arrays"] = _arrays(found, path)
        else:
            _print(found, path, whole=options.what is not None)
    if options.json:
        emit(facts[0] if len(facts) == 1 else facts)


def _looks(options: argparse.Namespace) -> Iterator[tuple[str, Asked, str]]:
    """What is to be done: a look, what is asked of it, and what ends the name of its file."""
    asked = Asked(
        files=tuple(Path(file) for file in options.files),
        layer=options.layer,
        target=options.target,
        channel=options.channel,
        split=options.split,
        number=options.number,
        sample=options.sample,
    )
    if options.what is None and not asked.files:
        for name in ("layer", "target", "channel"):
            if getattr(asked, name) is not None:
                option = {"target": "class"}.get(name, name)
                raise UsageError(f"--{option}: say with --what which look it is for")
        for what in OVERVIEW:
            yield what, asked, f"-{what}"
        return
    what = options.what or "sees"
    if what not in ONE_EACH or len(asked.files) < 2:
        yield what, asked, ""
        return
    for number, file in enumerate(asked.files, start=1):
        yield what, dataclasses.replace(asked, files=(file,)), f"-{number}" if number > 1 else ""


def _out(given: str | None) -> Path | None:
    if given is None:
        return None
    out = Path(given)
    if out.suffix.lower() not in KINDS:
        raise UsageError(f"--out {out}: the figure is written as {' or '.join(KINDS)}")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}")
    return out


def _check_free(path: Path) -> None:
    """`UsageError` where something lies there that no look has written."""
    if os.path.lexists(path) and not is_ours(path):
        raise UsageError(
            f"--out: {path} is there already, and is none of neocog look's; name a new file, or "
            "remove that one"
        )


def _path(out: Path | None, folder: RunFolder, what: str, ending: str) -> Path:
    if out is not None:
        return out.with_name(f"{out.stem}{ending}{out.suffix}")
    return folder.path / f"look-{what}{ending.removeprefix(f'-{what}')}.png"


def _arrays(found: Seen, path: Path) -> str | None:
    """Where what is too large for JSON was written."""
    if not found.arrays:
        return None
    beside = path.with_suffix(".npz")
    _write(beside, found.npz())
    return str(beside)


def _write(path: Path, content: bytes) -> None:
    written(path, lambda file: file.write(content))


def _print(found: Seen, path: Path, *, whole: bool) -> None:
    print(found.words)
    if whole and found.table:
        head, *rows = found.table
        numbers = [n for n in range(len(head)) if rows and rows[0][n][:1].isdigit()]
        print(table(head, rows[:ROWS], right=numbers))
        if len(rows) > ROWS:
            print(f"... and {len(rows) - ROWS:,} more: --json has all")
    print(f"{path}: {LOOKS[found.what].about}")


class Passing:
    """How far a look is: a live line on a terminal, else a line every few seconds."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream, self.live = stream, stream.isatty()
        self.what, self.began, self.last = "", 0.0, 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self.what or not done:
            self.what, self.began, self.last = what, now, now
        if self.live and done >= total:
            self._write("\r\x1b[K")
        elif now - self.last >= (LIVE if self.live else PLAIN) and done < total:
            self.last = now
            left = (now - self.began) / done * (total - done)
            text = f"{what}: {done:,} of {total:,}, {duration(left)} left"
            self._write(f"\r\x1b[K{text}" if self.live else f"{text}\n")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
