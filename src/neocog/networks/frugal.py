"""A layer that remembers less for the way back, and computes the same to the bit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_pool = torch.ops.aten.max_pool2d_with_indices
_back = torch.ops.aten.max_pool2d_with_indices_backward


class MaxPool2d(nn.MaxPool2d):
    """torch's, which keeps the maps that it was given only to know their shape again, and eight
    bytes for the place of each maximum. Where nothing else keeps these maps, as behind a
    convolution, they are most of what a network holds.
    """

    def forward(self, x: Tensor) -> Tensor:
        learns = self.training and torch.is_grad_enabled() and x.requires_grad
        if not learns or self.return_indices or x.ndim != 4:
            made: Tensor = super().forward(x)
            return made
        window = (self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
        pooled: Tensor = _Pooled.apply(x, *map(_pair, window[:4]), self.ceil_mode)  # type: ignore[no-untyped-call]
        return pooled


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *window: Any) -> Tensor:
        made: Tensor
        made, places = _pool(x, *window)
        ctx.window, ctx.shape, ctx.options = window, x.shape, {"dtype": x.dtype, "device": x.device}
        rows = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        ctx.options["memory_format"] = torch.channels_last if rows else torch.contiguous_format
        # a place within a map: there are seldom more than an int16 counts
        small = torch.int16 if x.shape[2] * x.shape[3] < 2**15 else torch.int32
        ctx.save_for_backward(places.to(small))
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (places,) = ctx.saved_tensors
        like = torch.empty(ctx.shape, **ctx.options)  # of which nothing is read but its shape
        return _back(gradients[0], like, *ctx.window, places.long()), *[None] * len(ctx.window)


def _pair(value: int | tuple[int, int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
