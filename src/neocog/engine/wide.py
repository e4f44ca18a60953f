"""Dense layers of many weights in bfloat16, read and written as seldom as can be.

AlexNet's and VGG's have 45 to 124 million weights, and a batch has few pictures: what such a layer
takes is not its products but the passes over its weights. By torch these are 42 bytes a weight and
step: it is rounded to bfloat16 anew and read, forwards and back; its gradient is written, made
float32, looked at and read; momentum and weight are read and written. Here they are 28: the update
writes the rounded copy by which the next step multiplies, and reads the gradient in the bfloat16 in
which it was computed. What comes out is the same.

Two cores of a Xeon with AMX, 2026-11-23: AlexNet's step, 128 pictures of 224 px, 500 ms and 487 so,
VGG-11's, 16 pictures, 637 and 590.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from neocog.engine import native
from neocog.engine.fused import library
from neocog.engine.passes import going

MANY = 2**20  # weights from which a layer is one of these
HALF = "half"  # where a weight keeps (version, rounded copy)


@contextmanager
def wide_layers(network: nn.Module) -> Iterator[None]:
    """While training in bfloat16, under autocast, by one process and a batch at once. The gradients
    of such layers' weights are bfloat16; `update` is for them.
    """
    layers: list[Any] = [layer for layer in network.modules() if _is_wide(layer)]
    layers = layers if layers and _library() else []
    weights = [layer.weight for layer in layers]
    if len(set(map(id, weights))) < len(weights):  # one that layers share sums two gradients
        layers, weights = [], []
    try:
        for weight in weights:
            _grad_in(weight, torch.bfloat16)
        with going({layer: partial(_forward, layer, layer.forward) for layer in layers}):
            yield
    finally:
        for weight in weights:
            vars(weight).pop(HALF, None)
            _grad_in(weight, torch.float32)


def updates(weight: Tensor) -> bool:
    """Whether `update` is what moves it."""
    return weight.grad is not None and weight.grad.dtype == torch.bfloat16 != weight.dtype


def measures(slope: Tensor) -> bool:
    """Whether `norm` is for it."""
    kind = (slope.dtype, slope.device.type)
    laid = slope.numel() >= MANY and slope.numel() % native.WIDTH == 0 and slope.is_contiguous()
    return kind == (torch.bfloat16, "cpu") and laid and _library() is not None


@torch.no_grad()
def update(weight: Tensor, group: dict[str, Any], state: dict[str, Any], given: Any = None) -> None:
    """One step of SGD as torch does it, for a weight of `wide_layers`."""
    assert weight.grad is not None
    momentum, slope, half = group["momentum"], weight.grad.contiguous(), rounded(weight)
    buffer, first = state.get("momentum_buffer"), False
    if momentum:
        first = buffer is None
        # one of a checkpoint may lie otherwise
        buffer = torch.empty_like(weight) if buffer is None else buffer.contiguous()
        state["momentum_buffer"] = buffer
    how = native.Update(
        weight.numel(),
        torch.get_num_threads(),
        first,
        bool(group["nesterov"]),
        group["lr"],
        momentum,
        group["weight_decay"],
        weight.data_ptr(),
        buffer.data_ptr() if momentum and buffer is not None else None,
        slope.data_ptr(),
        half.data_ptr(),
    )
    (given or _library()).neocog_update(ctypes.byref(how))
    increment_version(weight)
    vars(weight)[HALF] = (weight._version, half)


def norm(slope: Tensor) -> float:
    """Of such a gradient; torch takes four times as long for some sizes, and rounds it."""
    sums = torch.empty(torch.get_num_threads(), dtype=torch.float64)
    address, where = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (slope, sums))
    many, threads = ctypes.c_int64(slope.numel()), ctypes.c_int32(len(sums))
    _library().neocog_squares(many, threads, address, where)
    return math.sqrt(float(sums.sum()))


def rounded(weight: Tensor) -> Tensor:
    """The weight in bfloat16: kept until somebody else changes it."""
    version, half = vars(weight).get(HALF, (-1, weight))
    if version != weight._version:
        half = weight.detach().bfloat16()
        vars(weight)[HALF] = (weight._version, half)
    made: Tensor = half
    return made


@functools.cache
def _library() -> Any:
    """fused.c, if what it does here, too, agrees with torch."""
    found = library()
    if found is None:
        return None
    given = found.library
    generator = torch.Generator().manual_seed(0)
    weight, slope = (torch.randn(2, 40, generator=generator) for _ in range(2))
    wanted, state = weight.clone(), dict[str, Any]()
    weight.grad_dtype, group = torch.bfloat16, {"lr": 0.5, "momentum": 0.9, "nesterov": True}
    weight.grad = slope.bfloat16()
    update(weight, {**group, "weight_decay": 0.1}, state, given)
    wanted -= 0.5 * 1.9 * (slope.bfloat16() + 0.1 * wanted)
    same = torch.allclose(weight, wanted, rtol=1e-4, atol=1e-5)
    return given if same and torch.equal(rounded(weight), weight.bfloat16()) else None


def _is_wide(layer: nn.Module) -> bool:
    if type(layer) is not nn.Linear or not isinstance(layer.weight, nn.Parameter):
        return False
    weight = layer.weight
    many = weight.numel() >= MANY and weight.numel() % native.WIDTH == 0
    plain = weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.is_contiguous()
    own = "forward" not in vars(layer)  # not one that is held in float32
    return many and plain and own and weight.requires_grad


def _forward(layer: nn.Linear, usual: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if x.ndim != 2 or not torch.is_autocast_enabled("cpu"):
        return usual(x)
    half: Tensor = rounded(layer.weight)
    return _Dense.apply(x, layer.weight, layer.bias, half)  # type: ignore[no-untyped-call, no-any-return]


class _Dense(torch.autograd.Function):
    """x W^T + b: (N, in) -> (N, out)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, half: Tensor) -> Tensor:
        given = x.bfloat16()
        ctx.save_for_backward(given, half)
        ctx.kind = x.dtype
        return F.linear(given, half, None if bias is None else bias.bfloat16())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x, half), g = ctx.saved_tensors, gradients[0]
        of_x = (g @ half).to(ctx.kind) if ctx.needs_input_grad[0] else None
        of_weight = g.t() @ x if ctx.needs_input_grad[1] else None
        of_bias = g.sum(0, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        return of_x, of_weight, of_bias, None


def _grad_in(weight: Tensor, kind: torch.dtype) -> None:
    slope, weight.grad = weight.grad, None
    weight.grad_dtype = kind
    weight.grad = None if slope is None else slope.to(kind)
