"""Whatever a recipe asks for: stopped in the middle and resumed, a run reaches the same weights."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from tests.engine.test_fit import SPEC, pictures
from torch import nn

from neocog.data.batches import Augmentation, TrainingBatches
from neocog.data.spec import InputSpec
from neocog.engine.fit import fit
from neocog.engine.state import Training
from neocog.networks.fast import fast
from neocog.networks.start import whiten
from neocog.recipe import Recipe

MUON = {
    "optimizer": "muon",
    "lr": 0.1,
    "bias_lr": 0.3,
    "head_lr": 0.2,
    "momentum": 0.85,
    "nesterov": True,
    "weight_decay": 0.01,
}
CHANGES: dict[str, dict[str, Any]] = {
    "muon": MUON,
    "rates of their own": {"lr": 0.02, "bias_lr": 0.1, "head_lr": 0.05, "momentum": 0.9},
    "alternate": {"mirror": True, "alternate": True},
    "reflect": {"shift": 2, "border": "reflect"},
    "cutout": {"cutout": 7},
    "lookahead": {"average": "lookahead", "momentum": 0.9},
    "whiten": {"whiten": True, "whiten_epochs": 1.5, "lr": 0.02},
    "views": {"views": "six"},
    "all": {
        **MUON,
        "mirror": True,
        "alternate": True,
        "shift": 2,
        "border": "reflect",
        "cutout": 5,
        "average": "lookahead",
        "whiten": True,
        "whiten_epochs": 1.5,
        "views": "six",
        "label_smoothing": 0.2,
    },
}
SMALL = InputSpec.from_json({**SPEC.to_json(), "size": [12, 12], "resize": 12})
TRAIN, VAL = pictures(96), pictures(16, 1)


def batches(recipe: Recipe) -> TrainingBatches:
    augmentation = Augmentation(
        mirror=recipe.mirror,
        alternate=recipe.alternate,
        shift=recipe.shift,
        border=recipe.border,
        cutout=recipe.cutout,
    )
    return TrainingBatches(TRAIN, SMALL, recipe.batch_size, recipe.seed, augmentation)


def begun(recipe: Recipe, *, seed: int = 0) -> Training:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = fast((6, 8, 8), num_classes=4, in_channels=1)
    if recipe.whiten and seed == 0:  # one that is resumed has its filters from the checkpoint
        whiten(network, batches(recipe).sample(50, seed=0))
    return Training.begin(network, recipe)


def gone(training: Training, recipe: Recipe, *, stop_at: int | None = None) -> nn.Module:
    facts = fit(training, batches(recipe), VAL, recipe=recipe)
    for count, _ in enumerate(facts, 1):
        if count == stop_at:
            break
    facts.close()
    return training.network


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("stop_at", [3, 6, 9])  # within, between two epochs' facts, in the next
def test_resumed_in_the_middle_it_reaches_the_same_weights(name: str, stop_at: int) -> None:
    recipe = Recipe(epochs=2, batch_size=16, schedule="linear").changed(CHANGES[name])
    whole = begun(recipe)
    gone(whole, recipe)

    first = begun(recipe)
    gone(first, recipe, stop_at=stop_at)
    saved = io.BytesIO()
    torch.save(first.state(), saved)
    saved.seek(0)
    second = begun(recipe, seed=7)
    second.restore(torch.load(saved, weights_only=True))
    gone(second, recipe)

    reached = second.network.state_dict()
    for tensor_name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, reached[tensor_name]), tensor_name
    assert [(e.train_loss, e.val_loss) for e in whole.history] == [
        (e.train_loss, e.val_loss) for e in second.history
    ]


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "views"])
def test_each_of_them_changes_what_is_learnt(name: str) -> None:
    """Else the test above would prove nothing."""
    plain = Recipe(epochs=1, batch_size=16, schedule="linear", lr=0.02, momentum=0.9)
    changed = plain.changed(CHANGES[name])
    changed = changed.changed({"lr": 0.02, "momentum": 0.9}) if name != "all" else changed
    one, other = gone(begun(plain), plain), gone(begun(changed), changed)
    assert not torch.equal(one.head.fc.weight, other.head.fc.weight)  # type: ignore[union-attr]


def test_the_last_epoch_alone_is_validated_by_the_recipes_views() -> None:
    one = Recipe(epochs=2, batch_size=16, lr=0.02)
    histories = []
    for recipe in (one, one.changed({"views": "six"})):
        training = begun(recipe)
        gone(training, recipe)
        histories.append([epoch.val_loss for epoch in training.history])
    (first, last), (first_of_six, last_of_six) = histories
    assert first == first_of_six
    assert last != last_of_six
