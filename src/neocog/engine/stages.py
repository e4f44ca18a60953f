"""Convolution, ReLU and 2x2 max pooling as one, by stages.c: for small pictures of few channels.

So little is computed in such a stage that torch spends most of its time on setting six operators
up, and on writing maps that the next of them reads again.

Two cores of a Xeon with AMX, ms of torch 2.13.0 in float32, in bfloat16, and so, forwards and back,
2026-11-24: 128 pictures 1 @ 28x28 to 6 maps, kernels of 5x5, 3.3, 3.4 and 0.7; 6 @ 14x14 to 16,
2.0, 0.9 and 0.8. Where bfloat16 is asked for and there are tiles (AMX), in bfloat16: on such a Xeon
of less, 2026-12-01, 1.00 in float32 and 0.42 by tiles; 0.89 and 0.33.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.autograd.function import once_differentiable

from neocog.engine import machine, native
from neocog.engine.passes import is_heard
from neocog.engine.pooling import window_of
from neocog.engine.slopes import slopes

MOST_LINES = 64  # vectors of 8 numbers that a kernel and a pixel more cover: stages.c has as many
MOST_IN, MOST_OUT = 32, 64  # channels: with more, torch's are quicker in float32 too
FEW_IN = 6  # beside bfloat16: from 8 on it is the quicker, by a third with 16 (128 @ 16x16, 3x3)
TILES_IN, TILES_WIDE, DEEP = 8, 16, 32  # channels, width of a kernel, numbers that its row reads
CACHE = 48 * 1024  # bytes of a picture in its frame
POOLED = (2, 2, 0)  # size, step and padding


@functools.cache
def library() -> Any:
    """stages.c, compiled once; None where it cannot be, or computes wrongly."""
    found = native.built(native.STAGES)
    return found if found is not None and _is_right(found) else None


@functools.cache
def has_tiles() -> bool:
    """Whether stages.c multiplies tiles here, and rightly."""
    given = library()
    if given is None or not machine.has_tiles() or not given.neocog_tiles():
        return False
    return _is_right(given, tiles=True)


def suits_tiles(conv: nn.Conv2d) -> bool:
    """Whether a convolution of a stage can be computed by tiles."""
    wide = conv.kernel_size[1]
    few = conv.in_channels <= TILES_IN and conv.in_channels * wide <= DEEP
    return few and wide <= TILES_WIDE


def by_tiles(network: nn.Module) -> set[nn.Conv2d]:
    """The convolutions of its stages that are computed by tiles here, where bfloat16 is, if what
    they are given `fits`.
    """
    if not has_stages(network) or not has_tiles():
        return set()
    return set(filter(suits_tiles, _convolutions(network)))


def fits(conv: nn.Conv2d, given: tuple[int, ...]) -> bool:
    """Whether a stage takes inputs (N, C, H, W) of this size."""
    if len(given) != 4:
        return False
    pad, (kernel_h, kernel_w) = conv.padding, conv.kernel_size
    high, wide = given[2] + 2 * int(pad[0]), given[3] + 2 * int(pad[1])
    small = 4 * high * wide * conv.in_channels <= CACHE
    return given[1] == conv.in_channels and small and high > kernel_h and wide > kernel_w


def has_stages(network: nn.Module) -> bool:
    """Whether some of its layers are what `Stage` does."""
    return next(_convolutions(network), None) is not None


def _convolutions(network: nn.Module) -> Iterator[nn.Conv2d]:
    """Those that stages begin with."""
    sequences = (list(module) for module in network.modules() if type(module) is nn.Sequential)
    for layers in sequences:
        for i, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d) and is_stage(layers[i:]):
                yield layer


def is_stage(layers: list[nn.Module]) -> bool:
    """Whether `nn.Sequential` layers begin with what `Stage` does."""
    if len(layers) < 3:
        return False
    conv, relu, pool = layers[:3]
    plain = type(conv) is nn.Conv2d and type(relu) is nn.ReLU and type(pool) is nn.MaxPool2d
    if not plain or window_of(pool) != POOLED:  # type: ignore[arg-type]
        return False
    assert isinstance(conv, nn.Conv2d)
    usual = conv.groups == 1 and conv.dilation == (1, 1) and conv.stride == (1, 1)
    if not usual or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return False
    (high, wide), few = conv.kernel_size, conv.in_channels <= MOST_IN
    lines = -(-(wide + 1) * conv.in_channels // 8)
    return few and conv.out_channels <= MOST_OUT and high * lines <= MOST_LINES


class Stage:
    """max_pool2d(relu(conv(x)), 2), while it learns or nothing is to be learnt: (N, C, H, W) ->
    (N, K, h, w), float32 that is channels last. With `tiles` computed in bfloat16 where autocast
    asks for that, summed in float32; else in float32, in any precision.
    """

    def __init__(self, layers: list[nn.Module], given: Any, *, tiles: bool = False) -> None:
        self.layers, self.given = layers[:3], given
        assert isinstance(layers[0], nn.Conv2d)
        self.conv = layers[0]
        self.tiles = tiles and suits_tiles(self.conv)
        self.pad: tuple[int, int] = tuple(map(int, self.conv.padding))  # type: ignore[assignment]

    def __call__(self, x: Tensor) -> Tensor:
        if not self._suits(x):
            for layer in self.layers:
                x = layer(x)
            return x
        conv, given = self.conv, self.given
        ways = (given.neocog_stage, given.neocog_stage_back)
        if self.tiles and _in_half():
            ways = (given.neocog_stage_by_tiles, given.neocog_stage_back_by_tiles)
        made: Tensor = _Stage.apply(x, conv.weight, conv.bias, self.pad, ways)  # type: ignore[no-untyped-call]
        return made

    def _suits(self, x: Tensor) -> bool:
        conv = self.conv
        if not conv.training and torch.is_grad_enabled():
            return False
        if conv.in_channels > FEW_IN and not self.tiles and torch.is_autocast_enabled("cpu"):
            return False
        if x.device.type != "cpu" or x.ndim != 4 or not x.is_floating_point() or not len(x):
            return False
        weights = [conv.weight] if conv.bias is None else [conv.weight, conv.bias]
        if any(weight.dtype != torch.float32 for weight in weights):
            return False
        return fits(conv, tuple(x.shape)) and not any(map(is_heard, self.layers))


def stage_of(
    network: nn.Module, held: tuple[str, ...], dtype: torch.dtype
) -> Callable[[list[nn.Module]], Stage] | None:
    """What makes a stage of layers, where stages are compiled; those `held` are in float32."""
    given = library()
    if given is None:
        return None
    tiles = dtype == torch.bfloat16 and has_tiles()
    full = {layer for name, layer in network.named_modules() if name in held}
    return lambda layers: Stage(layers, given, tiles=tiles and layers[0] not in full)


def _in_half() -> bool:
    kind = torch.get_autocast_dtype("cpu")
    return torch.is_autocast_enabled("cpu") and kind == torch.bfloat16


class _Stage(torch.autograd.Function):
    """Each sum is taken in the same order whenever as many threads take it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Any, bias: Any, pad: Any, ways: Any) -> Tensor:
        x = _last(x)
        if not weight.is_contiguous():
            weight = _last(weight)
        bias = None if bias is None else bias.contiguous()
        (n, c, high, wide), (k, _, kernel_h, kernel_w) = x.shape, weight.shape
        tall = (high + 2 * pad[0] - kernel_h + 1) // 2
        broad = (wide + 2 * pad[1] - kernel_w + 1) // 2
        y = torch.empty((n, k, tall, broad), memory_format=torch.channels_last)
        place = torch.empty(y.numel(), dtype=torch.uint8)  # as it lies
        ctx.sizes = (n, high, wide, c, tall, broad, k, kernel_h, kernel_w, *pad, *weight.stride())
        ctx.back, ctx.bias = ways[1], bias is not None
        _call(ways[0], ctx.sizes, False, x=x, weight=weight, bias=bias, y=y, place=place)
        ctx.save_for_backward(x, weight, place)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x, weight, place), g = ctx.saved_tensors, _last(gradients[0])
        of_x = ctx.needs_input_grad[0]
        given = torch.empty_like(x) if of_x else None
        of_weight, of_bias = torch.empty_like(weight), torch.empty(len(weight))
        known = {"x": x, "weight": weight, "place": place, "g": g, "given": given}
        made = {"of_weight": of_weight, "of_bias": of_bias}
        _call(ctx.back, ctx.sizes, of_x, **known, **made)
        return given, of_weight, of_bias if ctx.bias else None, None, None


