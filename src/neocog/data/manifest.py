"""The lists of pictures that courses have their students write, from the splits of a data set.

What is written is read back as it was, or refused before anything is written: else classes whose
names differ in a blank would become one, unsaid.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from neocog.data import lists
from neocog.data.dataset import Dataset
from neocog.data.filesplit import FileSplit
from neocog.errors import DataError, UsageError

PART = ".part"  # the ending of what is being written


def manifest(dataset: Dataset, folder: Path) -> dict[str, str]:
    """{"train.txt": lines of path and label, ...} as they lie in `folder`, and classes.txt: the
    names of labels 0, 1, ... Paths are relative to the folder.
    """
    made = {}
    for split in dataset.splits:
        if rows := [(path, str(label)) for path, label in _rows(dataset, split, folder)]:
            name = f"{_said(split)}.txt"
            made[name] = "".join(map(_line, rows))
            _check_rows(folder / name, made[name], rows)
    made["classes.txt"] = "".join(f"{name}\n" for name in dataset.classes)
    _check_names(folder / "classes.txt", made["classes.txt"], dataset.classes)
    return made


def split_list(dataset: Dataset, folder: Path) -> str:
    """One list of all pictures as CSV: filename,label,split. Paths are relative to `folder`."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["filename", "label", "split"])
    rows = []
    for split in dataset.splits:
        for file, label in _rows(dataset, split, folder):
            rows.append((file, dataset.classes[label]))
            lines.writerow([*rows[-1], _said(split)])
    _check_rows(folder / "list.csv", text.getvalue(), rows)
    _check_labels(folder, [label for _, label in rows])
    return text.getvalue()


def write_new(folder: Path, files: dict[str, str], *, spared: Path) -> None:
    """Write files that are not there yet, all or none, in a folder outside of `spared`."""
    if folder.resolve().is_relative_to(spared.resolve()):
        raise UsageError(
            f"{folder}: lies in the folder of the pictures, to which nothing is added; name another"
        )
    for name in files:
        if os.path.lexists(folder / name):
            raise UsageError(f"{folder / name}: it exists; nothing is written over it")
    try:
        with _undone_on_failure() as undo:
            _make(folder, undo)
            _write_all(folder, files, undo)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written to: {error.strerror}; nothing was written"
        ) from error


@contextlib.contextmanager
def _undone_on_failure() -> Iterator[contextlib.ExitStack]:
    """What removes the things that were made so far: done, the last first, if not all goes well."""
    with contextlib.ExitStack() as undo:
        yield undo
        undo.pop_all()


def _make(folder: Path, undo: contextlib.ExitStack) -> None:
    for path in reversed((folder, *folder.parents)):
        if not path.exists():
            path.mkdir(exist_ok=True)
            undo.callback(_quietly, path.rmdir)


def _write_all(folder: Path, files: dict[str, str], undo: contextlib.ExitStack) -> None:
    """Each aside, with all its bytes on the disk, before the first gets its name: then hardly
    anything is left that can fail. The name is taken by an empty file, for a rename would go over
    whatever is there; if the power fails right then, an empty list is refused where it is read.
    """
    aside = {name: folder / f".{name}.{uuid.uuid4().hex[:12]}{PART}" for name in files}
    for name, text in files.items():
        undo.callback(_quietly, aside[name].unlink)
        with aside[name].open("xb") as file:
            file.write(_bytes(text))
            file.flush()
            os.fsync(file.fileno())
    for name in files:
        (folder / name).touch(exist_ok=False)
        undo.callback(_quietly, (folder / name).unlink)
        aside[name].replace(folder / name)


def _quietly(remove: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        remove()


def _rows(dataset: Dataset, name: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Path from the folder and label of each picture of a split."""
    split = dataset.splits[name]
    if not isinstance(split, FileSplit):
        raise UsageError(f"{dataset.name} is no folder of pictures, so there are no files to list")
    root = os.path.relpath(split.reader.root.resolve(), folder.resolve())
    for path, label, _ in split.facts():
        yield Path(root, path).as_posix(), label


def _line(row: tuple[str, str]) -> str:
    """Path and number; with a tab between where the path has blanks of its own."""
    between = " " if row[0].split() == [row[0]] else "\t"
    return f"{between.join(row)}\n"


def _check_rows(path: Path, text: str, rows: Sequence[tuple[str, str]]) -> None:
    """`DataError`, naming the first row that would not be read back as it is."""
    read = lists.rows_in(path, _bytes(text))
    for file, label in rows:
        try:
            row = next(read, None)
        except DataError:
            row = None
        if row is None or row.path != file:
            raise _lost(repr(file) if row else f"{file!r} of class {label!r}")
        if row.label != label:
            raise _lost(f"class {label!r}")


def _check_names(path: Path, text: str, names: Sequence[str]) -> None:
    """The same of a list of class names."""
    read = [line for _, line in lists.lines_in(path, _bytes(text))]
    for place, name in enumerate(names):
        if read[place : place + 1] != [name]:
            raise _lost(f"class {name!r}")


def _check_labels(folder: Path, labels: Sequence[str]) -> None:
    """`DataError` where classes that are numbers would be read as the lines of a list of names."""
    read = lists.classes(labels, folder)
    if read.labels != read.names:
        raise DataError(
            f"{folder}: there are class names in this folder, and by them the classes "
            f"{read.labels[0]}, ... would be read as {read.names[0]}, ...; write the list to "
            "another folder"
        )


def _lost(what: str) -> DataError:
    return DataError(
        f"{what}: a list would not give it back as it is: blanks at the ends of a name are lost, "
        "and tabs and line ends mean something else. Rename it; nothing was written"
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _said(split: str) -> str:
    return "val" if split == "validation" else split
