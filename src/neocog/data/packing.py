"""The splits of a folder written as shards: tar archives that are read from one end to the other.

    train-000000.tar, train-000001.tar, ..., val-000000.tar, test-000000.tar, shards.jsonl

The format is that of WebDataset and is written by its library: a picture as it was, byte for byte,
and the number of its class in a .cls beside it. The same pictures, splits and seed give the same
bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from webdataset.writer import TarWriter

from neocog.data import shardindex
from neocog.data.dataset import Dataset
from neocog.data.filesplit import MOST_BAD, SHOWN, FileSplit
from neocog.data.members import PICTURES, mark_of
from neocog.data.pictures import content_of
from neocog.data.shardindex import Shard
from neocog.errors import DataError, UsageError

SHARD_SIZE = 256 * 10**6  # bytes, about
NAMES = {"train": "train", "validation": "val", "test": "test"}
UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
ROOM = 2048  # bytes that an archive adds to a picture, about
KINDS = (  # what a picture begins with, and the suffix by which other readers know it
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
    (b"RIFF", "webp"),
    (b"P5", "pgm"),
    (b"P6", "ppm"),
    (b"\0\0\0\x0cjP", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
)

Tell = Callable[[str], None]
Seen = Callable[[int], None]


def pack(
    dataset: Dataset,
    out: Path,
    *,
    seed: int = 0,
    shard_size: int = SHARD_SIZE,
    tell: Tell | None = None,
    seen: Seen | None = None,
) -> list[Shard]:
    """Write the splits of a data set in files as shards of about `shard_size` bytes into the new
    folder `out`, all of it or nothing. `seed` says in what order pictures lie in them; `seen` is
    told how many are packed.

    Pictures that cannot be read are left out and told, as in training. Raises `UsageError` where
    there is nothing to pack or `out` is taken, `DataError` where the disk or the pictures fail.
    """
    root = _check(dataset, out, shard_size)
    _check_room(dataset, out)
    aside = out.absolute().parent / f".{out.name}-{uuid.uuid4().hex[:12]}.part"
    packing = _Packing(root, aside, shard_size, tell or _nobody, seen or _nobody)
    try:
        aside.mkdir(parents=True)
        for split, name in NAMES.items():
            part = dataset.splits[split]
            if isinstance(part, FileSplit):
                packing.add(name, part, np.random.default_rng(seed).permutation(len(part)))
        _write(aside / shardindex.NAME, shardindex.lines(dataset.classes, packing.shards))
        if out.is_dir():
            out.rmdir()  # it is empty
        aside.replace(out)
    except OSError as error:
        raise DataError(
            f"{out}: cannot be written: {error.strerror}; nothing was packed"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return packing.shards


class _Packing:
    """Pictures into archives, one after the other."""

    def __init__(self, root: Path, folder: Path, size: int, tell: Tell, seen: Seen) -> None:
        self.root, self.folder, self.size, self.tell, self.seen = root, folder, size, tell, seen
        self.shards: list[Shard] = []
        self.keys: set[str] = set()  # of the archive that is being written, in small letters
        self.bad: list[str] = []
        self.done = 0

    def add(self, name: str, split: FileSplit, order: np.ndarray) -> None:
        """A split, as many archives as it takes."""
        pictures = self._contents(split, order)
        picture = next(pictures, None)
        number = 0
        while picture is not None:
            shard = Shard(f"{name}-{number:06d}.tar", name, None, [], [], [], [])
            path = self.folder / shard.name
            self.keys.clear()
            with path.open("xb") as file:
                # times, owner and group are said, so that the same pictures give the same bytes
                with TarWriter(
                    file, user="neocog", group="neocog", mtime=0, compress=False, encoder=False
                ) as archive:
                    while picture is not None and file.tell() < self.size:
                        self._put(archive, shard, *picture)
                        picture = next(pictures, None)
                file.flush()
                os.fsync(file.fileno())
            self.shards.append(Shard(**{**vars(shard), "size": path.stat().st_size}))
            number += 1

    def _contents(self, split: FileSplit, order: np.ndarray) -> Iterator[tuple[str, int, bytes]]:
        """Path, label and bytes of the pictures that can be read."""
        paths, labels = split.files.paths, split.files.labels
        for place in order.tolist():
            try:
                content = content_of(self.root / paths[place])
            except DataError as error:
                self.bad.append(str(error))
                self.tell(f"left out: {error}")
                self._check_bad(len(split))
                continue
            yield paths[place], int(labels[place]), content

    def _check_bad(self, count: int) -> None:
        if len(self.bad) > max(1, MOST_BAD * count):
            lines = "".join(f"\n  - {why}" for why in self.bad[-SHOWN:])
            raise DataError(
                f"{self.root}: more than {MOST_BAD:.0%} of {count:,} pictures cannot be read; "
                f"nothing was packed:{lines}\n`neocog data doctor` finds them all"
            )

    def _put(self, archive: Any, shard: Shard, path: str, label: int, content: bytes) -> None:
        key, kind = self._key(path), _kind(path, content)
        archive.write({"__key__": key, kind: content, "cls": str(label).encode()})
        shard.members.append(f"{key}.{kind}")
        shard.labels.append(label)
        shard.sizes.append(len(content))
        shard.marks.append(mark_of(content))
        self.done += 1
        self.seen(self.done)

    def _key(self, path: str) -> str:
        """The picture's path without its suffix, as a sample may be called: a dot would end the
        name, and two samples of one name would be taken for one.
        """
        parts = re.sub(r"^[A-Za-z]:", "", path).replace("\\", "/").split("/")
        parts = [part for part in parts if part not in ("", ".", "..")]
        parts[-1] = parts[-1].rpartition(".")[0] or parts[-1]
        plain = "/".join(part.replace(".", "_") for part in parts)
        key, number = plain, 1
        while key.lower() in self.keys:
            number += 1
            key = f"{plain}-{number}"
        self.keys.add(key.lower())
        return key


def _kind(path: str, content: bytes) -> str:
    """The suffix by which readers take a member for a picture. One of a file that is none of these
    would make something else of it: .cls a label, .json what is said of the sample.
    """
    if kind := next((kind for begin, kind in KINDS if content.startswith(begin)), None):
        return kind
    suffix = Path(path).suffix.lower().removeprefix(".")
    return suffix if suffix in PICTURES else "jpg"  # whose content readers look at


def _check(dataset: Dataset, out: Path, shard_size: int) -> Path:
    listing = dataset.listing
    if listing is None or listing.shards:
        what = "are shards already" if listing else "is no folder of pictures"
        raise UsageError(f"{dataset.name}: {what}, so there is nothing to pack")
    if shard_size < 1:
        raise UsageError("shard-size: it takes megabytes, above 0")
    if out.absolute().resolve().is_relative_to(listing.root.resolve()):
        raise UsageError(
            f"{out}: lies in the folder of the pictures, to which nothing is added; name another"
        )
    if os.path.lexists(out) and not (out.is_dir() and not out.is_symlink() and not _filled(out)):
        raise UsageError(f"{out}: it exists; name a folder that is not there yet")
    return listing.root


def _filled(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is not None
    except OSError:
        return True


def _check_room(dataset: Dataset, out: Path) -> None:
    """Before the first picture is read, is there room for all of them?"""
    splits = [split for split in dataset.splits.values() if isinstance(split, FileSplit)]
    needed = sum(int(split.files.sizes.sum()) + ROOM * len(split) for split in splits)
    above = next((path for path in out.absolute().parents if path.is_dir()), None)
    free = shutil.disk_usage(above).free if above else needed
    if free < needed:
        raise DataError(
            f"{out}: {_size(needed)} are needed and {_size(free)} are free there; name a folder on "
            "another disk"
        )


def _size(count: int) -> str:
    """Bytes in a unit that shows them, also on a small disk."""
    unit, name = next(((u, n) for u, n in UNITS if count >= u), UNITS[-1])
    return f"{count / unit:,.1f} {name}"


def _write(path: Path, lines: Iterator[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def _nobody(what: object) -> None:
    pass
