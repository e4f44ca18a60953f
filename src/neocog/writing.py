"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import itertools
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO

from neocog.errors import NeocogError

PART = ".part"  # the ending of what is being written


def written(path: Path, write: Callable[[IO[bytes]], object], *, keep: Path | None = None) -> None:
    """The file at `path`, written aside, flushed and renamed. What it was before stays as `keep`.

    Raises `NeocogError` where it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{PART}")
    try:
        with aside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        aside.replace(path)
        _flush_folder(path.parent)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if not isinstance(error, OSError | RuntimeError):  # a second Ctrl-C, say
            raise
        # torch.save says a full disk with a RuntimeError
        raise NeocogError(
            f"{path}: cannot be written: {_reason(error)}. What was saved before is untouched"
        ) from error


def replaced(path: Path, content: bytes) -> None:
    """The file at `path`, whole for whoever reads it, but not flushed: for what is written often
    and may be lost with the power. Raises `OSError` where it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{PART}")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def first_free(root: Path, name: str) -> Path:
    """`root/name`, `root/name-2`, ...: the first that did not exist, made by this call."""
    for count in itertools.count(1):
        path = root / (name if count == 1 else f"{name}-{count}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() does not end")


def sweep(folder: Path) -> None:
    """Remove what a process that was killed left unfinished, where no other writes."""
    for path in folder.glob(f".*{PART}"):
        with contextlib.suppress(OSError):
            path.unlink()


def _flush_folder(path: Path) -> None:
    """So that a renamed file is still there after a power failure."""
    if os.name == "nt":  # folders cannot be opened there
        return
    with contextlib.suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _reason(error: BaseException) -> str:
    """What the system said, though a library said something else on top of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error).splitlines()[0]
