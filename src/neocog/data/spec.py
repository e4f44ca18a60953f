"""What must be known to turn a picture into a network's input; it travels with the run."""

from __future__ import annotations

import base64
import dataclasses
import functools
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neocog.errors import UsageError

LARGEST_SIDE, MOST_PIXELS = 65_536, 100_000_000  # of an input
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's conversion to grey


@dataclass(frozen=True)
class InputSpec:
    """How pixels become input and what outputs mean. It travels with the run.

    A picture is turned to `channels`; with `placing` "resize" its shorter side is scaled to
    `resize` and `size` is cut from it, with "pad" it is centred in `size` on black (a picture too
    large for that is resized). A value x from 0 to 1 then becomes (x - mean) / std, where
    `mean_picture` and `by_picture` say no other.
    """

    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int]  # (H, W)
    resize: int  # pixels
    placing: str  # "resize" or "pad"
    mean: tuple[float, ...]  # a channel each
    std: tuple[float, ...]
    interpolation: str = "bilinear"  # antialiased where it shrinks
    bgr: bool = False  # blue, green, red, as Caffe and OpenCV have it; mean and std likewise
    by_picture: bool = False  # each picture by its own mean and deviation instead
    mean_picture: str = ""  # subtracted instead of `mean`: `packed` (channels, *size)

    def __post_init__(self) -> None:
        numbers, sides = [*self.mean, *self.std], [*self.size, self.resize]
        sound = (
            self.channels >= 1
            and len(self.mean) == len(self.std) == self.channels
            and len(self.size) == 2
            and all(isinstance(n, int | float) and math.isfinite(n) for n in numbers)
            and all(type(n) is int and 1 <= n <= LARGEST_SIDE for n in sides)
            and self.size[0] * self.size[1] <= MOST_PIXELS
            and all(std > 0 for std in self.std)
            and self.placing in ("resize", "pad")
            and self.interpolation in ("bilinear", "bicubic")
            and isinstance(self.mean_picture, str)
        )
        named = isinstance(self.classes, tuple) and all(isinstance(n, str) for n in self.classes)
        if not sound or not self.classes or not named:
            raise UsageError(f"this is no sound description of an input: {str(self)[:500]}")
        if self.mean_picture:
            self.subtracted()

    def subtracted(self) -> Tensor:
        """What is subtracted of every picture, from 0 to 1: (C, 1, 1), or (C, H, W)."""
        if not self.mean_picture:
            return torch.tensor(self.mean).view(-1, 1, 1)
        return unpacked(self.mean_picture, (self.channels, *self.size))

    def divided_by(self) -> Tensor:
        """What is divided by then: (C, 1, 1)."""
        return torch.tensor(self.std).view(-1, 1, 1)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> InputSpec:
        read: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**read)


def packed(picture: Tensor) -> str:
    """A picture of values from 0 to 1 as text, in steps of 1/65535: a mean needs no finer ones."""
    steps = (picture.double() * 65535).round().numpy().astype("<u2")
    return base64.b64encode(zlib.compress(steps.tobytes(), 9)).decode()


@functools.lru_cache(maxsize=4)
def unpacked(text: str, shape: tuple[int, int, int]) -> Tensor:
    """What `packed` was given, float32. Raises `UsageError` where it is of another shape."""
    most = 2 * math.prod(shape)
    try:
        packer = zlib.decompressobj()
        content = packer.decompress(base64.b64decode(text, validate=True), most + 1)
        if not packer.eof:
            raise ValueError("it ends too early, or too late")
        steps = np.frombuffer(content, "<u2").reshape(shape)
    except (ValueError, zlib.error) as error:
        raise UsageError(f"the mean picture of this input is damaged: {error}") from error
    return torch.from_numpy((steps / 65535).astype(np.float32))


def to_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 (N, C, H, W) with that many channels: grey repeated, or colour weighed to grey."""
    have = images.shape[1]
    if have == channels:
        return images
    if have == 1:
        return images.expand(-1, channels, -1, -1)
    if channels == 1 and have == 3:
        weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
        return (images * weights).sum(1, keepdim=True).round().to(torch.uint8)
    raise UsageError(
        f"pictures of {have} channels cannot become {channels}; build the network with "
        f"in_channels={have}"
    )
