"""Pictures that are in two splits: whether a test is one of what was learnt by heart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

from neocog.data.dataset import Pictures, Split
from neocog.data.filesplit import FileSplit
from neocog.data.recorded import Row
from neocog.data.spec import InputSpec

AT_ONCE = 256
BEGINNING = 1 << 16  # bytes: few files that differ begin alike for so long


def shared(known: Pictures, others: Pictures) -> int | None:
    """How many pictures of `others` are among the `known` ones too; None where that is not told.

    Of pictures in memory the pixels are compared, also with those of files; of files the contents;
    of files in archives names and bytes. Known files are not decoded for pictures in memory.
    """
    if isinstance(known, Split):
        seen = set(_pixels(known, known.channels))
        return sum(each in seen for each in _pixels(others, known.channels))
    if isinstance(others, Split):
        return None
    if known.reader.sources is not None or others.reader.sources is not None:
        return listed(zip(known.files.paths, known.files.sizes.tolist(), strict=True), others)
    return _in_files(known, others)


def listed(known: Iterable[tuple[str, int]], others: FileSplit) -> int:
    """How many files have folder, name and bytes of one that is known, wherever that folder was."""
    seen = {(_last(path), size) for path, size in known}
    files = zip(others.files.paths, others.files.sizes.tolist(), strict=True)
    return sum((_last(path), size) in seen for path, size in files)


def _last(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def of_record(rows: Iterable[Row], split: str) -> Iterator[tuple[str, int]]:
    """Path and bytes of the pictures of a split, of what a run recorded of them."""
    return ((path, size) for of, _, path, size in rows if of == split)


def _pixels(split: Pictures, channels: int) -> Iterator[bytes]:
    """A digest of each picture as it stands; of a file, of as many channels."""
    if isinstance(split, Split):
        channels = split.channels
    none, one = (0.0,) * channels, (1.0,) * channels
    # to "pad" a picture it is decoded as large as it is
    plain = InputSpec(("",), channels, (1, 1), 1, placing="pad", mean=none, std=one)
    for first in range(0, len(split), AT_ONCE):
        for _, images in split.whole(slice(first, first + AT_ONCE), plain)[0]:
            for image in images.cpu().contiguous().numpy():
                yield hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()


def _in_files(known: FileSplit, others: FileSplit) -> int:
    """Only files with as many bytes are opened, and whole only those that begin alike."""
    both = known, others
    sizes = np.intersect1d(known.files.sizes, others.files.sizes)
    rows = [np.flatnonzero(np.isin(split.files.sizes, sizes)).tolist() for split in both]
    for most in (BEGINNING, -1):
        digests = [
            {row: digest for row in some if (digest := _digest(split, row, most))}
            for split, some in zip(both, rows, strict=True)
        ]
        alike = set(digests[0].values()) & set(digests[1].values())
        rows = [[row for row, digest in some.items() if digest in alike] for some in digests]
    return len(rows[1])


def _digest(split: FileSplit, row: int, most: int) -> bytes | None:
    """Of a file's first bytes (-1: of all), and of how many it has; None where it is not there."""
    try:
        with (split.reader.root / split.files.paths[row]).open("rb") as file:
            content = hashlib.sha256(file.read(most))
    except OSError:
        return None
    return content.digest() + repr(int(split.files.sizes[row])).encode()
