"""Convolutions of 3x3 in float32 by a quarter of the products: Winograd's F(4x4, 3x3).

Lavin and Gray 2016, Fast Algorithms for Convolutional Neural Networks, sections 4 and 5. What is
computed is the same, and only how it is rounded differs: of all outputs together about a millionth
is lost, two to five times what torch's direct sum loses (winograd.c says how). Where a processor
has units for bfloat16 these are quicker still; most laptops have none.

Two cores of an EPYC with AVX2, ms of torch 2.13.0 and so, forwards and back, 2026-11-30: 128 maps
16 @ 32x32, 29 and 19; 64 @ 32x32, 455 and 164; 512 @ 4x4, 544 and 230; 32 maps 384 @ 13x13, 633 and
316; 512 @ 7x7, 346 and 203. A step of ResNet-18 on 128 pictures of 32 px, 6.7 s and 3.1.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.autograd.function import once_differentiable

from neocog.engine import native
from neocog.engine.passes import going
from neocog.engine.slopes import slopes

TILE = 4  # pixels of output, either way
FEWEST = 16  # channels: with fewer there is less to multiply than to look at
MOST_PAD = 2
# How many times as many products a direct sum must have: tiles may reach beyond a map
WORTH = 2.0
TILES = 32  # in all: the weights are looked at once for all of them


@functools.cache
def library() -> Any:
    """winograd.c, compiled once; None where it cannot be, or computes wrongly."""
    found = native.built(native.WINOGRAD)
    return found if found is not None and _is_right(found) else None


def has_winograd(network: nn.Module) -> bool:
    """Whether some of its layers are what `fewer_products` does."""
    return any(_is_plain(layer) for layer in network.modules())


@contextmanager
def fewer_products(network: nn.Module) -> Iterator[None]:
    """The 3x3 convolutions of `network` so computed, where maps and batch are large enough."""
    with going(_ways(network)):
        yield


def with_fewer_products(network: nn.Module) -> nn.Module:
    """`network`, whose 3x3 convolutions are so computed from now on."""
    for layer, forward in _ways(network).items():
        vars(layer)["forward"] = forward
    return network


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, pad: int, given: Any) -> Tensor:
    """`F.conv2d` of (N, C, H, W) with kernels (K, C, 3, 3), by the library `given`: (N, K, h, w),
    channels last. Numbers of channels are multiples of what a vector holds.
    """
    return _Convolution.apply(x, weight, bias, pad, given)  # type: ignore[no-untyped-call, no-any-return]


def is_worth(tall: int, broad: int, maps: int) -> bool:
    """Whether so many maps of output of that size are computed sooner so."""
    tiles = -(-tall // TILE) * -(-broad // TILE)
    return tall * broad * 9 >= WORTH * tiles * (TILE + 2) ** 2 and maps * tiles >= TILES


def _ways(network: nn.Module) -> dict[nn.Module, Callable[[Tensor], Tensor]]:
    given = library()
    layers = [layer for layer in network.modules() if given and _is_plain(layer)]
    return {layer: _forward(layer, given) for layer in layers}  # type: ignore[arg-type]


def _is_plain(layer: nn.Module) -> bool:
    if type(layer) is not nn.Conv2d or layer.kernel_size != (3, 3) or layer.groups != 1:
        return False
    usual = layer.stride == layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    if not usual or isinstance(layer.padding, str) or len(set(layer.padding)) != 1:
        return False
    few = min(layer.in_channels, layer.out_channels) < FEWEST
    return not few and 0 <= layer.padding[0] <= MOST_PAD and layer.weight.dtype == torch.float32


def _forward(layer: nn.Conv2d, given: Any) -> Callable[[Tensor], Tensor]:
    usual, pad = layer.forward, int(layer.padding[0])
    lanes = given.neocog_winograd_lanes()
    fits = layer.in_channels % lanes == layer.out_channels % lanes == 0

    def forward(x: Tensor) -> Tensor:
        if not fits or not _suits(x, layer.in_channels, pad):
            return usual(x)
        return convolved(x, layer.weight, layer.bias, pad, given)

    return forward


def _suits(x: Tensor, channels: int, pad: int) -> bool:
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.ndim != 4:
        return False
    if x.shape[1] != channels or torch.is_autocast_enabled("cpu"):
        return False
    return is_worth(x.shape[2] + 2 * pad - 2, x.shape[3] + 2 * pad - 2, x.shape[0])


class _Convolution(torch.autograd.Function):
    """Each sum is taken in the same order whenever as many threads take it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Any, bias: Any, pad: int, given: Any) -> Tensor:
        x, rows = _last(x), _last(weight.detach())
        (n, c, high, wide), k = x.shape, len(rows)
        tall, broad = high + 2 * pad - 2, wide + 2 * pad - 2
        y = torch.empty((n, k, tall, broad), memory_format=torch.channels_last)
        ctx.sizes, ctx.given = (n, high, wide, c, tall, broad, k, pad), given
        ctx.bias = bias is not None
        _call(given.neocog_winograd, ctx.sizes, x=x, weight=rows, bias=bias, y=y)
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x, weight), g, made = ctx.saved_tensors, _last(gradients[0]), None
        n, high, wide, c, tall, broad, k, pad = ctx.sizes
        rows = _last(weight.detach())
        if ctx.needs_input_grad[0]:
            made, back = torch.empty_like(x), (n, tall, broad, k, high, wide, c, 2 - pad)
            _call(ctx.given.neocog_winograd, back, turned=True, x=g, weight=rows, y=made)
        of_weight, of_bias = torch.empty_like(rows), torch.empty(k)
        known = {"x": x, "g": g, "of_weight": of_weight, "of_bias": of_bias}
        _call(ctx.given.neocog_winograd_back, ctx.sizes, **known)
        return made, of_weight, of_bias if ctx.bias else None, None, None


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _call(
    function: Any, sizes: tuple[int, ...], *, turned: bool = False, **tensors: Tensor | None
) -> None:
    places = {name: t.data_ptr() for name, t in tensors.items() if t is not None}
    way = native.Convolution(*sizes, torch.get_num_threads(), turned, **places)
    if function(ctypes.byref(way)):
        raise MemoryError("no memory is left for a convolution's tiles")


def _is_right(given: Any) -> bool:
    """Whether compiled it agrees with torch: a compiler, too, may be wrong."""
    generator, lanes = Generator().manual_seed(0), given.neocog_winograd_lanes()
    n, channels, maps = 9, 3 * lanes, 5 * lanes
    for pad, (high, wide) in ((1, (9, 6)), (0, (6, 7))):
        sizes = [(n, channels, high, wide), (maps, channels, 3, 3), (maps,)]
        drawn = [torch.randn(size, generator=generator) for size in sizes]
        g = torch.randn((n, maps, high + 2 * pad - 2, wide + 2 * pad - 2), generator=generator)
        found = []
        for ours in (True, False):
            leaves = x, weight, bias = [t.clone().requires_grad_() for t in drawn]
            with torch.enable_grad():
                y = (
                    convolved(x, weight, bias, pad, given)
                    if ours
                    else F.conv2d(x, weight, bias, padding=pad)
                )
                found.append([y.detach(), *slopes(y, leaves, g)])
        for one, other in zip(*found, strict=True):
            if not torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.std())):
                return False
    return True
