"""The folder in which neocog keeps the data sets it fetched, in their official layout.

Every set appears in it whole, by one rename; what is being made has a name that starts with a dot.
The folder may be one of the user's own, so nothing is removed from it that neocog did not make: a
set's folder that it made carries a marker, the list of what it put there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from neocog.data.catalogue import Source
from neocog.data.download import Tell, disk_trouble
from neocog.data.places import Found, check, find, official_files, read, users_path
from neocog.data.reading import read_whole
from neocog.errors import DataError, UsageError

ABANDONED_SECONDS = 24 * 3600
MARKER = ".neocog"
MADE_BY = "neocog made this folder, and replaces it if these files are damaged:"


def cache_dir() -> Path:
    """NEOCOG_CACHE, or the system's place for caches. It need not exist."""
    chosen = os.environ.get("NEOCOG_CACHE")
    if chosen:
        return users_path(chosen, "NEOCOG_CACHE")
    return Path(platformdirs.user_cache_dir("neocog"))


def compiled_dir() -> Path | None:
    """Where C of ours is kept once it is compiled; None where NEOCOG_CACHE names no place."""
    try:
        return cache_dir() / "compiled"
    except UsageError:
        return None


@contextlib.contextmanager
def workspace(tell: Tell) -> Iterator[Path]:
    """A folder of our own to fetch into, gone afterwards: in the cache, or else a temporary one."""
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        _sweep(cache_dir())
        work = cache_dir() / f".neocog-{uuid.uuid4().hex[:12]}"
        work.mkdir()
    except OSError as error:
        tell(f"the cache {cache_dir()} cannot be written to ({error.strerror}); going on without")
        work = Path(tempfile.mkdtemp(prefix="neocog-"))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def parts_dir(work: Path, name: str) -> Path:
    """Where unfinished downloads of a set are kept: the cache, if the workspace is there."""
    root = cache_dir() if work.parent == cache_dir() else work
    folder = root / ".downloads" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_trouble(folder, error) from error
    return folder


def keep(source: Source, found: Found, work: Path, *, tell: Tell) -> None:
    """Put a checked copy into the cache, unpacked; where that fails, say so and go on.

    It takes the place of a damaged copy that neocog made, and of nothing else.
    """
    if work.parent != cache_dir():
        return  # the workspace has said it
    made, target, aside = work / "kept", cache_dir() / source.name, work / "replaced"
    try:
        _write(found, made)
        if os.path.lexists(target):
            if _is_sound(source, target):
                return  # another process was first, with the same content
            if not is_ours(target):
                tell(f"{source.name}: not kept in the cache: {target} is left alone")
                return
            target.rename(aside)
        try:
            made.rename(target)
        except OSError:
            with contextlib.suppress(OSError):  # nothing was set aside, or the place is taken
                aside.rename(target)
            raise
    except OSError as error:
        if not _is_sound(source, target):  # else another process was first
            tell(f"{source.name}: not kept in the cache: {disk_trouble(cache_dir(), error)}")


def is_ours(folder: Path) -> bool:
    """Whether neocog made this folder of a set, and it holds nothing beside what it put there."""
    try:
        header, *names = read_whole(folder / MARKER).decode().splitlines()
        here = [folder, *_below(folder)]
        return (
            header == MADE_BY
            and not any(path.is_symlink() for path in here)
            and {path.relative_to(folder).as_posix() for path in here} <= {".", MARKER, *names}
        )
    except (OSError, ValueError):  # no marker, or no readable one: not ours for all we know
        return False


def _write(found: Found, made: Path) -> None:
    """Write the official files, and the marker with their names."""
    for name, content in official_files(found):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    names = sorted(path.relative_to(made).as_posix() for path in _below(made))
    (made / MARKER).write_text("\n".join([MADE_BY, *names, ""]), encoding="utf-8")


def _below(folder: Path) -> Iterator[Path]:
    """All that is in a folder, links not followed; OSError where we may not look."""
    for path in folder.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def _is_sound(source: Source, place: Path) -> bool:
    with contextlib.suppress(DataError):
        for found in find(source, place):
            with contextlib.suppress(DataError):
                check(source, read(source, found), found)
                return True
    return False


def _sweep(root: Path) -> None:
    """Remove what processes that were killed left behind."""
    for old in root.glob(f".neocog-{'[0-9a-f]' * 12}"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
