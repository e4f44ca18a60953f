"""Convolutions of 3x3 and 5x5 by a quarter of the products, and by little more than a third:
Winograd's F(4x4, 3x3) and F(2x2, 5x5).

Lavin and Gray 2016, Fast Algorithms for Convolutional Neural Networks, sections 4 and 5. What is
computed is the same, and only how it is rounded differs: in float32 of all outputs together about a
millionth is lost, two to seven times what torch's direct sum loses (winograd.c says how). Of maps
in bfloat16 all is computed in float32, weights are not rounded, and what comes out is, once: so
less is lost than torch loses. Where a processor has a matrix unit for bfloat16 (AMX) direct sums
are quicker still; where it has but vectors of it, they take twice the time of a quarter.

Two cores of an EPYC with AVX2, ms of torch 2.13.0 and so, forwards and back, 2026-11-30: 128 maps
16 @ 32x32, 29 and 19; 64 @ 32x32, 455 and 164; 512 @ 4x4, 544 and 230; 32 maps 384 @ 13x13, 633 and
316; 512 @ 7x7, 346 and 203; of 5x5, 64 maps 96 @ 26x26 to 256, 2,502 and 1,025. A step of ResNet-18
on 128 pictures of 32 px, 6.7 s and 3.1; of the book's AlexNet on 64, 5.7 and 2.6.
"""

from __future__ import annotations

import ctypes
import functools
import math
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

SIDE = 6  # pixels that a tile of outputs is made of, either way
# Channels by kernels: with fewer there is less to multiply than to look at. Of 5x5 16 would gain as
# well, but in LeNet-5, whose layer that is, of one pixel of output, there would be none to gain it.
FEWEST = {(3, 3): 16, (5, 5): 24}
# How many times as many products a direct sum must have: tiles may reach beyond a map
WORTH = 2.0
# The same in bfloat16, where a direct sum's products take half as long; and channels in times
# channels out. On Zen 5, forwards and back, times as fast: 14 px 0.85, 15 px 1.1 to 1.3; 32 by 32
# channels 0.9 to 1.05, 64 by 32 1.1; of 5x5 64 by 192 at 27 px 0.9, 96 by 256 at 26 px 1.1
WORTH_IN_HALF = {3: 3.2, 5: 2.7}
FEWEST_IN_HALF = {(3, 3): 32 * 64, (5, 5): 128 * 128}
TILES = 32  # in all: the weights are looked at once for all of them


@functools.cache
def library(dtype: torch.dtype) -> Any:
    """winograd.c for maps in float32 or bfloat16, compiled once; None where it cannot be, or
    computes wrongly.
    """
    found = native.built(native.WINOGRAD, *(["-DHALF"] if dtype == torch.bfloat16 else []))
    return found if found is not None and _is_right(found, dtype) else None


def has_winograd(network: nn.Module, dtype: torch.dtype = torch.float32) -> bool:
    """Whether some of its layers are what `fewer_products` does."""
    return any(_is_plain(layer, half=dtype == torch.bfloat16) for layer in network.modules())


@contextmanager
def fewer_products(network: nn.Module, dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """The convolutions of `network` so computed, where kernels, maps and batch are large enough: in
    bfloat16 those that autocast has in it, of maps in bfloat16 and weights in float32.
    """
    with going(_ways(network, dtype)):
        yield


def with_fewer_products(network: nn.Module) -> nn.Module:
    """`network`, whose convolutions are so computed from now on."""
    for layer, forward in _ways(network, torch.float32).items():
        vars(layer)["forward"] = forward
    return network


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, pad: int, given: Any, groups: int = 1
) -> Tensor:
    """`F.conv2d` of (N, C, H, W) with kernels (K, C / groups, 3, 3) or 5 by 5, by the library
    `given` for maps like these: (N, K, h, w), channels last. Weights are float32. Numbers of
    channels, those of a group as well, are multiples of what a vector holds.
    """
    return _Convolution.apply(x, weight, bias, pad, given, groups)  # type: ignore[no-untyped-call, no-any-return]


