"""Pictures in tar archives, on a disk or behind a URL: which archives, and what is in them."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from neocog.data import shardindex, unlisted
from neocog.data.files import Listing, Row, Shards, made, said, some
from neocog.data.opening import PIPE, is_url, reading
from neocog.data.places import users_path
from neocog.data.shardindex import NAME, Shard
from neocog.data.tree import Ignored
from neocog.errors import DataError

SUFFIXES = (".tar", ".tar.gz", ".tgz")
MOST = 10**6  # shards
LONGEST_INDEX = 1 << 30  # bytes
_SHARD = re.compile(r"(.*?\.(?:tar\.gz|tar|tgz))/(.+)", re.DOTALL)
Tell = Callable[[str], None]


def names_shards(place: str) -> bool:
    """Whether this is said of shards, whatever is there: a URL, archives, or an index."""
    return (
        is_url(place) or place.endswith((*SUFFIXES, f"/{NAME}", f"{os.sep}{NAME}")) or place == NAME
    )


def has_shards(folder: Path) -> bool:
    """Whether archives lie in a folder, or in folders in it."""
    return (folder / NAME).is_file() or bool(_archives(folder))


def member_of(path: str) -> tuple[str, str]:
    """The shard and the member that a path of a listing names."""
    found = _SHARD.fullmatch(path)
    assert found, path
    return found[1], found[2]


def name_of(shards: Shards) -> str:
    """What to call the data set: the folder's name."""
    place = shards.place.split("?")[0].split("::")[0]
    if place.startswith(PIPE):
        return "shards"
    parts = [part for part in re.split(r"[/\\]", place) if part]
    is_file = parts[-1] == NAME or parts[-1].endswith(SUFFIXES)
    name = parts[-2] if is_file and len(parts) > 1 else parts[-1]
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "shards"


def of_place(place: str, tell: Tell) -> Listing:
    """The listing of a folder of shards, an index, an archive, or a URL of any of these; several
    as `train-{000000..000146}.tar`, and one after the other with `::` between.

    Raises `DataError` where there is nothing to learn from, and for a shard that is cut off as far
    as that can be seen without reading it.
    """
    parts = place.split("::")
    if len(parts) == 1 and not names_shards(place):
        folder = users_path(place, "the folder of shards")
        if not folder.is_dir():
            raise DataError(f"{folder}: there is no such folder of shards")
        if (folder / NAME).is_file():
            return _of_index(str(folder / NAME), str(folder.absolute()))
        return _unlisted(_archives(folder), str(folder.absolute()), tell)
    named = [each for part in parts for each in _expanded(part)]
    if len(named) == 1 and not _is_archive(named[0]):
        only = named[0]
        index = only if only.endswith(NAME) else f"{only.rstrip('/')}/{NAME}"
        if is_url(index):
            tell(f"getting {index}")  # a host that does not answer is asked for a minute
        return _of_index(index, only)
    place = "::".join(
        part if is_url(part) else str(users_path(part, "the shards").absolute()) for part in parts
    )
    return _of_archives(named, place, tell)


def _archives(folder: Path) -> list[str]:
    """Those in a folder and in the folders in it, by their paths below it."""
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
        found += [
            path
            for each in found
            if each.is_dir()
            for path in each.iterdir()
            if not path.name.startswith(".")
        ]
        return sorted(
            str(path) for path in found if path.name.endswith(SUFFIXES) and path.is_file()
        )
    except OSError:
        return []


def _expanded(part: str) -> list[str]:
    """What a name with {000..146} in it stands for; a program's braces are the shell's."""
    if part.startswith(PIPE) and not re.search(r"\{\w+\.\.\w+\}", part):
        return [part]
    if not is_url(part):
        path = users_path(part, "the shards")
        if path.exists():
            return [str(path.absolute())]
        part = str(path.absolute())
    from braceexpand import braceexpand

    try:
        named = list(itertools.islice(braceexpand(part, escape=False), MOST + 1))
    except ValueError:
        raise DataError(f"{part}: a brace is missing; shards are named {{000..146}}") from None
    if len(named) > MOST:
        raise DataError(f"{part}: more than {MOST:,} shards")
    return named


