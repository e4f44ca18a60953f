"""Max pooling that remembers a byte for each maximum, by `fused.c`; and ReLUs behind it.

Two cores of a Xeon with AMX, ms of torch 2.13.0 and so, 2000 maps 64 @ 31x31 in bfloat16, windows
of 2x2, 2026-11-23: 31 and 24, back 50 and 17.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from neocog.engine import native
from neocog.engine.passes import is_heard

LARGEST = 256  # places in a window: what a byte counts


def pooling(pool: nn.MaxPool2d, given: Any) -> Callable[[Tensor], Tensor]:
    """Its `forward` while it learns, by the library `given`."""
    usual, window = pool.forward, window_of(pool)

    def forward(x: Tensor) -> Tensor:
        learns = pool.training and torch.is_grad_enabled() and native.is_laid(x)
        if not learns or window is None or min(x.shape[-2:]) + 2 * window[2] < window[0]:
            made: Tensor = usual(x)
            return made
        return _Pooled.apply(x, window, given)  # type: ignore[no-untyped-call, no-any-return]

    return forward


def pooled_first(relu: nn.Module, pool: nn.Module) -> Callable[[Tensor], Tensor]:
    """Of the largest numbers those above zero, instead of the largest of those above zero: the
    same numbers and gradients, from a map of a quarter of the size.
    """

    def both(x: Tensor) -> Tensor:
        learns = relu.training and torch.is_grad_enabled()
        swaps = learns and native.is_laid(x) and not is_heard(relu) and not is_heard(pool)
        made: Tensor = relu(pool(x)) if swaps and not pool.return_indices else pool(relu(x))
        return made

    return both


def window_of(pool: nn.MaxPool2d) -> tuple[int, int, int] | None:
    """Size, step and padding, where they are all there is to know."""
    sides = [pool.kernel_size, pool.stride, pool.padding, pool.dilation]
    pairs = [side if isinstance(side, tuple) else (side, side) for side in sides]
    plain = all(one == other for one, other in pairs) and pairs[3] == (1, 1)
    if not plain or pool.ceil_mode or pool.return_indices or pairs[0][0] ** 2 > LARGEST:
        return None
    return pairs[0][0], pairs[1][0], pairs[2][0]


class _Pooled(torch.autograd.Function):
    """The largest of each window; of each is remembered which it was, in a byte."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: tuple[int, int, int], given: Any) -> Tensor:
        (n, c, h, w), (size, step, pad) = x.shape, window
        high, wide = ((side + 2 * pad - size) // step + 1 for side in (h, w))
        y = torch.empty((n, c, high, wide), dtype=x.dtype, memory_format=torch.channels_last)
        place = torch.empty_like(y, dtype=torch.uint8)
        ctx.given = given
        ctx.how = (n, h, w, c, high, wide, *window, torch.get_num_threads())
        _call(given.neocog_pool, ctx.how, x=x, y=y, place=place)
        ctx.save_for_backward(place)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (place,), (n, h, w, c, *_) = ctx.saved_tensors, ctx.how
        g = gradients[0].contiguous(memory_format=torch.channels_last)
        size, step, pad = ctx.how[6:9]
        made = torch.empty((n, c, h, w), dtype=g.dtype, memory_format=torch.channels_last)
        if size == step and not pad and (h % size or w % size):
            made.zero_()  # what no window sees
        _call(ctx.given.neocog_pool_back, ctx.how, place=place, g=g, given=made)
        return made, None, None


def _call(function: Any, how: tuple[int, ...], **tensors: Tensor) -> None:
    places = {name: tensor.data_ptr() for name, tensor in tensors.items()}
    function(ctypes.byref(native.Windows(*how, **places)))
