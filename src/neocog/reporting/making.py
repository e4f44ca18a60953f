"""`neocog report`: one page of a run, or of several, that can be mailed to others."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from neocog.errors import UsageError, unknown
from neocog.reporting.facts import Facts, facts_of
from neocog.reporting.gathering import Gathering, gathered
from neocog.reporting.whole import MARK, whole
from neocog.run import RunFolder
from neocog.watching.words import LANGUAGES
from neocog.writing import written

ENDINGS = (".html", ".htm")


class InHand(Protocol):
    """A run as `neocog.open` gives it."""

    folder: RunFolder


@dataclass(frozen=True, eq=False)
class Report:
    """A page that was written."""

    path: Path
    lang: str
    runs: list[Facts]
    repeated: list[str]
    size: int  # bytes

    def to_json(self) -> dict[str, Any]:
        return {
            "file": str(self.path),
            "lang": self.lang,
            "bytes": self.size,
            "runs": [
                {
                    "run": str(run.folder.path),
                    "finished": run.finished,
                    "split": run.split,
                    "top1": run.scores.get(run.split, {}).get("top1"),
                    "gathered": run.gathered.looked is not None,
                    "lacking": run.gathered.lacking,
                    "damaged": run.troubles,
                }
                for run in self.runs
            ],
            "repeated": self.repeated,
        }


def report(
    folders: Sequence[RunFolder],
    *,
    out: str | Path | None = None,
    lang: str = "en",
    how: Gathering | None = None,
) -> Report:
    """Write the page of these runs; a run that is given twice is shown once, and that is said.

    `out`: a file ending in .html, by default `default_out`. Raises `UsageError` where it would lie
    over a file that is no report, `NeocogError` where a folder is no run or nothing can be written.
    """
    if lang not in LANGUAGES:
        raise unknown("language of the report", lang, LANGUAGES)
    if not folders:
        raise UsageError("no run was given; name at least one run folder")
    way = how or Gathering()
    if way.sample is not None and way.sample < 1:
        raise UsageError(f"--sample {way.sample}: at least 1")
    once, repeated = _each_once(folders)
    path = _target(default_out(once, lang) if out is None else Path(out))
    runs = _told_apart([facts_of(folder, gathered(folder, way)) for folder in once])
    try:
        page = whole(runs, lang, repeated=repeated)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        # looked.npz may have been edited, or be another version's: then all of it is made anew
        way.tell("what was gathered for an earlier report is of another kind; it is gathered anew")
        afresh = dataclasses.replace(way, afresh=True)
        runs = _told_apart([facts_of(folder, gathered(folder, afresh)) for folder in once])
        page = whole(runs, lang, repeated=repeated)
    content = page.encode("utf-8", "replace")
    written(path, lambda file: file.write(content))
    return Report(path, lang, runs, repeated, len(content))


def write_report(
    runs: InHand | str | Path | Sequence[InHand | str | Path],
    *,
    out: str | Path | None = None,
    lang: str = "en",
    sample: int | None = None,
    from_dir: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """One HTML page of a run, or of several, that needs nothing beside itself; gives its path.

    Of one run it is report.html in the run folder, of several report.html in the working folder,
    or `out`; `lang` is "en" or "zh". What needs the pictures is gathered at the first time, from
    where they were or from `from_dir`, and kept in the run folder; units are watched over `sample`
    pictures. What is lacking is said on the page, and to `tell`. Raises `UsageError` for a folder
    that is no run, and where `out` is a file that is no report.
    """
    each = [runs] if isinstance(runs, str | Path) or not isinstance(runs, Sequence) else runs
    folders = [RunFolder.open(r) if isinstance(r, str | Path) else r.folder for r in each]
    way = Gathering(from_dir=from_dir, sample=sample, tell=tell or nobody)
    return report(folders, out=out, lang=lang, how=way).path


def nobody(line: str) -> None:
    """Says nothing."""


def default_out(folders: Sequence[RunFolder], lang: str) -> Path:
    """report.html in the folder of one run, or where one is for several; report.zh.html too."""
    name = "report.html" if lang == LANGUAGES[0] else f"report.{lang}.html"
    return folders[0].path / name if len(folders) == 1 else Path(name)


def _each_once(folders: Sequence[RunFolder]) -> tuple[list[RunFolder], list[str]]:
    """The runs, each once, and the names of those that were given more than once."""
    places: dict[Path, RunFolder] = {}
    repeated = []
    for folder in folders:
        if places.setdefault(folder.path.resolve(), folder) is not folder:
            repeated.append(folder.path.resolve().name)
    return list(places.values()), list(dict.fromkeys(repeated))


def _told_apart(runs: list[Facts]) -> list[Facts]:
    """Runs of one name are called by as many of the folders they lie in as it takes, too."""
    names = [run.name for run in runs]
    for name in {name for name in names if names.count(name) > 1}:
        alike = [run for run in runs if run.name == name]
        places = [run.folder.path.resolve().parts for run in alike]
        count = next(n for n in range(2, 10**6) if len({p[-n:] for p in places}) == len(alike))
        for run, place in zip(alike, places, strict=True):
            object.__setattr__(run, "name", "/".join(place[-count:]))
    return runs


def _target(path: Path) -> Path:
    """Where to write: over nothing but an older report."""
    if path == Path():
        raise UsageError("--out: an empty name was given; name a file that ends in .html")
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"--out {path}: the report is written as .html")
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"--out {path}: cannot be written; name a file in a folder that exists")
    if os.path.lexists(path) and not _ours(path):
        raise UsageError(
            f"--out {path}: there is another file already, which is no report of neocog's; name a "
            "new one, or remove it"
        )
    return path.resolve() if path.is_symlink() else path


def _ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MARK.strip().encode() in file.read(200)
    except OSError:
        return False
