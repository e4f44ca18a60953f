"""Which pictures a folder or a list holds: of which class, in which split, and what it leaves out.

Nothing is decoded here and nothing is written. Paths are relative to the root with "/" between, or
absolute where a list says so.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from neocog.data import folders, lists, rows, shardindex, shards
from neocog.data.files import SHOWN, Files, Listing, uncollected
from neocog.data.places import users_path
from neocog.data.tree import Ignored
from neocog.errors import DataError

__all__ = ["SHOWN", "Files", "Ignored", "Listing", "listed"]


@uncollected()
def listed(
    place: str | Path,
    tell: Callable[[str], None] | None = None,
    *,
    allowed: str | Path | None = None,
) -> Listing:
    """The pictures of a folder, of a list (.csv, .tsv, .txt, .jsonl) of them, or of shards: see
    `shards.of_place`.

    The paths of a list lead nowhere but into the folder named, or the list's own; and into
    `allowed` and NEOCOG_DATA. Raises `DataError` where there is nothing to learn from, saying what
    was looked for.
    """
    say = tell or _nobody
    if shards.names_shards(str(place)):
        return _of_shards(str(place), say)
    path = users_path(place, "the folder of pictures")
    try:
        if path.is_dir():
            return _of_folder(path, say, _also(allowed))
        is_file = path.is_file()
        if is_file and path.suffix.lower() in lists.SUFFIXES:
            return rows.of_lists(path.parent, {"all": path}, "list", also=_also(allowed))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG and not os.path.lexists(path):
            raise DataError(
                f"{path}: there is no such folder, and no such list: {error.strerror}. Check the "
                "path"
            ) from error
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror}") from error
    if is_file:
        raise DataError(
            f"{path}: a file; name a folder of pictures, or a list of them that ends in "
            f"{', '.join(lists.SUFFIXES)}"
        )
    raise DataError(f"{path}: there is no such folder, and no such list")


def _also(allowed: str | Path | None) -> list[Path]:
    named = {"--from": allowed, "NEOCOG_DATA": os.environ.get("NEOCOG_DATA")}
    return [users_path(folder, by) for by, folder in named.items() if folder]


def _of_folder(path: Path, tell: Callable[[str], None], also: list[Path]) -> Listing:
    """Archives are what is meant where there are no pictures and no lists: where those are wrong,
    their user is to know.
    """
    if os.path.isfile(path / shardindex.NAME):  # noqa: PTH113 - of a locked folder it says no
        return _of_shards(str(path), tell)
    try:
        return folders.of_folder(path, also=also)
    except folders.NoPicturesError:
        if not shards.has_shards(path):
            raise
    return _of_shards(str(path), tell)


def _of_shards(place: str, tell: Callable[[str], None]) -> Listing:
    try:
        return shards.of_place(place, tell)
    except OSError as error:
        raise DataError(f"{error.filename or place}: cannot be read: {error.strerror}") from error


def _nobody(line: str) -> None:
    pass
