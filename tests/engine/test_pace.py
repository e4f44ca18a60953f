from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.engine.test_fit import RECIPE, batches, pictures
from torch import nn

from neocog.data.dataset import Pictures
from neocog.engine.evaluate import predictions
from neocog.engine.hardware import choose
from neocog.engine.pace import (
    SPARE,
    Length,
    Pace,
    epochs_within,
    measure,
    peak_memory,
    seconds_an_epoch,
    seconds_in_all,
)
from neocog.errors import UsageError
from neocog.networks import create

PACE = Pace(step=0.5, picture=0.01, scored=0.02, steps=10)
LENGTH = Length(
    steps=20, check=100, final=150
)  # 10 s of training, 1 s of validation, 3 s at the end


def test_measuring_takes_steps_and_changes_nothing_of_the_run() -> None:
    network = create("lenet_relu", num_classes=4, seed=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    pace = measure(
        network, batches(RECIPE), pictures(32, 1), recipe=RECIPE, hardware=choose("cpu"), seconds=0
    )
    assert pace.steps >= 3
    assert pace.step > 0
    assert pace.picture > 0
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_run_shorter_than_the_measurement_is_measured_too() -> None:
    recipe = RECIPE.changed({"epochs": 0.1})
    network = create("lenet_relu", num_classes=4, seed=0)
    assert (
        measure(
            network, batches(recipe), pictures(0), recipe=recipe, hardware=choose("cpu"), seconds=0
        ).steps
        >= 3
    )


def test_a_time_too_short_is_not_spent_on_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def noted(network: nn.Module, some: Pictures, *rest: Any, **options: Any) -> Any:
        looked.append(len(some))
        return predictions(network, some, *rest, **options)

    monkeypatch.setattr("neocog.engine.pace.predictions", noted)
    network = create("lenet_relu", num_classes=4, seed=0)
    given = (network, batches(RECIPE), pictures(32, 1))
    for limit, steps, count in ((1e-6, 1, 1), (1e6, 3, 32)):
        looked.clear()
        pace = measure(*given, recipe=RECIPE, hardware=choose("cpu"), seconds=0, limit=limit)
        assert pace.steps == steps
        assert set(looked) == {count}
        assert pace.step > 0
        assert pace.picture > 0


def test_a_whole_run_is_steps_validations_and_scoring() -> None:
    recipe = RECIPE.changed({"epochs": 2.5})
    assert seconds_an_epoch(PACE, LENGTH) == pytest.approx(11)
    assert seconds_in_all(PACE, LENGTH, recipe) == pytest.approx(25 + 3 * 1 + 3)


@pytest.mark.parametrize("seconds", [7.0, 15.0, 36.0, 37.0, 360.0])
def test_what_is_fitted_into_a_time_takes_that_time(seconds: float) -> None:
    epochs = epochs_within(seconds, PACE, LENGTH)
    taken = seconds_in_all(PACE, LENGTH, RECIPE.changed({"epochs": epochs}))
    assert taken <= seconds * SPARE + 1e-9
    assert taken >= 0.98 * seconds * SPARE - 1  # a validation more would not have fitted


def test_too_short_a_time_is_refused_with_the_shortest() -> None:
    with pytest.raises(UsageError, match="too short for this run"):
        epochs_within(3, PACE, LENGTH)
    assert epochs_within(60, PACE, LENGTH) == epochs_within(90, PACE, LENGTH, gone=30)
    with pytest.raises(UsageError, match=r"1.5 minutes .* take 0.077, and 1.5 went into"):
        epochs_within(90, PACE, LENGTH, gone=88)


def test_memory_is_of_this_process() -> None:
    held = peak_memory("cpu")
    assert held is None or 50e6 < held < 100e9
