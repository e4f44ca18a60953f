"""Data, engine and run folder put together: one training run, from its start or from a save."""

from __future__ import annotations

import math
import platform
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from neocog.analysis import cost
from neocog.data import augment
from neocog.data.batches import Augmentation, TrainingBatches
from neocog.data.dataset import Dataset, InputSpec, input_spec, load, to_channels
from neocog.engine.evaluate import predictions
from neocog.engine.fit import Training, fit
from neocog.engine.hardware import Hardware, choose
from neocog.errors import DataError, UsageError
from neocog.networks import Made
from neocog.recipe import Recipe
from neocog.records import Epoch, Step
from neocog.run import RunFolder


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after the step was finished and saved in the run folder `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"stopped and saved; `neocog resume {path}` goes on")
        self.path = path


@dataclass(eq=False)
class Job:
    """A run that is ready to go on: everything but the going."""

    network: nn.Module
    dataset: Dataset
    recipe: Recipe
    spec: InputSpec
    folder: RunFolder
    hardware: Hardware
    training: Training


def begin(
    network: nn.Module,
    dataset: Dataset,
    *,
    recipe: Recipe,
    out: Path | None = None,
    device: str = "auto",
) -> Job:
    """A new run of `network` on `dataset`, with its folder made and its start written.

    Raises `UsageError` if network and data do not fit, before any folder is made.
    """
    spec = fitted_spec(network, dataset, recipe)
    hardware = choose(device, pixels=recipe.batch_size * spec.size[0] * spec.size[1])
    network.to(hardware.device)
    training = Training.begin(network, recipe)
    made = getattr(network, "made", None)
    name = made.name if isinstance(made, Made) else type(network).__name__
    folder = RunFolder.create(out, name=f"{name}-{dataset.name}")
    folder.write_start(
        recipe,
        spec,
        network=made if isinstance(made, Made) else name,
        data=_data_facts(dataset),
        environment=_environment(dataset, hardware),
    )
    return Job(network, dataset, recipe, spec, folder, hardware, training)


def resume(
    folder: RunFolder,
    *,
    network: nn.Module | None = None,
    dataset: Dataset | None = None,
    device: str = "auto",
) -> Job:
    """A run as it was saved. A network that is not neocog's must be given again."""
    recipe, spec = folder.recipe, folder.spec
    if folder.finished:
        raise UsageError(
            f"{folder.path}: this run is finished; `neocog eval {folder.path}` shows its scores"
        )
    state = folder.state()
    network = folder.new_network() if network is None else network
    if dataset is None:
        dataset = load(
            folder.data["name"],
            validation=recipe.validation,
            seed=recipe.seed,
            from_dir=folder.data["from"],
        )
    _check_same_data(folder, dataset)
    hardware = choose(device, pixels=recipe.batch_size * spec.size[0] * spec.size[1])
    network.to(hardware.device)
    training = Training.begin(network, recipe)
    training.restore(state)
    return Job(network, dataset, recipe, spec, folder, hardware, training)


def run(job: Job) -> Iterator[Step | Epoch]:
    """Train to the end, saving as it goes; then score the test split, once.

    Ctrl-C ends the step, saves and raises `Interrupted`.
    """
    device, folder, recipe = job.hardware.device, job.folder, job.recipe
    batches = TrainingBatches(
        split=job.dataset.train.to(device),
        spec=job.spec,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        augmentation=_augmentation(job),
    )
    val = job.dataset.val.to(device)
    with job.hardware.in_force(), _ctrl_c() as pressed:
        for fact in fit(job.training, batches, val, recipe=recipe):
            if isinstance(fact, Epoch):
                if fact.best or recipe.select == "last":
                    folder.save_weights(job.network, fact.epoch)
                folder.save_state(job.training.state())
            yield fact
            if pressed.is_set() and job.training.epoch < recipe.epochs:
                folder.save_state(job.training.state())
                raise Interrupted(folder.path)
    folder.load_weights(job.network)
    if len(val):
        folder.write_predictions("validation", predictions(job.network, val, job.spec))
    folder.write_predictions("test", predictions(job.network, job.dataset.test, job.spec))


def fitted_spec(network: nn.Module, dataset: Dataset, recipe: Recipe) -> InputSpec:
    """The InputSpec for this network, data and recipe; `UsageError` where they do not fit."""
    made = getattr(network, "made", None)
    channels, size = dataset.channels, dataset.size
    if size is None and recipe.size:
        size = (recipe.size, recipe.size)
    if isinstance(made, Made):
        channels, size = made.in_channels, size or made.input[1:]
        if made.num_classes != len(dataset.classes):
            raise UsageError(
                f"{made.name} has {made.num_classes} outputs, {dataset.name} has "
                f"{len(dataset.classes)} classes; make it with num_classes={len(dataset.classes)}"
            )
    height, width = size or dataset.train.images.shape[2:]
    if not cost.takes(network, (channels, height, width)):
        raise UsageError(_does_not_take(network, (channels, height, width)))
    return input_spec(
        dataset,
        channels,
        (height, width),
        pixels=recipe.pixels,
        placing=recipe.placing,
        resize=recipe.resize,
    )


def _does_not_take(network: nn.Module, size: tuple[int, int, int]) -> str:
    name = getattr(getattr(network, "made", None), "name", type(network).__name__)
    smallest = cost.smallest_size(network, size[0])
    given = f"{name} cannot take pictures of {size[0]}x{size[1]}x{size[2]} (C, H, W)"
    if smallest is None:
        return f"{given}; no size up to 512 fits it with {size[0]} channels"
    return f"{given}; the smallest that it can is {smallest[0]}x{smallest[1]}"


def not_started(fact: Epoch, classes: int) -> str | None:
    """What to say of an epoch whose loss is still that of guessing, ln(classes)."""
    guess = math.log(classes)
    if abs(fact.train_loss - guess) > 0.02 * guess or fact.train_accuracy > 1.5 / classes:
        return None
    return (
        f"the loss is still ln({classes}) = {guess:.3f}, that of guessing: the network has not "
        "started to learn. Sigmoids and deep stacks without batch norm often do this: try a "
        "larger lr, a warm-up (--set warmup=1), or a network with ReLU or batch norm"
    )


def _augmentation(job: Job) -> Augmentation:
    recipe, images = job.recipe, to_channels(job.dataset.train.images, job.spec.channels)
    components = augment.principal_components(images) if recipe.pca_noise else None
    return Augmentation(
        mirror=recipe.mirror and job.dataset.mirrors,
        shift=recipe.shift,
        pca_noise=recipe.pca_noise,
        components=components,
    )


def _data_facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "from": dataset.from_dir,
        "fingerprint": dataset.fingerprint,
        "pictures": {
            "train": len(dataset.train),
            "validation": len(dataset.val),
            "test": len(dataset.test),
        },
    }


def _check_same_data(folder: RunFolder, dataset: Dataset) -> None:
    facts, now = folder.data, _data_facts(dataset)
    if (facts["fingerprint"], facts["pictures"]) != (now["fingerprint"], now["pictures"]):
        raise DataError(
            f"{folder.path}: the run began on other data: {facts['name']} with "
            f"{facts['pictures']}, and this is {now['name']} with {now['pictures']}"
        )


def _environment(dataset: Dataset, hardware: Hardware) -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": {
            "neocog": version("neocog"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": version("numpy"),
        },
        "system": platform.platform(),
        "hardware": hardware.to_json(),
        "data": {"origin": dataset.origin, "fingerprint": dataset.fingerprint},
    }


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Set at the first Ctrl-C; the second interrupts at once. In a side thread: never set."""
    pressed = threading.Event()

    def note(signum: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
