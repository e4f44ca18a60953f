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

AT_ONCE = 4 * 2**20  # bytes that are written together: fewer calls, larger pages of the system's
MOST_WAITING = 4  # such writes that may wait for the disk; then whoever has more waits as well
TOGETHER = 512  # pieces that a call of the system's takes
WRITTEN_OUT = 128 * 2**20  # bytes, after which they are sent to the disk


class Part:
    """A segment that is being written, by a thread of its own; its name says by whom."""

    def __init__(self, folder: Path, count: int) -> None:
        name = f".{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}.part"
        self.path, self.size = folder / name, 0
        self.index = np.full((count, 3), -1, dtype=np.int64)
        self.lock = threading.Lock()
        self.gathered: list[tuple[int, np.ndarray]] = []
        self.unwritten: dict[int, np.ndarray] = {}
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="neocog-store")
        self.writes: deque[Future[None]] = deque()
        self.handed = self.sent = 0  # bytes: given to the writer; what of it went to the disk
        self.sending: threading.Thread | None = None
        self.failed: OSError | None = None
        self.file: IO[bytes] = self.path.open("wb", buffering=0)
        self.again: IO[bytes] = self.path.open("rb", buffering=0)

    def __del__(self) -> None:
        if hasattr(self, "again"):  # else it could not be opened
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
                self._send()

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

    def finish(self) -> Path:
        """Its index, written last."""
        with self.lock:
            self._hand_over()
            while self.writes:
                self.writes.popleft().result()
        self._wait()
        if self.failed:
            raise self.failed
        os.fsync(self.file.fileno())
        self._close()
        name = uuid.uuid4().hex[:16]
        pixels = self.path.with_name(f"{name}.pixels")
        self.path.replace(pixels)
        aside = self.path.with_suffix(".npy.part")
        with aside.open("wb") as file:
            np.save(file, self.index)
            file.flush()
            os.fsync(file.fileno())
        index = self.path.with_name(f"{name}.index.npy")
        aside.replace(index)
        return index

    def _hand_over(self) -> None:
        while len(self.writes) >= MOST_WAITING or (self.writes and self.writes[0].done()):
            self.writes.popleft().result()
        some, self.gathered, self.handed = self.gathered, [], self.size
        self.writes.append(self.writer.submit(_write, self.file, some, self.unwritten))

    def _send(self) -> None:
        """To the disk while more is decoded, so that there is little to wait for at last."""
        if self.handed - self.sent < WRITTEN_OUT or (self.sending and self.sending.is_alive()):
            return
        self.sent, number = self.handed, self.file.fileno()

        def send() -> None:
            try:
                os.fsync(number)
            except OSError as error:  # the system tells it once
                self.failed = error

        self.sending = threading.Thread(target=send, name="neocog-disk", daemon=True)
        self.sending.start()

    def _wait(self) -> None:
        # itself it need not wait for: there it may end as the last that knows of this part
        if self.sending and self.sending is not threading.current_thread():
            self.sending.join()

    def _close(self) -> None:
        self.writer.shutdown()
        self.file.close()
        self.again.close()

    def drop(self) -> None:
        self.writer.shutdown(cancel_futures=True)
        self._wait()  # else its file's number might become another's
        with contextlib.suppress(OSError):
            self._close()
        for path in (self.path, self.path.with_suffix(".npy.part")):
            with contextlib.suppress(OSError):
                path.unlink()


def _write(
    file: IO[bytes], some: Sequence[tuple[int, np.ndarray]], unwritten: dict[int, np.ndarray]
) -> None:
    pieces = [memoryview(pixels.data).cast("B") for _, pixels in some]
    at = 0
    while at < len(pieces):
        if hasattr(os, "writev"):
            done = os.writev(file.fileno(), pieces[at : at + TOGETHER])
        else:
            done = file.write(pieces[at]) or 0
        while at < len(pieces) and done >= len(pieces[at]):
            done -= len(pieces[at])
            at += 1
        if done:
            pieces[at] = pieces[at][done:]
    for place, _ in some:
        del unwritten[place]
