from __future__ import annotations

import math

import pytest
import torch

from neocog.engine.schedules import learning_rate, plateau_drops
from neocog.recipe import Recipe
from neocog.recipes import find
from neocog.records import Epoch


def epochs(*accuracies: float | None) -> list[Epoch]:
    return [
        Epoch(
            epoch=i,
            lr=0.1,
            train_loss=1.0,
            train_accuracy=0.5 if accuracy is None else 0.0,
            val_loss=None if accuracy is None else 1.0,
            val_accuracy=accuracy,
            seconds=1.0,
            images_per_second=1.0,
            best=False,
        )
        for i, accuracy in enumerate(accuracies)
    ]


def torch_rates(make: object, n: int) -> list[float]:
    """What torch's own scheduler gives, an epoch a step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)  # type: ignore[operator]
    rates = []
    for _ in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("recipe", "make"),
    [
        (
            Recipe(lr=1.0, epochs=30, schedule="step", every=7, drop=0.3),
            lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.3),
        ),
        (
            Recipe(lr=1.0, epochs=30, schedule="multistep", milestones=(5, 20), drop=0.2),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [5, 20], 0.2),
        ),
        (
            Recipe(lr=1.0, epochs=30, schedule="cosine", end=0.1),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 30, 0.1),
        ),
        (
            Recipe(lr=1.0, epochs=30, schedule="linear"),
            lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, 30),
        ),
    ],
    ids=["step", "multistep", "cosine", "linear"],
)
def test_a_schedule_agrees_with_torchs(recipe: Recipe, make: object) -> None:
    ours = [learning_rate(recipe, float(at), []) for at in range(30)]
    assert ours == pytest.approx(torch_rates(make, 30), abs=1e-9)


def test_warm_up_rises_to_lr_and_the_schedule_takes_over_from_there() -> None:
    recipe = Recipe(lr=2.0, epochs=10, warmup=2.0, schedule="linear")
    assert learning_rate(recipe, 0.5, []) == pytest.approx(0.5)
    assert learning_rate(recipe, 2.0, []) == pytest.approx(2.0)
    assert learning_rate(recipe, 6.0, []) == pytest.approx(1.0)
    assert learning_rate(recipe, 10.0, []) == pytest.approx(0.0)


def test_lenet5_rates_are_the_papers_table() -> None:
    recipe = find("lenet5_1998")
    rates = [learning_rate(recipe, float(epoch), []) for epoch in range(20)]
    rates[0] = learning_rate(recipe, recipe.warmup, [])  # once it has warmed up
    table = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    assert rates == pytest.approx(table)


def test_plateau_drops_after_patience_and_at_most_so_often() -> None:
    recipe = Recipe(lr=1.0, schedule="plateau", patience=2, drops=2)
    assert plateau_drops(recipe, epochs(0.5, 0.6, 0.6)) == 0
    assert plateau_drops(recipe, epochs(0.5, 0.6, 0.6, 0.55)) == 1
    assert plateau_drops(recipe, epochs(0.5, 0.6, 0.6, 0.55, 0.7)) == 1
    assert plateau_drops(recipe, epochs(*[0.5] * 20)) == 2
    assert learning_rate(recipe, 20.0, epochs(*[0.5] * 20)) == pytest.approx(0.01)


def test_plateau_without_validation_looks_at_training() -> None:
    recipe = Recipe(schedule="plateau", patience=2, drops=2)
    assert plateau_drops(recipe, epochs(*[None] * 3)) == 1


def test_a_constant_rate_is_constant() -> None:
    assert {learning_rate(Recipe(lr=0.3), at / 4, []) for at in range(40)} == {0.3}
    assert math.isclose(learning_rate(Recipe(lr=0.3, warmup=1), 0.5, []), 0.15)
