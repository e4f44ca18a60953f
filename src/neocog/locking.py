"""One process, and one run, to a folder."""

from __future__ import annotations

from pathlib import Path

import filelock

from neocog.errors import UsageError

LOCK = ".lock"


def locked(folder: Path) -> filelock.BaseFileLock | None:
    """The lock of a run folder, until it is released or this process ends, however it does; None
    on a file system without locks, where it is the user's own affair. Raises `UsageError` if
    another process has it.
    """
    lock = filelock.FileLock(folder / LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UsageError(
            f"{folder}: another process is training in this run folder; wait for its end, "
            "or name another folder"
        ) from None
    except (OSError, NotImplementedError):
        return None
    return lock


def check_unused(folder: str | Path) -> None:
    """`UsageError` if it is a folder with something but a lock in it, or no name at all."""
    if not str(folder):
        raise UsageError("--out: an empty name was given; name a new folder")
    try:
        names = Path(folder).iterdir() if Path(folder).is_dir() else ()
        used = any(path.name != LOCK for path in names)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be looked at: {error.strerror}") from error
    if used:
        raise UsageError(f"{folder}: this folder is not empty; name a new one")
