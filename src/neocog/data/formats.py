"""The file formats of the classic data sets, from bytes or files to arrays.

IDX    LeCun's: a magic number 0x00000803 (pictures) or 0x00000801 (labels), the dimensions, all
       big-endian, then one byte a value. https://yann.lecun.com/exdb/mnist/
CIFAR  binary: records of one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes, a plane of
       32x32 for red, green and blue. Python: a pickled dict with "data" (N, 3072) and "labels"
       ("fine_labels"), the same bytes. https://www.cs.toronto.edu/~kriz/cifar.html

Sizes and counts are taken from the file itself; whether they are the official ones, `places.check`
says. What is wrong with a file is a DataError: path, found, expected, what to do.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neocog.data.pickled import array_of, read_pickle
from neocog.data.reading import LARGEST_FILE, damaged, open_content, read_up_to, read_whole

IDX_IMAGES, IDX_LABELS = 0x00000803, 0x00000801
CIFAR_PIXELS = 3 * 32 * 32
MOST_LABELS = 1 << 25


@dataclass(frozen=True, eq=False)
class Arrays:
    """Pictures, uint8 (N, C, H, W), and their labels, int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        assert self.images.ndim == 4
        assert self.images.dtype == np.uint8
        assert self.labels.shape == self.images.shape[:1]
        assert self.labels.dtype == np.int64

    def __len__(self) -> int:
        return len(self.labels)


def read_idx_images(path: Path) -> np.ndarray:
    """The pictures of an IDX file, raw or gzipped: uint8 (N, 1, H, W)."""
    shape, data = _read_idx(path, IDX_IMAGES, 3)
    return np.frombuffer(data, np.uint8).reshape(shape[0], 1, *shape[1:])


def read_idx_labels(path: Path, *, num_classes: int | None = None) -> np.ndarray:
    """The labels of an IDX file, raw or gzipped: int64 (N,), each below `num_classes`."""
    _, data = _read_idx(path, IDX_LABELS, 1)
    labels = np.frombuffer(data, np.uint8).astype(np.int64)
    check_labels(labels, path, num_classes=num_classes)
    return labels


def read_idx(images: Path, labels: Path, *, num_classes: int | None = None) -> Arrays:
    """A pair of IDX files."""
    pixels = read_idx_images(images)
    answers = read_idx_labels(labels, num_classes=num_classes)
    if len(pixels) != len(answers):
        raise damaged(
            labels, f"{len(answers):,} labels", f"one for each of the {len(pixels):,} in {images}"
        )
    return Arrays(pixels, answers)


def _read_idx(path: Path, magic: int, num_dims: int) -> tuple[tuple[int, ...], bytearray]:
    with open_content(path) as stream:
        header = bytes(read_up_to(stream, 4 + 4 * num_dims))
        shape = _idx_shape(header, path, magic, num_dims)
        size = int(np.prod(shape, dtype=object))
        most = LARGEST_FILE if magic == IDX_IMAGES else MOST_LABELS
        if not 0 < size <= most:
            raise damaged(path, f"a header for {_times(shape)} values", f"1 to {most:,}")
        data = read_up_to(stream, size + 1)
    if len(data) != size:
        found = "more bytes" if len(data) > size else f"only {len(data):,} bytes"
        raise damaged(path, f"{found} after the header", f"{size:,} ({_times(shape)})")
    return shape, data


def _idx_shape(header: bytes, path: Path, magic: int, num_dims: int) -> tuple[int, ...]:
    if not header:
        raise damaged(path, "an empty file", f"an IDX file (magic 0x{magic:08x})")
    found = int.from_bytes(header[:4], "big")
    if len(header) < 4 or found != magic:
        known = {IDX_IMAGES: " (pictures)", IDX_LABELS: " (labels)"}
        what = f"magic 0x{header[:4].hex()}{known.get(found, '')}"
        if header.lstrip()[:1] == b"<":
            what = "a web page"
        raise damaged(path, what, f"IDX magic 0x{magic:08x}{known[magic]}")
    if len(header) < 4 + 4 * num_dims:
        raise damaged(path, f"only {len(header)} bytes", f"a header of {4 + 4 * num_dims}")
    return struct.unpack(f">{num_dims}I", header[4:])


