"""Batch norms that do in one pass over memory what follows them, too.

A map of a large batch does not fit into a processor's caches, so each layer that only looks at it
costs a pass over memory: of a residual network's step in bfloat16 these are half. `fused.c` takes
norm, sum and activation together, forwards and backwards, for maps in bfloat16 or float32 that are
channels last, and remembers nothing that it can compute anew. Its sums are float32 and float64. It
is compiled when a run begins, in a second, where there is a C compiler; else torch does it all.

Two cores of a Xeon with AMX, ms of torch 2.13.0 and so, 32 maps 256 @ 56x56 in bfloat16,
2026-11-23: norm and ReLU 11.3 and 5.2, with a sum 16.7 and 6.2; back 19 and 8.9; norm and GELU 18.5
and 8.0, back 28.5 and 14.8. In float32 torch's norms are as quick, and a pass is saved, not two:
two cores of an EPYC with AVX2, memory kept, 2026-11-30: a step of MobileNet v2 takes 0.9 of the
time that it takes without, of ResNet-20 0.95, of ResNet-18, ResNet-50 and DenseNet-121 0.96 to 1.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from neocog.engine import native
from neocog.engine.norms import note
from neocog.engine.passes import FRESH, going, is_heard, is_residual
from neocog.engine.pooling import pooled_first, pooling, window_of
from neocog.engine.slopes import slopes
from neocog.engine.stages import Stage, is_stage, stage_of

NOTHING, RELU, TABLE, SIX = range(4)  # what follows a norm, as in fused.c
LOOKED_UP = (nn.GELU, nn.ReLU6, nn.SiLU, nn.Hardswish)


class Fused(NamedTuple):
    """fused.c, compiled, and the maps that it takes."""

    library: Any
    dtype: torch.dtype

    def act(self, after: nn.Module | None) -> int | None:
        """Its number for what follows a norm; None where it has none."""
        known: dict[type, int] = {type(None): NOTHING, nn.ReLU: RELU}
        if self.dtype == torch.float32:
            known[nn.ReLU6] = SIX
        else:
            known |= dict.fromkeys(LOOKED_UP, TABLE)
        return known.get(type(after))


@functools.cache
def library(dtype: torch.dtype = torch.bfloat16) -> Fused | None:
    """fused.c for maps in bfloat16 or float32, once; None where it cannot be made, or computes
    wrongly.
    """
    made = native.built(native.SOURCE, *(["-DFULL"] if dtype == torch.float32 else []))
    found = Fused(made, dtype)
    return found if made is not None and _is_right(found) else None


def has_norms(network: nn.Module) -> bool:
    """Whether some of its norms are done together with what follows them in float32, too: alone
    they take as long as torch's.
    """
    rows = [module for module in network.modules() if type(module) is nn.Sequential]
    pairs = (pair for row in rows for pair in itertools.pairwise(row))
    return any(_is_norm(norm) and type(after) in (nn.ReLU, nn.ReLU6) for norm, after in pairs)


@contextmanager
def norms_fused(
    network: nn.Module,
    *,
    norms: bool = True,
    stages: bool = False,
    held: tuple[str, ...] = (),
    dtype: torch.dtype = torch.bfloat16,
) -> Iterator[None]:
    """While training in `dtype`, bfloat16 or float32: each batch norm in an `nn.Sequential` of
    `network` together with the activation behind it, and with the sum of a residual unit. In
    bfloat16 pooling besides, and pooling before the ReLU that stands before it. With `stages`, in
    any precision, a convolution, its ReLU and pooling as one; without `norms` that alone. What is
    `held` in float32 is no stage in bfloat16.

    A layer that is called by itself, or listened to, does what it always does.
    """
    ways: dict[nn.Module, Callable[[Tensor], Tensor]] = {}
    given = library(dtype) if norms else None
    half = given if dtype == torch.bfloat16 else None
    staged = stage_of(network, held, dtype) if stages else None
    for module in network.modules() if given or staged else ():
        if type(module) is nn.Sequential:
            parts = _stages(list(module), given, staged)
            if len(parts) < len(module) or any(type(part) is _Norm for part in parts):
                ways[module] = partial(_through, parts)
        elif given and _is_summed(module):
            ways[module] = _unit(module, given)
        elif half and isinstance(module, nn.MaxPool2d) and window_of(module) is not None:
            ways[module] = pooling(module, half.library)
    with going(ways):
        yield


class _Norm:
    """A batch norm, and the activation that follows it."""

    def __init__(self, norm: nn.BatchNorm2d, given: Fused, after: nn.Module | None = None) -> None:
        self.norm, self.given, self.after = norm, given, after
        self.act = given.act(after)
        self.tables = native.tables(after) if after is not None and self.act == TABLE else None

    def __call__(self, x: Tensor, more: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W): act(norm(x) + more)."""
        norm = self.norm
        if not self._suits(x) or not (more is None or _like(more, x)):
            made: Tensor = norm(x)
            made = made if more is None else made + more
            return made if self.after is None else self.after(made)
        y, mean, var = _Normed.apply(x, more, norm.weight, norm.bias, self)  # type: ignore[no-untyped-call]
        rows = x.numel() // x.shape[1]
        note(norm, mean, var * rows / (rows - 1))
        return y  # type: ignore[no-any-return]

    def _suits(self, x: Tensor) -> bool:
        heard = is_heard(self.norm) or (self.after is not None and is_heard(self.after))
        way = vars(self.norm).get("forward")  # another's, as where norms of processes meet
        learns = self.norm.training and torch.is_grad_enabled()
        many = x.numel() > x.shape[1]  # of one number there is no variance
        laid = native.is_laid(x, self.given.dtype)
        return learns and laid and many and not heard and way is None

    def run(self, what: str, x: Tensor, **tensors: Tensor | None) -> None:
        place = {name: t.data_ptr() for name, t in tensors.items() if t is not None}
        threads, channels = torch.get_num_threads(), x.shape[1]
        way = native.Pass(x.numel() // channels, channels, threads, self.act, x.data_ptr(), **place)
        getattr(self.given.library, "neocog_" + what)(ctypes.byref(way))


class _Normed(torch.autograd.Function):
    """Ioffe and Szegedy 2015, algorithm 1, and then `act(y + more)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, more: Any, weight: Any, bias: Any, how: _Norm) -> Any:
        rows, eps = x.numel() // x.shape[1], how.norm.eps
        sums = _zeros(x)
        how.run("sums", x, sums=sums)
        mean = sums[0, 0] / rows
        var = (sums[0, 1] / rows - mean**2).clamp(min=0)
        deviation = torch.rsqrt(var + eps)
        scale = deviation if weight is None else deviation * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        scale, shift = scale.float(), shift.float()
        y = torch.empty_like(x)
        table = how.tables[0] if how.tables else None
        how.run("apply", x, more=more, scale=scale, shift=shift, y=y, table=table)
        ctx.how, ctx.sum = how, more is not None
        ctx.save_for_backward(x, y if ctx.sum else None, scale, shift, mean, deviation)
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, y, scale, shift, mean, deviation = ctx.saved_tensors
        how, g = ctx.how, gradients[0].contiguous(memory_format=torch.channels_last)
        rows, sums = x.numel() // x.shape[1], _zeros(x)
        more = y  # that there was something is all that is asked of it
        table = how.tables[1] if how.tables else None
        known = {"more": more, "y": y, "g": g, "scale": scale, "shift": shift, "table": table}
        known["mean"] = mean.float()
        how.run("back_sums", x, sums=sums, **known)
        slopes, products = sums[0]
        slant = -scale * deviation**2 * products / rows
        level = -scale * slopes / rows
        given = torch.empty_like(x)
        added = torch.empty_like(x) if ctx.sum and ctx.needs_input_grad[1] else None
        slant, level = slant.float(), level.float()
        how.run("back", x, slant=slant, level=level, given=given, given_more=added, **known)
        of_weight = (products * deviation).float() if ctx.needs_input_grad[2] else None
        of_bias = slopes.float() if ctx.needs_input_grad[3] else None
        return given, added, of_weight, of_bias, None


class _Fork(torch.autograd.Function):
    """x twice. torch adds the two gradients in place, which for large maps in bfloat16 takes three
    times as long (see `passes.not_in_place`).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.view_as(x), x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        one, other = gradients
        return one + other


def _stages(
    layers: list[nn.Module],
    given: Fused | None,
    staged: Callable[[list[nn.Module]], Stage] | None = None,
) -> list[Callable[[Tensor], Tensor]]:
    """The layers of an `nn.Sequential`, a norm and the activation behind it as one by the library
    `given`, whole stages by `staged`; what there is no library for, as it is.
    """
    made: list[Callable[[Tensor], Tensor]] = []
    rest, layer = list(layers), None
    while rest:
        if staged and is_stage(rest):
            layer = rest[2]
            made.append(staged(rest))
            del rest[:3]
            continue
        own, layer = isinstance(layer, FRESH), rest.pop(0)
        if not given:
            made.append(layer)
        elif isinstance(layer, nn.BatchNorm2d) and _is_norm(layer):
            acts = bool(rest) and given.act(rest[0]) is not None
            made.append(_Norm(layer, given, rest.pop(0) if acts else None))
        elif type(layer) is nn.ReLU and own and rest and isinstance(rest[0], nn.MaxPool2d):
            made.append(pooled_first(layer, rest.pop(0)))
        else:
            made.append(layer)
    return made


def _through(stages: list[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
    for stage in stages:
        x = stage(x)
    return x


def _unit(unit: Any, given: Fused) -> Callable[[Tensor], Tensor]:
    """A residual unit whose branch ends in a norm: with its sum and its ReLU."""
    branch, shortcut, after, usual = unit.branch, unit.shortcut, unit.after, unit.forward
    *layers, last = branch
    stages, norm = _stages(layers, given), _Norm(last, given, after)

    def forward(x: Tensor) -> Tensor:
        learns = unit.training and torch.is_grad_enabled() and x.requires_grad
        if not learns or is_heard(branch):
            made: Tensor = usual(x)
            return made
        half = given.dtype == torch.bfloat16
        one, other = _Fork.apply(x) if half else (x, x)  # type: ignore[no-untyped-call]
        more: Tensor = shortcut(other)
        return norm(_through(stages, one), more)

    return forward


def _is_summed(unit: Any) -> bool:
    """Whether it is a residual unit whose sum and ReLU can be done with the norm before them."""
    if not is_residual(unit):
        return False
    layers = list(unit.branch) if type(unit.branch) is nn.Sequential else []
    return bool(layers) and _is_norm(layers[-1]) and type(unit.after) is nn.ReLU


def _is_norm(norm: nn.Module) -> bool:
    if not isinstance(norm, nn.BatchNorm2d):
        return False
    usual = type(norm).forward is nn.BatchNorm2d.forward
    kept = norm.track_running_stats and norm.momentum is not None
    return usual and kept and norm.num_features % native.WIDTH == 0


def _like(more: Tensor, x: Tensor) -> bool:
    return more.shape == x.shape and more.dtype == x.dtype and native.is_dense(more)


def _zeros(x: Tensor) -> Tensor:
    return torch.zeros(torch.get_num_threads(), 2, x.shape[1], dtype=torch.float64)


@torch.inference_mode(False)  # whoever asks for it first: slopes are looked at
def _is_right(given: Fused) -> bool:
    """Whether compiled it agrees with torch: a compiler, too, may be wrong."""
    generator = Generator().manual_seed(0)
    norm = nn.BatchNorm2d(2 * native.WIDTH)
    x, more, g = (torch.randn(4, 2 * native.WIDTH, 3, 5, generator=generator) for _ in range(3))
    maps = [t.to(given.dtype, memory_format=torch.channels_last) for t in (x, more, g)]
    found = []

    def usual(a: Tensor, b: Tensor) -> Tensor:
        made: Tensor = norm(a)
        return F.relu(made + b)

    for way in (_Norm(norm, given, nn.ReLU()), usual):
        a, b = (t.detach().clone().requires_grad_() for t in maps[:2])
        with torch.enable_grad():
            y = way(a, b)
            found.append([y.detach(), *slopes(y, [a, b, norm.weight, norm.bias], maps[2])])
    near = 0.05 if given.dtype == torch.bfloat16 else 1e-4
    return all(
        torch.allclose(one.float(), other.float(), rtol=near, atol=near)
        for one, other in zip(*found, strict=True)
    )
