"""What a run needs before it begins, and how long it would take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from neocog import choosing
from neocog.data import preprocess
from neocog.data.batches import Augmentation, TrainingBatches, derived_seed
from neocog.data.crops import Crop
from neocog.data.dataset import Dataset
from neocog.data.spec import InputSpec
from neocog.engine import pace
from neocog.engine.evaluate import VIEW_COUNTS
from neocog.engine.hardware import Hardware, Wanted, choose
from neocog.engine.pace import Length, Pace
from neocog.engine.ranks import ALONE, Ranks
from neocog.engine.state import Training
from neocog.errors import UsageError
from neocog.fitting import fitted_spec, known
from neocog.networks.start import whiten
from neocog.recipe import Recipe
from neocog.room import check_memory

AHEAD = 2  # batches of pictures in files, where the device is not the processor itself
WHITENED_BY = 5000  # pictures; Jordan 2024, section 3.2, takes as many


@dataclass(frozen=True)
class Plan:
    """What a run would take, measured on a few of its steps; nothing of it was written."""

    network: str
    dataset: str
    recipe: Recipe
    spec: InputSpec
    hardware: Hardware
    pace: Pace
    length: Length
    memory: int | None  # bytes held at most, up to now; None where nobody counts

    @property
    def seconds_an_epoch(self) -> float:
        """Steps and validation."""
        return pace.seconds_an_epoch(self.pace, self.length)

    @property
    def seconds(self) -> float:
        """The whole run, scoring included."""
        return pace.seconds_in_all(self.pace, self.length, self.recipe)

    def to_json(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "data": self.dataset,
            "recipe": self.recipe.to_json(),
            "steps_per_epoch": self.length.steps,
            "seconds_per_step": self.pace.step,
            "steps_measured": self.pace.steps,
            "seconds_per_epoch": self.seconds_an_epoch,
            "seconds": self.seconds,
            "memory_bytes": self.memory,
            "hardware": self.hardware.to_json(),
        }


def plan(
    network: nn.Module,
    dataset: Dataset,
    *,
    recipe: Recipe,
    wanted: Wanted | None = None,
    minutes: float | None = None,
    tell: Callable[[str], None] | None = None,
) -> Plan:
    """What `begin` and `run` would take, from a few steps of a copy; writes no run."""
    began = time.monotonic()
    spec, hardware = prepared(network, dataset, recipe, wanted, tell, began, minutes)
    recipe, measured, length = paced(network, dataset, recipe, spec, hardware, began, minutes)
    return Plan(
        name_of(network),
        dataset.name,
        recipe,
        spec,
        hardware,
        measured,
        length,
        pace.peak_memory(hardware.device),
    )


def prepared(
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    wanted: Wanted | None,
    tell: Callable[[str], None] | None,
    began: float,
    minutes: float | None,
) -> tuple[InputSpec, Hardware]:
    """The network on its device, whitened where that is asked; and how it is to be trained."""
    spec, wanted = fitted_spec(network, dataset, recipe), wanted or Wanted()
    network.to(choose(wanted).device)
    if recipe.whiten:
        _whiten(network, dataset, recipe, spec)
    Training.begin(network, recipe)  # says now what optimizer and network have against each other
    check_memory(network, dataset, recipe, spec, wanted, tell)
    hardware = choosing.chosen(
        network,
        wanted,
        recipe=recipe,
        spec=spec,
        pictures=len(dataset.train),
        limit=_left(minutes, began),
        tell=tell,
    )
    return spec, hardware


def paced(
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    spec: InputSpec,
    hardware: Hardware,
    began: float,
    minutes: float | None,
) -> tuple[Recipe, Pace, Length]:
    """The pace on this machine, and the recipe, fitted into what is left of the minutes."""
    batches = batches_of(dataset, recipe, spec, hardware.device)
    looked_at = dataset.val if len(dataset.val) else dataset.test
    limit = _left(minutes, began)
    if minutes is not None and limit is not None and limit <= 0:
        spent = f"{minutes - limit / 60:.2g} went into trying a step of it"
        raise UsageError(f"{minutes:.3g} minutes are too short for this run: {spent}")
    measured = pace.measure(
        network,
        batches,
        looked_at.to(hardware.device),
        recipe=recipe,
        hardware=hardware,
        limit=limit,
    )
    views = VIEW_COUNTS[recipe.views]
    final = views * (len(dataset.val) + len(dataset.test))
    length = Length(steps=len(batches), check=len(dataset.val), final=final)
    if minutes is not None:
        gone = time.monotonic() - began
        recipe = recipe.lasting(pace.epochs_within(60 * minutes, measured, length, gone=gone))
    return recipe, measured, length


def _left(minutes: float | None, began: float) -> float | None:
    """Seconds of so many minutes from `began` on; None where there is no end."""
    return None if minutes is None else 60 * minutes - (time.monotonic() - began)


def name_of(network: nn.Module) -> str:
    made = known(network)
    return made.name if made else type(network).__name__


def batches_of(
    dataset: Dataset, recipe: Recipe, spec: InputSpec, device: str, ranks: Ranks = ALONE
) -> TrainingBatches:
    return TrainingBatches(
        split=dataset.train.to(device),
        spec=spec,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        augmentation=_augmentation(dataset, recipe, spec),
        balance=recipe.balance,
        begin_size=recipe.begin_size,
        grow_epochs=recipe.grow_epochs,
        ahead=AHEAD if dataset.listing and device != "cpu" else 0,
        part=ranks.part,
    )


def _augmentation(dataset: Dataset, recipe: Recipe, spec: InputSpec) -> Augmentation:
    components = None
    if recipe.pca_noise:
        components = preprocess.colour_components(dataset.train, spec)
    return Augmentation(
        crop=Crop(recipe.area, recipe.aspect),
        mirror=recipe.mirror and dataset.mirrors,
        alternate=recipe.alternate,
        shift=recipe.shift,
        border=recipe.border,
        trivial=recipe.trivial,
        rotate=recipe.rotate,
        jitter=recipe.jitter,
        hue=recipe.hue,
        pca_noise=recipe.pca_noise,
        components=components,
        cutout=recipe.cutout,
        erase=recipe.erase,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
    )


def _whiten(network: nn.Module, dataset: Dataset, recipe: Recipe, spec: InputSpec) -> None:
    """The first layer from a sample of the training pictures, the same for the same seed."""
    batches = TrainingBatches(dataset.train, spec, recipe.batch_size, recipe.seed, Augmentation())
    sample = batches.sample(WHITENED_BY, seed=derived_seed(recipe.seed, "whiten"))
    whiten(network, sample.to(next(network.parameters()).device))
