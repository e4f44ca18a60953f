"""What a user asks for, by name or in hand: recipe, data set, network."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from neocog.data.dataset import Dataset, load
from neocog.data.places import find as find_files
from neocog.data.sources import SOURCES, canonical_name
from neocog.errors import DataError, UsageError
from neocog.networks import create
from neocog.networks import find as find_network
from neocog.recipe import Recipe
from neocog.recipes import default_for
from neocog.recipes import find as find_recipe


def recipe_for(network: nn.Module | str, data: object, recipe: Recipe | str | None) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    if recipe is not None:
        return find_recipe(recipe)
    if isinstance(network, str):
        variant = find_network(network)
        return default_for(variant.name, max(variant.input[1:]))
    made = getattr(network, "made", None)
    if made is not None:
        return default_for(made.name, max(made.input[1:]))
    side = max(data.train.images.shape[2:]) if isinstance(data, Dataset) else 0
    return default_for(type(network).__name__, side)


def dataset_for(
    data: Dataset | str | Sequence[str],
    recipe: Recipe,
    *,
    from_dir: str | Path | None,
    tell: Callable[[str], None],
    progress: Callable[[str, int, int | None], None] | None,
) -> Dataset:
    """The data set itself, or the first of the names that can be had."""
    if isinstance(data, Dataset):
        return data
    if not isinstance(data, str | list | tuple) or not data:
        raise UsageError(f"data: {data!r} was given; name a data set, or give a neocog.Dataset")
    names = [data] if isinstance(data, str) else list(data)
    for name in names:
        canonical_name(name)  # a wrong one is said before the first is fetched
    for place, name in enumerate(names):
        try:
            return load(
                name,
                validation=recipe.validation,
                seed=recipe.seed,
                from_dir=None if place and canonical_name(name) == "digits" else from_dir,
                tell=tell,
                progress=progress,
            )
        except DataError as error:
            if place + 1 == len(names) or _is_damage(name, from_dir):
                raise
            tell(f"{str(error).splitlines()[0].removesuffix(' Tried:')}")
            tell(f"taking {names[place + 1]} instead of {name}")
    raise AssertionError("the last name either loads or raises")


def _is_damage(name: str, from_dir: str | Path | None) -> bool:
    """Whether a set failed in a place that its user named, rather than in being fetched."""
    named = from_dir or os.environ.get("NEOCOG_DATA")
    return bool(named) and bool(find_files(SOURCES[canonical_name(name)], Path(str(named))))


def changed(
    recipe: Recipe, changes: dict[str, Any] | None, *, epochs: float | None, minutes: float | None
) -> Recipe:
    changes = {**(changes or {}), **({} if epochs is None else {"epochs": epochs})}
    if minutes is not None:
        if not 0 < minutes < math.inf:
            raise UsageError(f"minutes: {minutes!r} was given; it takes a number above 0")
        if "epochs" in changes:
            raise UsageError("epochs and minutes both say how long to train: leave one of them out")
    return recipe.changed(changes)


def network_for(network: nn.Module | str, dataset: Dataset, recipe: Recipe) -> nn.Module:
    if not isinstance(network, str):
        return network
    classes, channels = len(dataset.classes), dataset.channels
    return create(network, num_classes=classes, in_channels=channels, seed=recipe.seed)
