"""The modules of Inception v3, named after the figures of arXiv:1512.00567. See `inception_v3`."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

Kernel = int | tuple[int, int]  # side, or height and width


class Branches(nn.ModuleDict):
    """Each branch reads the same maps, and what they make is stacked, in their order."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.values()], dim=1)


def figure5(c_in: int, *, pooled: int) -> Branches:
    """A 5x5, and another as two 3x3s: (N, c_in, H, W) -> (N, 224 + pooled, H, W)."""
    return Branches(
        {
            "one": conv(c_in, 64, 1),
            "five": _chain(c_in, (48, 1), (64, 5)),
            "threes": _chain(c_in, (64, 1), (96, 3), (96, 3)),
            "pool": _mean_pool(c_in, pooled),
        }
    )


def figure6(c_in: int, *, inner: int) -> Branches:
    """A 7x7, and two, of 1x7 and 7x1: (N, c_in, H, W) -> (N, 768, H, W)."""
    row, column = (1, 7), (7, 1)
    twice = ((inner, column), (inner, row), (inner, column), (192, row))
    return Branches(
        {
            "one": conv(c_in, 192, 1),
            "seven": _chain(c_in, (inner, 1), (inner, row), (192, column)),
            "sevens": _chain(c_in, (inner, 1), *twice),
            "pool": _mean_pool(c_in, 192),
        }
    )


def figure7(c_in: int) -> Branches:
    """3x3s of 1x3 and 3x1 side by side: (N, c_in, H, W) -> (N, 2048, H, W)."""
    return Branches(
        {
            "one": conv(c_in, 320, 1),
            "three": _chain(c_in, (384, 1)).append(_row_and_column(384)),
            "threes": _chain(c_in, (448, 1), (384, 3)).append(_row_and_column(384)),
            "pool": _mean_pool(c_in, 192),
        }
    )


def figure10(c_in: int) -> Branches:
    """Strides and a pool side by side: (N, c_in, H, W) -> (N, 480 + c_in, H/2, W/2)."""
    return Branches(
        {
            "three": _halve(c_in, 384),
            "threes": _chain(c_in, (64, 1), (96, 3)).append(_halve(96, 96)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def to_8x8(c_in: int) -> Branches:
    """In no figure, but as Figure 10: (N, c_in, H, W) -> (N, 512 + c_in, H/2, W/2)."""
    seven = ((192, 1), (192, (1, 7)), (192, (7, 1)))
    return Branches(
        {
            "three": _chain(c_in, (192, 1)).append(_halve(192, 320)),
            "seven": _chain(c_in, *seven).append(_halve(192, 192)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def conv(
    c_in: int, c_out: int, kernel: Kernel, *, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    """Convolution, batch norm, ReLU, padded to keep the map unless told otherwise."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    keep = (height // 2, width // 2) if padding is None else padding
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(c_in, c_out, (height, width), stride, keep, bias=False),
            norm=nn.BatchNorm2d(c_out, eps=0.001),
            relu=nn.ReLU(inplace=True),
        )
    )


def _chain(c_in: int, *layers: tuple[int, Kernel]) -> nn.Sequential:
    """Convolutions of (channels, kernel) in a row."""
    chain = nn.Sequential()
    for c_out, kernel in layers:
        chain.append(conv(c_in, c_out, kernel))
        c_in = c_out
    return chain


def _halve(c_in: int, c_out: int) -> nn.Sequential:
    return conv(c_in, c_out, 3, stride=2, padding=0)


def _mean_pool(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, padding=1), conv(c_in, c_out, 1))


def _row_and_column(width: int) -> Branches:
    return Branches({"row": conv(width, width, (1, 3)), "column": conv(width, width, (3, 1))})
