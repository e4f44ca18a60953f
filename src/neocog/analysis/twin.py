"""A network's twin on torch's meta device: the same shapes without numbers, to try pictures on."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from neocog.errors import UsageError

Size = tuple[int, int, int]  # (C, H, W)


def takes(network: nn.Module, size: Size) -> bool:
    """Whether a picture of (C, H, W) goes through."""
    return _goes_through(meta_twin(network), size)


def smallest_size(
    network: nn.Module, channels: int, *, largest: int = 512
) -> tuple[int, int] | None:
    """The smallest square picture (H, W) that goes through; None if none up to `largest` does."""
    twin = meta_twin(network)
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
    with torch.no_grad(), torch.device("meta"), Shapes():
        twin(picture_for(twin, size))


class Shapes(TorchDispatchMode):
    """Answers batch norms, whose maps are like what they are given: torch, which gets there by a
    dozen operators on meta tensors, takes 6 ms a norm and so most of the time of a pass. Whether
    the weights fit has been asked by then.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.native_batch_norm.default and args[0].is_meta:
            given = args[0]
            return torch.empty_like(given), *(given.new_empty(given.shape[1]) for _ in range(2))
        return func(*args, **(kwargs or {}))


def picture_for(twin: nn.Module, size: Size) -> Tensor:
    numbers = [t.dtype for t in twin.parameters() if t.is_floating_point()]
    return torch.empty(1, *size, device="meta", dtype=numbers[0] if numbers else None)


def meta_twin(network: nn.Module) -> nn.Module:
    """A copy of the network, in eval mode, with shapes for weights."""
    tensors = [t for m in network.modules() for t in _held(m)]
    # What is copied already deepcopy takes as it is, and of the weights it is told so.
    shapes: dict[int, object] = {id(t): _on_meta(t) for t in tensors}
    try:
        return copy.deepcopy(network, shapes).eval()
    except Exception as error:
        raise UsageError(
            f"{type(network).__name__} cannot be measured, for it cannot be copied: "
            f"{first_line(error)}"
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


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
