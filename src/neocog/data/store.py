"""Decoded pictures kept on disk, so that the second epoch decodes nothing.

Pictures of a listing lie in segments, in the cache folder:

    pixels/<key>/<id>.pixels       uint8 (H, W, C), one picture after the other
    pixels/<key>/<id>.index.npy    a row a picture of the listing: offset (-1: not here), H, W

The key is a digest of the file list, sizes, times and the way of decoding: of a folder in which a
picture changed, nothing old is taken. A process writes a segment of its own under a hidden name and
gives it its index last, by a rename: what was killed or torn has no index, and is not there.
The cache may be a folder of the user's: what has no name of ours in it is never removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread

import numpy as np

from neocog.data import stores
from neocog.data.cache import cache_dir
from neocog.data.segment import Part

VERSION = 1  # of the way pictures are decoded; another one makes another key
LARGEST = 20 * 2**30  # bytes of all stores together, unless it is said otherwise
SPARED = 0.5  # of the free disk at most
LOOK_EVERY = 64 * 2**20  # bytes written between looks at what all stores take, at most
LET_GO = 256 * 2**20  # bytes read before mapped pages are given back: they count as our memory
NOT_HERE = np.array([[-1, 0, 0]], dtype=np.int64)
MAPPED_STAY = os.name == "nt"  # there a file that is mapped cannot be given another name

Tell = Callable[[str], None]


def key_of(facts: object) -> str:
    """A store's name from all that its pixels follow from, as JSON values."""
    return hashlib.sha256(json.dumps([VERSION, facts]).encode("utf-8", "surrogatepass")).hexdigest()


class _Segment:
    """A finished part of a store."""

    def __init__(self, pixels: Path, index: np.ndarray, channels: int) -> None:
        self.index = index
        with pixels.open("rb") as file:
            self.mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        ends = index[:, 0] + index[:, 1] * index[:, 2] * channels
        if len(index) and int(ends.max()) > len(self.mapped):
            raise ValueError("shorter than its index says")


