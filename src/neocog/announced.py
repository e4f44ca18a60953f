"""What is said of a run before it begins, and when it does not get going."""

from __future__ import annotations

import math

from torch.nn.modules.batchnorm import _BatchNorm

from neocog import training
from neocog.data.batches import in_order
from neocog.engine.asleep import asleep
from neocog.engine.evaluate import VIEW_COUNTS
from neocog.engine.hardware import Hardware
from neocog.engine.machine import has_bf16
from neocog.engine.pace import seconds_a_score
from neocog.engine.schedules import epoch_count
from neocog.progress import Clock
from neocog.recipes import described
from neocog.records import Epoch

LOOKED_AT = 64  # pictures
MISSED = 0.005  # of a run: in bf16 it may be eight times as much
CURVES = 1.0  # seconds that they take to draw, at the end, with loading what draws
A_TWENTIETH = 20  # of the pictures that are scored, at most, to know how long all of them take


def about(job: training.Job) -> list[str]:
    """What is about to happen, in a few lines."""
    data, recipe, spec, hardware = job.dataset, job.recipe, job.spec, job.hardware
    weights = sum(w.numel() for w in job.network.parameters())
    size = f"{spec.channels}x{spec.size[0]}x{spec.size[1]}"
    have = "x".join(str(n) for n in (data.channels, *(data.train.size or ("many sizes",))))
    fitted = "" if have == size else f", from {have} ({spec.placing})"
    begun = job.training.epoch + job.training.step
    where = f"epoch {job.training.epoch + 1}, step {job.training.step + 1}"
    if recipe.validation and not len(data.val):
        held = "  (too few pictures for a validation split: the last weights are scored)"
    else:
        held = ""
    return [
        f"data     {data.name}: {len(data.train):,} pictures to train on, {len(data.val):,} to "
        f"validate, {len(data.test):,} to test ({data.origin}){held}",
        f"network  {job.folder.network_name}: {weights:,} weights, input {size}{fitted}",
        f"recipe   {described(recipe)}: {recipe.epochs:g} epochs of batch {recipe.batch_size}, "
        f"{recipe.optimizer}, lr {recipe.lr:g}, {recipe.schedule}, seed {recipe.seed}",
        *machine_lines(hardware),
        *_norms_line(job),
        f"run      {job.folder.path}" + (f", from {where}" if begun else ""),
    ]


def _norms_line(job: training.Job) -> list[str]:
    """What batch norms see where several processes share a batch, or it is passed in pieces."""
    hardware = job.hardware
    parts = hardware.accumulate * (hardware.processes if job.recipe.batch_norm == "local" else 1)
    norms = any(isinstance(layer, _BatchNorm) for layer in job.network.modules())
    if parts == 1 or not norms:
        return []
    seen = job.recipe.batch_size // parts
    whole = hardware.processes > 1 and job.recipe.batch_norm == "local"
    how = "; of all processes' pictures with --set batch_norm=synchronised" if whole else ""
    return [f"norms    have the statistics of {seen} pictures at a time, not of the batch{how}"]


def machine_lines(hardware: Hardware) -> list[str]:
    """On what it is carried out, how, and why so."""
    kept = ", memory kept" if hardware.memory == "kept" else ""
    why, times = hardware.why, hardware.measured
    if str(hardware) in times:
        plain = next(iter(times.values()))
        why += f": {times[str(hardware)]:.3g} ms a step; plain {plain:.3g}"
    lines = [f"machine  {hardware.name}: {hardware.device}, {hardware}{kept} ({why})"]
    if hardware.precision == "bf16" and not has_bf16(hardware.device):
        lines.append("bf16     nothing here multiplies in bf16: --precision fp32 is faster")
    return lines


def clock_of(job: training.Job, scoring: float | None) -> Clock:
    """`scoring`: the seconds that it takes, where they are known."""
    check, final = _shares(job)
    return Clock(epoch_count(job.recipe), check=check, final=final, scoring=scoring)


def seconds_of_scoring(job: training.Job) -> float | None:
    """With what is drawn after it, from a few of the pictures: it is in float32, whatever training
    is in. None where it is no part of the run that one would miss.
    """
    data, (_, share) = job.dataset, _shares(job)
    passes = VIEW_COUNTS[job.recipe.views] * (len(data.val) + len(data.test))
    if share < MISSED or job.ranks.world > 1:
        return None
    split = data.test if len(data.test) else data.val
    some = split.first(max(passes // A_TWENTIETH, 1)).to(job.hardware.device)
    seconds = seconds_a_score(job.network, some, job.spec, job.hardware.layout)
    return passes * seconds + CURVES


def _shares(job: training.Job) -> tuple[float, float]:
    """What the validation after an epoch takes, and the scoring, as shares of all training. A
    picture trained on costs about three that are only looked at: two ways back, one there.
    """
    data = job.dataset
    trained = 3 * job.recipe.epochs * len(data.train)
    final = VIEW_COUNTS[job.recipe.views] * (len(data.val) + len(data.test))
    return len(data.val) / trained, final / trained


def not_started(fact: Epoch, classes: int, job: training.Job | None = None) -> str | None:
    """What to say of an epoch whose loss is still that of guessing, ln(classes): of which network,
    and what of it is dead, as far as a look at a few pictures shows.
    """
    guess = math.log(classes)
    if abs(fact.train_loss - guess) > 0.02 * guess or fact.train_accuracy > 1.5 / classes:
        return None
    name = "the network" if job is None else job.folder.network_name
    seen = "".join(f"{line}. " for line in ([] if job is None else _asleep(job)))
    return (
        f"the loss is still ln({classes}) = {guess:.3f}, that of guessing: {name} has not "
        f"started to learn. {seen}Sigmoids and deep stacks without batch norm often do this: try a "
        "larger lr, a warm-up (--set warmup=1), or a network with ReLU or batch norm"
    )


def _asleep(job: training.Job) -> list[str]:
    split = job.dataset.val if len(job.dataset.val) else job.dataset.train
    try:
        images, _ = next(in_order(split, job.spec, LOOKED_AT))
        return asleep(job.network, images.to(job.hardware.device))
    except Exception:  # a picture or a user's network: no reason to end a run that goes on
        return []
