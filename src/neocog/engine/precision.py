"""Which layers of a network may run in bfloat16 here: those where it is right, and not slower.

Libraries have computed some convolutions wrongly in bfloat16 without a word (stride larger than
the kernel, 2x2 on a map of 2x2), and others many times slower than in float32 (grouped, dilated).
So each layer is tried, in the shape in which it will run: forward, and both its gradients.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from neocog.engine.hardware import Hardware
from neocog.engine.passes import in_bf16, in_fp32
from neocog.engine.slopes import slopes
from neocog.engine.stages import by_tiles, fits

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
# From the same numbers, exact in bfloat16, two ways differ by the rounding of the result alone, at
# most 2^-9 of it, where products are summed in float32. Kernels that round the parts of a sum too
# stay within 2^-5 (seen: 2^-4.9, a gradient summed over 256 pictures in bfloat16). What a kernel
# computes wrongly is wrong by as much as results are large.
BOUND = 2.0**-4
SLOWER = 1.05  # times float32's seconds: what is within noise stays in bfloat16
TRIES = 3
ENOUGH = 2**23  # numbers of a layer's input that are tried
ALIKE = 16  # of as many pictures at a time, which may be laid side by side (tiles.py)

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Shape:
    """All that a kernel is chosen by: the layer, what it is given, and whether that is learnt."""

    layer: str  # as it prints itself: kind, channels, kernel, stride, padding, groups, bias
    given: tuple[int, ...]  # (N, C, H, W) of its input
    first: bool  # it reads the pictures, which need no gradient


def to_hold(
    network: nn.Module, shape: tuple[int, ...], hardware: Hardware, *, speed: str
) -> tuple[str, ...]:
    """The layers of `network` to be kept in float32 where `hardware` computes in bfloat16.

    `shape` (N, C, H, W) is a batch's. `speed`: "timed" holds what is slower, "known" what is known
    to be (grouped and dilated convolutions on a CPU), "any" only what is wrong. Products that
    `forward` computes without a layer are not looked at, and no time is taken of a convolution that
    stages.py has, which is another by itself.
    """
    bare = dataclasses.replace(hardware, held=())
    staged = by_tiles(network) if hardware.stages == "fused" else ()
    held: list[str] = []
    for kind, layers in shapes(network, shape, hardware).items():
        layer = layers[0][1]
        small = {conv for conv in staged if fits(conv, kind.given)}
        timed = [name for name, one in layers if one not in small]
        if not is_right(layer, kind, bare):
            held += [name for name, _ in layers]
        elif timed and not _is_quick(layer, kind, bare, speed):
            held += timed
    _slope.cache_clear()
    return tuple(dict.fromkeys(held))  # a layer may run more than once


def shapes(
    network: nn.Module, shape: tuple[int, ...], hardware: Hardware
) -> dict[Shape, list[tuple[str, nn.Module]]]:
    """The layers by the shape in which they run, from one pass of two pictures in eval mode."""
    pictures = torch.randn(2, *shape[1:], device=hardware.device)
    found: dict[Shape, list[tuple[str, nn.Module]]] = {}

    def note(name: str, layer: nn.Module, given: tuple[Any, ...]) -> None:
        x = given[0]
        rows = _enough(max(x.shape[0] * shape[0] // 2, 1), x[0].numel())
        kind = Shape(repr(layer), (rows, *x.shape[1:]), x is pictures)
        found.setdefault(kind, []).append((name, layer))

    hooks = [
        layer.register_forward_pre_hook(partial(note, name))
        for name, layer in network.named_modules()
        if isinstance(layer, LAYERS)
    ]
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            getattr(network, "training_logits", network)(pictures)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return found


def _enough(rows: int, numbers: int) -> int:
    """Of so many rows, each of so many numbers, as many as are tried: to try a batch of 2,000 took
    more memory than the run.
    """
    most = max(ENOUGH // max(numbers, 1), 1)
    return rows if rows <= most else most // ALIKE * ALIKE or most


def is_right(layer: nn.Module, kind: Shape, hardware: Hardware) -> bool:
    """Whether bfloat16 gives of this layer what float32 gives, but for bfloat16's rounding."""
    twin, given = _rounded(layer), _given(kind, hardware)
    try:
        with hardware.in_force(twin):
            half = _results(_in_bf16(twin, hardware), twin, given, kind)
            full = _results(in_fp32(twin.forward, hardware.device), twin, given, kind)
    except RuntimeError:  # a layer that there is not in bfloat16
        return False
    return all(_close(*pair) for pair in zip(half, full, strict=True))