class PixelStore:
    """uint8 pictures by their place in a listing. Any thread may call; nothing here raises for a
    full or read-only disk: then pictures are decoded again.
    """

    def __init__(self, key: str, count: int, *, channels: int, limit: int | None, tell: Tell):
        self.folder, self.count, self.channels = cache_dir() / "pixels" / key, count, channels
        self.tell, self.full, self.lock = tell, False, Lock()
        self.segments: list[_Segment | None] = []  # None: the disk refused it
        self.taken: set[str] = set()  # names of their indices
        self.where = np.full(count, -1, dtype=np.int32)  # the segment of each picture
        self.segment_of = self.where.data  # the same, quicker for one: numpy makes an object of it
        self.part: Part | None = None
        self.keeping: list[Thread] = []  # of what is finished, and on its way to the disk
        self.limit = self.step = 0
        self.read = self.unlooked = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            os.utime(self.folder)  # it was used now: others go first where room is needed
            stores.sweep(self.folder.parent)
            free = shutil.disk_usage(self.folder).free
            self.limit = min(LARGEST, int(SPARED * free)) if limit is None else limit
        except OSError as error:
            self._stop(f"decoded pictures are not kept: {self.folder}: {error.strerror}")
            return
        self.step = max(min(LOOK_EVERY, self.limit // 16), 1)
        self.look()

    def __len__(self) -> int:
        """How many pictures are in it."""
        return int((self.where >= 0).sum())

    def get(self, place: int) -> np.ndarray | None:
        """uint8 (H, W, C), not to be written to; None if it is not here."""
        number = self.segment_of[place]
        if number < 0:
            return None
        if number == len(self.segments):
            part = self.part
            try:
                return part.get(place, self.channels) if part else None
            except (OSError, ValueError):  # it ends just now, on a full disk: decoded again
                return None
        segment = self.segments[number]
        if segment is None:
            return None
        offset, height, width = segment.index[place].tolist()
        size = height * width * self.channels
        self._let_go(size)
        flat = np.frombuffer(segment.mapped, np.uint8, size, offset)
        return flat.reshape(height, width, self.channels)

    def put(self, place: int, pixels: np.ndarray) -> None:
        """Keep a picture, if there is room."""
        if self.full or self.segment_of[place] >= 0:
            return
        with self.lock:
            if self.full or self.segment_of[place] >= 0:
                return
            try:
                if self.part is None:
                    self.part = Part(self.folder, self.count)
                self.unlooked += pixels.nbytes
                if self.part.size == 0 or self.unlooked >= self.step:
                    self.unlooked = 0
                    if not self._has_room(pixels.nbytes):
                        self._stop(
                            "the cache of decoded pictures is full: the rest is decoded in "
                            "every epoch (--cache-size)"
                        )
                        return
                part = self.part
                due = part.put(place, pixels)
            except OSError as error:
                self._stop(f"decoded pictures are not kept: {error.strerror}")
                self._drop()
                return
            self.segment_of[place] = len(self.segments)
        if due:
            self._write(part)

    def _write(self, part: Part) -> None:
        try:
            part.write()
        except OSError as error:
            with self.lock:
                self._stop(f"decoded pictures are not kept: {error.strerror}")
                if self.part is part:  # else it is being finished, and hears of it there
                    self._drop()

    def finish(self, *, wait: bool = True) -> None:
        """Make what was put so far last: for the epochs and runs to come.

        Without `wait` it goes to the disk while others go on, and is read meanwhile.
        """
        with self.lock:
            part, self.part = self.part, None
            if part is not None:
                self._begin_to_keep(part)
        for each in tuple(self.keeping) if wait else ():
            each.join()

    def _begin_to_keep(self, part: Part) -> None:
        number = len(self.segments)
        try:
            rows = np.where(part.index[:, :1] < 0, NOT_HERE, part.index)
            path = part.written()
            if MAPPED_STAY:  # under the name that they have
                part.keep()
                path = part.path.with_name(f"{part.name}.pixels")
            self.segments.append(_Segment(path, rows, self.channels))
        except (OSError, ValueError) as error:  # ValueError: nothing was put
            if isinstance(error, OSError):
                self._stop(f"decoded pictures are not kept: {error.strerror}")
            self.where[self.where == number] = -1
            part.drop()
            return
        self.taken.add(f"{part.name}.index.npy")
        if not MAPPED_STAY:
            thread = Thread(target=self._keep, args=(part, number), name="neocog-disk")
            thread.start()
            self.keeping = [*(each for each in self.keeping if each.is_alive()), thread]

    def _keep(self, part: Part, number: int) -> None:
        try:
            part.keep()
        except (OSError, MemoryError) as error:
            why = getattr(error, "strerror", "there is no memory for their index")
            self._stop(f"decoded pictures are not kept: {why}")
            with self.lock:  # what the disk refused may be gone from memory, too
                self.where[self.where == number] = -1
                self.segments[number] = None  # its room on the disk is free once nobody maps it

    def look(self) -> None:
        """Take what is finished and not taken yet, of this process or others."""
        with self.lock:
            if self.part is None:  # else its number would be another's
                for index in sorted(self.folder.glob("*.index.npy")):
                    if index.name not in self.taken:
                        self._take(index)

    def _take(self, index: Path) -> None:
        """A finished segment, its pictures where none are known yet; a broken one is removed."""
        self.taken.add(index.name)
        pixels = index.with_name(index.name.replace(".index.npy", ".pixels"))
        try:
            rows = np.load(index, allow_pickle=False)
            if rows.shape != (self.count, 3) or rows.dtype != np.int64:
                raise ValueError("not an index of this listing")
            segment = _Segment(pixels, np.where(rows[:, :1] < 0, NOT_HERE, rows), self.channels)
        except (OSError, ValueError, EOFError):
            for path in (index, pixels):
                with contextlib.suppress(OSError):
                    path.unlink()
            return
        self.where[(segment.index[:, 0] >= 0) & (self.where < 0)] = len(self.segments)
        self.segments.append(segment)

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes fit; stores that nobody used for longest make room."""
        root = self.folder.parent
        taken = {folder: stores.bytes_in(folder) for folder in stores.folders(root)}
        if self.part is not None:  # and what is on its way to the disk
            on_disk = self.part.path.stat().st_size
            taken[self.folder] = taken.get(self.folder, 0) + self.part.size - on_disk
        for folder in sorted(taken, key=stores.used):
            if sum(taken.values()) + self.step <= self.limit:
                break
            if folder != self.folder:
                stores.remove(folder)
                taken[folder] = stores.bytes_in(folder)
        return sum(taken.values()) + size <= self.limit

    def _let_go(self, size: int) -> None:
        self.read += size
        if self.read < LET_GO:
            return
        self.read = 0
        if hasattr(mmap, "MADV_DONTNEED"):
            for segment in self.segments:
                if segment is not None:
                    segment.mapped.madvise(mmap.MADV_DONTNEED)

    def _stop(self, why: str) -> None:
        if not self.full:
            self.full = True
            self.tell(why)

    def _drop(self) -> None:
        if self.part:
            self.where[self.where == len(self.segments)] = -1
            self.part.drop()
            self.part = None
