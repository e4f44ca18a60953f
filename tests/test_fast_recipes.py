"""The fast recipes: their sources' figures, whole runs in small, and what does not fit them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import Silent
from torch import nn

import neocog
from neocog import planning, training
from neocog.cli.main import main
from neocog.data.batches import Augmentation
from neocog.data.dataset import Dataset, Split
from neocog.engine.evaluate import predictions
from neocog.engine.schedules import learning_rate
from neocog.errors import UsageError
from neocog.fitting import fitted_spec
from neocog.networks.fast import fast
from neocog.recipe import Recipe
from neocog.recipes import NAMES, find
from neocog.records import Step

FAST = [name for name in NAMES if name.startswith("fast")]


def patterns(*, channels: int = 3, side: int = 12) -> Dataset:
    """Four classes that survive a mirror: bands of another height each, under noise."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        labels = torch.arange(n) % 4
        images = torch.randint(0, 80, (n, channels, side, side), generator=generator)
        for i, label in enumerate(labels.tolist()):
            images[i, :, label * side // 4 : (label + 1) * side // 4] += 150
        return Split(images.to(torch.uint8), labels)

    return Dataset(
        name="patterns",
        train=split(320),
        val=split(32),
        test=split(64),
        classes=tuple("abcd"),
        mean=(0.35,) * channels,
        std=(0.2,) * channels,
        mirrors=True,
        size=(side, side),
        origin="made here",
    )


def small() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return fast((8, 16, 16), num_classes=4)


def test_fast_cifar10_is_the_source_point_by_point_but_for_an_epoch() -> None:
    """airbench94_muon.py; its loss is a sum over 2000 pictures, its head is divided by 256."""
    recipe, batch = find("fast_cifar10"), 2000
    assert (recipe.batch_size, recipe.epochs, recipe.whiten_epochs) == (batch, 8 + 1, 3)
    assert (recipe.lr, recipe.muon_momentum, recipe.momentum) == (0.24, 0.6, 0.85)
    assert recipe.bias_lr / batch == pytest.approx(0.053)
    assert recipe.head_lr / batch * (256 / 9) ** 2 == pytest.approx(0.67, rel=1e-3)
    assert recipe.lr * recipe.weight_decay == pytest.approx(2e-6 * batch)
    assert (recipe.shift, recipe.border, recipe.views) == (2, "reflect", "six")
    assert (recipe.alternate, recipe.whiten, recipe.nesterov) == (True, True, True)
    assert recipe.label_smoothing == 0.2
    assert learning_rate(recipe, 0.0, []) == 0.24
    assert learning_rate(recipe, 9.0, []) == 0


@pytest.mark.parametrize(
    ("name", "lr", "decay", "epochs"),
    [("fast_cifar10_95", 10, 0.0153, 15), ("fast_cifar10_96", 9, 0.012, 31)],
)
def test_the_wider_ones_rates_are_the_sources(
    name: str, lr: float, decay: float, epochs: int
) -> None:
    """airbench95.py, airbench96.py: rates "decoupled" from the momentum of 0.85."""
    recipe, steps = find(name), 1 + 1 / (1 - 0.85)
    assert recipe.lr * steps == pytest.approx(lr, rel=1e-4)
    assert recipe.lr * recipe.weight_decay * steps == pytest.approx(decay, rel=1e-4)
    assert recipe.bias_lr == 64 * recipe.lr
    assert (recipe.batch_size, recipe.epochs, recipe.average) == (1024, epochs, "lookahead")


@pytest.mark.parametrize("name", FAST)
def test_recipes_that_were_fixed_beforehand_train_on_all_pictures(name: str) -> None:
    recipe = find(name)
    assert (recipe.validation, recipe.select) == (0, "last")


@pytest.mark.parametrize("name", ["fast_cifar10", "fast_cifar10_96", "fast"])
def test_the_loss_falls(name: str, tmp_path: Path) -> None:
    changes = {"batch_size": 40, "epochs": 3, "shift": 1, "seed": 1}
    recipe = find(name).lasting(3).changed(changes)
    if recipe.bias_lr:  # they are for batches of a thousand and more
        recipe = recipe.changed({"bias_lr": 2, "cutout": 0})
    run = neocog.train(small_for(recipe), patterns(), recipe=recipe, out=tmp_path, watcher=Silent())
    losses = [epoch.train_loss for epoch in run.history]
    assert losses[-1] < losses[0] - 0.2
    assert run.scores["test"]["top1"] > 0.6
    assert run.scores["views"] == recipe.views


def small_for(recipe: Recipe) -> nn.Sequential:
    if recipe.whiten:
        return small()
    layers = [nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8 * 25, 4))


