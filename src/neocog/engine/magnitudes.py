"""How large the weights of each layer are, and what the last step's loss asked of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from neocog.records import Norms


def norms_of(network: nn.Module, epoch: int) -> Norms:
    """Of every tensor of weights with two axes or more, in the order of the network; biases and
    what scales a channel have one. A GPU is waited for once.
    """
    held = {name: w for name, w in network.named_parameters() if w.ndim >= 2}
    norms: list[float] = []
    if held:
        with torch.no_grad():
            norms = torch.stack([_norm(of) for w in held.values() for of in (w, w.grad)]).tolist()
    kept = [norm if math.isfinite(norm) else None for norm in norms]
    names = [name.removesuffix(".weight") for name in held]
    return Norms(
        epoch=epoch,
        weights=dict(zip(names, kept[::2], strict=True)),
        gradients=dict(zip(names, kept[1::2], strict=True)),
    )


def _norm(values: Tensor | None) -> Tensor:
    return torch.tensor(math.nan) if values is None else values.float().norm()
