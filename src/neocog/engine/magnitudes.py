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
    norms: list[float] = _norms(list(held.values())).tolist() if held else []
    kept = [norm if math.isfinite(norm) else None for norm in norms]
    names = [name.removesuffix(".weight") for name in held]
    return Norms(
        epoch=epoch,
        weights=dict(zip(names, kept[::2], strict=True)),
        gradients=dict(zip(names, kept[1::2], strict=True)),
    )


@torch.no_grad()
def _norms(weights: list[nn.Parameter]) -> Tensor:
    """Of each weight and of its gradient, one after the other; nan where there is none."""
    made: list[Tensor] = []
    for weight in weights:
        made.append(weight.float().norm())
        if weight.grad is None:
            made.append(torch.full((), math.nan, device=weight.device))
        else:
            made.append(weight.grad.float().norm())
    return torch.stack(made)
