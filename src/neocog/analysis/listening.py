"""What the layers of a network put out: by hooks, so that any network will do, ours or not.

What is heard is as the layer made it: a ReLU behind it that works in place gets a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Shapes = dict[str, tuple[int, ...]]  # a layer's output, without N
Hear = Callable[[str, Tensor], None]


@contextmanager
def listening(network: nn.Module, names: Iterable[str], hear: Hear) -> Iterator[None]:
    """While it is open, `hear(name, output)` is called whenever one of these layers has run."""
    modules = dict(network.named_modules())

    def heard(name: str, module: nn.Module, given: Any, made: Any) -> Any:
        if not isinstance(made, Tensor):
            return None
        hear(name, made)
        return made.clone()

    with ExitStack() as back:
        for name in names:
            back.callback(modules[name].register_forward_hook(partial(heard, name)).remove)
        yield


def outputs(network: nn.Module, inputs: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """The outputs of these layers for inputs (N, C, H, W); of one that runs twice, the last."""
    return answered(network, inputs, names)[1]


def answered(
    network: nn.Module, inputs: Tensor, names: Iterable[str]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The logits, and the outputs of these layers on the way to them."""
    found: dict[str, Tensor] = {}
    with listening(network, names, found.__setitem__):
        logits: Tensor = network(inputs)
    return logits, found


@torch.no_grad()
def shapes(network: nn.Module, inputs: Tensor) -> Shapes:
    """The output shape of every layer that ran, stages and all that is in them, as they ended."""
    found: Shapes = {}

    def hear(name: str, made: Tensor) -> None:
        if len(made) == len(inputs):
            found[name] = tuple(made.shape[1:])

    with listening(network, [name for name, _ in network.named_modules() if name], hear):
        network(inputs)
    return found


def is_map(shape: tuple[int, ...]) -> bool:
    """Whether an output (C, H, W) has more than one position."""
    return len(shape) == 3 and shape[1] * shape[2] > 1


def stages_with_a_map(network: nn.Module, found: Shapes) -> list[str]:
    """The children of a network that put out a map, in order; where none does, all layers."""
    children = [name for name, _ in network.named_children() if is_map(found.get(name, ()))]
    return children or [name for name, shape in found.items() if is_map(shape)]


def last_map(network: nn.Module, found: Shapes) -> str | None:
    """The last stage with a map; None where no layer has one."""
    names = stages_with_a_map(network, found)
    return names[-1] if names else None


@torch.no_grad()
def last_weighted(network: nn.Module, inputs: Tensor) -> str | None:
    """The layer with weights that runs last: what it reads is what the network made of a picture.

    Logits that are its output, or that are computed from it without further weights.
    """
    with_weights = [
        name
        for name, module in network.named_modules()
        if next(module.children(), None) is None and any(True for _ in module.parameters())
    ]
    ran: list[str] = []
    with listening(network, with_weights, lambda name, made: ran.append(name)):
        network(inputs)
    return ran[-1] if ran else None


def read_by(network: nn.Module, inputs: Tensor, name: str) -> Tensor:
    """What a layer is given when the network sees inputs (N, C, H, W)."""
    given: list[Tensor] = []

    def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        given.append(arguments[0].clone())

    hook = dict(network.named_modules())[name].register_forward_pre_hook(before)
    try:
        network(inputs)
    finally:
        hook.remove()
    return given[-1]
