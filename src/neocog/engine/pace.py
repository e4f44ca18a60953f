"""How long a run will take, measured on a few of its own steps."""

from __future__ import annotations

import contextlib
import copy
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from neocog.data.batches import TrainingBatches
from neocog.data.dataset import Pictures
from neocog.data.spec import InputSpec
from neocog.engine.evaluate import predictions
from neocog.engine.fit import fit
from neocog.engine.hardware import Hardware
from neocog.engine.schedules import epoch_count
from neocog.engine.state import Training
from neocog.errors import DivergedError, UsageError
from neocog.recipe import Recipe
from neocog.records import Step

WARM_UP = 2  # steps that are not counted: kernels are chosen and memory is fetched in them
LEAST = 3  # steps that are
LOOKED_AT = 256  # pictures of one evaluation
FEW = 32  # pictures that tell whether there is time for so many
A_LOOK = 1.0  # seconds for them
SPARE = 0.97  # of the time given is planned for: paces waver
TENTH = 0.1  # of a time given, for measuring steps, and as much for looking at pictures


@dataclass(frozen=True)
class Pace:
    """What was measured, in seconds."""

    step: float  # a training step, median
    picture: float  # a picture that is validated
    scored: float  # a picture that is scored, in one view
    steps: int  # how many were measured


@dataclass(frozen=True)
class Length:
    """What a run has to do, counted."""

    steps: int  # of a whole epoch
    check: int  # pictures validated after each epoch
    final: int  # pictures scored at the end


def measure(
    network: nn.Module,
    batches: TrainingBatches,
    looked_at: Pictures,
    *,
    recipe: Recipe,
    hardware: Hardware,
    seconds: float = 2.0,
    limit: float | None = None,
) -> Pace:
    """Steps of a copy of the network, for about so many seconds; nothing of the run changes.

    Of a run that has `limit` seconds left no more than one step is sure to be measured, so that a
    time too short for it is not spent on finding that out.
    """
    if hardware.device.startswith("cuda"):  # what was tried before took more
        torch.cuda.reset_peak_memory_stats(hardware.device)
    twin = copy.deepcopy(network)
    nothing = looked_at.first(0)
    taken: list[float] = []
    ends = None
    longest = recipe.changed({"epochs": max(recipe.epochs, WARM_UP + LEAST)})
    most = math.inf if limit is None else TENTH * limit
    clock = begin = time.perf_counter()
    with contextlib.suppress(DivergedError):  # the run itself will say so
        training = Training.begin(twin, longest)
        for fact in fit(training, batches, nothing, recipe=longest, hardware=hardware):
            _wait(twin)
            now = time.perf_counter()
            if isinstance(fact, Step):
                taken.append(now - clock)
            if len(taken) == WARM_UP:
                ends = now + seconds
            if ends and now >= ends and len(taken) >= WARM_UP + LEAST:
                break
            if taken and now - begin >= most:
                break
            clock = now
    counted = taken[WARM_UP:] or taken
    step = statistics.median(counted)
    # a picture is looked at in a third of the time it is learnt from, and twice; the short last
    # batch of a small set makes this less than it is
    count = int(min(most * batches.batch_size / step, LOOKED_AT))
    some = looked_at.first(max(count, 1))
    if not len(some):
        return Pace(step=step, picture=0.0, scored=0.0, steps=len(counted))
    with hardware.in_force(twin):
        way = hardware.passes(twin, batch_size=batches.batch_size).logits
        picture = _looking(partial(predictions, twin, some, batches.spec, forward=way), some)
    scored = seconds_a_score(twin, some, batches.spec, hardware.layout)
    return Pace(step=step, picture=picture, scored=scored, steps=len(counted))


def seconds_a_score(network: nn.Module, pictures: Pictures, spec: InputSpec, layout: str) -> float:
    """Seconds that a picture takes to score in one view, of some of them."""
    taken = 0.0
    for count in (FEW, LOOKED_AT):
        if taken * count > A_LOOK:
            break
        some = pictures.first(count)
        taken = _looking(partial(predictions, network, some, spec, layout=layout), some)
    return taken


def _looking(look: Callable[[], object], some: Pictures) -> float:
    taken = []
    for _ in range(2):  # the first warms up
        clock = time.perf_counter()
        look()
        taken.append(time.perf_counter() - clock)
    return min(taken) / len(some)


def _wait(network: nn.Module) -> None:
    device = next(network.parameters()).device
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_an_epoch(pace: Pace, length: Length) -> float:
    """Of a whole epoch: its steps, and the validation after it."""
    return length.steps * pace.step + length.check * pace.picture


def seconds_in_all(pace: Pace, length: Length, recipe: Recipe) -> float:
    """Training, validation after each epoch, scoring."""
    looked = epoch_count(recipe) * length.check * pace.picture + length.final * pace.scored
    return recipe.epochs * length.steps * pace.step + looked


def epochs_within(seconds: float, pace: Pace, length: Length, *, gone: float = 0.0) -> float:
    """How many epochs fit into so many seconds, with their validations and the scoring, if so many
    of them are gone.
    """
    check, training = length.check * pace.picture, length.steps * pace.step
    rest = (seconds - gone) * SPARE - length.final * pace.scored
    whole = max(int(rest // (training + check)), 0)
    epochs = whole + max(rest - whole * (training + check) - check, 0) / training
    if epochs * length.steps < 1:
        least = (pace.step + check + length.final * pace.scored) / SPARE
        raise UsageError(
            f"{seconds / 60:.3g} minutes are too short for this run: one step of {pace.step:.2g} s "
            f"and the scoring alone take {least / 60:.2g}, and {gone / 60:.2g} went into measuring "
            "them"
        )
    digits = 10 ** (math.floor(math.log10(epochs)) - 2)  # three that count, and never too many
    return float(round(math.floor(epochs / digits) * digits, 9))


def peak_memory(device: str) -> int | None:
    """Bytes this process has held at most: on the GPU, else in all. None where nobody counts."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)
