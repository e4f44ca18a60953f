"""The lists of pictures that courses have their students write, from the splits of a data set."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from neocog.data.dataset import Dataset
from neocog.data.filesplit import FileSplit
from neocog.errors import DataError, UsageError


def manifest(dataset: Dataset, folder: Path) -> dict[str, str]:
    """{"train.txt": lines of path and label, ...} as they lie in `folder`, and classes.txt: the
    names of labels 0, 1, ... Paths are relative to the folder.
    """
    made = {}
    for name, split in dataset.splits.items():
        if len(split):
            rows = list(_rows(dataset, split, folder))
            lines = (
                f"{path}\t{label}" if " " in path else f"{path} {label}" for path, label in rows
            )
            made[f"{'val' if name == 'validation' else name}.txt"] = "\n".join(lines) + "\n"
    return {**made, "classes.txt": "\n".join(dataset.classes) + "\n"}


def split_list(dataset: Dataset, folder: Path) -> str:
    """One list of all pictures as CSV: filename,label,split. Paths are relative to `folder`."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["filename", "label", "split"])
    for name, split in dataset.splits.items():
        said = "val" if name == "validation" else name
        for path, label in _rows(dataset, split, folder):
            lines.writerow([path, dataset.classes[label], said])
    return text.getvalue()


def write_new(folder: Path, files: dict[str, str], *, spared: Path) -> None:
    """Write files that are not there yet, in a folder that is not `spared` or in it."""
    if folder.resolve().is_relative_to(spared.resolve()):
        raise UsageError(
            f"{folder}: lies in the folder of the pictures, to which nothing is added; name another"
        )
    for name in files:
        if (folder / name).exists():
            raise UsageError(f"{folder / name}: it exists; nothing is written over it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (folder / name).open("xb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise DataError(f"{folder}: cannot be written to: {error.strerror}") from error


def _rows(dataset: Dataset, split: object, folder: Path) -> Iterator[tuple[str, int]]:
    if not isinstance(split, FileSplit):
        raise UsageError(f"{dataset.name} is no folder of pictures, so there are no files to list")
    root = os.path.relpath(split.reader.root.resolve(), folder.resolve())
    for path, label, _ in split.facts():
        if "\n" in path or "\r" in path:
            raise DataError(f"{path!r}: a name with a line end in it fits no list; rename it")
        yield Path(root, path).as_posix(), label
