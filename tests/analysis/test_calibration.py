"""Calibration of logits that are calibrated by their making, or wrong by a known factor."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from tests.analysis.made import answering, calibrated

from neocog.analysis.answers import answers
from neocog.analysis.calibration import (
    BINNINGS,
    calibration_error,
    error_if_calibrated,
    fitted_temperature,
    reliability,
)
from neocog.errors import UsageError
from neocog.records import Predictions


@pytest.mark.parametrize("binning", BINNINGS)
def test_bins_are_scikit_learns(binning: str) -> None:
    of = answers(calibrated(3000, scale=2))
    ours = reliability(of, binning=binning, bins=10)
    strategy = {"equal mass": "quantile", "equal width": "uniform"}[binning]
    accuracy, confidence = calibration_curve(of.right, of.confidence, n_bins=10, strategy=strategy)
    # its quantiles lie between two pictures, ours on one: without ties a picture may change sides
    loose = 1e-12 if binning == "equal width" else 4e-3
    np.testing.assert_allclose([each.accuracy for each in ours], accuracy, atol=loose)
    np.testing.assert_allclose([each.confidence for each in ours], confidence, atol=loose)
    assert sum(each.n for each in ours) == 3000
    if binning == "equal mass":
        assert {each.n for each in ours} == {300}


def test_ece_by_hand() -> None:
    """Two bins: 3 pictures 0.85 sure of which 2 are right, 1 picture 0.55 sure and wrong."""
    chances = np.array([[0.85, 0.15], [0.85, 0.15], [0.85, 0.15], [0.45, 0.55]])
    said = Predictions(logits=np.log(chances).astype(np.float32), labels=np.array([0, 0, 1, 0]))
    bins = reliability(answers(said), binning="equal width", bins=10)
    assert [(each.n, each.high) for each in bins] == [
        (1, pytest.approx(0.6)),
        (3, pytest.approx(0.9)),
    ]
    expected = (3 * abs(2 / 3 - 0.85) + 1 * abs(0 - 0.55)) / 4
    assert calibration_error(bins) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("binning", BINNINGS)
def test_ece_does_not_depend_on_the_order_of_pictures(binning: str) -> None:
    """Most are equally sure, of which half are right: a cut between them would be by chance."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 300)
    said = answering(np.zeros(600, int), labels, 3)
    said.logits[:90] *= rng.uniform(0.5, 2, size=(90, 1)).astype(np.float32)
    order = rng.permutation(600)
    other = Predictions(logits=said.logits[order], labels=labels[order])
    errors = [calibration_error(reliability(answers(p), binning=binning)) for p in (said, other)]
    assert errors[0] == pytest.approx(errors[1], abs=1e-12)


@pytest.mark.parametrize("binning", BINNINGS)
def test_a_calibrated_network_has_the_error_that_is_expected_of_it(binning: str) -> None:
    of = [answers(calibrated(500, seed=seed)) for seed in range(30)]
    found = np.mean([calibration_error(reliability(each, binning=binning)) for each in of])
    expected = np.mean([error_if_calibrated(each, binning=binning) for each in of])
    assert found > 0.02  # and not 0: bins are small
    assert found == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_logits_were_multiplied_by(scale: float) -> None:
    held_out, test = calibrated(4000, scale=scale, seed=1), calibrated(4000, scale=scale, seed=2)
    found = fitted_temperature(held_out)
    assert found.value == pytest.approx(scale, rel=0.05)
    assert found.n == 4000
    before, after = answers(test), answers(test, temperature=found.value)
    assert np.array_equal(before.given, after.given)
    if scale == 3:
        assert after.losses.mean() < before.losses.mean() - 0.1
        errors = [calibration_error(reliability(each)) for each in (before, after)]
        assert errors[0] > 0.1
        assert errors[1] < 2 * error_if_calibrated(after)


def test_the_temperature_is_where_the_loss_is_least() -> None:
    said = calibrated(600, scale=1.8)
    least = minimize_scalar(
        lambda t: float(answers(said, temperature=t).losses.mean()),
        bounds=(0.2, 9),
        method="bounded",
    )
    assert fitted_temperature(said).value == pytest.approx(least.x, rel=1e-3)


def test_where_no_temperature_is_the_best_it_is_said() -> None:
    labels = np.arange(30) % 3
    right = fitted_temperature(answering(labels, labels, 3))
    assert (right.value, right.n) == (None, 30)
    assert "all of them are right" in right.why
    wrong = fitted_temperature(answering((labels + 1) % 3, labels, 3))
    assert wrong.value is None
    assert "say nothing" in wrong.why
    one = fitted_temperature(Predictions(np.ones((4, 1), np.float32), np.zeros(4, np.int64)))
    assert "one class" in one.why
    none = fitted_temperature(Predictions(np.ones((0, 3), np.float32), np.zeros(0, np.int64)))
    assert "no pictures" in none.why


def test_wrong_bins_are_refused() -> None:
    of = answers(calibrated(20))
    with pytest.raises(UsageError, match="did you mean equal mass"):
        reliability(of, binning="equal-mas")
    with pytest.raises(UsageError, match="bins: 0"):
        reliability(of, bins=0)
    assert reliability(of, bins=1)[0].n == 20
