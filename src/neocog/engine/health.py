"""Whether a step is sound, and where it stopped being so: in which layer, from what.

A step is looked at after its gradients are there and before they move the weights, so that these
are still the ones that the step was made with. What looks keeps nothing from step to step: a run
that was resumed is judged as one that never stopped.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from neocog.data.batches import derived_seed
from neocog.engine.hardware import Hardware
from neocog.engine.losses import LossFunction
from neocog.engine.passes import Passes, passes_of
from neocog.engine.ranks import ALONE, Ranks
from neocog.engine.tracing import all_finite, norm, numbers, tensors, traced, untouched
from neocog.errors import DataError, DivergedError
from neocog.recipe import Recipe
from neocog.records import Predictions

LOOK_EVERY = 50  # steps between looks on a GPU, where each look waits
# A step that moves the weights so many times as far as they are from zero (from 1, if they are
# nearer) leaves nothing of what they were. Sound ones move them by less than they are.
EXPLODED = 1e4
FORWARD = "on the way forward"


class Training(Protocol):
    """What is looked at of engine.fit.Training."""

    network: nn.Module
    optimizer: Optimizer
    epoch: int
    step: int
    loss_sum: Tensor


def due(device: torch.device, step: int) -> bool:
    """Whether the step after `step` others of an epoch is looked at."""
    return device.type == "cpu" or (step + 1) % LOOK_EVERY == 0


def check_step(
    training: Training,
    recipe: Recipe,
    loss: Tensor,
    images: Tensor,
    labels: Tensor,
    rate: float,
    loss_of_batch: LossFunction,
    hardware: Hardware | None,
    ranks: Ranks = ALONE,
) -> None:
    """`DivergedError` if the loss or a gradient of the step under way is no finite number, or its
    gradients are absurd; `DataError` if its pictures are what is not finite.

    To be called after backward and before the update. Nothing of the run changes by it. Of several
    processes all come to the same end: gradients are those of all, and of a loss it is `heard`.
    """
    wrong = _wrong(training.optimizer, float(loss.detach()))
    if wrong is None and "diverged" in ranks.heard:
        wrong = "the loss of another process is no number"
    if wrong is None:
        return
    begun, of_data = None, ""
    with ranks.apart():
        try:
            begun = _found(training, recipe, images, labels, loss_of_batch, hardware, ranks)
        except DataError as error:
            of_data = str(error)
    of_data = next(filter(None, ranks.said(of_data)), "")
    if of_data:
        raise DataError(of_data)
    begun = _likeliest(ranks.said(begun or ""))
    raise _diverged(wrong, begun, training, recipe, rate, training.step + 1)


def check_sum(training: Training, recipe: Recipe, rate: float, ranks: Ranks = ALONE) -> None:
    """The same of the losses of an epoch so far, after its last update."""
    total = float(training.loss_sum)
    if not math.isfinite(total) or "diverged" in ranks.heard:
        begun = broken(training.network)
        raise _diverged(f"the loss is {total:g}", begun, training, recipe, rate, training.step)


def check_state(training: Training, recipe: Recipe) -> None:
    """The same of all that a checkpoint holds: what is no number is never saved."""
    held = [*tensors(training.optimizer.state), *numbers(training.network).values()]
    if all_finite(held):
        return
    begun = broken(training.network) or "what the optimizer remembers is no finite number any more"
    rate = max(group["lr"] for group in training.optimizer.param_groups)
    raise _diverged("an update went wrong", begun, training, recipe, rate, training.step)


def check_logits(said: Predictions, where: str, network: nn.Module) -> None:
    """`DivergedError` if a network puts out what is no number: its last update broke it."""
    if not np.isfinite(said.logits).all():
        begun = broken(network)
        raise DivergedError(
            f"the network puts out values that are no numbers on {where}: training has diverged. "
            f"{begun + '. ' if begun else ''}Try a smaller lr, or a network with batch norm"
        )


def gradient_norm(optimizer: Optimizer) -> float:
    """Of all gradients together; inf or nan where one of them is, or where float32 overflows."""
    return norm([slope for group in optimizer.param_groups for slope in _slopes(group)])


def broken(network: nn.Module) -> str | None:
    """The first weight or statistic, in the network's order, that holds what is no number."""
    for name, tensor in numbers(network).items():
        bad = tensor.numel() - int(torch.isfinite(tensor).sum())
        if bad:
            return f"{name} holds {bad:,} values of {tensor.numel():,} that are no numbers"
    return None


# -- what is wrong


