"""A part of the store of decoded pictures while it is being written."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

AT_ONCE = 2**19  # bytes that are written together: fewer calls, and in the processor's cache yet
TOGETHER = 512  # pieces that a call of the system's takes

Some = list[tuple[int, np.ndarray]]  # pictures, and their places in the listing


class Part:
    """A segment that is being written, by whoever puts into it; its name says by whom.

    The system takes what is written into its own cache: that is done sooner than a thread of its
    own could be told of it (2 % of a first epoch on two cores).
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.pid, self.name = os.getpid(), uuid.uuid4().hex[:16]
        self.path = folder / f".{socket.gethostname()}-{self.pid}-{self.name}.part"
        self.size = 0
        self.index = np.full((count, 3), -1, dtype=np.int64)
        self.lock = threading.Condition()
        self.gathered: Some = []
        self.handed = 0  # bytes that are no longer gathered
        self.due: deque[tuple[int, Some]] = deque()  # to be written, and where
        self.writing: set[object] = set()
        self.unwritten: dict[int, np.ndarray] = {}
        self.failed: BaseException | None = None
        self.file: IO[bytes] = self.path.open("wb", buffering=0)
        self.again: IO[bytes] = self.path.open("rb", buffering=0)

    def __del__(self) -> None:
        # else it could not be opened, or belongs to the process that this one was forked from
        if hasattr(self, "again") and self.pid == os.getpid():
            self.drop()

    def put(self, place: int, pixels: np.ndarray) -> bool:
        """Nobody may write to the pixels from then on. Whether it is time to `write`."""
        pixels = np.ascontiguousarray(pixels)
        with self.lock:
            self.index[place] = self.size, *pixels.shape[:2]
            self.size += pixels.nbytes
            self.gathered.append((place, pixels))
            self.unwritten[place] = pixels
            if self.size - self.handed >= AT_ONCE:
                self._hand_over()
            return bool(self.due)

    def write(self) -> None:
        """What is due and nobody writes yet, while others put."""
        me = object()
        try:
            while True:
                with self.lock:
                    if not self.due or self.file.closed:
                        return
                    self.writing.add(me)
                    begin, some = self.due.popleft()
                self._write(begin, some)
        except BaseException as error:
            self.failed = error
            raise
        finally:
            with self.lock:
                self.writing.discard(me)
                self.lock.notify_all()

    def get(self, place: int, channels: int) -> np.ndarray | None:
        waiting = self.unwritten.get(place)
        if waiting is not None:
            return waiting
        offset, height, width = self.index[place].tolist()
        with self.lock:
            self.again.seek(offset)
            content = self.again.read(height * width * channels)
        if len(content) != height * width * channels:
            return None
        return np.frombuffer(content, np.uint8).reshape(height, width, channels)

    def written(self) -> Path:
        """Where its pixels are, all of them, though maybe not on the disk yet; no more are put.
        Raises `OSError` where one of the writes failed.
        """
        with self.lock:
            self._hand_over()
        self.write()
        with self.lock:
            self.lock.wait_for(lambda: not self.writing)
        if self.failed is not None:
            raise OSError(getattr(self.failed, "errno", errno.EINTR), _why(self.failed))
        return self.path

    def keep(self) -> None:
        """Pixels to the disk, under the name of a segment, then its index: what is torn has none.

        Once, when all are written: sent to the disk in between, each write waited for that.
        """
        pixels, aside = (
            self.path.with_name(f"{self.name}.pixels"),
            self.path.with_suffix(".npy.part"),
        )
        try:
            os.fsync(self.file.fileno())
            self._close()
            self.path.replace(pixels)
            with aside.open("wb") as file:
                np.save(file, self.index)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path.with_name(f"{self.name}.index.npy"))
        except BaseException:
            self.drop(aside, pixels)
            raise

    def _hand_over(self) -> None:
        self.due.append((self.handed, self.gathered))
        self.gathered, self.handed = [], self.size

    def _write(self, begin: int, some: Some) -> None:
        pieces = [memoryview(pixels.data).cast("B") for _, pixels in some]
        at = 0
        while at < len(pieces):
            done = self._written_at(begin, pieces[at : at + TOGETHER])
            begin += done
            while at < len(pieces) and done >= len(pieces[at]):
                done -= len(pieces[at])
                at += 1
            if done:
                pieces[at] = pieces[at][done:]
        for place, _ in some:
            del self.unwritten[place]

    def _written_at(self, begin: int, pieces: Sequence[memoryview]) -> int:
        if hasattr(os, "pwritev"):
            return os.pwritev(self.file.fileno(), pieces, begin)
        with self.lock:  # whoever else writes would move the file's place
            self.file.seek(begin)
            return self.file.write(pieces[0]) or 0

    def _close(self) -> None:
        self.file.close()
        self.again.close()

    def drop(self, *more: Path) -> None:
        """Nothing that is unfinished stays on disk."""
        with contextlib.suppress(OSError), self.lock:  # nobody is reading
            self.due.clear()
            # a closed file's number might become another's
            self.lock.wait_for(lambda: not self.writing)
            self._close()
        for path in (self.path, *more):
            with contextlib.suppress(OSError):
                path.unlink()


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or "a write was broken off"
