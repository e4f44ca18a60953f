"""Pieces of many pictures brought to one size in one go, by cut.c."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neocog.compiled import Soon, compiled
from neocog.data.cache import compiled_dir
from neocog.data.geometry import resized

SOURCE = Path(__file__).with_name("cut.c")
Box = Sequence[int]  # top, left, height, width


def _library() -> Any:
    found = compiled(SOURCE, folder=compiled_dir())
    if found is None:
        return None
    found.cut.restype = ctypes.c_int64
    return found if _is_right(found) else None


library = Soon(_library)


def can(interpolation: str, channels: int) -> bool:
    """Whether `cut` can do it, as yet: at first the library is being made."""
    return interpolation == "bilinear" and channels == 3 and library.now() is not None


def cut(pictures: Sequence[np.ndarray], boxes: Sequence[Box], made: np.ndarray) -> None:
    """Of uint8 pictures (H, W, 3) the boxes, as uint8 (n, h, w, 3), written to `made`: what
    `geometry.resized` gives of each, to the last bit. Any thread may call.
    """
    _cut(library.made(), pictures, boxes, made)


def _cut(
    found: Any, pictures: Sequence[np.ndarray], boxes: Sequence[Box], made: np.ndarray
) -> None:
    # what is packed, or mirrored by its strides, is laid out anew: rows have their pixels in order
    laid = [x if x.strides[1:] == (3, 1) else np.ascontiguousarray(x) for x in pictures]
    at = np.array([x.__array_interface__["data"][0] for x in laid], dtype=np.int64)
    strides = np.array([x.strides[0] for x in laid], dtype=np.int64)
    where = np.array(boxes, dtype=np.int64)
    arrays = (ctypes.c_void_p(x.ctypes.data) for x in (at, strides, where))
    height, width = made.shape[1:3]
    done = found.cut(
        ctypes.c_int64(len(laid)),
        *arrays,
        ctypes.c_int64(height),
        ctypes.c_int64(width),
        ctypes.c_void_p(made.ctypes.data),
    )
    if done < len(laid):
        raise MemoryError(f"no memory to bring a picture to {height}x{width} pixels")


def _is_right(found: Any) -> bool:
    """Whether it gives torch's bits, of pieces that grow, shrink and stay, in either direction."""
    picture = (np.arange(61 * 83 * 3) * 167 % 251).astype(np.uint8).reshape(61, 83, 3)
    sizes = [(60, 82), (17, 9), (5, 60), (33, 21), (61, 33), (20, 83)]
    for height, width in sizes:
        top, left = (61 - height) // 2, 83 - width
        made = np.empty((1, 33, 21, 3), np.uint8)
        _cut(found, [picture], [(top, left, height, width)], made)
        piece = picture[top : top + height, left : left + width].copy()
        right = resized(torch.from_numpy(piece).movedim(2, 0).unsqueeze(0), (33, 21))
        if not np.array_equal(made[0], right[0].movedim(0, 2).numpy()):
            return False
    return True
