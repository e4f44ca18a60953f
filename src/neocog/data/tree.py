"""A walk through a folder of pictures: what is one, and what is left out and why.

Only the first bytes of each file are read: they, not the suffix, say whether it is a picture.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from neocog.data.pictures import looks_like_one
from neocog.errors import DataError

# made by systems and programs beside a user's files; compared without case
SYSTEM = {"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "__macosx", "@eadir", "lost+found"}
SYSTEM |= {"$recycle.bin", "#recycle", "#snapshot", "system volume information", "__pycache__"}
RUN = {"recipe.json", "input.json"}  # a folder that has both holds what was learnt
DEEPEST = 30  # folders in one another
MOST_LINKS = 8  # to one folder: links into one another would have no end
HEAD = 64  # bytes that tell what a file is
PART, SLOW = 256, 40e-6  # files; seconds for one of them on a disk that is waited for
ASKS = sys.platform == "linux"  # the system can be asked for a file without waiting for it
THREADS = 1 if ASKS else 8
# what people take for pictures, and what would make pictures of it
OTHERS = {
    rb"....ftyp(hei[cmsx]|hev[cmx]|mif1|msf1)": "HEIC: save it as JPEG",
    rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b": "a packed archive: unpack it",
    rb"\x00\x00\x01\xb3|....ftyp|\x1a\x45\xdf\xa3|RIFF....AVI ": "a film: save its frames",
    rb"%PDF": "PDF: save its pages as PNG",
    rb"\s*<(!DOCTYPE|html|HTML)": "a web page: get the file again",
    rb"version https://git-lfs": "a pointer of Git LFS: get the file itself",
}
_OTHERS = [(re.compile(begin, re.DOTALL), what) for begin, what in OTHERS.items()]
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something that is no picture to learn from, and why."""

    file: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """A picture file: its folder by parts, below the root, and its name in it."""

    folder: tuple[str, ...]
    name: str
    size: int  # bytes
    time: int  # of the last change, ns

    @property
    def path(self) -> str:
        return "/".join((*self.folder, self.name))


