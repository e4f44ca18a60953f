"""One arm of `benchmarks.loading`: pictures a second of three epochs, as JSON on stdout."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from benchmarks.loading import BATCH, MEAN, SIDE, STD

EPOCHS = 3
Epoch = Callable[[int], Iterable[Any]]


def main() -> None:
    arm, root, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    epoch = peer(root, workers) if arm == "torchvision" else ours(root, kept=arm == "neocog")
    rates = []
    for number in range(EPOCHS):
        begin, count = time.perf_counter(), 0
        for images, _ in epoch(number):
            assert images.shape[1:] == (3, SIDE, SIDE)
            assert images.dtype == torch.float32
            count += len(images)
        rates.append(count / (time.perf_counter() - begin))
    print(json.dumps(rates))


def ours(root: Path, *, kept: bool) -> Epoch:
    from neocog.data.batches import Augmentation, TrainingBatches
    from neocog.data.crops import Crop
    from neocog.data.loading import load_folder
    from neocog.data.spec import InputSpec
    from neocog.engine import memory

    memory.keep()  # as `neocog train` does
    data = load_folder(root, validation=0, test=0, cache_size=None if kept else 0)
    spec = InputSpec(data.classes, 3, (SIDE, SIDE), SIDE, "resize", MEAN, STD)
    changes = Augmentation(crop=Crop((0.08, 1.0)), mirror=True)
    batches = TrainingBatches(data.train, spec, BATCH, 0, changes)

    def epoch(number: int) -> Iterable[Any]:
        yield from batches.epoch(number)
        data.finish(wait=False)  # as between the epochs of a run

    return epoch


def peer(root: Path, workers: int) -> Epoch:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = torch.library.Library("torchvision", "DEF")  # its operators are another build's
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision import datasets, transforms

    changes = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(root), changes),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return lambda number: loader


if __name__ == "__main__":
    main()
