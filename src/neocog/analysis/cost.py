"""What a network costs, layer by layer: output shape, weights, multiply-adds.

One forward pass of one picture on torch's meta device, which knows shapes and no numbers: it takes
no memory and no time to speak of, whatever the size, and the network itself is left alone.

Counted are the multiply-adds of convolutions and dense layers, biases not: what papers and
torchvision count. A module with arithmetic of its own declares `multiply_adds(output_shape)` and is
one layer. What `forward` computes without a module (attention products, `F.conv2d`) is not seen.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from neocog.errors import UsageError

Size = tuple[int, int, int]  # (C, H, W)


@dataclass(frozen=True)
class Layer:
    """One layer as it ran. A module that runs twice is two layers, the second without weights."""

    name: str  # the module's path: "conv1", "stage1.0"
    kind: str  # its class: "Conv2d"
    output: tuple[int, ...]  # without N; () where the output is no tensor
    parameters: int
    multiply_adds: int


def layers(network: nn.Module, size: Size) -> list[Layer]:
    """Every layer of `network` in the order in which they end, for one picture of (C, H, W)."""
    twin = _meta_twin(network)
    table: list[Layer] = []
    seen: set[Tensor] = set()
    at = ["the input"]

    def begin(name: str, *_: object) -> None:
        at[0] = f"layer {name!r}" if name else at[0]

    def end(name: str, module: nn.Module, given: tuple[object, ...], made: object) -> None:
        output = _shape(made)
        own = _own_parameters(module) - seen
        seen.update(own)
        if _is_layer(module) or own:
            count = sum(tensor.numel() for tensor in own)
            cost = _multiply_adds(module, _shape(given), output)
            table.append(Layer(name, type(module).__name__, output, count, cost))

    for name, module in _watched(twin):
        module.register_forward_pre_hook(partial(begin, name))
        module.register_forward_hook(partial(end, name))
    try:
        _run(twin, size)
    except Exception as error:
        raise UsageError(
            f"{type(network).__name__} cannot be followed beyond {at[0]} for an input of {size}: "
            f"{_first_line(error)}. Either the picture does not fit, or the network decides by the "
            "values of its data, which a pass without data cannot follow"
        ) from error
    return table


def takes(network: nn.Module, size: Size) -> bool:
    """Whether a picture of (C, H, W) goes through."""
    return _goes_through(_meta_twin(network), size)


def smallest_size(
    network: nn.Module, channels: int, *, largest: int = 512
) -> tuple[int, int] | None:
    """The smallest square picture (H, W) that goes through; None if none up to `largest` does."""
    twin = _meta_twin(network)
    # One by one, for what a network with dense layers takes is a range, with an end to it.
    for side in range(1, largest + 1):
        if _goes_through(twin, (channels, side, side)):
            return side, side
    return None


def _goes_through(twin: nn.Module, size: Size) -> bool:
    try:
        _run(twin, size)
    except Exception:  # whatever it was, it did not go through
        return False
    return True


def _run(twin: nn.Module, size: Size) -> None:
    numbers = [t.dtype for t in twin.parameters() if t.is_floating_point()]
    picture = torch.empty(1, *size, device="meta", dtype=numbers[0] if numbers else None)
    # Tensors that forward makes on its way go to meta too.
    with torch.no_grad(), torch.device("meta"):
        twin(picture)


def _meta_twin(network: nn.Module) -> nn.Module:
    """A copy of the network, in eval mode, with shapes for weights."""
    tensors = [t for m in network.modules() for t in _held(m)]
    # What is copied already deepcopy takes as it is, and of the weights it is told so.
    shapes: dict[int, object] = {id(t): _on_meta(t) for t in tensors}
    try:
        return copy.deepcopy(network, shapes).eval()
    except Exception as error:
        raise UsageError(
            f"{type(network).__name__} cannot be measured, for it cannot be copied: "
            f"{_first_line(error)}"
        ) from error


def _held(module: nn.Module) -> Iterable[Tensor]:
    """The weights and buffers of a module, and tensors that it keeps as plain attributes."""
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)
    yield from (value for value in vars(module).values() if isinstance(value, Tensor))


def _on_meta(tensor: Tensor) -> Tensor:
    if nn.parameter.is_lazy(tensor):
        raise UsageError("the network has lazy layers: run one picture through it first")
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty


def _watched(network: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Every module with its path, none below one that counts for itself."""
    below: tuple[str, ...] = ()
    for name, module in network.named_modules():
        if name.startswith(below):
            continue
        if _counts_itself(module):
            below = (*below, f"{name}." if name else "")
        yield name, module


def _counts_itself(module: nn.Module) -> bool:
    return callable(getattr(module, "multiply_adds", None))


def _is_layer(module: nn.Module) -> bool:
    return _counts_itself(module) or next(module.children(), None) is None


def _own_parameters(module: nn.Module) -> set[Tensor]:
    return set(module.parameters(recurse=_counts_itself(module)))


def _multiply_adds(module: nn.Module, given: tuple[int, ...], output: tuple[int, ...]) -> int:
    if _counts_itself(module):
        return int(cast(Any, module).multiply_adds(output))
    if isinstance(module, _ConvTransposeNd):  # each input meets the kernel, not each output
        return (
            math.prod(given) * math.prod(module.kernel_size) * module.out_channels // module.groups
        )
    if isinstance(module, _ConvNd):
        return (
            math.prod(output) * math.prod(module.kernel_size) * module.in_channels // module.groups
        )
    if isinstance(module, nn.Linear):
        return math.prod(output) * module.in_features
    return 0


def _shape(value: object) -> tuple[int, ...]:
    """The shape without N of a tensor, or of the first of several."""
    if isinstance(value, Tensor):
        return tuple(value.shape[1:])
    if isinstance(value, tuple | list):
        return _shape(value[0]) if value else ()
    return ()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
