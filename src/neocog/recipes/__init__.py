"""The recipes that neocog ships: one literal a page, its docstring saying where it comes from
and what it gave, on what, over how many seeds.
"""

from __future__ import annotations

import importlib

from neocog.errors import unknown
from neocog.recipe import Recipe

NAMES = (
    "quick",
    "book",
    "lenet5_1998",
    "alexnet_2012",
    "alexnet_book",
    "vgg_book",
    "fast",
    "fast_mnist",
    "fast_lenet",
    "fast_fashion",
    "fast_cifar10",
    "fast_cifar10_95",
    "fast_cifar10_96",
    "photos",
)

# What `neocog train NETWORK DATA` takes when no recipe is named: the paper's or the book's own.
# A network that is not here takes `quick` when its input is small, `photos` for pictures in files
# where it has batch norm, and `alexnet_2012` otherwise.
DEFAULTS = {
    "lenet5": "lenet5_1998",
    "lenet_sigmoid": "book",
    "alexnet_book": "alexnet_book",
    "vgg_book": "vgg_book",
    "fast_mnist": "fast_mnist",
    "fast_cifar": "fast_cifar10",
    "fast_cifar_95": "fast_cifar10_95",
    "fast_cifar_96": "fast_cifar10_96",
}
SMALL = 64  # pixels a side: up to here `quick` is the default


def find(name: str) -> Recipe:
    """The recipe of that name; raises `UsageError` with the nearest names."""
    key = name.lower().replace("-", "_")
    if key not in NAMES:
        raise unknown("recipe", name, NAMES)
    recipe: Recipe = importlib.import_module(f"neocog.recipes.{key}").RECIPE
    return recipe


def default_for(network: str, size: int) -> Recipe:
    """The recipe a network is trained with when none is named; `size` in pixels a side."""
    return find(DEFAULTS.get(network, "quick" if size <= SMALL else "alexnet_2012"))


def described(recipe: Recipe) -> str:
    """A recipe's name, and what it changes of the shipped one: "quick (lr 0.03)"."""
    if recipe.name not in NAMES:
        return recipe.name
    shipped, values = find(recipe.name).to_json(), recipe.to_json()
    changed = [f"{k} {_short(v)}" for k, v in values.items() if v != shipped[k] and k != "seed"]
    return f"{recipe.name} ({', '.join(changed)})" if changed else recipe.name


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
