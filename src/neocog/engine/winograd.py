"""Convolutions of 3x3 and 5x5 in float32 by a quarter of the products, and by little more than a
third: Winograd's F(4x4, 3x3) and F(2x2, 5x5).

Lavin and Gray 2016, Fast Algorithms for Convolutional Neural Networks, sections 4 and 5. What is
computed is the same, and only how it is rounded differs: of all outputs together about a millionth
is lost, two to five times what torch's direct sum loses (winograd.c says how). Where a processor
has units for bfloat16 these are quicker still; most laptops have none.

Two cores of an EPYC with AVX2, ms of torch 2.13.0 and so, forwards and back, 2026-11-30: 128 maps
16 @ 32x32, 29 and 19; 64 @ 32x32, 455 and 164; 512 @ 4x4, 544 and 230; 32 maps 384 @ 13x13, 633 and
316; 512 @ 7x7, 346 and 203; of 5x5, 64 maps 96 @ 26x26 to 256, 2,502 and 1,025. A step of ResNet-18
on 128 pictures of 32 px, 6.7 s and 3.1; of the book's AlexNet on 64, 5.7 and 2.6.
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

SIDE = 6  # pixels that a tile of outputs is made of, either way
# Channels by kernels: with fewer there is less to multiply than to look at. Of 5x5 16 would gain as
# well, but in LeNet-5, whose layer that is, of one pixel of output, there would be none to gain it.
FEWEST = {(3, 3): 16, (5, 5): 24}
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
    """The convolutions of `network` so computed, where kernels, maps and batch are large enough."""
    with going(_ways(network)):
        yield


def with_fewer_products(network: nn.Module) -> nn.Module:
    """`network`, whose convolutions are so computed from now on."""
    for layer, forward in _ways(network).items():
        vars(layer)["forward"] = forward
    return network


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, pad: int, given: Any, groups: int = 1
) -> Tensor:
    """`F.conv2d` of (N, C, H, W) with kernels (K, C / groups, 3, 3) or 5 by 5, by the library
    `given`: (N, K, h, w), channels last. Numbers of channels, those of a group as well, are
    multiples of what a vector holds.
    """
    return _Convolution.apply(x, weight, bias, pad, given, groups)  # type: ignore[no-untyped-call, no-any-return]


def is_worth(tall: int, broad: int, maps: int, taps: int = 3) -> bool:
    """Whether so many maps of output of that size are computed sooner so; `taps`: the kernel's."""
    tile = SIDE + 1 - taps
    tiles = -(-tall // tile) * -(-broad // tile)
    return tall * broad * taps**2 >= WORTH * tiles * SIDE**2 and maps * tiles >= TILES


def _ways(network: nn.Module) -> dict[nn.Module, Callable[[Tensor], Tensor]]:
    given = library()
    layers = [layer for layer in network.modules() if given and _is_plain(layer)]
    return {layer: _forward(layer, given) for layer in layers}  # type: ignore[arg-type]


def _is_plain(layer: nn.Module) -> bool:
    if type(layer) is not nn.Conv2d or layer.kernel_size not in FEWEST:
        return False
    usual = layer.stride == layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    if not usual or isinstance(layer.padding, str) or len(set(layer.padding)) != 1:
        return False
    few = min(_of_a_group(layer)) < FEWEST[layer.kernel_size]
    seen = 0 <= layer.padding[0] < layer.kernel_size[0]  # by every output, something of a map
    return not few and seen and layer.weight.dtype == torch.float32


def _of_a_group(layer: nn.Conv2d) -> tuple[int, int]:
    """Its channels in, and out."""
    return layer.in_channels // layer.groups, layer.out_channels // layer.groups


def _forward(layer: nn.Conv2d, given: Any) -> Callable[[Tensor], Tensor]:
    usual = layer.forward
    fits = not any(count % given.neocog_winograd_lanes() for count in _of_a_group(layer))

    def forward(x: Tensor) -> Tensor:
        if not fits or not _suits(x, layer):
            return usual(x)
        pad = int(layer.padding[0])
        return convolved(x, layer.weight, layer.bias, pad, given, layer.groups)

    return forward


def _suits(x: Tensor, layer: nn.Conv2d) -> bool:
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.ndim != 4:
        return False
    if x.shape[1] != layer.in_channels or torch.is_autocast_enabled("cpu"):
        return False
    taps = layer.kernel_size[0]
    more = 2 * int(layer.padding[0]) + 1 - taps
    return is_worth(x.shape[2] + more, x.shape[3] + more, x.shape[0], taps)


class _Convolution(torch.autograd.Function):
    """Each sum is taken in the same order whenever as many threads take it."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Any, bias: Any, pad: int, given: Any, groups: int
    ) -> Tensor:
        x, rows = _last(x), _last(weight.detach())
        (n, c, high, wide), (k, _, taps, _) = x.shape, rows.shape
        tall, broad = high + 2 * pad + 1 - taps, wide + 2 * pad + 1 - taps
        y = torch.empty((n, k, tall, broad), memory_format=torch.channels_last)
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
        of_weight, of_bias = torch.empty_like(rows), torch.empty(y_step)
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
def _is_right(given: Any) -> bool:
    """Whether compiled it agrees with torch: a compiler, too, may be wrong."""
    generator, lanes = Generator().manual_seed(0), given.neocog_winograd_lanes()
    n, channels, maps = 9, 3 * lanes, 5 * lanes
    for taps, pad, (high, wide) in ((3, 1, (9, 6)), (3, 0, (6, 7)), (5, 2, (5, 4)), (5, 1, (6, 7))):
        sizes = [(n, channels, high, wide), (maps, channels, taps, taps), (maps,)]
        drawn = [torch.randn(size, generator=generator) for size in sizes]
        more = 2 * pad + 1 - taps
        g = torch.randn((n, maps, high + more, wide + more), generator=generator)
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
