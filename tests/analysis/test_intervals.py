"""Intervals against scipy's, and against simulations of what they promise."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from neocog.analysis.intervals import Interval, bootstrap, bootstrap_within, of_mean, wilson


@pytest.mark.parametrize(
    ("hits", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (49, 50), (342, 359), (9400, 10_000)]
)
def test_wilson_is_scipys(hits: int, n: int) -> None:
    ours = wilson(hits, n)
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= ours.low <= hits / n <= ours.high <= 1
    assert (ours.method, ours.n) == ("wilson", n)


def share_covered(intervals: list[Interval | None], truth: float) -> float:
    found = [each for each in intervals if each is not None]
    return sum(each.low <= truth <= each.high for each in found) / len(found)


def test_wilson_covers_what_it_promises() -> None:
    rng = np.random.default_rng(0)
    for share in (0.7, 0.95):
        made = [wilson(int(hits), 300) for hits in rng.binomial(300, share, size=2000)]
        assert share_covered(list(made), share) == pytest.approx(0.95, abs=0.02)


def test_the_bootstrap_covers_the_mean_of_skewed_losses() -> None:
    """Losses are skewed; with 200 of them percentiles cover a little less than they promise."""
    rng = np.random.default_rng(1)
    made = [bootstrap(rng.exponential(size=200), seed=s) for s in range(120)]
    assert 0.88 <= share_covered(made, 1.0) <= 0.99


def test_the_bootstrap_is_as_wide_as_the_normal_one_where_that_is_right() -> None:
    values = np.random.default_rng(2).normal(3, 1, size=4000)
    made, error = bootstrap(values), values.std() / sqrt(4000)
    assert made is not None
    assert made.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert made.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert (made.resamples, made.n) == (2000, 4000)
    assert bootstrap(values) == made
    assert bootstrap(values, seed=1) != made


def test_the_bootstrap_within_classes_covers_balanced_accuracy() -> None:
    rng = np.random.default_rng(3)
    counts, shares = np.array([20, 40, 300]), np.array([0.6, 0.8, 0.95])
    made = [
        bootstrap_within(rng.binomial(counts, shares), counts, seed=seed) for seed in range(400)
    ]
    assert share_covered(made, float(shares.mean())) == pytest.approx(0.94, abs=0.03)


def test_classes_without_pictures_are_left_out() -> None:
    with_empty = bootstrap_within(np.array([8, 0, 15]), np.array([10, 0, 20]))
    assert with_empty == bootstrap_within(np.array([8, 15]), np.array([10, 20]))
    assert with_empty is not None
    assert with_empty.n == 30


def test_what_does_not_vary_has_no_interval() -> None:
    assert bootstrap(np.ones(50)) is None
    assert bootstrap(np.array([0.3])) is None
    assert bootstrap_within(np.array([10, 20]), np.array([10, 20])) is None
    assert bootstrap_within(np.array([3, 10]), np.array([4, 20])) is None  # too few of one class


def test_the_mean_of_a_few_runs_has_students_interval() -> None:
    values = [0.91, 0.93, 0.90, 0.94]
    made = of_mean(values)
    assert made is not None
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (made.low, made.high) == pytest.approx((theirs.low, theirs.high))
    assert made.n == 4
    assert of_mean([0.9]) is None
