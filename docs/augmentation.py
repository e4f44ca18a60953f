"""Draws docs/augmentation.jpg: `python docs/augmentation.py`. The picture is the official portrait
of Grace Hopper by the United States Navy, in the public domain, as matplotlib carries it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.cbook as cbook
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from neocog.data import augment
from neocog.data.batches import Augmentation, TrainingBatches
from neocog.data.crops import Crop
from neocog.data.dataset import Split
from neocog.data.spec import InputSpec

SIDE, TIMES = 128, 7


def main() -> None:
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as portrait:
        whole = portrait.convert("RGB").crop((40, 10, 472, 442)).resize((146, 146))
    pixels = torch.from_numpy(np.array(whole)).movedim(2, 0)
    other = pixels.flip(1).roll(40, 2) // 2 + 90  # something to be mixed with
    images = torch.stack([pixels, other]).repeat(TIMES, 1, 1, 1)[: 2 * TIMES]
    split = Split(images, torch.arange(len(images)) % 2)
    colours = augment.principal_components(images)
    rows = {
        "mirror": Augmentation(mirror=True),
        "resize 146, size 128": Augmentation(),
        "shift 16": Augmentation(shift=16),
        "shift 16, reflect": Augmentation(shift=16, border="reflect"),
        "area 0.08,1": Augmentation(crop=Crop((0.08, 1.0))),
        "rotate 20": Augmentation(rotate=20),
        "jitter 0.4": Augmentation(jitter=0.4),
        "hue 0.15": Augmentation(hue=0.15),
        "pca_noise 1": Augmentation(pca_noise=1.0, components=colours),
        "cutout 40": Augmentation(cutout=40),
        "erase 1": Augmentation(erase=1.0),
        "trivial": Augmentation(trivial=True),
        "mixup 1": Augmentation(mixup=1.0),
        "cutmix 1": Augmentation(cutmix=1.0),
    }
    drawn = Figure(figsize=(TIMES * 1.05 + 1.9, len(rows) * 1.07), layout="constrained")
    grid = drawn.subplots(len(rows), TIMES)
    for row, (name, changes) in zip(grid, rows.items(), strict=True):
        resize = SIDE if name == "mirror" else 146 if "resize" in name else SIDE
        spec = InputSpec(("a", "b"), 3, (SIDE, SIDE), resize, "resize", (0.0,) * 3, (1.0,) * 3)
        batches = TrainingBatches(split, spec, len(images), 0, changes)
        inputs, _ = next(iter(batches.epoch(0)))
        places = batches.order(0)
        chosen = [row for row, place in enumerate(places.tolist()) if place % 2 == 0][:TIMES]
        for axes, place in zip(row, chosen, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.imshow(inputs[place].movedim(0, 2).clamp(0, 1).numpy())
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    drawn.savefig(Path(__file__).with_suffix(".jpg"), dpi=75, pil_kwargs={"quality": 82})


if __name__ == "__main__":
    main()