class Tree:
    """A walk through a folder: pictures, folders, and all that is neither.

    `refused` has an error for each folder that cannot be read, or named: without it a class would
    be missing. Raises `DataError` where that is the root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.real = os.path.normcase(os.path.realpath(root))
        self.pictures: list[Found] = []
        self.folders: dict[tuple[str, ...], set[str]] = {}  # and the folders in each
        self.ignored: list[Ignored] = []
        self.refused: list[DataError] = []
        self._links: Counter[str] = Counter()
        self._files: list[tuple[tuple[str, ...], str, str]] = []
        if self._walk((), frozenset((self.real,))):
            raise self.refused[0]
        paths = [path for _, _, path in self._files]
        for (folder, name, _), looked in zip(self._files, _all_looked_at(paths), strict=True):
            size, time_of_change, why = looked
            if why:
                self.ignored.append(Ignored("/".join((*folder, name)), why))
            else:
                self.pictures.append(Found(folder, name, size, time_of_change))
        self.ignored.sort(key=lambda each: each.file)
        self._files.clear()

    def below(self, parts: tuple[str, ...]) -> set[str]:
        """The names of the folders in one of the folders."""
        return self.folders.get(parts, set())

    def leave(self, found: Found, why: str) -> None:
        self.ignored.append(Ignored(found.path, why))

    def used(self, path: Path) -> None:
        """That file was read as a list, so it is not left out."""
        real = os.path.realpath(path)
        self.ignored = [
            each
            for each in self.ignored
            if each.file.rpartition("/")[2] != path.name
            or os.path.realpath(self.root / each.file) != real
        ]

    def _walk(self, parts: tuple[str, ...], above: frozenset[str]) -> str | None:
        """Why a folder is not used; None if it is, and what is in it taken up."""
        self.folders[parts] = set()
        folder = self.root.joinpath(*parts)
        try:
            with os.scandir(folder) as entries:
                ordered = sorted(entries, key=_name)
        except OSError as error:
            said = f"{error.strerror}. Allow it to be read, or take it out of the data"
            self.refused.append(DataError(f"{folder}: this folder cannot be read: {said}"))
            return f"cannot be read (a folder): {said}"
        if parts and RUN.issubset(entry.name for entry in ordered):
            return "a run of neocog's"
        for entry in ordered:
            try:
                why = self._not_used(entry, parts, above)
            except OSError as error:
                why = f"cannot be read: {error.strerror}"
            if why:
                self.ignored.append(Ignored(shown((*parts, entry.name)), why))
        return None

    def _not_used(
        self, entry: os.DirEntry[str], parts: tuple[str, ...], above: frozenset[str]
    ) -> str | None:
        """Why one of the things in a folder is not used; None if it is, and taken up."""
        if why := _not_data(entry.name):
            return why
        link = entry.is_symlink()
        if link and (why := self._stray(os.path.realpath(entry.path))):
            return why
        if not entry.is_dir():
            return self._file(entry, parts)
        if not is_text(entry.name):
            name = shown((*parts, entry.name))
            said = "name that is no Unicode text; rename it"
            self.refused.append(DataError(f"{self.root}: the folder {name} has a {said}"))
            return f"cannot be read (a folder): a {said}"
        if len(parts) + 1 > DEEPEST:
            return "folders too deep"
        real = os.path.normcase(os.path.realpath(entry.path))
        self._links[real] += link
        if real in above:
            return "a link to a folder above it"
        if link and self._links[real] > MOST_LINKS:
            return "one link of too many to a folder"
        if why := self._stray(real):  # on Windows a folder may be elsewhere without being a link
            return why
        if why := self._walk((*parts, entry.name), above | {real}):
            return why
        self.folders[parts].add(entry.name)
        return None

    def _stray(self, real: str) -> str | None:
        if not os.path.exists(real):  # noqa: PTH110
            return "a link to nothing"
        inside = (os.path.normcase(real) + os.sep).startswith(self.real.rstrip(os.sep) + os.sep)
        return None if inside else "a link out of the folder"

    def _file(self, entry: os.DirEntry[str], parts: tuple[str, ...]) -> str | None:
        if not entry.is_file():
            return "no regular file"
        if not is_text(entry.name):
            return "a name that is no Unicode text"
        self._files.append((parts, entry.name, entry.path))
        return None


Looked = tuple[int, int, str | None]  # bytes, time of the last change in ns, why it is no picture


def looked_at(path: str) -> Looked:
    """A file, by its first bytes."""
    return _looked(_opened(path))


def _opened(path: str) -> int | OSError:
    try:
        return os.open(path, _READ)
    except OSError as error:
        return error


def _looked(file: int | OSError) -> Looked:
    try:
        if isinstance(file, OSError):
            raise file
        try:
            facts = os.fstat(file)
            head = os.read(file, HEAD)
        finally:
            os.close(file)
    except OSError as error:
        return 0, 0, f"cannot be read: {error.strerror}"
    return facts.st_size, facts.st_mtime_ns, _no_picture(head)


def _all_looked_at(paths: Sequence[str]) -> Iterator[Looked]:
    """The same of many, by several threads from where the disk is what takes the time."""
    parts = [paths[begin : begin + PART] for begin in range(0, len(paths), PART)]
    while parts:
        begun = time.perf_counter()
        yield from map(looked_at, parts[0])
        slow = time.perf_counter() - begun > SLOW * len(parts.pop(0))
        if slow:
            break
    with ThreadPoolExecutor(THREADS) as pool:
        for looked in pool.map(_together, parts):
            yield from looked


def _together(paths: Sequence[str]) -> list[Looked]:
    """The same of some: where that can be, all are asked of the disk before any is waited for."""
    if not ASKS:
        return list(map(looked_at, paths))
    files = [_opened(path) for path in paths]
    for file in files:
        if isinstance(file, int):
            with contextlib.suppress(OSError):  # of a file system that cannot
                os.posix_fadvise(file, 0, HEAD, os.POSIX_FADV_WILLNEED)
    looked = [None if isinstance(file, OSError) else _looked(file) for file in files]
    # one that could not be opened beside so many others is tried by itself
    return [each or looked_at(path) for each, path in zip(looked, paths, strict=True)]


def _no_picture(head: bytes) -> str | None:
    if not head:
        return "empty"
    if looks_like_one(head):
        return None
    what = next((what for begin, what in _OTHERS if begin.match(head)), None)
    return f"not a picture ({what})" if what else "not a picture"


def is_text(name: str) -> bool:
    """Whether a name on this disk is Unicode: some systems let it be any bytes."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(parts: tuple[str, ...]) -> str:
    """A path as it can be written anywhere."""
    path = "/".join(parts)
    return path if is_text(path) else path.encode("utf-8", "replace").decode()


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _not_data(name: str) -> str | None:
    if name.startswith("."):
        return "hidden"
    return "made by the system" if name.lower() in SYSTEM else None
