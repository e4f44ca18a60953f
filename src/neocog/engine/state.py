"""What changes while a network is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from neocog.engine.averaging import Lookahead, average_for
from neocog.engine.optimizers import optimizer_for
from neocog.engine.ranks import ALONE, Ranks
from neocog.engine.schedules import epoch_count, steps_in
from neocog.recipe import Recipe
from neocog.records import Epoch, Norms


@dataclass(eq=False)
class Training:
    """All that changes while training: what a checkpoint holds."""

    network: nn.Module
    optimizer: Optimizer
    epoch: int = 0  # the one under way
    step: int = 0  # steps done in it
    pictures: int = 0  # seen in it
    seconds: float = 0.0  # spent in its steps
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))
    correct: Tensor = field(default_factory=lambda: torch.zeros(()))
    history: list[Epoch] = field(default_factory=list)
    norms: list[Norms] = field(default_factory=list)  # one more, between last step and epoch's end
    average: Lookahead | None = None

    @classmethod
    def begin(cls, network: nn.Module, recipe: Recipe) -> Training:
        optimizer = optimizer_for(network, recipe)
        return cls(network, optimizer, average=average_for(network, recipe))

    def done(self, recipe: Recipe, whole: int) -> float:
        """The share of the run's steps that are done, where a whole epoch has `whole` of them."""
        last = epoch_count(recipe) - 1
        return (self.epoch * whole + self.step) / (last * whole + steps_in(recipe, last, whole))

    def state(self, ranks: Ranks = ALONE) -> dict[str, Any]:
        """Everything as tensors and plain values, for `restore`. Of several processes all call it;
        it is the first one's, and what of the epoch each has counted.
        """
        counted = [self.pictures, float(self.loss_sum), float(self.correct)]
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "pictures": self.pictures,
            "seconds": self.seconds,
            "loss_sum": self.loss_sum.cpu(),
            "correct": self.correct.cpu(),
            "history": [epoch.to_json() for epoch in self.history],
            "norms": [each.to_json() for each in self.norms],
            "average": self.average.slow if self.average else {},
            "parts": ranks.gathered(counted) if ranks.world > 1 else [],
        }

    def restore(self, state: dict[str, Any], ranks: Ranks = ALONE) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.pictures, self.seconds = state["pictures"], state["seconds"]
        device = next(self.network.parameters()).device
        self.loss_sum = state["loss_sum"].to(device)
        self.correct = state["correct"].to(device)
        self._take_part(state.get("parts", []), ranks)
        self.history = [Epoch.from_json(epoch) for epoch in state["history"]]
        self.norms = [Norms.from_json(each) for each in state.get("norms", [])]
        if self.average:
            self.average.restore(state["average"])

    def _take_part(self, parts: list[list[float]], ranks: Ranks) -> None:
        """What this process has counted; of another number of them, its share."""
        if len(parts) == ranks.world > 1:
            pictures, loss_sum, correct = parts[ranks.rank]
        elif parts or ranks.world > 1:
            every = parts or [[self.pictures, float(self.loss_sum), float(self.correct)]]
            pictures, loss_sum, correct = (sum(of) / ranks.world for of in zip(*every, strict=True))
        else:
            return
        self.pictures = int(pictures)
        self.loss_sum = torch.full_like(self.loss_sum, loss_sum)
        self.correct = torch.full_like(self.correct, correct)