def is_worth(tall: int, broad: int, maps: int, taps: int = 3, *, half: bool = False) -> bool:
    """Whether so many maps of output of that size are computed sooner so; `taps`: the kernel's;
    `half`: in bfloat16.
    """
    tile, worth = SIDE + 1 - taps, WORTH_IN_HALF[taps] if half else WORTH
    tiles = -(-tall // tile) * -(-broad // tile)
    return tall * broad * taps**2 >= worth * tiles * SIDE**2 and maps * tiles >= TILES


def _ways(network: nn.Module, dtype: torch.dtype) -> dict[nn.Module, Callable[[Tensor], Tensor]]:
    given, half = library(dtype), dtype == torch.bfloat16
    layers = [layer for layer in network.modules() if given and _is_plain(layer, half=half)]
    if half:  # not those that are held in float32
        layers = [layer for layer in layers if "forward" not in vars(layer)]
    return {layer: _forward(layer, given, half=half) for layer in layers}  # type: ignore[arg-type]


def _is_plain(layer: nn.Module, *, half: bool) -> bool:
    if type(layer) is not nn.Conv2d or layer.kernel_size not in FEWEST:
        return False
    usual = layer.stride == layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    if not usual or isinstance(layer.padding, str) or len(set(layer.padding)) != 1:
        return False
    few = min(_of_a_group(layer)) < FEWEST[layer.kernel_size]
    few |= half and math.prod(_of_a_group(layer)) < FEWEST_IN_HALF[layer.kernel_size]
    seen = 0 <= layer.padding[0] < layer.kernel_size[0]  # by every output, something of a map
    return not few and seen and layer.weight.dtype == torch.float32


def _of_a_group(layer: nn.Conv2d) -> tuple[int, int]:
    """Its channels in, and out."""
    return layer.in_channels // layer.groups, layer.out_channels // layer.groups


def _forward(layer: nn.Conv2d, given: Any, *, half: bool) -> Callable[[Tensor], Tensor]:
    usual = layer.forward
    fits = not any(count % given.neocog_winograd_lanes() for count in _of_a_group(layer))

    def forward(x: Tensor) -> Tensor:
        if not fits or not _suits(x, layer, half):
            return usual(x)
        pad, x = int(layer.padding[0]), x.bfloat16() if half else x
        return convolved(x, layer.weight, layer.bias, pad, given, layer.groups)

    return forward


def _suits(x: Tensor, layer: nn.Conv2d, half: bool) -> bool:
    kinds = (torch.float32, torch.bfloat16) if half else (torch.float32,)
    if x.device.type != "cpu" or x.dtype not in kinds or x.ndim != 4:
        return False
    if x.shape[1] != layer.in_channels or torch.is_autocast_enabled("cpu") != half:
        return False
    taps = layer.kernel_size[0]
    more = 2 * int(layer.padding[0]) + 1 - taps
    return is_worth(x.shape[2] + more, x.shape[3] + more, x.shape[0], taps, half=half)


class _Convolution(torch.autograd.Function):
    """Each sum is taken in the same order whenever as many threads take it."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Any, bias: Any, pad: int, given: Any, groups: int
    ) -> Tensor:
        lanes = given.neocog_winograd_lanes()
        if x.shape[1] // groups % lanes or len(weight) // groups % lanes:  # it would write beside
            raise ValueError(f"channels of a group are {lanes} or a multiple of it")
        x, rows = _last(x), _last(weight.detach())
        (n, c, high, wide), (k, _, taps, _) = x.shape, rows.shape
        tall, broad = high + 2 * pad + 1 - taps, wide + 2 * pad + 1 - taps
        y = torch.empty((n, k, tall, broad), dtype=x.dtype, memory_format=torch.channels_last)
        sizes = (n, high, wide, c // groups, tall, broad, k // groups, pad, c, k, taps)
        _call(given.neocog_winograd, sizes, groups, x=x, weight=rows, bias=bias, y=y)
        ctx.sizes, ctx.given, ctx.groups = sizes, given, groups
        ctx.bias = bias is not None
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x, weight), g = ctx.saved_tensors, _last(gradients[0])
        n, high, wide, c, tall, broad, k, pad, x_step, y_step, taps = ctx.sizes
        rows, made = _last(weight.detach()), None
        if ctx.needs_input_grad[0]:
            made = torch.empty_like(x)
            back = (n, tall, broad, k, high, wide, c, taps - 1 - pad, y_step, x_step, taps)
            maps = {"x": g, "weight": rows, "y": made}
            _call(ctx.given.neocog_winograd, back, ctx.groups, turned=True, **maps)
        of_weight, of_bias = torch.empty_like(rows), rows.new_empty(y_step)
        known = {"x": x, "g": g, "of_weight": of_weight, "of_bias": of_bias}
        _call(ctx.given.neocog_winograd_back, ctx.sizes, ctx.groups, **known)
        return made, of_weight, of_bias if ctx.bias else None, None, None, None


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _call(
    function: Any,
    sizes: tuple[int, ...],
    groups: int,
    *,
    turned: bool = False,
    **tensors: Tensor | None,
) -> None:
    """For one group after the other, whose channels are some of those of all maps."""
    there = {name: t for name, t in tensors.items() if t is not None}
    for i in range(groups):
        places = {
            name: t.chunk(groups, dim=int(name in ("x", "y", "g")))[i].data_ptr()
            for name, t in there.items()
        }
        way = native.Convolution(*sizes, torch.get_num_threads(), turned, **places)
        if function(ctypes.byref(way)):
            raise MemoryError("no memory is left for a convolution's tiles")


@torch.inference_mode(False)  # whoever asks for it first: slopes are looked at
def _is_right(given: Any, dtype: torch.dtype) -> bool:
    """Whether compiled it agrees with torch: a compiler, too, may be wrong."""
    generator, lanes = Generator().manual_seed(0), given.neocog_winograd_lanes()
    n, channels, maps = 15, 3 * lanes, 5 * lanes
    within = 2.0**-7 if dtype == torch.bfloat16 else 1e-3
    # of more tiles than kernels, and of fewer, on the way there or back
    for taps, pad, (high, wide) in ((3, 1, (9, 6)), (3, 0, (6, 7)), (5, 2, (5, 4)), (5, 1, (4, 3))):
        sizes = [(n, channels, high, wide), (maps, channels, taps, taps), (maps,)]
        drawn = [torch.randn(size, generator=generator) for size in sizes]
        more = 2 * pad + 1 - taps
        g = torch.randn((n, maps, high + more, wide + more), generator=generator).to(dtype)
        found = []
        for ours in (True, False):
            leaves = x, weight, bias = [t.clone().requires_grad_() for t in drawn]
            with torch.enable_grad():
                x = x.to(dtype)
                y = (
                    convolved(x, weight, bias, pad, given)
                    if ours
                    else F.conv2d(x.float(), weight, bias, padding=pad)
                )
                found.append([y.detach().float(), *slopes(y, leaves, g.to(y.dtype))])
        for one, other in zip(*found, strict=True):
            if not torch.allclose(one, other, rtol=within, atol=within / 10 * float(other.std())):
                return False
    return True
