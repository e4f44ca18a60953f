"""Convolutions in bfloat16 laid out anew, so that the tiles of a processor's matrix unit are full.

AMX multiplies tiles of 16 rows by 32 numbers in bfloat16. oneDNN fills them from one row of one
map: of a map 7 pixels wide it leaves three quarters of each empty, and a weight's gradient takes
three times as long as that of a map of 31; of 3 pixels, ten times. What a convolution computes does
not change if its maps are laid out otherwise, and only the order of its sums does:

    small maps    pictures side by side, with columns of zeros between them, as one wide picture
    1x1           a product of matrices: the pixels' channels by the weights
    large steps   a stride of s as channels: each s x s pixels are one pixel of s^2 as many channels

Two cores of a Xeon with AMX, torch 2.13.0, 2026-11-23, gradients of weights in ms, as oneDNN does
it and so: 2000 maps 256 @ 7x7, 172 and 78; 256 @ 3x3, 98 and 15; 128 maps 512 @ 4x4, 39 and 9;
AlexNet's first layer, 128 pictures of 1 @ 224x224, 60 and 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.engine.passes import going

SHORT_ROW = 14  # pixels: rows up to this length are laid side by side
TILE, LONG = 32, 80  # pixels that a wide row may have; of rows of up to 4 pixels, the latter
TINY_ROW = 4
CACHE = 2 * 2**20  # bytes of a core's cache: larger weights are read anew for each picture
MOST_FOLDED = 64  # channels that a stride may become
LARGE_STRIDE = 3  # below it what is gained is lost again on laying out

_backward = torch.ops.aten.convolution_backward


@contextmanager
def full_tiles(network: nn.Module) -> Iterator[None]:
    """The convolutions of `network` so laid out, where autocast has them in bfloat16."""
    layers = [layer for layer in network.modules() if _is_plain(layer)]
    with going({layer: _forward(layer) for layer in layers}):  # type: ignore[arg-type]
        yield


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], pad: tuple[int, int]
) -> Tensor:
    """`F.conv2d` of (N, C, H, W) that are channels last, and its gradients, laid out anew."""
    kernel = tuple(weight.shape[2:])
    if kernel == (1, 1) and pad == (0, 0):
        picked = x if stride == (1, 1) else _Picked.apply(x, stride)  # type: ignore[no-untyped-call]
        made = F.linear(picked.permute(0, 2, 3, 1), weight.flatten(1), bias)
        return made.permute(0, 3, 1, 2)
    folds = stride[0] == stride[1] >= LARGE_STRIDE and not x.requires_grad
    if folds and x.shape[1] * stride[0] ** 2 <= MOST_FOLDED:
        x, weight = _folded(x, weight, stride[0], pad)
        stride, pad = (1, 1), (0, 0)
    return _Convolution.apply(x, weight, bias, stride, pad)  # type: ignore[no-untyped-call, no-any-return]


def _is_plain(layer: nn.Module) -> bool:
    return (
        type(layer) is nn.Conv2d
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and "forward" not in vars(layer)  # not one that is held in float32
    )


def _forward(layer: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    usual = layer.forward
    stride, pad = _pair(layer.stride), _pair(layer.padding)

    def forward(x: Tensor) -> Tensor:
        half = torch.is_autocast_enabled("cpu") and x.device.type == "cpu" and x.ndim == 4
        if not half or not torch.is_grad_enabled():
            return usual(x)
        bias = None if layer.bias is None else layer.bias.bfloat16()
        return convolved(x.bfloat16(), layer.weight.bfloat16(), bias, stride, pad)

    return forward


class _Convolution(torch.autograd.Function):
    """Direct, but for the directions in which pictures side by side are quicker."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Any, stride: Any, pad: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how, ctx.bias = (stride, pad), None if bias is None else list(bias.shape)
        period, count = _abreast(x, weight, stride, pad)
        ctx.count, ctx.period = count, period
        ctx.all = weight.numel() * weight.element_size() > CACHE
        if count == 1 or not ctx.all:
            return F.conv2d(x, weight, bias, stride, pad)
        width = (x.shape[3] + 2 * pad[1] - weight.shape[3]) // stride[1] + 1
        wide = F.conv2d(_wide(x, count, period * stride[1]), weight, bias, stride, pad)
        return _narrow(wide, count, period, width)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x, weight), (slope,) = ctx.saved_tensors, gradients
        (stride, pad), count, period = ctx.how, ctx.count, ctx.period
        rest = (weight, ctx.bias, stride, pad, (1, 1), False, (0, 0), 1)
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        if count == 1:
            return *_backward(slope, x, *rest, (of_x, of_weight, of_bias)), None, None
        wide = _wide(slope, count, period)
        wide_x = _wide(x, count, period * stride[1])
        given = None
        if of_x and not ctx.all:
            given = _backward(slope, x, *rest, (True, False, False))[0]
        asked = (of_x and ctx.all, of_weight, of_bias)
        made, learnt, shift = _backward(wide, wide_x, *rest, asked)
        if asked[0]:
            given = _narrow(made, count, period * stride[1], x.shape[3])
        return given, learnt, shift, None, None


