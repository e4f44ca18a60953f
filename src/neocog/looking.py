"""What the pictures of a data set look like, as they are and as training sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from neocog.data import preprocess
from neocog.data.dataset import Dataset, Pictures
from neocog.data.filesplit import FileSplit
from neocog.data.preprocess import input_spec
from neocog.data.spec import InputSpec
from neocog.planning import batches_of
from neocog.recipe import Recipe
from neocog.report import sheet

SIDE = 160  # pixels of pictures of many sizes on a sheet
USUAL = 224  # the input of most networks for photographs
A_CLASS = 10  # pictures
NEAR = 4096  # pictures of shards from which they are drawn
AUGMENTED = 8  # pictures, and
TIMES = 3  # how often each is drawn anew


def sample_sheet(dataset: Dataset, *, seed: int = 0) -> Figure:
    """A row for each of up to ten classes, pictures of it drawn by `seed`."""
    split = dataset.train
    if not isinstance(split, FileSplit):
        return sheet.figure(split.images, split.labels, dataset.classes, seed=seed)
    places = _some_of_each(split, seed)
    images, labels = split.at(places, _plain(dataset))
    return sheet.figure(images, labels, dataset.classes, seed=seed)


def augmented_sheet(dataset: Dataset, recipe: Recipe, *, seed: int = 0) -> Figure:
    """Pictures as they are, and below each what a recipe makes of it in three epochs."""
    side = recipe.size or min(dataset.train.size or (USUAL,))
    spec = input_spec(
        dataset,
        dataset.channels,
        (side, side),
        pixels="unit",
        placing=recipe.placing,
        resize=recipe.resize if recipe.resize >= side else 0,
    )
    some = np.random.default_rng(seed).permutation(len(dataset.train))[:AUGMENTED]
    few = _only(dataset.train, np.sort(some))
    chosen = recipe.changed({"batch_size": len(few), "balance": "none", "seed": seed})
    part = Dataset(**{**vars(dataset), "train": few})
    batches = batches_of(part, chosen, spec, "cpu")
    before, _ = few.in_order(slice(0, len(few)), spec)
    after = []
    for epoch in range(TIMES):
        order = torch.argsort(batches.order(epoch))
        inputs, _ = next(iter(batches.epoch(epoch)))
        after.append(inputs[order])
    return sheet.before_and_after(before, after, [f"epoch {n + 1}" for n in range(TIMES)])


def statistics_of(dataset: Dataset) -> dict[str, Any]:
    """Counts a class and a split, sizes, and mean and deviation of the training pictures."""
    count = len(dataset.classes)
    splits = {
        name: torch.bincount(split.labels, minlength=count).tolist()
        for name, split in dataset.splits.items()
    }
    spec = input_spec(dataset, dataset.channels, dataset.train.size or (SIDE, SIDE))
    return {
        "name": dataset.name,
        "classes": {
            name: {split: counts[label] for split, counts in splits.items()}
            for label, name in enumerate(dataset.classes)
        },
        "pictures": {name: len(split) for name, split in dataset.splits.items()},
        "channels": dataset.channels,
        "size": list(dataset.train.size) if dataset.train.size else None,
        "looked_at": min(len(dataset.train), preprocess.LOOKED_AT),
        "mean": list(spec.mean),
        "std": list(spec.std),
    }


def _plain(dataset: Dataset) -> InputSpec:
    return input_spec(dataset, dataset.channels, (SIDE, SIDE), pixels="unit")


def _some_of_each(split: FileSplit, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    numbers = split.labels.numpy()
    if split.stream:  # not to read all shards for a hundred pictures
        near = np.zeros(len(numbers), dtype=bool)
        near[split.shuffled(rng)[:NEAR]] = True
        numbers = np.where(near, numbers, -1)
    classes = np.unique(numbers[numbers >= 0])
    return [
        place
        for label in rng.permutation(classes)[: sheet.ROWS]
        for place in rng.permutation(np.flatnonzero(numbers == label))[:A_CLASS].tolist()
    ]


def _only(split: Pictures, places: np.ndarray) -> Pictures:
    if isinstance(split, FileSplit):
        return split.only(places)
    index = torch.from_numpy(places)
    return type(split)(split.images[index], split.labels[index])
