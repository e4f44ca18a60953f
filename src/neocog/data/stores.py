"""The stores of decoded pictures in a cache: what they take, and what goes from them."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

KEY = re.compile("[0-9a-f]{64}")  # the name of a store
FILE = re.compile(r"[0-9a-f]{16}\.(pixels|index\.npy)|\..+-[0-9]+-[0-9a-f]{16}(\.npy)?\.part")
ABANDONED = 24 * 3600  # seconds


def folders(root: Path) -> Iterator[Path]:
    """The stores in a cache."""
    with contextlib.suppress(OSError):
        yield from (path for path in root.iterdir() if KEY.fullmatch(path.name) and path.is_dir())


def files(folder: Path) -> Iterator[Path]:
    """What stores have put into a folder."""
    with contextlib.suppress(OSError):
        yield from (path for path in folder.iterdir() if FILE.fullmatch(path.name))


def remove(folder: Path) -> None:
    for path in files(folder):
        with contextlib.suppress(OSError):
            path.unlink()
    with contextlib.suppress(OSError):  # something else is in it
        folder.rmdir()


def bytes_in(folder: Path) -> int:
    total = 0
    for path in files(folder):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def sweep(root: Path) -> None:
    """Remove what processes that are gone left unfinished."""
    here = socket.gethostname()
    for path in [path for folder in folders(root) for path in files(folder)]:
        with contextlib.suppress(OSError, ValueError):
            old = time.time() - path.stat().st_mtime > ABANDONED
            if path.suffix == ".part":
                host, pid, _ = path.name[1:].rsplit("-", 2)
                gone = old or (host == here and not _runs(int(pid)))
            else:
                index = path.with_name(f"{path.stem}.index.npy")
                gone = old and path.suffix == ".pixels" and not index.exists()
            if gone:
                path.unlink()


def _runs(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
