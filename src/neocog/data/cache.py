"""The folder in which neocog keeps the data sets it fetched, in their official layout.

Every set appears in it whole, by one rename; what is being made has a name that starts with a dot.
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
from neocog.data.places import Found, official_files

ABANDONED_SECONDS = 24 * 3600


def cache_dir() -> Path:
    """NEOCOG_CACHE, or the system's place for caches. It need not exist."""
    chosen = os.environ.get("NEOCOG_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("neocog"))


@contextlib.contextmanager
def workspace(tell: Tell) -> Iterator[Path]:
    """A folder of our own to fetch into, gone afterwards: in the cache, or else a temporary one."""
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        _sweep(cache_dir())
        work = cache_dir() / f".work-{uuid.uuid4().hex[:12]}"
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
    """Put a checked copy into the cache, unpacked; where that fails, say so and go on."""
    if work.parent != cache_dir():
        return  # the workspace has said it
    made, target = work / "kept", cache_dir() / source.name
    try:
        for name, content in official_files(found):
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            made.rename(target)
    except OSError as error:
        if not target.exists():  # else another process was first, with the same content
            tell(f"{source.name}: not kept in the cache: {disk_trouble(cache_dir(), error)}")


def discard(source: Source) -> None:
    """Take a damaged set out of the cache, by one rename."""
    aside = cache_dir() / f".work-{uuid.uuid4().hex[:12]}"
    with contextlib.suppress(OSError):
        (cache_dir() / source.name).rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove what processes that were killed left behind."""
    for old in root.glob(".work-*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
