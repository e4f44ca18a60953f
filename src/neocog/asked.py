"""What a user asks for, by name or in hand: recipe, data set, network."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neocog.data.dataset import Dataset
from neocog.data.loading import load, load_folder
from neocog.data.places import find as find_files
from neocog.data.skips import read_skip_list
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
        name, side = variant.name, max(variant.input[1:])
    else:
        made = getattr(network, "made", None)
        name = made.name if made is not None else type(network).__name__
        of_data = max(data.train.size or (0,)) if isinstance(data, Dataset) else 0
        side = max(made.input[1:]) if made is not None else of_data
    found = default_for(name, side)
    if found.name == "alexnet_2012" and _in_files(data) and _has_norms(network):
        return find_recipe("photos")
    return found


def _in_files(data: object) -> bool:
    if isinstance(data, Dataset):
        return data.listing is not None
    first = data if isinstance(data, str) else data[0] if isinstance(data, list) and data else ""
    return isinstance(first, str) and is_path(first)


def _has_norms(network: nn.Module | str) -> bool:
    if isinstance(network, str):
        with torch.device("meta"):
            network = create(network)
    return any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


def dataset_for(
    data: Dataset | str | Sequence[str],
    recipe: Recipe,
    *,
    from_dir: str | Path | None,
    skip: str | Path | None = None,
    cache_size: int | None = None,
    tell: Callable[[str], None],
    progress: Callable[[str, int, int | None], None] | None,
) -> Dataset:
    """The data set itself, or the first of the names that can be had; a name may be a path, of a
    folder of pictures or a list of them.
    """
    if isinstance(data, Dataset):
        return data
    if not isinstance(data, str | list | tuple) or not data:
        raise UsageError(f"data: {data!r} was given; name a data set, or give a neocog.Dataset")
    names = [data] if isinstance(data, str) else list(data)
    skipped = read_skip_list(Path(skip)) if skip is not None else frozenset()
    for name in names:
        if not is_path(name):
            canonical_name(name)  # a wrong one is said before the first is fetched
    for place, name in enumerate(names):
        try:
            if is_path(name):
                made = load_folder(
                    name,
                    validation=recipe.validation,
                    test=recipe.test,
                    seed=recipe.seed,
                    skip=skipped,
                    cache_size=cache_size,
                    allowed=from_dir,
                    tell=tell,
                )
                for line in about_listing(made):
                    tell(line)
                return made
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


def in_bytes(gigabytes: float | None) -> int | None:
    """What --cache-size says, in bytes."""
    if gigabytes is None:
        return None
    if not 0 <= gigabytes < math.inf:
        raise UsageError(
            f"cache-size: {gigabytes!r} was given; it takes gigabytes, 0 to keep nothing"
        )
    return int(gigabytes * 10**9)


def is_path(name: str) -> bool:
    """Whether this is a folder or a list rather than a data set's name; ./mnist is a folder."""
    if name in SOURCES or not name:
        return False
    if any(mark in name for mark in (os.sep, "/", ".")) or name.startswith("~"):
        return True
    # not by pathlib, which raises for a name too long to be one
    return os.path.exists(name) and not _is_known(name)  # noqa: PTH110


def _is_known(name: str) -> bool:
    try:
        canonical_name(name)
    except UsageError:
        return False
    return True


def about_listing(dataset: Dataset) -> list[str]:
    """What the user of a folder should know of it, before it is learnt from."""
    listing = dataset.listing
    if listing is None:
        return []
    what = f", {len(listing.shards.sources):,} shards" if listing.shards else ""
    lines = [f"folder   {line}" for line in (*listing.left_out(), *listing.remarks)]
    cut = "" if "train" in listing.splits else ", cut by chance of the seed"
    return [*lines, f"folder   {listing.place}: {len(listing.classes):,} classes{what}{cut}"]


def _is_damage(name: str, from_dir: str | Path | None) -> bool:
    """Whether a set failed in a place that its user named, rather than in being fetched."""
    if is_path(name):
        return True
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
