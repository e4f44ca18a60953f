"""How the units of each layer behave over many pictures: dead, off, saturated, mean and spread.

A map is one unit. A unit is dead that is never above zero, at no position of any of the pictures:
behind a ReLU nothing reaches it any more. A value is saturated that lies within a twentieth of the
range of a sigmoid, a tanh or their like from one of its ends, where it hardly passes a gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neocog.analysis.listening import listening

NEAR = 0.05  # of the range
FAR = 1e4  # what is given to a function to see where it ends
BOUNDED = 1e3


@dataclass(frozen=True)
class Behaviour:
    """Of one layer. Shares are from 0 to 1."""

    name: str
    kind: str  # its class: "ReLU"
    units: int
    dead: float  # of the units
    zero: float  # of the values: not above zero
    saturated: float | None  # of the values; None for a function without ends
    mean: float
    std: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@torch.no_grad()
def behaviour(network: nn.Module, batches: Iterable[Tensor]) -> list[Behaviour]:
    """Of every layer that is an activation function, over inputs (N, C, H, W); of the children of
    a network that has no such layers.
    """
    modules = dict(network.named_modules())
    ends = {name: found for name, m in modules.items() if (found := ends_of(m)) is not None}
    if not ends:
        ends = {name: () for name, _ in network.named_children()}
    counts: dict[str, _Count] = {}

    def hear(name: str, made: Tensor) -> None:
        if made.ndim >= 2:
            counts.setdefault(name, _Count(ends[name])).add(made)

    with listening(network, ends, hear):
        for inputs in batches:
            network(inputs)
    return [count.behaviour(name, type(modules[name]).__name__) for name, count in counts.items()]


def ends_of(module: nn.Module) -> tuple[float, ...] | None:
    """The ends at which a function of single values saturates, then its range; () if it has none.

    None for what is no such function. It is asked: an end that it also has at 0 is rest, as the
    zero of a ReLU.
    """
    kind = type(module).__name__
    alone = next(module.children(), None) is None
    if not alone or "Norm" in kind or "Softmax" in kind or "Dropout" in kind:
        return None
    if not isinstance(module, nn.PReLU) and any(True for _ in module.parameters()):
        return None
    asked = torch.tensor([[-FAR, -1.0, 0.0, 1.0, FAR]])
    try:
        made = module(asked.clone())
    except Exception:  # it takes maps, or several tensors, or whatever
        return None
    if not isinstance(made, Tensor) or made.shape != asked.shape or bool((made == asked).all()):
        return None
    low, _, rest, _, high = made[0].tolist()
    if max(abs(low), abs(high)) > BOUNDED or low == high:
        return ()
    return (*(end for end in (low, high) if end != rest), abs(high - low))


class _Count:
    """What was seen of one layer so far."""

    def __init__(self, ends: tuple[float, ...]) -> None:
        self.ends, self.range = ends[:-1], ends[-1] if ends else 0.0
        self.alive = torch.zeros(0, dtype=torch.bool)
        self.zero = self.saturated = self.values = 0
        self.sum = self.squares = 0.0

    def add(self, made: Tensor) -> None:
        units = made.detach().float().transpose(0, 1).flatten(1)  # (units, values)
        alive = (units > 0).any(1).cpu()
        self.alive = alive if not len(self.alive) else self.alive | alive
        self.zero += int((units <= 0).sum())
        near = torch.zeros_like(units, dtype=torch.bool)
        for end in self.ends:
            near |= (units - end).abs() <= NEAR * self.range
        self.saturated += int(near.sum())
        self.values += units.numel()
        self.sum += float(units.sum(dtype=torch.float64))
        self.squares += float(units.double().square().sum())

    def behaviour(self, name: str, kind: str) -> Behaviour:
        mean = self.sum / self.values
        return Behaviour(
            name=name,
            kind=kind,
            units=len(self.alive),
            dead=float((~self.alive).double().mean()),
            zero=self.zero / self.values,
            saturated=self.saturated / self.values if self.ends else None,
            mean=mean,
            std=max(self.squares / self.values - mean**2, 0.0) ** 0.5,
        )
