"""neocog as a user gets it: its own way of training, with the choices that it makes by itself."""

from __future__ import annotations

import math
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neocog import api, training
from neocog.analysis import cost
from neocog.bench import pictures
from neocog.bench.plan import TARGETS, Job
from neocog.bench.reached import Reached
from neocog.bench.stopwatch import Stopwatch
from neocog.data.dataset import Dataset, Split
from neocog.data.sources import SOURCES
from neocog.engine.hardware import Wanted
from neocog.networks import create
from neocog.recipe import Recipe
from neocog.recipes import NAMES, find
from neocog.records import Epoch, Step


def train(job: Job) -> dict[str, Any]:
    """Images a second, by the facts that `training.run` gives."""
    images = pictures.pictures(job.pictures, job.size)
    labels = pictures.labels(job.pictures, job.classes)
    recipe = _recipe(job, epochs=math.ceil(job.run / job.pictures))
    dataset = _dataset(job, (images, labels), (images[: job.batch], labels[: job.batch]))
    network = create(job.network, num_classes=job.classes, in_channels=job.size[0], seed=job.seed)
    work = cost.table(network, job.size).multiply_adds
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        before = time.perf_counter()
        run = training.begin(
            network, dataset, recipe=recipe, out=Path(folder) / "run", wanted=Wanted(job.device)
        )
        begun = time.perf_counter() - before  # it chose how, if this machine did not know yet
        watch = Stopwatch(job.seconds, steps=job.steps, settle=_settle(run.hardware.device))
        watch.begin()
        facts = training.run(run)
        for fact in facts:
            if isinstance(fact, Step) and watch.tick():
                break
            if isinstance(fact, Epoch):
                watch.skip()
        facts.close()  # type: ignore[attr-defined]
    facts_of_ours = {"multiply_adds": work, "begin_seconds": begun}
    return {**watch.facts(job.batch), **facts_of_ours, "hardware": run.hardware.to_json()}


def whole(job: Job) -> dict[str, Any]:
    """Seconds of a whole run through `neocog.train`: the folder it leaves, curves and all."""
    reached = Reached(job)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run = api.train(
            job.network,
            _saved(job),
            recipe=_recipe(job, epochs=job.epochs),
            out=Path(folder) / "run",
            device=job.device,
        )
        for epoch in run.history:
            reached.epoch(epoch.val_accuracy or 0.0)
        hardware = run.folder.environment["hardware"]
    return {**reached.facts(), "hardware": hardware}


def accuracy(job: Job) -> dict[str, Any]:
    """Seconds until the test accuracy after an epoch is the target's."""
    reached = Reached(job)
    name = next(name for name in TARGETS[job.network].recipes if name in NAMES)
    recipe = find(name).changed({"seed": job.seed})
    network = create(job.network, num_classes=job.classes, in_channels=job.size[0], seed=job.seed)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        run = training.begin(
            network, _saved(job), recipe=recipe, out=Path(folder) / "run", wanted=Wanted(job.device)
        )
        for fact in training.run(run):
            if isinstance(fact, Epoch) and reached.epoch(fact.val_accuracy or 0.0):
                break
    return {**reached.facts(), "recipe": name, "hardware": run.hardware.to_json()}


def _recipe(job: Job, *, epochs: int) -> Recipe:
    """Plain SGD with momentum, as all peers have it; nothing is held out and nothing augmented."""
    return Recipe(
        name="bench",
        epochs=epochs,
        seed=job.seed,
        batch_size=job.batch,
        lr=0.01,
        momentum=0.9,
        validation=0.0,
        select="last",
    )


def _saved(job: Job) -> Dataset:
    """What the parent has laid out; the pictures that validate are those that score."""
    train, test = (pictures.load(Path(job.folder), name) for name in ("train", "test"))
    return _dataset(job, train, test)


def _dataset(
    job: Job, train: tuple[np.ndarray, np.ndarray], val: tuple[np.ndarray, np.ndarray]
) -> Dataset:
    return Dataset(
        name=job.data or "pictures",
        train=_split(*train),
        val=_split(*val),
        test=_split(*val),
        classes=tuple(f"class {number}" for number in range(job.classes)),
        mean=(0.0,) * job.size[0],
        std=(1.0,) * job.size[0],  # pixels from 0 to 1, as the peers have them
        mirrors=SOURCES[job.data].mirrors if job.data else True,
        size=None,
        origin="made for neocog bench",
        validation=0.0,
    )


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(torch.from_numpy(images), torch.from_numpy(labels))


def _settle(device: str) -> Any:
    return partial(torch.cuda.synchronize, device) if device.startswith("cuda") else None