def _last(x: Tensor) -> Tensor:
    """In float32, channels last."""
    x = x if x.dtype == torch.float32 else x.float()
    return x.contiguous(memory_format=torch.channels_last)


def _call(function: Any, sizes: tuple[int, ...], of_x: bool, **tensors: Tensor | None) -> None:
    places = {name: t.data_ptr() for name, t in tensors.items() if t is not None}
    way = native.Stage(*sizes, torch.get_num_threads(), of_x, **places)
    if function(ctypes.byref(way)):
        raise MemoryError("no memory is left for a small picture")


@torch.inference_mode(False)  # whoever asks for it first: slopes are looked at
def _is_right(given: Any, *, tiles: bool = False) -> bool:
    """Whether compiled it agrees with torch: a compiler, too, may be wrong. Numbers that are exact
    in bfloat16 make the same sums by tiles.
    """
    generator = Generator().manual_seed(0)
    for channels, maps in ((1, 6), (3, 20)):
        with torch.random.fork_rng([]):  # whoever trains has set torch's generator
            conv = nn.Conv2d(channels, maps, 3, padding=1)
        layers: list[nn.Module] = [conv, nn.ReLU(), nn.MaxPool2d(2)]
        sizes = ((3, channels, 9, 7), (3, maps, 4, 3))
        x, g = (torch.randn(size, generator=generator).bfloat16().float() for size in sizes)
        for weight in conv.parameters():
            drawn = torch.randn(weight.shape, generator=generator) / 3
            weight.data.copy_(drawn.bfloat16())
        found = []
        for way in (Stage(layers, given, tiles=tiles), nn.Sequential(*layers)):
            one = x.clone().requires_grad_()
            half = tiles and isinstance(way, Stage)
            with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
                y = way(one)
                found.append([y.detach(), *slopes(y, [one, *layers[0].parameters()], g)])
        pairs = zip(*found, strict=True)
        if not all(torch.allclose(one, other, rtol=1e-3, atol=1e-4) for one, other in pairs):
            return False
    return True
