"""The training loop, whole: a generator of facts.

    for fact in fit(training, batches, val, spec, recipe):
        ...  # a Step after each step, an Epoch after each epoch

Whoever wants a progress bar, a file or an early stop writes it around the generator. Between
two facts `training` is complete: saved there and loaded again, it goes on to the same weights.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from neocog.data.batches import TrainingBatches, derived_seed
from neocog.data.dataset import Pictures
from neocog.engine.averaging import Lookahead, average_for
from neocog.engine.evaluate import predictions
from neocog.engine.hardware import Hardware
from neocog.engine.health import check_logits, check_step, check_sum, due
from neocog.engine.losses import loss_of
from neocog.engine.optimizers import DiagonalLM, optimizer_for, set_rates
from neocog.engine.passes import Passes, passes_of
from neocog.engine.schedules import epoch_count, learning_rate, steps_in
from neocog.recipe import Recipe
from neocog.records import Epoch, Predictions, Step

CURVATURE_PICTURES = 500  # LeCun et al. 1998, section III.B
CURVATURE_STEPS = 500  # between estimates while lr warms up, see recipes/lenet5_1998.py


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
    average: Lookahead | None = None

    @classmethod
    def begin(cls, network: nn.Module, recipe: Recipe) -> Training:
        optimizer = optimizer_for(network, recipe)
        return cls(network, optimizer, average=average_for(network, recipe))

    def done(self, recipe: Recipe, whole: int) -> float:
        """The share of the run's steps that are done, where a whole epoch has `whole` of them."""
        last = epoch_count(recipe) - 1
        return (self.epoch * whole + self.step) / (last * whole + steps_in(recipe, last, whole))

    def state(self) -> dict[str, Any]:
        """Everything as tensors and plain values, for `restore`."""
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
            "average": self.average.slow if self.average else {},
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.pictures, self.seconds = state["pictures"], state["seconds"]
        device = next(self.network.parameters()).device
        self.loss_sum = state["loss_sum"].to(device)
        self.correct = state["correct"].to(device)
        self.history = [Epoch.from_json(epoch) for epoch in state["history"]]
        if self.average:
            self.average.restore(state["average"])


def fit(
    training: Training,
    batches: TrainingBatches,
    val: Pictures,
    *,
    recipe: Recipe,
    until: float = math.inf,
    hardware: Hardware | None = None,
) -> Generator[Step | Epoch, None, None]:
    """Train from where `training` stands to the end of the recipe, or to the first step that ends
    after `until` (of time.monotonic). On no `hardware` in particular, torch is left as it is.

    Raises `DivergedError` at the first loss or gradient that is not finite, or absurd. torch's
    global generator is set before each step, for dropout, and put back at the end.
    """
    network, optimizer = training.network, training.optimizer
    device = next(network.parameters()).device
    loss_of_batch = loss_of(recipe, batches.class_weights())
    generator_before, back = torch.get_rng_state(), ExitStack()
    try:
        passes = _in_force(hardware, network, recipe, back)
        for epoch in range(training.epoch, epoch_count(recipe)):
            network.train()
            steps = steps_in(recipe, epoch, len(batches))
            if training.step == 0:
                _begin_epoch(training, device)
            last = epoch + max(training.step - 0.5, 0) / len(batches)
            rate, clock = learning_rate(recipe, last, training.history), time.perf_counter()
            for images, labels in batches.epoch(epoch, start=training.step, stop=steps):
                _estimate_curvature(training, batches, recipe)
                torch.manual_seed(derived_seed(recipe.seed, "dropout", epoch, training.step))
                at = epoch + (training.step + 0.5) / len(batches)  # the middle of the step
                rate = learning_rate(recipe, at, training.history)
                set_rates(optimizer, recipe, rate=rate, at=at)

                images, labels = images.to(device), labels.to(device)
                loss, logits = passes.loss(images, labels, loss_of_batch)
                optimizer.zero_grad()
                loss.backward()
                if due(device, training.step):
                    by = (rate, loss_of_batch, hardware)
                    check_step(training, recipe, loss, images, labels, *by)
                optimizer.step()

                training.step += 1
                training.pictures += len(labels)
                done = training.done(recipe, len(batches))
                if training.average:
                    count = epoch * len(batches) + training.step
                    training.average.after(count, network, done=done)
                with torch.no_grad():
                    training.loss_sum = training.loss_sum + loss.detach() * len(labels)
                    training.correct = training.correct + _right(logits, labels)
                now = time.perf_counter()
                training.seconds += now - clock
                yield _step(training, steps, done, rate)
                clock = time.perf_counter()
                if time.monotonic() >= until:
                    break
            check_sum(training, recipe, rate)

            clock = time.perf_counter()
            if training.average:
                training.average.jump(network, done=training.done(recipe, len(batches)))
            views = recipe.views if epoch + 1 == epoch_count(recipe) else "one"
            said = None
            if len(val):
                way = passes.logits
                said = predictions(network, val, batches.spec, views=views, forward=way)
            fact = _epoch(training, said, rate, time.perf_counter() - clock)
            training.history.append(fact)
            training.epoch, training.step = epoch + 1, 0
            yield fact
            if time.monotonic() >= until:
                return
    finally:
        back.close()
        torch.set_rng_state(generator_before)


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    """How many are right; of mixed pictures, by the class of the larger share."""
    wanted = labels if labels.ndim == 1 else labels.argmax(1)
    return (logits.argmax(1) == wanted).sum()