def _times(shape: Sequence[int]) -> str:
    return " x ".join(f"{n:,}" for n in shape)


def check_labels(labels: np.ndarray, where: str | Path, *, num_classes: int | None = None) -> None:
    """DataError for a label that is no class."""
    if num_classes is not None and (bad := np.flatnonzero(labels >= num_classes)).size:
        first = int(bad[0])
        raise damaged(
            where, f"label {labels[first]} at picture {first}", f"labels 0 to {num_classes - 1}"
        )


def read_cifar_bin(path: Path, *, num_classes: int = 10, label_bytes: int = 1) -> Arrays:
    """One binary CIFAR batch, (N, 3, 32, 32); CIFAR-100 has 100 classes and 2 label bytes."""
    return parse_cifar_bin(read_whole(path), path, num_classes=num_classes, label_bytes=label_bytes)


def parse_cifar_bin(
    data: bytes, where: str | Path, *, num_classes: int = 10, label_bytes: int = 1
) -> Arrays:
    """`read_cifar_bin` of bytes; `where` names them in errors."""
    record = label_bytes + CIFAR_PIXELS
    if not data:
        raise damaged(where, "an empty file", f"records of {record:,} bytes")
    if trailing := len(data) % record:
        raise damaged(
            where,
            f"{len(data):,} bytes, {trailing:,} after the last whole record",
            f"a multiple of {record:,}",
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    labels = records[:, label_bytes - 1].astype(np.int64)  # the fine label comes last
    check_labels(labels, where, num_classes=num_classes)
    return Arrays(records[:, label_bytes:].reshape(-1, 3, 32, 32), labels)


def read_cifar_pickle(path: Path, *, num_classes: int = 10) -> Arrays:
    """One pickled CIFAR batch, (N, 3, 32, 32). Nothing in the pickle is executed."""
    return parse_cifar_pickle(read_whole(path), path, num_classes=num_classes)


def parse_cifar_pickle(data: bytes, where: str | Path, *, num_classes: int = 10) -> Arrays:
    """`read_cifar_pickle` of bytes; `where` names them in errors."""
    if not data:
        raise damaged(where, "an empty file", "a pickled CIFAR batch")
    batch = read_pickle(data, where)
    key = "fine_labels" if num_classes == 100 else "labels"
    if not isinstance(batch, dict) or not {"data", key} <= batch.keys():
        keys = ", ".join(sorted(batch)) if isinstance(batch, dict) else type(batch).__name__
        raise damaged(where, f"a pickle of {keys[:200]}", f'a dict with "data" and "{key}"')
    images = array_of(batch["data"], where)
    if images.ndim != 2 or images.shape[1] != CIFAR_PIXELS or not len(images):
        raise damaged(where, f"pictures of shape {images.shape}", f"(N, {CIFAR_PIXELS})")
    labels = _label_array(batch[key], where, num_classes=num_classes)
    if len(labels) != len(images):
        raise damaged(where, f"{len(labels):,} labels", f"{len(images):,}, one a picture")
    return Arrays(images.reshape(-1, 3, 32, 32), labels)


def _label_array(labels: Any, where: str | Path, *, num_classes: int) -> np.ndarray:
    if type(labels) is not list or not all(type(n) is int and 0 <= n < 256 for n in labels):
        raise damaged(where, "labels that are no list of small numbers", "a list of classes")
    array = np.array(labels, np.int64)
    check_labels(array, where, num_classes=num_classes)
    return array


def joined(parts: Sequence[Arrays]) -> Arrays:
    """Batches one after the other, as one contiguous block."""
    images = np.concatenate([part.images for part in parts])
    return Arrays(images, np.concatenate([part.labels for part in parts]))
