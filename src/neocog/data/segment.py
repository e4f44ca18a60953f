"""A part of the store of decoded pictures while it is being written."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from pathlib import Path
from typing import IO

import numpy as np

WRITTEN_OUT = 128 * 2**20  # bytes, after which they are sent to the disk


class Part:
    """A segment that is being written; its name says by whom."""

    def __init__(self, folder: Path, count: int) -> None:
        name = f".{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}.part"
        self.path, self.size = folder / name, 0
        self.index = np.full((count, 3), -1, dtype=np.int64)
        self.file: IO[bytes] = self.path.open("w+b", buffering=0)
        self.lock = threading.Lock()
        self.at = self.sent = 0  # bytes: where the file is; what of it went to the disk
        self.sending: threading.Thread | None = None
        self.failed: OSError | None = None

    def __del__(self) -> None:
        self.drop()

    def put(self, place: int, pixels: np.ndarray) -> None:
        with self.lock:
            if self.at != self.size:
                self.file.seek(self.size)
            content = memoryview(np.ascontiguousarray(pixels).data).cast("B")
            done = 0
            while done < len(content):
                done += self.file.write(content[done:]) or 0
            self.index[place] = self.size, *pixels.shape[:2]
            self.size += len(content)
            self.at = self.size
            self._send()

    def get(self, place: int, channels: int) -> np.ndarray | None:
        offset, height, width = self.index[place].tolist()
        with self.lock:
            self.at = -1
            self.file.seek(offset)
            content = self.file.read(height * width * channels)
        if len(content) != height * width * channels:
            return None
        return np.frombuffer(content, np.uint8).reshape(height, width, channels)

    def finish(self) -> Path:
        """Its index, written last."""
        self._wait()
        if self.failed:
            raise self.failed
        os.fsync(self.file.fileno())
        self.file.close()
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

    def _send(self) -> None:
        """To the disk while more is decoded, so that there is little to wait for at last."""
        if self.size - self.sent < WRITTEN_OUT or (self.sending and self.sending.is_alive()):
            return
        self.sent, number = self.size, self.file.fileno()

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

    def drop(self) -> None:
        self._wait()  # else its file's number might become another's
        with contextlib.suppress(OSError):
            self.file.close()
        for path in (self.path, self.path.with_suffix(".npy.part")):
            with contextlib.suppress(OSError):
                path.unlink()
