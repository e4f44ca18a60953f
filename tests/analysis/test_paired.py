"""Two runs on the same pictures, against scipy and against what is known of chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from tests.analysis.made import answering

from neocog.analysis.answers import Answers, answers
from neocog.analysis.paired import FEW, difference, holm, mcnemar


@pytest.mark.parametrize(("only_first", "only_other"), [(0, 0), (0, 3), (5, 8), (12, 12), (1, 23)])
def test_mcnemar_of_few_is_the_binomial_test(only_first: int, only_other: int) -> None:
    found = mcnemar(only_first, only_other)
    n = only_first + only_other
    assert n < FEW
    expected = binomtest(only_first, n).pvalue if n else 1.0
    assert (found.p, found.form) == (pytest.approx(expected), "exact")


def test_mcnemar_of_many_is_the_mid_p_of_the_paper() -> None:
    """Fagerland, Lydersen and Laake 2013, their first example: 1 and 7 discordant pairs have an
    exact p of 0.070 and a mid-p of 0.039.
    """
    assert mcnemar(1, 7).p == pytest.approx(0.070, abs=5e-4)
    assert mcnemar(1, 7, few=0).p == pytest.approx(0.039, abs=5e-4)
    found = mcnemar(10, 30)
    point = binomtest(10, 40).pvalue - binomtest(9, 40).pvalue  # of 10 and of 30 alone
    assert (found.p, found.form) == (pytest.approx(binomtest(10, 40).pvalue - point / 2), "mid-p")
    assert mcnemar(20, 20).p == pytest.approx(1.0)


def two(n: int, *, first: float, other: float, seed: int) -> tuple[Answers, Answers]:
    """Runs that are right so often, on pictures that are as hard for both."""
    rng = np.random.default_rng(seed)
    labels, hard = rng.integers(0, 4, n), rng.random(n)
    runs = []
    for share in (first, other):
        right = hard + rng.normal(0, 0.05, n) < share
        runs.append(answers(answering(np.where(right, labels, (labels + 1) % 4), labels, 4)))
    return runs[0], runs[1]


def test_a_difference_is_that_of_the_scores_and_its_sign_the_others() -> None:
    first, other = two(2000, first=0.8, other=0.85, seed=0)
    found = difference(first, other)
    assert found.top1 == pytest.approx(other.right.mean() - first.right.mean())
    assert found.top1 > 0
    assert found.loss == pytest.approx(other.losses.mean() - first.losses.mean())
    assert found.loss < 0
    assert found.top1_interval is not None
    assert 0 < found.top1_interval.low < found.top1 < found.top1_interval.high
    assert found.mcnemar.p < 1e-4
    assert found.mcnemar.only_other - found.mcnemar.only_first == round(2000 * found.top1)


def test_paired_intervals_cover_and_are_narrower_than_two_apart() -> None:
    covered, ps = 0, []
    for seed in range(40):
        first, other = two(400, first=0.8, other=0.8, seed=seed)
        found = difference(first, other, seed=seed)
        assert found.top1_interval is not None
        covered += found.top1_interval.low <= 0 <= found.top1_interval.high
        ps.append(found.mcnemar.p)
        unpaired = 2 * 1.96 * np.sqrt(2 * 0.8 * 0.2 / 400)
        assert found.top1_interval.high - found.top1_interval.low < 0.8 * unpaired
    assert covered >= 35
    assert sum(p < 0.05 for p in ps) <= 5  # of equal runs about one in twenty is called unequal


def test_a_run_and_its_copy_do_not_differ() -> None:
    first, _ = two(100, first=0.8, other=0.8, seed=0)
    found = difference(first, first)
    assert (found.top1, found.top1_interval, found.mcnemar.p) == (0.0, None, 1.0)


def test_holm_rejects_what_its_steps_reject() -> None:
    """Holm 1979: the smallest is held to alpha / m, the next to alpha / (m - 1), and so on."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(5) ** 3
        for alpha in (0.01, 0.05, 0.3):
            rejected = set()
            for rank, place in enumerate(np.argsort(p)):
                if p[place] > alpha / (5 - rank):
                    break
                rejected.add(int(place))
            adjusted = holm(p.tolist())
            assert {place for place, value in enumerate(adjusted) if value <= alpha} == rejected
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []
