"""Tiny data sets in every official layout, and the bytes of their files."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from neocog.data.cache import cache_dir
from neocog.data.catalogue import IDX, SOURCES, Layout, Source
from neocog.data.formats import Arrays
from neocog.data.places import digest
from neocog.data.sources import Loaded

TINY_BIN = Layout(
    "cifar-bin",
    train=("data_batch_1.bin", "data_batch_2.bin"),
    test=("test_batch.bin",),
    folders=("tiny-batches-bin",),
    archive="tiny-binary.tar.gz",
)
TINY_PY = Layout(
    "cifar-pickle",
    train=("data_batch_1", "data_batch_2"),
    test=("test_batch",),
    folders=("tiny-batches-py",),
    archive="tiny-python.tar.gz",
)


def arrays(count: int, *size: int, seed: int = 0, classes: int = 3) -> Arrays:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *size), dtype=np.uint8)
    return Arrays(images, rng.integers(0, classes, count))


def idx_images(part: Arrays) -> bytes:
    n, _, h, w = part.images.shape
    return struct.pack(">4I", 0x803, n, h, w) + part.images.tobytes()


def idx_labels(part: Arrays) -> bytes:
    return struct.pack(">2I", 0x801, len(part)) + part.labels.astype(np.uint8).tobytes()


def cifar_bin(part: Arrays, *, coarse: bool = False) -> bytes:
    label = part.labels.astype(np.uint8)[:, None]
    columns = [label // 5, label] if coarse else [label]
    return np.hstack([*columns, part.images.reshape(len(part), -1)]).tobytes()


def python2_pickle(part: Arrays, *, key: str = "labels") -> bytes:
    """As Python 2's cPickle wrote the official batches, protocol 2."""

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    raw = part.images.tobytes()
    shape = b"K" + bytes([len(part)]) + b"M\x00\x0c\x86"
    dtype = b"cnumpy\ndtype\nq\x03U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
    dtype += b"J\xff\xff\xff\xff" * 2 + b"K\x00tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87R("
        + (b"K\x01" + shape + dtype + b"\x89T" + struct.pack("<I", len(raw)) + raw)
        + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([int(n)]) for n in part.labels) + b"e"
    names = b"](" + b"".join(text(f"picture_{n}.png") for n in range(len(part))) + b"e"
    label = text("batch_label") + text("training batch 1 of 5")
    items = label + text(key) + numbers + text("data") + array + text("filenames") + names
    return b"\x80\x02}q\x00(" + items + b"u."


def tar_gz(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@dataclass
class Tiny:
    """A small data set, its source as injected into SOURCES, and its official files."""

    source: Source
    train: Arrays
    test: Arrays
    files: dict[str, bytes]

    def write(self, folder: Path, *, suffix: str = "") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            path = folder / (name + suffix)
            path.write_bytes(gzip.compress(content, mtime=0) if suffix else content)
        return folder


def make_source(name: str, train: Arrays, test: Arrays, layouts: tuple[Layout, ...]) -> Source:
    shape = train.images.shape
    return Source(
        name=name,
        title=name.capitalize(),
        channels=shape[1],
        size=(shape[2], shape[3]),
        classes=("a", "b", "c"),
        train_count=len(train),
        test_count=len(test),
        mirrors=True,
        mean=(0.5,) * shape[1],
        std=(0.3,) * shape[1],
        home="https://example.invalid/tiny",
        content=(digest(train), digest(test)),
        layouts=layouts,
    )


def make_idx(name: str, seed: int) -> Tiny:
    train, test = arrays(6, 1, 3, 2, seed=seed), arrays(4, 1, 3, 2, seed=seed + 1)
    contents = [write(part) for part in (train, test) for write in (idx_images, idx_labels)]
    files = dict(zip((*IDX.train, *IDX.test), contents, strict=True))
    return Tiny(make_source(name, train, test, (IDX,)), train, test, files)


def batches(train: Arrays, test: Arrays) -> dict[str, Arrays]:
    halves = [Arrays(train.images[s], train.labels[s]) for s in (slice(0, 2), slice(2, 4))]
    return dict(zip((*TINY_BIN.train, *TINY_BIN.test), (*halves, test), strict=True))


def holds(loaded: Loaded, tiny: Tiny) -> bool:
    pairs = ((loaded.train, tiny.train), (loaded.test, tiny.test))
    return all(
        np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels) for a, b in pairs
    )


def inject(monkeypatch: pytest.MonkeyPatch, tiny: Tiny, **changes: object) -> None:
    monkeypatch.setitem(SOURCES, tiny.source.name, replace(tiny.source, **changes))


def leftovers() -> list[str]:
    """What lies in the cache beside whole sets."""
    files = [path for path in cache_dir().rglob("*") if path.is_file()]
    return [str(p) for p in files if p.relative_to(cache_dir()).parts[0].startswith(".")]
