"""A part of the store of decoded pictures while it is being written."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np

AT_ONCE = 2**19  # bytes that are written together: fewer calls, and in the processor's cache yet
MOST_WAITING = 16  # such writes that may wait for the disk; then whoever has more waits as well
TOGETHER = 512  # pieces that a call of the system's takes


class Part:
    """A segment that is being written, by a thread of its own; its name says by whom."""

    def __init__(self, folder: Path, count: int) -> None:
        self.pid, self.name = os.getpid(), uuid.uuid4().hex[:16]
        self.path = folder / f".{socket.gethostname()}-{self.pid}-{self.name}.part"
        self.size = 0
        self.index = np.full((count, 3), -1, dtype=np.int64)
        self.lock = threading.Lock()
        self.gathered: list[tuple[int, np.ndarray]] = []
        self.unwritten: dict[int, np.ndarray] = {}
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="neocog-store")
        self.writes: deque[Future[None]] = deque()
        self.handed = 0  # bytes given to the writer
        self.file: IO[bytes] = self.path.open("wb", buffering=0)
        self.again: IO[bytes] = self.path.open("rb", buffering=0)

    def __del__(self) -> None:
        # else it could not be opened, or belongs to the process that this one was forked from
        if hasattr(self, "again") and self.pid == os.getpid():
            self.drop()

    def put(self, place: int, pixels: np.ndarray) -> None:
        """Nobody may write to the pixels from then on. Raises what an earlier write came to."""
        pixels = np.ascontiguousarray(pixels)
        with self.lock:
            self.index[place] = self.size, *pixels.shape[:2]
            self.size += pixels.nbytes
            self.gathered.append((place, pixels))
            self.unwritten[place] = pixels
            if self.size - self.handed >= AT_ONCE:
                self._hand_over()

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
        """Where its pixels are, all of them, though maybe not on the disk yet; no more are put."""
        with self.lock:
            self._hand_over()
            while self.writes:
                self.writes.popleft().result()
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
        while len(self.writes) >= MOST_WAITING or (self.writes and self.writes[0].done()):
            self.writes.popleft().result()
        self.writes.append(self.writer.submit(self._write, self.handed, self.gathered))
        self.gathered, self.handed = [], self.size

    def _write(self, begin: int, some: Sequence[tuple[int, np.ndarray]]) -> None:
        # a method: whoever writes holds the part, so that it cannot end in the middle
        self.file.seek(begin)  # the write before may have failed
        pieces = [memoryview(pixels.data).cast("B") for _, pixels in some]
        at = 0
        while at < len(pieces):
            if hasattr(os, "writev"):
                done = os.writev(self.file.fileno(), pieces[at : at + TOGETHER])
            else:
                done = self.file.write(pieces[at]) or 0
            while at < len(pieces) and done >= len(pieces[at]):
                done -= len(pieces[at])
                at += 1
            if done:
                pieces[at] = pieces[at][done:]
        for place, _ in some:
            del self.unwritten[place]

    def _close(self) -> None:
        self.writer.shutdown(wait=False)
        self.file.close()
        self.again.close()

    def drop(self, *more: Path) -> None:
        """Nothing that is unfinished stays on disk."""
        for write in self.writes:
            if not write.cancel():
                with contextlib.suppress(OSError):
                    write.result()  # else its file's number might become another's
        with contextlib.suppress(OSError), self.lock:  # nobody is reading
            self._close()
        for path in (self.path, *more):
            with contextlib.suppress(OSError):
                path.unlink()
