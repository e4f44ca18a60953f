"""Every shipped recipe stopped in mid-epoch and gone on with: python -m tests.endurance.recipes

Each recipe in fp32 and in bf16, with few pictures, small batches and a small network, but with all
that it does to pictures, rates and weights; among them in memory, in a folder, in one whose decoded
pictures are kept, and in shards. SIGTERM comes at a step by chance, within the first epoch or the
second. What the resumed run leaves must be what the straight one left, to the bit: weights,
history but for its seconds, logits of validation and test.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from tests.endurance.runs import FOUND, Counts, left, same, table
from tests.folders import flat_folder
from torch import nn

from neocog import training
from neocog.data.dataset import Dataset, Split
from neocog.data.loading import load_folder
from neocog.data.packing import pack
from neocog.engine.hardware import Wanted
from neocog.networks import create
from neocog.networks.fast import fast
from neocog.recipes import NAMES, find
from neocog.records import Epoch, Step
from neocog.run import RunFolder
from neocog.stopping import Interrupted

SAME = "same as straight"
PRECISIONS = ("fp32", "bf16")
KEPT = 10**8  # bytes of decoded pictures


@dataclass(frozen=True)
class Small:
    """How a recipe is made small: its network for (classes, channels), its data, its changes."""

    network: Callable[[int, int], nn.Module]
    data: str = "memory"
    channels: int = 3
    changes: dict[str, Any] = field(default_factory=dict)
    recipe: str = ""  # if it is not the name it stands under


def dropping(classes: int, channels: int) -> nn.Module:
    """A class that is not neocog's: two convolutions and dropout."""
    layers = OrderedDict[str, nn.Module](
        conv1=nn.Conv2d(channels, 6, 3, stride=2),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(6, 8, 3, padding=1),
        relu2=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(3),
        flatten=nn.Flatten(),
        drop=nn.Dropout(0.5),
        head=nn.Linear(72, classes),
    )
    return nn.Sequential(layers)


def small_fast(classes: int, channels: int) -> nn.Module:
    return fast((8, 8, 8), num_classes=classes, in_channels=channels)


def small_fast_96(classes: int, channels: int) -> nn.Module:
    return fast((8, 8, 8), residual=True, num_classes=classes, in_channels=channels)


def named(name: str) -> Callable[[int, int], nn.Module]:
    return lambda classes, channels: create(name, num_classes=classes, in_channels=channels, seed=0)


IN_FILES = {"size": 32, "resize": 40}
SMALL = {
    "quick": Small(named("lenet_relu"), channels=1),
    "book": Small(named("lenet_sigmoid"), channels=1),
    "lenet5_1998": Small(named("lenet5"), channels=1, changes={"batch_size": 1, "warmup": 0.5}),
    "alexnet_2012": Small(dropping, "shards", changes=IN_FILES),
    "alexnet_book": Small(dropping, channels=1),
    "vgg_book": Small(dropping, "folder", changes=IN_FILES),
    "fast": Small(small_fast, changes={"warmup": 0.5}),
    "fast_mnist": Small(named("fast_mnist"), channels=1),
    "fast_lenet": Small(named("lenet_relu"), channels=1),
    "fast_fashion": Small(small_fast, channels=1),
    "fast_cifar10": Small(small_fast),
    "fast_cifar10_95": Small(small_fast, changes={"warmup": 0.5}),
    "fast_cifar10_96": Small(small_fast_96, changes={"warmup": 0.5}),
    "photos": Small(named("mobilenet_v1_x0_25"), "kept", changes={**IN_FILES, "warmup": 0.5}),
    "all at once": Small(
        dropping,
        "kept",
        recipe="photos",
        changes={**IN_FILES, "optimizer": "muon", "schedule": "plateau", "warmup": 0.5,
                 "patience": 1, "average": "lookahead", "begin_size": 24, "grow_epochs": 1.5,
                 "mixup": 0.2, "cutmix": 1.0, "erase": 0.3, "trivial": True, "rotate": 9.0},
    ),
    "all at once, in memory": Small(
        dropping,
        recipe="quick",
        changes={"optimizer": "muon", "average": "lookahead", "begin_size": 24, "shift": 2,
                 "grow_epochs": 1.5, "mixup": 0.2, "cutout": 5, "balance": "sampling"},
    ),
}  # fmt: skip


def of(name: str, root: Path) -> Dataset:
    """The pictures for an entry of `SMALL`, anew."""
    small = SMALL[name]
    if small.data == "memory":
        classes = 10 if name == "lenet5_1998" else 4
        side = 28 if small.channels == 1 else 32
        return noise(classes, (small.channels, side, side))
    place = root / ("shards" if small.data == "shards" else "folder")
    return load_folder(place, cache_size=KEPT if small.data == "kept" else 0)


