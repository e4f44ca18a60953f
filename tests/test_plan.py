"""Time is told before it is spent, and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import Silent
from torch import nn

import neocog
from neocog import choosing, training
from neocog.announced import CURVES, seconds_of_scoring
from neocog.cli.main import main
from neocog.data.dataset import Pictures
from neocog.data.loading import load
from neocog.engine import pace as pacing
from neocog.engine.pace import Length, Pace
from neocog.errors import UsageError
from neocog.networks import create
from neocog.recipe import Recipe

LENET = ("lenet_relu", "digits")


def test_a_plan_measures_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = neocog.plan(*LENET, epochs=7, tell=lambda line: None)
    assert not list(tmp_path.iterdir())
    assert plan.pace.step > 0
    data = load("digits")
    final = len(data.val) + len(data.test)
    assert plan.length == Length(steps=-(-len(data.train) // 128), check=len(data.val), final=final)
    assert plan.seconds == pytest.approx(7 * plan.seconds_an_epoch + final * plan.pace.scored)


def test_a_plan_leaves_a_users_network_as_it_was() -> None:
    network = create("fast_cifar", num_classes=10, in_channels=1, seed=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recipe = Recipe(whiten=True, size=12, batch_size=64, lr=0.01)
    neocog.plan(network, "digits", recipe=recipe, tell=lambda line: None)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_plan_on_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *LENET, "--plan", "--epochs", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seconds"] > told["seconds_per_epoch"] > told["seconds_per_step"] > 0
    assert told["recipe"]["epochs"] == 3
    assert told["hardware"]["device"] == "cpu"
    assert main(["train", *LENET, "--plan", "--epochs", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("lenet_relu on digits, quick (epochs 3): 3 epochs of ")
    assert [line.split("  ")[0] for line in lines[1:4]] == ["a step", "an epoch", "in all"]
    assert not list(tmp_path.iterdir())


def paced(monkeypatch: pytest.MonkeyPatch, pace: Pace) -> None:
    monkeypatch.setattr("neocog.engine.pace.measure", lambda *_, **__: pace)


def test_minutes_stretch_the_whole_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paced(monkeypatch, Pace(step=1.0, picture=0.0, scored=0.0, steps=10))
    recipe = Recipe(epochs=40, warmup=4, batch_size=2000, lr=0.05, schedule="linear")
    job = training.begin(
        create("lenet_relu", num_classes=10, seed=0),
        load("digits"),
        recipe=recipe,
        out=tmp_path / "run",
        minutes=10,
    )
    assert 300 < job.recipe.epochs <= 582  # 600 s, less what went into looking; a step an epoch
    assert job.recipe.warmup == pytest.approx(job.recipe.epochs / 10)
    assert job.folder.recipe == job.recipe  # what can be repeated without a clock
    assert 0 < job.until - time.monotonic() <= 600


@pytest.mark.parametrize("minutes", [None, 0.5])
def test_minutes_bound_what_choosing_and_measuring_take(
    minutes: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float | None] = []

    def noted(way: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any, limit: float | None, **options: Any) -> Any:
            limits.append(limit)
            return way(*given, limit=limit, **options)

        return called

    monkeypatch.setattr("neocog.choosing.tuned", noted(choosing.tuned))
    monkeypatch.setattr("neocog.engine.pace.measure", noted(pacing.measure))
    neocog.plan(*LENET, minutes=minutes, tell=lambda line: None)
    if minutes is None:
        assert limits == [None, None]
    else:
        to_choose, to_measure = limits
        assert to_choose is not None
        assert to_measure is not None
        assert 30 > to_choose > to_measure > 0


def test_scoring_is_measured_where_it_is_a_part_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def scoring(network: nn.Module, some: Pictures, *rest: object) -> float:
        looked.append(len(some))
        return 0.5

    monkeypatch.setattr("neocog.announced.seconds_a_score", scoring)
    data = load("digits")
    passes = len(data.val) + len(data.test)
    for epochs, seconds in ((2, passes / 2 + CURVES), (1000, None)):
        job = training.begin(
            create("lenet_relu", num_classes=10, seed=0),
            data,
            recipe=Recipe(epochs=epochs),
            out=tmp_path / f"run-{epochs}",
        )
        assert seconds_of_scoring(job) == seconds
        job.folder.let_go()
    assert looked == [passes // 20]


def test_time_up_is_said_and_the_run_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Pace(step=1e-6, picture=1e-9, scored=1e-9, steps=10)  # far too good to be true
    paced(monkeypatch, good)
    said: list[str] = []
    run = neocog.train(
        *LENET, minutes=0.05, out=tmp_path / "run", watcher=Silent(), tell=said.append
    )
    assert run.scores["test"]["n"] == len(load("digits").test)
    assert "time was up after" in said[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"minutes": 1, "epochs": 2}, "leave one of them out"),
        ({"minutes": 1, "changes": {"epochs": 2}}, "leave one of them out"),
        ({"minutes": 0}, "a number above 0"),
        ({"minutes": float("nan")}, "a number above 0"),
        ({"minutes": 1e-9}, "too short for this run: .* went into trying a step of it"),
    ],
)
def test_times_that_cannot_be_kept(
    arguments: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        neocog.train(*LENET, **arguments, tell=lambda line: None)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
