"""Pictures in files as a run recorded them: the splits that were made are never made again."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neocog.data import shards
from neocog.data.dataset import Dataset
from neocog.data.filesplit import FileSplit
from neocog.data.listing import SHOWN, Files, Listing
from neocog.data.loading import of_files
from neocog.data.opening import PIPE
from neocog.errors import DataError

Row = tuple[str, str, str, int]  # split, class, path, bytes
HEAD = ("split", "class", "path", "bytes")
Tell = Callable[[str], None]
NAMES = {"train": "train", "validation": "val", "test": "test"}


def record(dataset: Dataset) -> list[Row]:
    """Which pictures are in which split, of which class."""
    return [
        (name, dataset.classes[label], path, size)
        for name, split in dataset.splits.items()
        if isinstance(split, FileSplit)
        for path, label, size in split.facts()
    ]


def to_csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEAD, *rows])
    return text.getvalue().encode("utf-8", "surrogateescape")


def from_csv(content: bytes) -> list[Row]:
    """What `to_csv` was given. Raises `ValueError` for anything else."""
    head, *rows = csv.reader(io.StringIO(content.decode("utf-8", "surrogateescape"), newline=""))
    if tuple(head) != HEAD:
        raise ValueError(f"its columns are {head}")
    if not all(len(row) == len(HEAD) and row[0] in NAMES and "\0" not in row[2] for row in rows):
        raise ValueError("a line of it is none of split, class, path and bytes")
    return [(split, name, file, int(size)) for split, name, file, size in rows]


def from_record(
    rows: Sequence[Row],
    place: str,
    facts: Mapping[str, Any],
    *,
    cache_size: int | None = None,
    since: int | None = None,
    tell: Tell | None = None,
) -> Dataset:
    """The data set of a run, from where its pictures are now. `facts` are those of recipe.json.

    Raises `DataError` where pictures are gone or have changed in size; others that came are not
    looked at. Files that were written to after `since`, in ns, are told.
    """
    is_shards = facts["layout"] == "shards"
    found = _in_shards if is_shards else _on_disk
    listing = found(rows, place, facts, tell)
    if since is not None and not is_shards:
        _say_written(listing, since, tell or _nobody)
    return of_files(
        listing,
        listing.splits,
        name=facts["name"],
        validation=facts["validation"],
        seed=facts["seed"],
        mirrors=bool(facts["mirrors"]),
        cache_size=cache_size,
        tell=tell,
    )


def _on_disk(
    rows: Sequence[Row], place: str, facts: Mapping[str, Any], tell: Tell | None
) -> Listing:
    root, classes = Path(place), tuple(facts["classes"])
    number = {name: label for label, name in enumerate(classes)}
    found: dict[str, list[tuple[str, int, int, int]]] = {name: [] for name in NAMES.values()}
    changed = []
    for split, name, path, size in rows:
        try:
            now = os.stat(os.path.join(root, path))  # noqa: PTH116, PTH118 - many of them
        except (OSError, ValueError) as error:
            changed.append(f"{path}: {getattr(error, 'strerror', None) or error}")
            continue
        if now.st_size != size:
            changed.append(f"{path}: {now.st_size:,} bytes, {size:,} then")
        elif name not in number:
            changed.append(f"{path}: of the class {name!r}, which recipe.json does not name")
        else:
            found[NAMES[split]].append((path, number[name], now.st_size, now.st_mtime_ns))
    _check(changed, len(rows), place)
    splits = {name: _files(each) for name, each in found.items()}
    return Listing(root, str(facts["layout"]), classes, splits, ())


def _say_written(listing: Listing, since: int, tell: Tell) -> None:
    written = [
        path
        for files in listing.splits.values()
        for path, time in zip(files.paths, files.times.tolist(), strict=True)
        if time > since
    ]
    if written:
        tell(
            f"{listing.place}: {len(written):,} of the run's pictures were written to since it "
            f"began, {min(written)} for one, though their sizes are the same: if they show "
            "something else now, it is another run that goes on"
        )


def _in_shards(
    rows: Sequence[Row], place: str, facts: Mapping[str, Any], tell: Tell | None
) -> Listing:
    listing = shards.of_place(place, tell or _nobody)
    now = {
        path: (size, time)
        for files in listing.splits.values()
        for path, size, time in zip(files.paths, files.sizes, files.times, strict=True)
    }
    classes = tuple(facts["classes"])
    number = {name: label for label, name in enumerate(classes)}
    found: dict[str, list[tuple[str, int, int, int]]] = {name: [] for name in NAMES.values()}
    changed = []
    for split, name, path, size in rows:
        if path not in now:
            changed.append(f"{path}: it is not there")
        elif now[path][0] != size:
            changed.append(f"{path}: {now[path][0]:,} bytes, {size:,} then")
        elif name not in number:
            changed.append(f"{path}: of the class {name!r}, which recipe.json does not name")
        else:
            found[NAMES[split]].append((path, number[name], size, int(now[path][1])))
    _check(changed, len(rows), place)
    splits = {name: _files(each) for name, each in found.items()}
    return dataclasses.replace(listing, classes=classes, splits=splits)


def check_place(place: str) -> None:
    """`DataError` for a program: what a file says is not what a user says."""
    if PIPE in place:
        raise DataError(
            f"{place}: this run's shards came from a program, which is not started because a file "
            "says so: say it again with --from"
        )


def _check(changed: Sequence[str], count: int, place: str) -> None:
    if changed:
        lines = "".join(f"\n  - {line}" for line in changed[:SHOWN])
        raise DataError(
            f"{place}: {len(changed):,} of the run's {count:,} pictures are gone or have "
            f"changed since it began:{lines}\nPut them back, or say with --from where they are now"
        )


def _nobody(line: str) -> None:
    pass


def _files(rows: Sequence[tuple[str, int, int, int]]) -> Files:
    columns = [np.array([row[i] for row in rows], dtype=np.int64) for i in (1, 2, 3)]
    return Files([row[0] for row in rows], *columns)
