"""Pixels to a network's input values, a few pictures at a time, so that they stay in the cache."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neocog.compiled import Soon, compiled
from neocog.data import augment
from neocog.data.cache import compiled_dir
from neocog.data.spec import InputSpec

SOURCE = Path(__file__).with_name("values.c")
AT_A_TIME = 640_000  # values that a thread works on before it takes more
LEAST = 640_000  # values that are worth compiling for: not those of a picture or two


class Values:
    """`preprocess.normalised` of uint8 pictures (N, C, H, W) that lie channels last, those that
    `turned` names mirrored: `made` has those that it was called for. What is turned may be changed.

    By C that looks each value up, where these are many, what is subtracted is the same all over a
    picture, and a compiler has made it by now; else by torch, in rows: three values a pixel would
    be three steps of a loop, a row is one of hundreds. Both give the same to the last bit.
    """

    def __init__(self, images: Tensor, spec: InputSpec, turned: Sequence[bool] = ()) -> None:
        self.images, self.spec = images, spec
        self.turned = list(turned) or [False] * len(images)
        last = torch.channels_last
        self.made = torch.empty(images.shape, dtype=torch.float32, device="cpu", memory_format=last)
        self.some = max(AT_A_TIME // max(images[0].numel(), 1), 1) if len(images) else 1
        self.library = None
        if images.numel() >= LEAST and not spec.mean_picture:
            self.library = library.now()
        self.flags = torch.tensor(self.turned, dtype=torch.uint8)

    def __call__(self, rows: slice) -> None:
        """Those of some rows; any thread may call."""
        if self.library is None:
            return self._by_torch(rows)
        pixels, turned, made = self.images[rows], self.flags[rows], self.made[rows]
        _look_up(self.library, pixels, turned, table(self.spec), made)
        return None

    def _by_torch(self, rows: slice) -> None:
        for place in range(rows.start, rows.stop):
            if self.turned[place]:
                augment.turn_one(self.images, place)
        height, width = self.images.shape[2:]
        less, by = _laid_in_rows(self.spec, height, width)
        pixels, values = (
            x[rows].movedim(1, 3).view(-1, *less.shape) for x in (self.images, self.made)
        )
        values.copy_(pixels)
        values.div_(255).sub_(less).div_(by)


def _look_up(given: Any, pixels: Tensor, turned: Tensor, table: Tensor, made: Tensor) -> None:
    n, channels, height, width = pixels.shape
    sizes = map(ctypes.c_int64, (n, height, width, channels))
    given.as_values(*sizes, *(ctypes.c_void_p(x.data_ptr()) for x in (pixels, turned, table, made)))


def _library() -> Any:
    """values.c, compiled once; None where it cannot be, or is not read as it is written."""
    found = compiled(SOURCE, folder=compiled_dir())
    return found if found is not None and _is_right(found) else None


library = Soon(_library)


def _is_right(found: Any) -> bool:
    for channels in (2, 3):
        pixels = torch.arange(4 * 5 * 7 * channels).to(torch.uint8).view(4, 5, 7, channels)
        table = torch.arange(256.0 * channels).view(channels, 256) / 7
        made, turned = torch.empty(pixels.shape), torch.tensor([0, 1, 1, 0], dtype=torch.uint8)
        images, values = pixels.movedim(3, 1), made.movedim(3, 1)
        _look_up(found, images, turned, table, values)
        for picture, which, value in zip(images, turned, values, strict=True):
            right = torch.stack(
                [levels[x.long()] for levels, x in zip(table, picture, strict=True)]
            )
            if not torch.equal(value, right.flip(2) if which else right):
                return False
    return True


@functools.lru_cache(maxsize=4)
def table(spec: InputSpec) -> Tensor:
    """The value of each of the 256 levels of each channel, float32 (C, 256)."""
    how: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}  # as C reads it
    levels = torch.arange(256, **how).div_(255)
    mean, std = (torch.tensor(each, **how).view(-1, 1) for each in (spec.mean, spec.std))
    return levels.sub(mean).div_(std).contiguous()


@functools.lru_cache(maxsize=4)
def _laid_in_rows(spec: InputSpec, height: int, width: int) -> tuple[Tensor, Tensor]:
    """What is subtracted, and divided by, of each value of a picture: (H, W * C) both.

    Kept: to lay them out anew takes torch's own threads, and those then spin for milliseconds,
    waiting for more, on the processors that the next pictures are decoded by.
    """
    both = spec.subtracted(), spec.divided_by()
    less, by = (x.expand(-1, height, width).movedim(0, 2).reshape(height, -1) for x in both)
    return less, by
