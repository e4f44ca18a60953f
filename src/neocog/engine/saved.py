"""Whether a saved state is one that training can go on from: its kinds, counts and shapes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from neocog.data.spec import InputSpec
from neocog.engine.schedules import epoch_count, lengthened
from neocog.recipe import Recipe
from neocog.records import Epoch, Norms


def check_same_run(state: Mapping[str, Any], recipe: Recipe, spec: InputSpec) -> None:
    """`ValueError` where a state is of a run whose files say another thing now."""
    try:  # a tensor of any size may stand where a number should, and would be compared
        json.dumps([state["recipe"], state.get("input")])
    except TypeError as error:
        raise ValueError("its recipe or input is not what training saves") from error
    saved = Recipe.from_json(state["recipe"])
    if saved != recipe and lengthened(saved, recipe.epochs) != recipe:
        raise ValueError("it was saved with another recipe than recipe.json has now")
    if "input" in state and InputSpec.from_json(state["input"]) != spec:
        raise ValueError("it was saved with another description of the input than input.json has")


def check_saved(state: Mapping[str, Any], optimizer: Optimizer, recipe: Recipe) -> None:
    """`ValueError` where a state is not of the kind that training saves: what its own libraries
    would take without a look, and fail over later. `optimizer` is a fresh one of the same recipe.
    """
    for name in ("epoch", "step", "pictures"):
        _expect(type(state[name]) is int and 0 <= state[name] < 2**53, name)
    _expect(state["epoch"] <= epoch_count(recipe), "epoch")
    _expect(type(state["seconds"]) is float and 0 <= state["seconds"] < math.inf, "seconds")
    for name in ("loss_sum", "correct"):
        _expect(_is_dense(state[name]) and state[name].shape == (), name)
    history = state["history"]
    _expect(isinstance(history, list) and len(history) == state["epoch"], "history")
    for place, epoch in enumerate(history):
        _expect(Epoch.from_json(epoch).epoch == place, "history")
    norms = state.get("norms", [])
    _expect(isinstance(norms, list) and len(norms) <= len(history) + 1, "norms")
    for each in norms:
        _expect(Norms.from_json(each).epoch <= state["epoch"], "norms")
    parts = state.get("parts", [])
    _expect(isinstance(parts, list) and all(_is_counted(part) for part in parts), "parts")
    for name in ("network", "average"):
        _expect(all(_is_dense(tensor) for tensor in dict(state[name]).values()), name)
    _check_optimizer(state["optimizer"], optimizer)


def _check_optimizer(saved: Any, optimizer: Optimizer) -> None:
    fresh = optimizer.state_dict()["param_groups"]
    groups = saved["param_groups"]
    _expect(isinstance(groups, list) and len(groups) == len(fresh), "optimizer")
    for then, now in zip(groups, fresh, strict=True):
        _expect(isinstance(then, dict) and then.keys() == now.keys(), "optimizer")
        # the rate is set anew before each step; all else follows from the recipe
        same = (then[name] == now[name] for name in now if name != "lr")
        _expect(type(then["lr"]) is float and all(each is True for each in same), "optimizer")
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, values in dict(saved["state"]).items():
        _expect(type(number) is int and 0 <= number < len(weights), "optimizer")
        for value in dict(values).values():
            sound = value is None or (_is_dense(value) and value.shape == weights[number].shape)
            _expect(sound, "optimizer")


def _is_counted(part: object) -> bool:
    """What one of several processes has counted: pictures, their losses, and which were right."""
    return (
        isinstance(part, list)
        and len(part) == 3
        and all(type(number) is float and math.isfinite(number) for number in part)
    )


def _is_dense(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta


def _expect(sound: bool, name: str) -> None:
    if not sound:
        raise ValueError(f"its {name} is not what training saves")
