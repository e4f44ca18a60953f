"""Batch norm over the batches of all processes, where several train one network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neocog.engine.passes import going
from neocog.engine.ranks import Ranks


@contextmanager
def synchronised(network: nn.Module, ranks: Ranks) -> Iterator[None]:
    """With batch norms whose statistics while training are those of all processes' pictures.

    The same as one process has of the whole batch, but for rounding. torch's own SyncBatchNorm
    takes maps on a GPU alone.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    with going({norm: _forward(norm, ranks) for norm in norms}):
        yield


def _forward(norm: _BatchNorm, ranks: Ranks) -> Callable[[Tensor], Tensor]:
    usual = norm.forward

    def forward(x: Tensor) -> Tensor:
        if not norm.training or not ranks.together:
            return usual(x)
        values = x if x.dtype == torch.float64 else x.float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        var, mean = torch.var_mean(values, axes, correction=0)
        count = 0 if ranks.idle else x.numel() // x.shape[1]
        # in float64: the square of the mean is taken off again
        mean, var = mean.double(), var.double()
        own = torch.cat([mean * count, (var + mean**2) * count, mean.new_tensor([count])])
        every: Tensor = _Sum.apply(own, ranks)  # type: ignore[no-untyped-call]
        sums, squares, whole = every[: len(mean)], every[len(mean) : -1], every[-1].detach()
        mean = sums / whole
        var = (squares / whole - mean**2).clamp(min=0)
        note(norm, mean.detach(), var.detach() * whole / (whole - 1).clamp(min=1))
        scale = torch.rsqrt(var + norm.eps)
        if norm.affine:
            scale = scale * norm.weight.double()
        bias = -mean * scale + (norm.bias.double() if norm.affine else 0)
        made = values * scale.to(values.dtype).view(shape) + bias.to(values.dtype).view(shape)
        return made.to(x.dtype)

    return forward


@torch.no_grad()
def note(norm: _BatchNorm, mean: Tensor, var: Tensor) -> None:
    """The running statistics, as torch keeps them."""
    if norm.running_mean is None or norm.running_var is None:
        return
    share = norm.momentum
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        if share is None:
            share = 1 / float(norm.num_batches_tracked)
    assert share is not None
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_(var.to(norm.running_var.dtype), share)


class _Sum(torch.autograd.Function):
    """The sum over all processes, to and fro."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.added(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.added(gradient), None