def _is_archive(named: str) -> bool:
    return named.startswith(PIPE) or named.split("?")[0].endswith(SUFFIXES)


def _of_archives(named: Sequence[str], place: str, tell: Tell) -> Listing:
    """The listing of archives: of those in the index beside them, if there is one."""
    local = [Path(each) for each in named if not is_url(each)]
    if missing := [str(path) for path in local if not path.is_file()]:
        raise DataError(f"{place}: {len(missing):,} of its shards are not there: {some(missing)}")
    bases = {each.rpartition("/")[0] for each in named}
    if len(bases) == 1 and not named[0].startswith(PIPE) and "?" not in named[0]:
        index = f"{bases.pop()}/{NAME}"
        there = Path(index).is_file()
        if is_url(index):
            with contextlib.suppress(DataError):  # few have one
                _content(index)
                there = True
        if there:
            return _of_index(index, place, only={each.rpartition("/")[2] for each in named})
    return _unlisted(named, place, tell)


def _of_index(index: str, place: str, only: set[str] | None = None) -> Listing:
    classes, shards = shardindex.parsed(_content(index), index)
    if only is not None:
        if unknown := only.difference(shard.name for shard in shards):
            raise DataError(f"{index}: says nothing of {some(sorted(unknown))}")
        shards = [shard for shard in shards if shard.name in only]
    base = index.rpartition("/")[0] or "."
    if not is_url(index):
        base = str(Path(index).absolute().parent)
        place = str(Path(place).absolute()) if only is None else place
        _check_sizes(Path(base), shards)
    sources = {shard.name: f"{base}/{shard.name}" for shard in shards}
    return _listing(Shards(place, sources), classes, shards, ())


def _content(index: str) -> bytes:
    with reading(index) as stream:
        content = stream.read(LONGEST_INDEX + 1)
    if len(content) > LONGEST_INDEX:
        raise DataError(f"{index}: more than {LONGEST_INDEX:,} bytes are no index")
    return content


def _check_sizes(folder: Path, shards: Sequence[Shard]) -> None:
    """Before anything is read: are all of them there, and whole?"""
    wrong = []
    for shard in shards:
        try:
            size = (folder / shard.name).stat().st_size
        except OSError as error:
            wrong.append(f"{shard.name}: {error.strerror}")
            continue
        if shard.size is not None and size != shard.size:
            less = "it is cut off" if size < shard.size else "it has changed"
            wrong.append(f"{shard.name}: {size:,} bytes, {shard.size:,} in {NAME}: {less}")
    if wrong:
        more = [f"... and {len(wrong) - 20:,} more"] if len(wrong) > 20 else []
        raise DataError(
            f"{folder}: {len(wrong):,} of {len(shards):,} shards are not as they were packed:"
            + said([*wrong[:20], *more])
            + "\nGet them again, or pack anew"
        )


def _unlisted(named: Sequence[str], place: str, tell: Tell) -> Listing:
    if not named:
        raise DataError(f"{place}: no shards in it; expected files that end in .tar")
    sources = unlisted.named(named)
    return _listing(Shards(place, sources), *unlisted.counted(sources, place, tell))


def _listing(
    shards: Shards, classes: Sequence[str], each: Sequence[Shard], ignored: Sequence[Ignored]
) -> Listing:
    rows: dict[str, list[Row]] = {}
    for shard in each:
        rows.setdefault(shard.split, []).extend(
            (f"{shard.name}/{member}", classes[label], size, mark)
            for member, label, size, mark in zip(
                shard.members, shard.labels, shard.sizes, shard.marks, strict=True
            )
        )
    root = Path(shards.place)
    return made(root, "shards", rows, ignored, classes=classes, shards=shards)
