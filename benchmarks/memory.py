"""What a run was estimated to hold in memory, and what it held: one row, in a fresh process.

    python -m benchmarks.memory resnet18 224 32 16  # side, batch size, validated

Two epochs of two batches of noise. What it held is VmHWM of Linux beyond VmRSS before the run,
when network and data are there already and the high-water mark is reset.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

import neocog
from neocog import room
from neocog.data.dataset import Dataset, Split
from neocog.engine.hardware import Wanted
from neocog.fitting import fitted_spec
from neocog.recipe import Recipe


class Silent:
    def see(self, fact: object) -> None:
        pass

    def close(self) -> None:
        pass


def main(name: str, side: int, batch_size: int, validated: int) -> None:
    network = neocog.create(name, num_classes=10)
    channels = next(network.parameters()).shape[1]

    def split(count: int) -> Split:
        pixels = torch.randint(256, (count, channels, side, side), dtype=torch.uint8)
        return Split(pixels, torch.arange(count) % 10)

    data = Dataset(
        name="noise",
        classes=tuple("abcdefghij"),
        train=split(2 * batch_size),
        val=split(validated),
        test=split(2),
        mean=(0.5,) * channels,
        std=(0.3,) * channels,
        size=(side, side),
        mirrors=False,
        origin="noise",
    )
    recipe = Recipe(epochs=2, batch_size=batch_size, lr=1e-4, momentum=0.9)
    spec = fitted_spec(network, data, recipe)
    estimate = room.needed(network, data, recipe, spec, Wanted()).whole(batch_size)
    train = neocog.train  # imported now, so that its libraries do not count
    Path("/proc/self/clear_refs").write_text("5")
    before = held("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        train(network, data, recipe=recipe, out=f"{folder}/run", watcher=Silent(), tell=str)
    most = held("VmHWM") - before
    print(
        f"| {name} | {side} | {batch_size} | {validated} | {estimate / 1e6:,.0f} "
        f"| {most / 1e6:,.0f} | {estimate / most:.2f} |"
    )


def held(what: str) -> int:
    """Bytes of this process, as Linux tells them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))


if __name__ == "__main__":
    main(sys.argv[1], *(int(text) for text in sys.argv[2:5]))
