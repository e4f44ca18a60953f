"""How the weights of each layer are distributed, and their gradients in one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BINS = 61


@dataclass(frozen=True, eq=False)
class Weights:
    """Of one tensor of weights: its numbers, and a histogram of its values."""

    name: str  # "conv1", of "conv1.weight"
    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float  # absolute
    norm: float
    gradient: float | None  # the norm of the loss's gradient
    counts: np.ndarray  # int64 (BINS,)
    edges: np.ndarray  # float64 (BINS + 1,)

    @property
    def pace(self) -> float | None:
        """The gradient beside the weights: how fast they would change at a learning rate of 1."""
        return None if self.gradient is None else self.gradient / max(self.norm, 1e-12)

    def to_json(self) -> dict[str, Any]:
        said = {k: v for k, v in asdict(self).items() if k not in ("counts", "edges")}
        return {**said, "shape": list(self.shape), "pace": self.pace}


def weighed(network: nn.Module, gradients: dict[str, Tensor] | None = None) -> list[Weights]:
    """Of every tensor of weights with two axes or more, in the order of the network; biases and
    what scales a channel have one. `gradients` by the same names.
    """
    return [
        _weights(name, tensor.detach(), (gradients or {}).get(name))
        for name, tensor in network.named_parameters()
        if tensor.ndim >= 2
    ]


def _weights(name: str, values: Tensor, gradient: Tensor | None) -> Weights:
    flat = values.float().flatten().cpu().numpy().astype(np.float64)
    most = float(np.abs(flat).max(initial=0.0))
    counts, edges = np.histogram(flat, bins=BINS, range=(-most or -1.0, most or 1.0))
    return Weights(
        name=name.removesuffix(".weight"),
        shape=tuple(values.shape),
        mean=float(flat.mean()),
        std=float(flat.std()),
        largest=most,
        norm=float(np.sqrt((flat**2).sum())),
        gradient=None if gradient is None else float(gradient.double().norm()),
        counts=counts,
        edges=edges,
    )


def gradients(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> dict[str, Tensor]:
    """The gradients of the loss of one batch, by name; the network keeps none. What the batch
    does not reach is left out.
    """
    held = {name: tensor for name, tensor in network.named_parameters() if tensor.requires_grad}
    with torch.enable_grad():
        found = torch.autograd.grad(
            loss(network(inputs), labels), list(held.values()), allow_unused=True
        )
    return {name: slope for name, slope in zip(held, found, strict=True) if slope is not None}
