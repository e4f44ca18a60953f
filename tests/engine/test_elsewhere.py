"""Steps of the loop on a device that is not the CPU: torch's meta device, which has shapes and no
numbers. Its tensors meet none of the CPU but single numbers, and nobody can wait for a value of
them: as it is to be on a GPU.
"""

from __future__ import annotations

from contextlib import closing
from itertools import islice

import pytest
import torch

from neocog.data.dataset import Dataset, Split
from neocog.engine.fit import fit
from neocog.engine.state import Training
from neocog.fitting import fitted_spec
from neocog.networks import NETWORKS, create
from neocog.planning import batches_of
from neocog.recipe import Recipe
from neocog.recipes import DEFAULTS, find
from neocog.records import Step

RUNS = {
    "fast": "resnet20_cifar",
    "quick": "lenet_relu",
    **{recipe: network for network, recipe in DEFAULTS.items() if recipe != "lenet5_1998"},
}


def somewhere(channels: int, side: int, count: int) -> Dataset:
    def split(count: int) -> Split:
        pixels = torch.empty(count, channels, side, side, dtype=torch.uint8, device="meta")
        return Split(pixels, torch.empty(count, dtype=torch.int64, device="meta"))

    return Dataset(
        name="somewhere",
        classes=tuple("abcdefghij"),
        train=split(count),
        val=split(0),
        test=split(0),
        mean=(0.5,) * channels,
        std=(0.3,) * channels,
        size=None,
        mirrors=True,
        origin="somewhere",
    )


def steps(network: str, recipe: Recipe) -> list[Step]:
    """The first three, on meta tensors alone."""
    channels, side, _ = NETWORKS[network].input
    data = somewhere(channels, side, 4 * recipe.batch_size)
    made = create(network, num_classes=10).to("meta")
    batches = batches_of(data, recipe, fitted_spec(made, data, recipe), "meta")
    with closing(fit(Training.begin(made, recipe), batches, data.val, recipe=recipe)) as facts:
        return [fact for fact in islice(facts, 3) if isinstance(fact, Step)]


@pytest.mark.parametrize("name", RUNS)
def test_a_recipe_takes_its_steps_where_the_network_is(name: str) -> None:
    recipe = find(name).changed({"batch_size": 8})
    found = steps(RUNS[name], recipe)
    assert [step.step for step in found] == [1, 2, 3]
    assert all(step.loss_sum.is_meta and step.correct.is_meta for step in found)


def test_so_does_each_change_of_the_pictures() -> None:
    changes = {"mixup": 0.2, "cutmix": 1.0, "erase": 0.5, "cutout": 4, "rotate": 9.0, "jitter": 0.2}
    changes |= {"hue": 0.1, "mirror": True, "shift": 2, "trivial": True, "batch_size": 8}
    found = steps("resnet20_cifar", find("quick").changed(changes))
    assert all(step.loss_sum.is_meta for step in found)