def _in_force(
    hardware: Hardware | None, network: nn.Module, recipe: Recipe, back: ExitStack
) -> Passes:
    """The ways through the network, on this hardware until `back` is closed."""
    if hardware is None:
        return passes_of(network)
    back.enter_context(hardware.in_force(network))
    return hardware.passes(network, batch_size=recipe.batch_size)


def _begin_epoch(training: Training, device: torch.device) -> None:
    training.pictures, training.seconds = 0, 0.0
    training.loss_sum = torch.zeros((), device=device)
    training.correct = torch.zeros((), device=device)


def _estimate_curvature(training: Training, batches: TrainingBatches, recipe: Recipe) -> None:
    """For diagonal-lm: before each pass, and again and again while lr warms up."""
    warming = training.epoch + training.step / len(batches) < recipe.warmup
    if training.step and not (warming and training.step % CURVATURE_STEPS == 0):
        return
    if isinstance(training.optimizer, DiagonalLM):
        place = (batches.seed, "curvature", training.epoch, training.step)
        device = next(training.network.parameters()).device
        images = batches.sample(CURVATURE_PICTURES, seed=derived_seed(*place))
        training.optimizer.estimate(
            training.network,
            images.to(device),
            generator=torch.Generator().manual_seed(derived_seed(*place, "signs")),
        )


def _step(training: Training, steps: int, done: float, rate: float) -> Step:
    return Step(
        epoch=training.epoch,
        step=training.step,
        steps=steps,
        done=done,
        pictures=training.pictures,
        lr=rate,
        seconds=training.seconds,
        loss_sum=training.loss_sum,
        correct=training.correct,
    )


def _epoch(training: Training, said: Predictions | None, rate: float, val_seconds: float) -> Epoch:
    seen = max(training.pictures, 1)
    val_loss = val_accuracy = None
    if said is not None:
        where = f"the validation split after epoch {training.epoch + 1}"
        check_logits(said, where, training.network)
        logits, labels = torch.from_numpy(said.logits), torch.from_numpy(said.labels)
        val_loss = float(F.cross_entropy(logits, labels))
        val_accuracy = float((logits.argmax(1) == labels).float().mean())
    earlier = [e.val_accuracy for e in training.history if e.val_accuracy is not None]
    return Epoch(
        epoch=training.epoch,
        lr=rate,
        train_loss=float(training.loss_sum) / seen,
        train_accuracy=float(training.correct) / seen,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        seconds=training.seconds + val_seconds,
        images_per_second=seen / max(training.seconds, 1e-9),
        best=val_accuracy is None or val_accuracy > max(earlier, default=-1.0),
    )