class _Picked(torch.autograd.Function):
    """Every so many pixels of (N, C, H, W), those that a 1x1 convolution with a stride reads."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: tuple[int, int]) -> Tensor:
        ctx.shape, ctx.stride = x.shape, stride
        picked = x[:, :, :: stride[0], :: stride[1]]
        return picked.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (slope,), (down, right) = gradients, ctx.stride
        n, c, h, w = ctx.shape
        whole = slope.new_zeros(n, h, w, c).permute(0, 3, 1, 2)
        whole[:, :, ::down, ::right] = slope
        return whole, None


def _abreast(
    x: Tensor, weight: Tensor, stride: tuple[int, int], pad: tuple[int, int]
) -> tuple[int, int]:
    """How many pixels of output there are from one picture to the next, so that what one is padded
    with reaches no other, and how many pictures are laid side by side; 1: they stay as they are.
    """
    period, count = -(-(x.shape[3] + pad[1]) // stride[1]), 1
    width = (x.shape[3] + 2 * pad[1] - weight.shape[3]) // stride[1] + 1
    ends = 1 <= weight.shape[3] - 2 * pad[1] <= stride[1]  # a wide row has as many as its parts
    longest = LONG if width <= TINY_ROW else TILE if width <= SHORT_ROW else 0
    while ends and 2 * count * period <= longest and len(x) % (2 * count) == 0:
        count *= 2
    return period, count


def _wide(x: Tensor, count: int, period: int) -> Tensor:
    """(N, C, H, W) -> (N/count, C, H, count x period), zeros between the pictures."""
    n, c, h, w = x.shape
    made = x.new_empty(n // count, h, count, period, c)
    made[:, :, :, w:].zero_()
    rows = x.permute(0, 2, 3, 1).reshape(n // count, count, h, w, c)
    made[:, :, :, :w].copy_(rows.transpose(1, 2))
    return made.view(n // count, h, count * period, c).permute(0, 3, 1, 2)


def _narrow(wide: Tensor, count: int, period: int, width: int) -> Tensor:
    """(N, C, H, at least count x period) of them back to (N x count, C, H, width)."""
    n, c, h, _ = wide.shape
    rows = wide.permute(0, 2, 3, 1)[:, :, : count * period].unflatten(2, (count, period))
    size = (n * count, c, h, width)
    made = torch.empty(size, dtype=wide.dtype, memory_format=torch.channels_last)
    apart = made.permute(0, 2, 3, 1).view(n, count, h, width, c)
    apart.copy_(rows[:, :, :, :width].transpose(1, 2))
    return made  # no view: the next layer may change it in place


def _folded(x: Tensor, weight: Tensor, s: int, pad: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pictures and weights of which a convolution without stride makes what one of `s` made."""
    kernel = [-(-size // s) for size in weight.shape[2:]]
    sizes = [(x.shape[2 + i] + 2 * pad[i] - weight.shape[2 + i]) // s + kernel[i] for i in (0, 1)]
    below, right = (s * sizes[i] - x.shape[2 + i] - pad[i] for i in (0, 1))
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, pad[1], right, pad[0], below))
    more = [s * kernel[i] - weight.shape[2 + i] for i in (0, 1)]
    rows = F.pad(weight.permute(0, 2, 3, 1), (0, 0, 0, more[1], 0, more[0]))
    return _in_blocks(padded, s, sizes), _in_blocks(rows, s, kernel)


def _in_blocks(x: Tensor, s: int, sizes: list[int]) -> Tensor:
    """(N, s x H, s x W, C) -> (N, s x s x C, H, W), channels last."""
    blocks = x.reshape(len(x), sizes[0], s, sizes[1], s, x.shape[3]).transpose(2, 3)
    return blocks.reshape(len(x), *sizes, s * s * x.shape[3]).permute(0, 3, 1, 2)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