def noise(classes: int, shape: tuple[int, int, int]) -> Dataset:
    """32 pictures to train on and some to score: noise whose brightness says the class."""
    generator = torch.Generator().manual_seed(1)
    parts = []
    for count in (32, 10, 10):
        labels = torch.arange(count) % classes
        drawn = torch.rand((count, *shape), generator=generator)
        bright = (labels + 1).view(-1, 1, 1, 1) / classes
        parts.append(Split((255 * drawn * bright).to(torch.uint8), labels))
    channels = shape[0]
    return Dataset(
        "noise",
        *parts,
        classes=tuple(f"class {label}" for label in range(classes)),
        mean=(0.3,) * channels,
        std=(0.25,) * channels,
        mirrors=True,
        size=None,
        origin="made up",
    )


def begun(name: str, precision: str, root: Path, out: Path) -> training.Job:
    small, dataset = SMALL[name], of(name, root)
    recipe = find(small.recipe or name).changed({"epochs": 2, "batch_size": 8, **small.changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = small.network(len(dataset.classes), dataset.channels)
    wanted = Wanted("cpu", precision=precision, threads=1)
    return training.begin(network, dataset, recipe=recipe, out=out, wanted=wanted)


def resumed(name: str, root: Path, out: Path) -> training.Job:
    """With a network whose weights are others, and pictures that were listed again."""
    small, folder, dataset = SMALL[name], RunFolder.open(out), of(name, root)
    network = small.network(len(dataset.classes), dataset.channels)
    given = dataset if small.data in ("memory", "kept") else None  # else from the run's own record
    if "class" not in folder.made:
        return training.resume(folder, dataset=given, cache_size=0)
    return training.resume(folder, network=network, dataset=given, cache_size=0)


def outcome(
    name: str, precision: str, root: Path, chance: random.Random, plain: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """What comes of a recipe that is stopped and gone on with; and what the straight run left."""
    out = root / f"{name}-{precision}".replace(" ", "-").replace(",", "")
    job = begun(name, precision, root, out / "straight")
    steps = [fact.step for fact in training.run(job) if isinstance(fact, Step)]
    reached = left(out / "straight")
    if precision == "bf16" and same(reached, plain):
        return "other: bf16 changed nothing", reached
    epoch, step = chance.randrange(2), chance.randrange(1, max(steps))
    job = begun(name, precision, root, out / "stopped")
    try:
        for fact in training.run(job):
            if isinstance(fact, Step) and (fact.epoch, fact.step) == (epoch, step):
                signal.raise_signal(signal.SIGTERM)
        return f"other: not stopped at {epoch}, {step}", reached
    except Interrupted:
        pass
    state = RunFolder.open(out / "stopped").state()
    if (state["epoch"], state["step"]) != (epoch, step):
        return f"other: saved at {state['epoch']}, {state['step']}", reached
    job = resumed(name, root, out / "stopped")
    if job.hardware.precision != precision:
        return f"other: resumed in {job.hardware.precision}", reached
    epochs = [fact.epoch for fact in training.run(job) if isinstance(fact, Epoch)]
    agrees = epochs and same(left(out / "stopped"), reached)
    if not agrees:
        shutil.copytree(out, FOUND / out.name, dirs_exist_ok=True)
    return SAME if agrees else f"other: not what the straight one left ({out.name})", reached


def stopped(root: Path, chance: random.Random, *, few: bool = False) -> Counts:
    """(precision, recipe and data, outcome) of every recipe in both precisions; `few`: in bf16
    every fourth one.
    """
    assert set(NAMES) <= set(SMALL), "a recipe is not in the table"
    flat_folder(root / "folder", 16)
    pack(load_folder(root / "folder", cache_size=0), root / "shards", shard_size=12_000)
    os.environ["NEOCOG_CACHE"] = str(root / "cache")
    counts = Counts()
    begin = chance.randrange(4)
    for number, (name, small) in enumerate(SMALL.items()):
        plain: dict[str, Any] = {}
        for precision in PRECISIONS:
            if few and precision == "bf16" and number % 4 != begin:
                continue
            end, plain = outcome(name, precision, root, chance, plain)
            counts[precision, f"{name}, {small.data}", end] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        counts = stopped(Path(temporary), random.Random(options.seed))
    print("\n".join(table("recipe, pictures", counts)))


if __name__ == "__main__":
    main()
