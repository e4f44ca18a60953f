"""Runs beside each other: only on the same pictures, and seeds by their spread."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.analysis.made import calibrated
from tests.analysis.runs import run_with, without_test

import neocog
from neocog.analysis.against import compared, over_seeds
from neocog.analysis.evaluation import evaluation, scores_of
from neocog.data.loading import load
from neocog.errors import NeocogError, UsageError
from neocog.records import Predictions
from neocog.run import RunFolder
from neocog.rundata import data_facts


def worse(said: Predictions, *, seed: int) -> Predictions:
    """The same pictures, seen through noise."""
    noise = np.random.default_rng(seed).normal(size=said.logits.shape) * 2
    return Predictions(logits=(said.logits + noise).astype(np.float32), labels=said.labels)


@pytest.fixture(scope="module")
def three(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """Runs that differ in their seed alone; no test changes them."""
    out, said = tmp_path_factory.mktemp("three"), calibrated(400, spread=3)
    return [
        run_with(finished_run, out / name, test, recipe={"seed": seed})
        for seed, (name, test) in enumerate(
            {"a": said, "b": worse(said, seed=1), "c": worse(said, seed=2)}.items()
        )
    ]


@pytest.fixture(scope="module")
def found(three: list[RunFolder]) -> dict[str, Any]:
    return compared(three)


def test_scores_of_any_predictions_carry_their_protocol() -> None:
    made = scores_of(calibrated(200), classes=list("abcdefghij"), protocol="ten-crop")
    assert made["protocol"] == "ten-crop"
    assert made["calibration"]["temperature"] is None
    assert {each["class"] for each in made["classes"]} == set("abcdefghij")
    assert made["intervals"]["top1"]["method"] == "wilson"
    assert made["intervals"]["loss"]["resamples"] == 2000
    assert made["intervals"]["top1"]["low"] < made["top1"] < made["intervals"]["top1"]["high"]
    for name in ("balanced", "top5", "loss"):
        assert made["intervals"][name]["low"] < made[name] < made["intervals"][name]["high"]


def test_the_temperature_is_fitted_to_validation_and_judged_by_the_test(
    finished_run: Path, tmp_path: Path
) -> None:
    folder = run_with(
        finished_run,
        tmp_path / "hot",
        calibrated(2000, scale=3),
        validation=calibrated(2000, scale=3, seed=7),
    )
    made = evaluation(folder)
    found = made["test"]["calibration"]
    assert found["temperature"]["value"] == pytest.approx(3, rel=0.06)
    assert found["temperature"]["fitted_to"] == "validation"
    assert found["temperature"]["loss"] < made["test"]["loss"]
    assert found["temperature"]["ece"]["equal_mass"] < found["ece"]["equal_mass"] / 3
    assert made["validation"]["calibration"]["temperature"] is None


def test_each_run_is_held_against_the_first(three: list[RunFolder], found: dict[str, Any]) -> None:
    made = found
    assert (made["split"], made["n"]) == ("test", 400)
    first = made["runs"][0]["test"]["top1"]
    ps, holms = [], []
    for run, each in zip(made["runs"][1:], made["differences"], strict=True):
        assert each["top1"]["difference"] == pytest.approx(run["test"]["top1"] - first)
        assert (each["run"], each["against"]) == (run["run"], str(three[0].path))
        ps.append(each["mcnemar"]["p"])
        holms.append(each["mcnemar"]["holm"])
    assert min(holms) == pytest.approx(2 * min(ps))
    assert compared(three[:2])["differences"][0]["mcnemar"]["holm"] is None


def test_seeds_are_summed_up_by_mean_and_sample_deviation(
    three: list[RunFolder], found: dict[str, Any]
) -> None:
    (group,) = over_seeds(three, found["runs"])
    values = [each["test"]["top1"] for each in found["runs"]]
    assert (group["n"], group["seeds"]) == (3, [0, 1, 2])
    assert group["top1"]["mean"] == pytest.approx(np.mean(values))
    assert group["top1"]["sd"] == pytest.approx(np.std(values, ddof=1))
    assert group["top1"]["interval"]["method"] == "t"
    assert group["same_pictures"]
    assert found["seeds"] == [group]


def test_runs_that_differ_in_more_than_seed_or_in_nothing_are_no_seeds(
    three: list[RunFolder], found: dict[str, Any], tmp_path: Path
) -> None:
    first, second, third = three
    others = [
        first,
        run_with(second.path, tmp_path / "lr", None, recipe={"lr": 0.123}),
        run_with(third.path, tmp_path / "same", None, recipe={"seed": 0}),
    ]
    assert over_seeds(others, found["runs"]) == []


def test_where_a_seed_draws_the_test_too_it_is_said(
    three: list[RunFolder], found: dict[str, Any], tmp_path: Path
) -> None:
    other = {"fingerprint": "x", "test_fingerprint": "y"}
    drawn = run_with(three[1].path, tmp_path / "d", None, data=other)
    (group,) = over_seeds([three[0], drawn], found["runs"][:2])
    assert (group["n"], group["same_pictures"]) == (2, False)
    old = run_with(three[1].path, tmp_path / "old", None, data={"fingerprint": "x"})
    about = json.loads((old.path / "recipe.json").read_text())
    del about["data"]["test_fingerprint"]  # as an earlier neocog wrote it
    (old.path / "recipe.json").write_text(json.dumps(about))
    (group,) = over_seeds([three[0], old], found["runs"][:2])
    assert group["same_pictures"] is None


def test_the_interval_of_a_mean_ends_where_no_mean_can_lie(
    three: list[RunFolder], found: dict[str, Any]
) -> None:
    made = deepcopy(found["runs"][:2])
    for each, top1, loss in zip(made, (0.99, 0.8), (0.01, 0.9), strict=True):
        each["test"] |= {"top1": top1, "loss": loss}
    (group,) = over_seeds(three[:2], made)
    assert group["top1"]["interval"]["high"] == 1.0
    assert group["loss"]["interval"]["low"] == 0.0
    assert 0 < group["loss"]["mean"] < group["loss"]["interval"]["high"]


def test_runs_on_other_pictures_are_refused(three: list[RunFolder], tmp_path: Path) -> None:
    first, _, _ = three
    other = run_with(
        first.path, tmp_path / "o", None, data={"fingerprint": "x", "test_fingerprint": "y"}
    )
    with pytest.raises(
        NeocogError, match=r"o: its test pictures are not those of .*a: digits, 400"
    ):
        compared([first, other])
    old = {"fingerprint": "x", "test_fingerprint": ""}
    before = run_with(first.path, tmp_path / "b", None, data=old)
    about = json.loads((before.path / "recipe.json").read_text())
    del about["data"]["test_fingerprint"]
    (before.path / "recipe.json").write_text(json.dumps(about))
    with pytest.raises(NeocogError, match=r"b: whether its test pictures .* cannot be told"):
        compared([first, before])
    fewer = run_with(first.path, tmp_path / "f", calibrated(399, spread=3))
    with pytest.raises(
        NeocogError, match=r"labels of 399 pictures .* though the data are the same"
    ):
        compared([first, fewer])
    without = without_test(run_with(first.path, tmp_path / "w", None))
    for pair in ([first, without], [without, first]):
        with pytest.raises(NeocogError, match="w: this run has no test split"):
            compared(pair)


def test_one_run_given_twice_and_one_run_alone_are_refused(three: list[RunFolder]) -> None:
    first = three[0]
    twin = RunFolder(first.path / ".." / first.path.name)
    with pytest.raises(UsageError, match="given twice"):
        compared([first, twin])
    with pytest.raises(UsageError, match="two runs or more"):
        compared([first])


def test_without_test_split_validation_is_compared_where_it_is_the_same(
    three: list[RunFolder], tmp_path: Path
) -> None:
    first, second = (
        without_test(run_with(folder.path, tmp_path / name, None))
        for folder, name in zip(three[:2], "pq", strict=True)
    )
    assert compared([first, second])["split"] == "validation"
    other = run_with(first.path, tmp_path / "o", None, data={"fingerprint": "other"})
    with pytest.raises(NeocogError, match="its validation pictures are not those"):
        compared([first, other])


def test_another_seed_draws_another_validation_and_keeps_the_test() -> None:
    """The fingerprint of the whole differs, that of the test does not."""
    facts = [data_facts(load("digits", seed=seed)) for seed in (0, 1)]
    assert facts[0]["fingerprint"] != facts[1]["fingerprint"]
    assert facts[0]["test_fingerprint"] == facts[1]["test_fingerprint"]


def test_files_of_two_runs_that_were_mixed_up_are_found(finished_run: Path, tmp_path: Path) -> None:
    folder = run_with(finished_run, tmp_path / "r", calibrated(50))
    folder.write_predictions("test", calibrated(50, classes=12))
    with pytest.raises(NeocogError, match=r"test\.npz: logits of 12 classes, but input\.json"):
        evaluation(folder)
    with pytest.raises(NeocogError, match="logits of 12 classes"):
        neocog.open(folder.path).confusion()
