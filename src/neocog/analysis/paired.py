"""Two runs on the same pictures: how far apart, and whether that could be chance.

Both see the same easy and hard pictures, so they are compared picture by picture: that tells
smaller differences than two intervals laid side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neocog.analysis.answers import Answers
from neocog.analysis.intervals import Interval, bootstrap

FEW = 25  # pictures that one of two gets right: below, the exact test


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two runs that are equally often right."""

    only_first: int  # pictures that only the first gets right
    only_other: int
    p: float
    form: str  # "exact" or "mid-p"


@dataclass(frozen=True)
class Difference:
    """The other run less the first; an interval is None where no picture differs."""

    top1: float
    top1_interval: Interval | None
    loss: float
    loss_interval: Interval | None
    mcnemar: McNemar


def difference(first: Answers, other: Answers, *, seed: int = 0) -> Difference:
    """How far `other` is from `first`, of the same pictures in the same order."""
    assert np.array_equal(first.labels, other.labels)
    hits = other.right.astype(np.float64) - first.right
    losses = other.losses - first.losses
    test = mcnemar(int((hits < 0).sum()), int((hits > 0).sum()))
    return Difference(
        float(hits.mean()),
        bootstrap(hits, seed=seed),
        float(losses.mean()),
        bootstrap(losses, seed=seed),
        test,
    )


def mcnemar(only_first: int, only_other: int, *, few: int = FEW) -> McNemar:
    """Whether a picture that one of two gets right is as likely either's. Two-sided.

    McNemar 1947, Psychometrika 12, 153-157. Below `few` such pictures the exact binomial test,
    which never promises too much; from there the mid-p form of it, which is not as timid
    (Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91).
    """
    from scipy.stats import binom

    n, fewer = only_first + only_other, min(only_first, only_other)
    exact = min(1.0, 2 * float(binom.cdf(fewer, n, 0.5)))
    if n < few:
        return McNemar(only_first, only_other, exact, "exact")
    mid = min(1.0, 2 * float(binom.cdf(fewer, n, 0.5)) - float(binom.pmf(fewer, n, 0.5)))
    return McNemar(only_first, only_other, mid, "mid-p")


def holm(p: Sequence[float]) -> list[float]:
    """p-values of several comparisons, so that the chance of any false one stays what it says.

    Holm 1979, Scandinavian Journal of Statistics 6 (2), 65-70: the smallest times their number, the
    next times one less, and none below the one before.
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = highest
    return adjusted
