"""The learning rate over time: pure functions of the recipe, the place in it, and the history."""

from __future__ import annotations

import math
from collections.abc import Sequence

from neocog.errors import UsageError
from neocog.recipe import Recipe
from neocog.records import Epoch


def learning_rate(recipe: Recipe, at: float, history: Sequence[Epoch]) -> float:
    """The rate `at` so many epochs (a fraction while inside one), after the epochs in `history`."""
    if at < recipe.warmup:
        return recipe.lr * at / recipe.warmup
    return recipe.lr * factor(recipe, at, history)


def factor(recipe: Recipe, at: float, history: Sequence[Epoch]) -> float:
    """What the schedule multiplies lr by."""
    past = (at - recipe.warmup) / max(recipe.epochs - recipe.warmup, 1e-9)  # 0 to 1
    match recipe.schedule:
        case "step":
            return float(recipe.drop ** int(at // recipe.every))
        case "multistep":
            return _multistep(recipe, at)
        case "plateau":
            return float(recipe.drop ** plateau_drops(recipe, history))
        case "cosine":
            return recipe.end + (1 - recipe.end) * (1 + math.cos(math.pi * past)) / 2
        case "linear":
            return recipe.end + (1 - recipe.end) * (1 - past)
    return 1.0


def lengthened(recipe: Recipe, epochs: float) -> Recipe:
    """The recipe with more epochs, where its first ones stay what they are.

    Raises `UsageError` for fewer, and where the schedule or an average follows from their number.
    """
    longer = recipe.changed({"epochs": epochs})
    if longer.epochs < recipe.epochs:
        raise UsageError(
            f"epochs: {epochs} was given, and the run has {recipe.epochs:g}: name more"
        )
    ends = recipe.schedule in ("cosine", "linear") or recipe.average != "none"
    if longer.epochs > recipe.epochs and ends:
        what = f"the schedule {recipe.schedule}" if recipe.average == "none" else recipe.average
        raise UsageError(
            f"epochs: {what} follows from their number, so every step so far would have been "
            f"another: begin a new run with {longer.epochs:g} epochs"
        )
    return longer


def epoch_count(recipe: Recipe) -> int:
    """Epochs begun; the last may end before its end."""
    return math.ceil(recipe.epochs)


def steps_in(recipe: Recipe, epoch: int, whole: int) -> int:
    """Steps of an epoch (from 0) where a whole one has `whole`."""
    return max(1, min(whole, round((recipe.epochs - epoch) * whole)))


def _multistep(recipe: Recipe, at: float) -> float:
    passed = sum(at >= milestone for milestone in recipe.milestones)
    if passed and recipe.factors:
        return recipe.factors[passed - 1]
    return float(recipe.drop**passed)


def plateau_drops(recipe: Recipe, history: Sequence[Epoch]) -> int:
    """How often lr has dropped: each time validation error has not fallen for `patience` epochs.

    Without a validation split the training error stands in.
    """
    drops, best, waited = 0, math.inf, 0
    for epoch in history:
        accuracy = epoch.train_accuracy if epoch.val_accuracy is None else epoch.val_accuracy
        if 1 - accuracy < best:
            best, waited = 1 - accuracy, 0
        else:
            waited += 1
        if waited >= recipe.patience:
            drops, waited = drops + 1, 0
    return min(drops, recipe.drops)
