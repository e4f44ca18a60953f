from __future__ import annotations

import dataclasses
import json

import pytest

from neocog.errors import UsageError
from neocog.recipe import Recipe, fields
from neocog.recipes import NAMES, default_for, find


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_found_by_its_name_and_survives_json(name: str) -> None:
    recipe = find(name)
    assert recipe.name == name
    assert find(name.upper().replace("_", "-")) == recipe
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_a_recipe_is_frozen_and_comparable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        find("quick").lr = 1.0  # type: ignore[misc]
    assert find("quick").changed({"lr": 0.2}) != find("quick")


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("lr", "0.05", 0.05),
        ("lr", "1e-3", 0.001),
        ("epochs", "3", 3),
        ("mirror", "true", True),
        ("mirror", "no", False),
        ("milestones", "30,60", (30, 60)),
        ("pca_noise", "0.1", 0.1),
        ("schedule", "cosine", "cosine"),
    ],
)
def test_a_text_is_read_as_its_field(field: str, text: str, value: object) -> None:
    assert getattr(Recipe().changed({field: text}), field) == value


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("lr", "fast", "takes a number"),
        ("lr", "0", "above 0"),
        ("lr", "nan", "above 0"),
        ("lr", "-1", "above 0"),
        ("batch_size", "2.5", "a whole number"),
        ("epochs", "0", "above 0"),
        ("batch_size", -4, "1 or more"),
        ("mirror", "maybe", "true or false"),
        ("mirror", 1, "true or false"),
        ("milestones", "60,30", "they rise"),
        ("milestones", "a,b", "numbers with commas"),
        ("schedule", "multistep", "needs milestones"),
        ("schedule", "cosin", "did you mean cosine"),
        ("optimizer", "adam", "there are|did you mean"),
        ("validation", "1.5", "at most 0.9"),
        ("nesterov", "true", "momentum"),
        ("lrr", "1", "did you mean lr"),
        ("btch_size", "1", "did you mean batch_size"),
        ("factors", "0.1", "1 for 0 milestones"),
        ("alternate", "true", "needs mirror"),
        ("border", "white", "there are black, reflect"),
        ("views", "sixx", "did you mean six"),
        ("average", "lookahed", "did you mean lookahead"),
        ("bias_lr", "-1", "0 or more"),
        ("muon_momentum", "1", "at most"),
    ],
)
def test_a_wrong_value_is_refused_by_name(field: str, value: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Recipe().changed({field: value})


def test_unknown_recipe_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean alexnet_2012"):
        find("alexnet2012")


def test_defaults_are_the_papers_own_and_quick_for_small_pictures() -> None:
    assert default_for("lenet5", 32).name == "lenet5_1998"
    assert default_for("alexnet_book", 224).name == "alexnet_book"
    assert default_for("vgg_cifar", 32).name == "quick"
    assert default_for("fast_mnist", 28).name == "fast_mnist"
    assert default_for("fast_cifar", 32).name == "fast_cifar10"
    assert default_for("fast_cifar_96", 32).name == "fast_cifar10_96"
    assert default_for("alexnet", 227).name == "alexnet_2012"


def test_the_papers_figures() -> None:
    """AlexNet section 5; LeNet-5 section III.B; the books' chapters (see the recipes' pages)."""
    alexnet = find("alexnet_2012")
    assert (alexnet.batch_size, alexnet.momentum, alexnet.weight_decay) == (128, 0.9, 0.0005)
    assert (alexnet.lr, alexnet.drops, alexnet.drop, alexnet.epochs) == (0.01, 3, 0.1, 90)
    assert (alexnet.resize, alexnet.mirror, alexnet.pca_noise) == (256, True, 0.1)
    book = find("book")
    assert (book.lr, book.epochs, book.batch_size, book.momentum) == (0.9, 10, 256, 0)
    assert fields()[0] == "name"


def test_a_schedule_stretches_whole() -> None:
    recipe = Recipe(epochs=10, warmup=1, schedule="multistep", milestones=(4, 8))
    short = recipe.lasting(2.5)
    assert (short.epochs, short.warmup, short.milestones) == (2.5, 0.25, (1.0, 2.0))
    assert short.lasting(10) == recipe
    assert recipe.changed({"schedule": "step", "every": 4}).lasting(5).every == 2
    assert recipe.changed({"schedule": "plateau", "patience": 3}).lasting(2.5).patience == 1