def test_a_run_is_whitened_by_its_seed_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    recipe = find("fast_cifar10").lasting(2).changed({"batch_size": 64, "bias_lr": 2})
    data, reached = patterns(), []
    for stop_at in (None, 7):
        out = tmp_path / str(stop_at)
        job = training.begin(small(), data, recipe=recipe, out=out)
        filters = job.network.whiten.weight.clone()
        facts = training.run(job)
        for count, fact in enumerate(facts, 1):
            if count == stop_at:
                assert isinstance(fact, Step)
                job.folder.save_state(training.state_of(job))
                break
        facts.close()
        if stop_at:
            job = training.resume(job.folder, network=small(), dataset=data)
            for _ in training.run(job):
                pass
        assert torch.equal(filters, job.network.whiten.weight)
        reached.append(job.network.state_dict())
    assert set(filters.flatten().tolist()) != {-1.0, 0.0, 1.0}  # no longer one pixel each
    for name, tensor in reached[0].items():
        assert torch.equal(tensor, reached[1][name]), name


def test_the_pictures_to_whiten_by_follow_from_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "WHITENED_BY", 20)
    data, filters = patterns(), []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        recipe = find("fast_cifar10").changed({"seed": seed})
        job = training.begin(small(), data, recipe=recipe, out=tmp_path / name)
        filters.append(job.network.whiten.weight)
    assert torch.equal(filters[0], filters[1])
    assert not torch.equal(filters[0], filters[2])


def test_views_are_printed_with_the_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Recipe(epochs=1, lr=0.01, batch_size=64, views="six")
    run = neocog.train(small(), patterns(), recipe=recipe, out=tmp_path / "r", watcher=Silent())
    assert main(["eval", str(run.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("test: 64 pictures") and "views six" in line for line in lines)
    assert any(line.startswith("validation: 32 pictures, views six") for line in lines)


def test_what_is_scored_is_seen_in_the_recipes_views(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, lr=0.01, batch_size=64, views="six")
    data = patterns()
    run = neocog.train(small(), data, recipe=recipe, out=tmp_path / "r", watcher=Silent())
    network = run.network() if run._network is None else run._network
    for name, split in (("test", data.test), ("validation", data.val)):
        stored = run.folder.predictions(name)
        assert stored is not None
        six, one = (
            predictions(network, split, run.folder.spec, views=views).logits
            for views in ("six", "one")
        )
        np.testing.assert_allclose(stored.logits, six, rtol=1e-4, atol=1e-4)
        assert np.abs(stored.logits - one).max() > 1e-3


def test_pictures_are_changed_as_the_recipe_says() -> None:
    changes = {"mirror": True, "alternate": True, "shift": 3, "border": "reflect", "cutout": 5}
    data, recipe = patterns(), Recipe().changed(changes)
    spec = fitted_spec(small(), data, recipe)
    made = dataclasses.asdict(planning._augmentation(data, recipe, spec))
    none = dataclasses.asdict(Augmentation())
    assert made == {**none, **changes}


@pytest.mark.parametrize(
    ("network", "changes", "message"),
    [
        ("lenet_relu", {"whiten": True}, "lenet_relu has no layer `whiten`.*whiten=false"),
        ("lenet_relu", {"views": "mirror"}, "digits do not keep their class"),
        ("lenet_relu", {"cutout": 29}, "cutout: 29 .* pictures are 28x28"),
        ("dense", {"optimizer": "muon"}, "muon needs a network with convolutions"),
        ("dense", {"whiten": True}, "Sequential has no layer `whiten`"),
    ],
)
def test_what_does_not_fit_is_told_before_a_folder_is_made(
    network: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    net: Any = network if network != "dense" else nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(UsageError, match=message):
        neocog.train(
            net, "digits", recipe=Recipe().changed(changes), out=tmp_path / "r", tell=print
        )
    assert not (tmp_path / "r").exists()


def test_digits_in_the_fast_network_want_one_view(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--set views=one"):
        neocog.train("fast_cifar", "digits", out=tmp_path / "r", tell=print)
