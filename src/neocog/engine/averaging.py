"""Averages of the weights over the steps.

Lookahead: Zhang et al., arXiv:1907.08610. A slow copy follows the weights, and every few steps they
jump back to it. As github.com/KellerJordan/cifar10-airbench has it, the copy keeps next to nothing
of itself at first, so that no time is lost, and more and more towards the end.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neocog.recipe import Recipe

EVERY = 5  # steps between jumps
KEPT = 0.95**EVERY  # of the slow copy, at the last jump
POWER = 3  # of the share of the run that is done, times KEPT: what is kept at earlier ones


class Lookahead:
    """The slow copy: of the weights and of the statistics of batch norms."""

    def __init__(self, network: nn.Module) -> None:
        self.slow = {name: tensor.clone() for name, tensor in _numbers(network).items()}

    def after(self, step: int, network: nn.Module, *, done: float) -> None:
        """To be called after each step of the run, counted from 1; `done` from 0 to 1."""
        if step % EVERY == 0:
            self.jump(network, done=done)

    @torch.no_grad()
    def jump(self, network: nn.Module, *, done: float) -> None:
        """Bring the slow copy nearer to the weights, and the weights to the slow copy."""
        fast, slow = list(_numbers(network).values()), list(self.slow.values())
        torch._foreach_lerp_(slow, fast, 1 - KEPT * done**POWER)
        torch._foreach_copy_(fast, slow)

    def restore(self, slow: dict[str, Tensor]) -> None:
        """Go on from the `slow` of another; raises `KeyError` if it is of another network."""
        for name, tensor in self.slow.items():
            tensor.copy_(slow[name])


def average_for(network: nn.Module, recipe: Recipe) -> Lookahead | None:
    """What the recipe names, begun from the weights as they are."""
    return Lookahead(network) if recipe.average == "lookahead" else None


def _numbers(network: nn.Module) -> dict[str, Tensor]:
    """What of a network is no count: weights and statistics, by name."""
    state = network.state_dict()
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}
