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

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.data.batches import TrainingBatches, derived_seed
from neocog.data.dataset import Pictures
from neocog.engine.evaluate import predictions
from neocog.engine.gradients import backward
from neocog.engine.hardware import Hardware
from neocog.engine.health import check_logits, check_step, check_sum, due
from neocog.engine.losses import loss_of, mass
from neocog.engine.magnitudes import norms_of
from neocog.engine.norms import synchronised
from neocog.engine.optimizers import DiagonalLM, set_rates, woken
from neocog.engine.passes import Passes, passes_of
from neocog.engine.ranks import Ranks
from neocog.engine.schedules import epoch_count, learning_rate, steps_in
from neocog.engine.state import Training
from neocog.recipe import Recipe
from neocog.records import Epoch, Predictions, Step

CURVATURE_PICTURES = 500  # LeCun et al. 1998, section III.B
CURVATURE_STEPS = 500  # between estimates while lr warms up, see recipes/lenet5_1998.py


def fit(
    training: Training,
    batches: TrainingBatches,
    val: Pictures,
    *,
    recipe: Recipe,
    until: float = math.inf,
    hardware: Hardware | None = None,
    ranks: Ranks | None = None,
) -> Generator[Step | Epoch, None, None]:
    """Train from where `training` stands to the end of the recipe, or to the first step that ends
    after `until` (of time.monotonic). On no `hardware` in particular, torch is left as it is.

    Of several processes (`ranks`) each takes its part of every batch, and of every picture that is
    validated; what their gradients, sums and logits come to is the same in all.

    Raises `DivergedError` at the first loss or gradient that is not finite, or absurd. torch's
    global generator is set before each step, for dropout, and put back at the end.
    """
    network, optimizer = training.network, training.optimizer
    ranks = ranks or Ranks()
    device = next(network.parameters()).device
    class_weights = batches.class_weights()
    class_weights = None if class_weights is None else class_weights.to(device)
    loss_of_batch = loss_of(recipe, class_weights)
    generator_before, back = torch.get_rng_state(), ExitStack()
    # torch.manual_seed looks for every kind of device first, in a twentieth of a LeNet's step
    reseed = torch.default_generator.manual_seed if device.type == "cpu" else torch.manual_seed
    try:
        back.enter_context(woken(optimizer))
        passes = _in_force(hardware, network, recipe, batches, ranks, back)
        # among processes all gradients are waited for, and compiled it would be compiled anew
        rests = ranks.world == 1 and not (hardware and hardware.compile)
        for epoch in range(training.epoch, epoch_count(recipe)):
            network.train()
            steps = steps_in(recipe, epoch, len(batches))
            if training.step == 0:
                _begin_epoch(training, device)
            last = epoch + max(training.step - 0.5, 0) / len(batches)
            rate, clock = learning_rate(recipe, last, training.history), time.perf_counter()
            for images, labels in batches.epoch(epoch, start=training.step, stop=steps):
                _estimate_curvature(training, batches, recipe)
                place = (epoch, training.step, *batches.place())
                reseed(derived_seed(recipe.seed, "dropout", *place))
                at = epoch + (training.step + 0.5) / len(batches)  # the middle of the step
                rate = learning_rate(recipe, at, training.history)
                set_rates(optimizer, recipe, rate=rate, at=at, rest=rests)

                images, labels = images.to(device), labels.to(device)
                count = batches.count(training.step)
                ranks.idle = batches.part.idle(count)
                weight = _weight(labels, class_weights, batches, count, ranks)
                looked = due(device, training.step)

                def words(loss: Tensor, looked: bool = looked) -> dict[str, bool]:
                    lost = looked and not math.isfinite(float(loss))
                    return {"diverged": lost, "time": time.monotonic() >= until}

                aside = ranks.aside(words)
                optimizer.zero_grad()
                loss, logits = backward(
                    passes,
                    images,
                    labels,
                    loss_of_batch,
                    class_weights=class_weights,
                    pieces=_pieces(hardware, batches.part.least(count)),
                    weight=weight,
                    aside=aside,
                )
                if aside is None:
                    ranks.agree(**words(loss))
                else:
                    ranks.heard_aside()
                if looked:
                    by = (rate, loss_of_batch, hardware)
                    check_step(training, recipe, loss, images, labels, *by, ranks=ranks)
                optimizer.step()

                training.step += 1
                counted = 0 if ranks.idle else len(labels)
                training.pictures += counted
                done = training.done(recipe, len(batches))
                if training.average:
                    taken = epoch * len(batches) + training.step
                    training.average.after(taken, network, done=done)
                with torch.no_grad():
                    if counted:
                        share = counted if ranks.world == 1 else count * weight / ranks.world
                        training.loss_sum = training.loss_sum + loss * share
                        training.correct = training.correct + _right(logits, labels)
                over = "time" in ranks.heard
                if over or training.step == steps:
                    training.norms.append(norms_of(network, epoch))
                now = time.perf_counter()
                training.seconds += now - clock
                yield _step(training, steps, done, rate, ranks)
                clock = time.perf_counter()
                if over:
                    break
            ranks.agree(diverged=not math.isfinite(float(training.loss_sum)))
            check_sum(training, recipe, rate, ranks)

            clock = time.perf_counter()
            if training.average:
                training.average.jump(network, done=training.done(recipe, len(batches)))
            ranks.alike(network, statistics=True)
            ranks.check_alike(network)
            views = recipe.views if epoch + 1 == epoch_count(recipe) else "one"
            said = None
            if len(val):
                way = passes.logits
                said = predictions(
                    network, val, batches.spec, views=views, forward=way, ranks=ranks
                )
            fact = _epoch(training, said, rate, time.perf_counter() - clock, ranks)
            training.history.append(fact)
            training.epoch, training.step = epoch + 1, 0
            ranks.agree(time=time.monotonic() >= until)
            over = "time" in ranks.heard
            yield fact
            if over:
                return
    finally:
        back.close()
        torch.set_rng_state(generator_before)


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    """How many are right; of mixed pictures, by the class of the larger share."""
    wanted = labels if labels.ndim == 1 else labels.argmax(1)
    return (logits.argmax(1) == wanted).sum()