def _wrong(optimizer: Optimizer, loss: float) -> str | None:
    """What a step shows that it must not, in words; None: nothing."""
    if not math.isfinite(loss):
        return f"the loss is {loss:g}"
    whole = gradient_norm(optimizer)
    if not math.isfinite(whole):
        return f"the loss is {loss:g}, and the norm of the gradients is {whole:g},"
    groups = optimizer.param_groups
    if max(group["lr"] for group in groups) * whole <= EXPLODED:
        return None
    size = max(norm([w for group in groups for w in group["params"]]), 1.0)
    for group in groups:
        # what Muon makes of a matrix is of one size, whatever its gradient
        moved = 0.0 if group.get("matrices") else group["lr"] * norm(_slopes(group))
        if moved > EXPLODED * size:
            return (
                f"the gradients explode: their norm is {whole:.3g}, and the update would move "
                f"weights of norm {size:.3g} by {moved:.3g}"
            )
    return None


def _found(
    training: Training,
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    loss_of_batch: LossFunction,
    hardware: Hardware | None,
    ranks: Ranks,
) -> str | None:
    """Where it began, in words. None where that cannot be seen."""
    network = training.network
    if not all_finite([images]):
        bad = [i for i, image in enumerate(images) if not all_finite([image])]
        raise DataError(
            f"step {training.step + 1} of epoch {training.epoch + 1}: the pictures hold values "
            f"that are no numbers, {len(bad)} of {len(images)} of the batch (the first is number "
            f"{bad[0] + 1}). The network is sound so far: look at the data and at what is done to "
            "them"
        )
    already = broken(network)
    if already:
        return f"Before this step, an update broke the weights: {already}"
    passes = _uncompiled(hardware, network, recipe)
    place = (training.epoch, training.step, *ranks.part.place())
    try:
        with untouched(network, derived_seed(recipe.seed, "dropout", *place)):
            trace = traced(network, lambda: passes.loss(images, labels, loss_of_batch))
    except Exception:  # whatever a user's network raises now; the run ends for its own reason
        return None
    if trace.begun:
        return f"It began {FORWARD}, in {trace.begun}"
    return _of_gradients(network, trace.order)


def _likeliest(found: list[str]) -> str | None:
    """Of what processes have found of their pictures: where one's way forward broke, all gradients
    did.
    """
    found = [words for words in found if words]
    return min(found, key=lambda words: FORWARD not in words, default=None)


def _of_gradients(network: nn.Module, order: list[str]) -> str | None:
    """Of the way back: the first gradient that is no number, or the one that is largest."""
    modules = dict(network.named_modules())
    slopes: dict[str, Tensor] = {}
    for name in [*reversed(order), *modules]:  # the last layer's come first
        for key, weight in modules[name].named_parameters(name, recurse=False):
            if weight.grad is not None:
                slopes.setdefault(key, weight.grad)
    for key, slope in slopes.items():
        if not all_finite([slope]):
            bad = slope.numel() - int(torch.isfinite(slope).sum())
            of = f"{bad:,} of {slope.numel():,} values are no numbers"
            return f"It began on the way back, in the gradient of {key}: {of}"
    if not slopes:
        return None
    key = max(slopes, key=lambda name: norm([slopes[name]]))
    return f"The largest gradient is that of {key}, of norm {norm([slopes[key]]):.3g}"


def _diverged(
    wrong: str, begun: str | None, training: Training, recipe: Recipe, rate: float, step: int
) -> DivergedError:
    late = next(training.network.parameters()).device.type != "cpu"
    when = f"{'at or before' if late else 'in'} step {step} of epoch {training.epoch + 1}"
    advice = [f"a smaller lr (--lr {recipe.lr / 3:.2g})"]
    advice += [] if recipe.warmup else ["a warm-up (--set warmup=1)"]
    norms = any("Norm" in type(m).__name__ for m in training.network.modules())
    advice += [] if norms else ["a network with batch norm"]
    tried = ", or ".join([", ".join(advice[:-1]), advice[-1]] if len(advice) > 1 else advice)
    return DivergedError(
        f"{wrong} {when}, at lr {rate:g}: training has diverged. "
        f"{begun + '. ' if begun else ''}Try {tried}"
    )


# -- without a trace


def _uncompiled(hardware: Hardware | None, network: nn.Module, recipe: Recipe) -> Passes:
    """The ways of the run, layer by layer: in a compiled network nobody can look."""
    if hardware is None:
        return passes_of(network)
    plain = dataclasses.replace(hardware, compile=False)
    return plain.passes(network, batch_size=recipe.batch_size)


def _slopes(group: dict[str, Any]) -> list[Tensor]:
    return [weight.grad for weight in group["params"] if weight.grad is not None]
