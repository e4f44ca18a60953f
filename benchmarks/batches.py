"""What making batches takes of a training step: pictures in memory, in one pass or in torch's many.

    python -m benchmarks.batches [--rounds 5] [--only lenet_relu ...]

Noise of a data set's size and shape; a network, its recipe and how it is carried out, as `neocog
train` has them. By turns: steps of `fit`, their batches among them, and the same batches alone, by
gather.c and by torch. Medians over the steps, and of these over the rounds.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import time
from collections.abc import Callable
from unittest.mock import patch

import torch

import neocog
from neocog.data import gathered
from neocog.data.batches import TrainingBatches
from neocog.data.dataset import Dataset, Split
from neocog.data.gathered import Gather
from neocog.engine.fit import fit
from neocog.engine.hardware import Hardware, Wanted
from neocog.engine.state import Training
from neocog.planning import batches_of, prepared
from neocog.recipe import Recipe
from neocog.recipes import find
from neocog.records import Step

STEPS, SECONDS = 60, 5.0  # of an epoch, at most
MNIST, CIFAR = (1, 28, 60_000), (3, 32, 50_000)
CASES = {  # network, recipe, channels, side and pictures
    "lenet_relu": ("quick", MNIST),
    "lenet5": ("lenet5_1998", MNIST),
    "fast_mnist": ("fast_mnist", MNIST),
    "fast_cifar": ("fast_cifar10", CIFAR),
    "resnet20_cifar": ("fast", CIFAR),
}


def noise(channels: int, side: int, count: int) -> Dataset:
    def split(count: int) -> Split:
        pixels = torch.randint(256, (count, channels, side, side), dtype=torch.uint8)
        return Split(pixels, torch.randint(10, (count,)))

    return Dataset(
        name="noise",
        classes=tuple("abcdefghij"),
        train=split(count),
        val=split(2),
        test=split(2),
        mean=(0.5,) * channels,
        std=(0.3,) * channels,
        size=None,
        mirrors=True,
        origin="noise",
    )


def a_step(training: Training, batches: TrainingBatches, recipe: Recipe, how: Hardware) -> float:
    """Seconds a step of `fit`."""
    ends: list[float] = []
    facts = fit(training, batches, batches.split.first(2), recipe=recipe, hardware=how)
    for fact in facts:
        if isinstance(fact, Step):
            ends.append(time.perf_counter())
        if len(ends) == STEPS or (len(ends) > 2 and ends[-1] - ends[0] > SECONDS):
            break
    facts.close()
    return median_between(ends)


def a_batch(batches: TrainingBatches, way: Callable[..., Gather | None]) -> float:
    """Seconds a batch, made by a way of `gathered`'s or by none."""
    ends: list[float] = []
    with patch.object(gathered, "way", way):
        for _ in batches.epoch(0, stop=min(STEPS, len(batches))):
            ends.append(time.perf_counter())
    return median_between(ends)


def median_between(ends: list[float]) -> float:
    return statistics.median(after - before for before, after in itertools.pairwise(ends))


def measured(name: str, rounds: int) -> tuple[float, float, float]:
    """Seconds a step, a batch in one pass, and one by torch."""
    recipe_name, shape = CASES[name]
    data, recipe = noise(*shape), find(recipe_name)
    network = neocog.create(name, num_classes=10)
    spec, how = prepared(network, data, recipe, Wanted(), None, time.monotonic(), None)
    batches = batches_of(data, recipe, spec, how.device)
    gathered.library.made()
    gather = batches._in_one_pass(spec, batches.augmentation.crop)
    if gather is None or not gather.is_ready():
        raise SystemExit(f"{name}: its batches are not made in one pass here: no C compiler?")
    found: list[tuple[float, float, float]] = []
    for _ in range(rounds):
        training = Training.begin(copy.deepcopy(network), recipe)
        step = a_step(training, batches, recipe, how)
        by_torch = a_batch(batches, lambda *_, **__: None)
        found.append((step, a_batch(batches, gathered.way), by_torch))
    step, one, many = (statistics.median(times) for times in zip(*found, strict=True))
    return step, one, many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    options = parser.parse_args()
    print("| network, recipe, batch | a step, ms | a batch | of a step | by torch | of a step |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in options.only:
        step, one, many = (1e3 * seconds for seconds in measured(name, options.rounds))
        recipe = find(CASES[name][0])
        print(
            f"| {name}, {recipe.name}, {recipe.batch_size} | {step:,.2f} | {one:.3f} "
            f"| {one / step:.2%} | {many:.3f} | {many / (step - one + many):.2%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