def _in_force(
    hardware: Hardware | None,
    network: nn.Module,
    recipe: Recipe,
    batches: TrainingBatches,
    ranks: Ranks,
    back: ExitStack,
) -> Passes:
    """The ways through the network, on this hardware until `back` is closed."""
    if hardware is None:
        passes = passes_of(network)
    else:
        back.enter_context(hardware.in_force(network))
        size = len(batches.part.rows(recipe.batch_size)) // _pieces(
            hardware, batches.part.least(recipe.batch_size)
        )
        passes = hardware.passes(network, batch_size=size)
    if ranks.world == 1:
        return passes
    if recipe.batch_norm == "synchronised":
        back.enter_context(synchronised(network, ranks))
    network.train()
    spec = batches.spec
    device = next(network.parameters()).device
    return ranks.passes(passes, network, torch.zeros(2, spec.channels, *spec.size, device=device))


def _pieces(hardware: Hardware | None, least: int) -> int:
    """In how many pieces a batch goes through the network, of which the process with the fewest
    pictures has so many: each has two at least, and of all processes the same number.
    """
    return 1 if hardware is None else max(min(hardware.accumulate, least // 2), 1)


def _weight(
    labels: Tensor,
    class_weights: Tensor | None,
    batches: TrainingBatches,
    count: int,
    ranks: Ranks,
) -> float:
    """What the mean over this process's part counts, so that the mean of all is the batch's."""
    if ranks.world == 1 or class_weights is None or labels.ndim == 2:
        return batches.part.weight(count)
    own = 0.0 if ranks.idle else mass(labels, class_weights)
    (whole,) = ranks.total([own])
    return ranks.world * own / whole


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


def _step(training: Training, steps: int, done: float, rate: float, ranks: Ranks) -> Step:
    """Of several processes what they have done together, as far as this one can tell."""
    return Step(
        epoch=training.epoch,
        step=training.step,
        steps=steps,
        done=done,
        pictures=training.pictures * ranks.world,
        lr=rate,
        seconds=training.seconds,
        loss_sum=training.loss_sum * ranks.world if ranks.world > 1 else training.loss_sum,
        correct=training.correct * ranks.world if ranks.world > 1 else training.correct,
    )


def _epoch(
    training: Training, said: Predictions | None, rate: float, val_seconds: float, ranks: Ranks
) -> Epoch:
    counted = [training.pictures, float(training.loss_sum), float(training.correct)]
    pictures, loss_sum, correct = ranks.total(counted)
    seen = max(int(pictures), 1)
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
        train_loss=loss_sum / seen,
        train_accuracy=correct / seen,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        seconds=training.seconds + val_seconds,
        images_per_second=seen / max(training.seconds, 1e-9),
        best=val_accuracy is None or val_accuracy > max(earlier, default=-1.0),
    )
