"""A picture of any size to the size of a network's input: scaling, cutting, framing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from neocog.data.spec import InputSpec, to_channels
from neocog.errors import DataError

LONGEST = 100  # times the shorter side: beyond, scaling a picture to the input fills the memory

_KERNELS = {  # by interpolation, and whether it is antialiased
    ("bilinear", False): torch.ops.aten.upsample_bilinear2d.out,
    ("bilinear", True): torch.ops.aten._upsample_bilinear2d_aa.out,
    ("bicubic", False): torch.ops.aten.upsample_bicubic2d.out,
    ("bicubic", True): torch.ops.aten._upsample_bicubic2d_aa.out,
}


def scaled(pixels: Tensor, spec: InputSpec) -> Tensor:
    """uint8 pictures (N, C, H, W) brought to the input's channels and to at least its size."""
    images = to_channels(pixels, spec.channels)
    height, width = images.shape[2:]
    if spec.placing == "pad":
        down, right = spec.size[0] - height, spec.size[1] - width
        if down >= 0 and right >= 0:
            return F.pad(images, (right // 2, right - right // 2, down // 2, down - down // 2))
    wanted = target(height, width, spec)
    return images if wanted == (height, width) else resized(images, wanted, spec.interpolation)


def resized(images: Tensor, size: tuple[int, int], interpolation: str = "bilinear") -> Tensor:
    """uint8 (N, C, H, W) of another size, antialiased where it shrinks."""
    shrinks = size[0] < images.shape[2] or size[1] < images.shape[3]
    if images.device.type == "cpu":  # uint8 to uint8, several times faster than by way of float
        return F.interpolate(images, size, mode=interpolation, antialias=shrinks)
    made = F.interpolate(images.float(), size, mode=interpolation, antialias=shrinks)
    return made.round_().clamp_(0, 255).to(torch.uint8)


def resize_into(made: Tensor, images: Tensor, interpolation: str = "bilinear") -> None:
    """What `resized` gives of uint8 (N, C, H, W) on the CPU, written to `made` (N, C, h, w).

    By the operator that `interpolate` calls: it waits for Python's lock once for a picture.
    """
    height, width = made.shape[2:]
    shrinks = height < images.shape[2] or width < images.shape[3]
    _KERNELS[interpolation, shrinks](images, (height, width), False, None, None, out=made)


def centre(images: Tensor, size: tuple[int, int]) -> Tensor:
    """The (H, W) piece in the middle of pictures (..., H, W)."""
    top, left = (images.shape[-2] - size[0]) // 2, (images.shape[-1] - size[1]) // 2
    return images[..., top : top + size[0], left : left + size[1]]


def target(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """The shorter side becomes `spec.resize`; neither side ends below the input's."""
    scale = spec.resize / min(height, width)
    sides = max(round(height * scale), spec.size[0]), max(round(width * scale), spec.size[1])
    if max(sides) > LONGEST * min(sides):
        raise DataError(
            f"a picture of {height}x{width} pixels is too long and thin to be cut to "
            f"{spec.size[0]}x{spec.size[1]}"
        )
    return sides