def _is_quick(layer: nn.Module, kind: Shape, hardware: Hardware, speed: str) -> bool:
    if speed == "timed":
        half, full = seconds(layer, kind, hardware)
        return half <= SLOWER * full
    many = getattr(layer, "groups", 1) > 1 or set(getattr(layer, "dilation", (1,))) != {1}
    return speed == "any" or not (many and hardware.device == "cpu")


def seconds(layer: nn.Module, kind: Shape, hardware: Hardware) -> tuple[float, float]:
    """How long the layer takes forwards and backwards in bfloat16, and in float32 among others.

    Its kernels have been made ready by `is_right`.
    """
    twin, given = copy.deepcopy(layer), _given(kind, hardware)
    best = [float("inf"), float("inf")]
    with hardware.in_force(twin):
        ways = (_in_bf16(twin, hardware), in_fp32(twin.forward, hardware.device))
        for _ in range(TRIES):
            for i, way in enumerate(ways):
                _wait(hardware.device)
                begin = time.perf_counter()
                _results(way, twin, given, kind)
                _wait(hardware.device)
                best[i] = min(best[i], time.perf_counter() - begin)
    return best[0], best[1]


def _results(forward: Forward, layer: nn.Module, given: Tensor, kind: Shape) -> list[Tensor]:
    """Output and the gradients of weights and input, for a gradient that is always the same."""
    x = given.detach().requires_grad_(not kind.first)
    made = forward(x)
    slope = _slope(made.shape, made.device)
    needed = [*layer.parameters(), *([] if kind.first else [x])]
    return [made.detach(), *slopes(made, needed, slope.to(made))]


@functools.lru_cache(maxsize=1)  # to draw it takes longer than the layer
def _slope(shape: torch.Size, device: torch.device) -> Tensor:
    generator = Generator(device).manual_seed(1)
    return torch.randn(shape, generator=generator, device=device).bfloat16()


def _in_bf16(layer: nn.Module, hardware: Hardware) -> Forward:
    def forward(x: Tensor) -> Tensor:
        with in_bf16(hardware.device):
            made: Tensor = layer(x)
        return made

    return forward


def _rounded(layer: nn.Module) -> nn.Module:
    """A copy with weights that are exact in bfloat16, drawn anew: those of a start may be zero."""
    twin = copy.deepcopy(layer)
    generator = Generator().manual_seed(2)
    for weight in twin.parameters():
        drawn = torch.randn(weight.shape, generator=generator).bfloat16()
        weight.data.copy_(drawn)
        weight.requires_grad_(True)
    return twin


def _given(kind: Shape, hardware: Hardware) -> Tensor:
    generator = Generator().manual_seed(3)
    drawn = torch.randn(kind.given, generator=generator).bfloat16().to(hardware.device)
    last = hardware.layout == "channels_last" and drawn.ndim == 4
    return drawn.to(memory_format=torch.channels_last) if last else drawn


def _close(half: Tensor, full: Tensor) -> bool:
    """Element by element; no number is close to what is none."""
    half, full = half.float(), full.float()
    bound = BOUND * (full.abs() + full.square().mean().sqrt())
    return bool(((half - full).abs() <= bound).all())


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
