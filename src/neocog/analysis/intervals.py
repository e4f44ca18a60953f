"""Between which values a score would lie on other pictures of the same kind.

Every interval is of 95 % and carries its method and its n. It speaks of the pictures that happened
to be in the test set, and of nothing else: not of another seed (`seeds`), nor of another camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000  # B
TOGETHER = 2**21  # numbers drawn at once: 16 MB
FEWEST = 5  # pictures of each class, for a bootstrap within classes


@dataclass(frozen=True)
class Interval:
    low: float
    high: float
    method: str  # "wilson", "bootstrap", "bootstrap within classes", "t"
    n: int  # pictures; of "t", runs
    level: float = LEVEL
    resamples: int | None = None  # B of a bootstrap

    def to_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {"low": self.low, "high": self.high, "level": self.level}
        made |= {"method": self.method, "n": self.n}
        return made if self.resamples is None else {**made, "resamples": self.resamples}


def wilson(hits: int, n: int) -> Interval:
    """Of a share of pictures. Wilson 1927, JASA 22 (158), 209-212; it keeps within 0 and 1, and
    holds what it promises where nearly all pictures are right (Brown, Cai and DasGupta 2001,
    Statistical Science 16 (2), section 3).
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share, spread = hits / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = sqrt(spread * share * (1 - share) + spread * spread / 4) / (1 + spread)
    # at either end the bound is the end itself, which rounding would miss
    low, high = centre - half if hits else 0.0, centre + half if hits < n else 1.0
    return Interval(low, high, "wilson", n)


def bootstrap(values: np.ndarray, *, seed: int = 0) -> Interval | None:
    """Of the mean of something that each picture has, (N,): percentiles of the means of B draws of
    N pictures with replacement. Efron 1979, Annals of Statistics 7 (1).

    None where nothing varies: pictures that are all alike do not tell how others would be.
    """
    from scipy.stats import bootstrap as resampled

    if len(values) < 2 or (values == values[0]).all():
        return None
    drawn = resampled(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, TOGETHER // len(values)),
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = drawn.confidence_interval
    return Interval(float(low), float(high), "bootstrap", len(values), resamples=RESAMPLES)


def bootstrap_within(right: np.ndarray, counts: np.ndarray, *, seed: int = 0) -> Interval | None:
    """Of balanced accuracy: right ones and pictures of each class, (K,), classes without pictures
    left out. Each class is drawn from by itself, so its size stays what it is.

    The right ones among n draws with replacement are binomial, which draws all at once. None where
    a class has fewer than FEWEST pictures, or where nothing varies.
    """
    right, counts = right[counts > 0], counts[counts > 0]
    if counts.min() < FEWEST or ((right == 0) | (right == counts)).all():
        return None
    rng = np.random.default_rng(seed)
    hits = rng.binomial(counts, right / counts, size=(RESAMPLES, len(counts)))
    low, high = np.quantile((hits / counts).mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    n = int(counts.sum())
    return Interval(float(low), float(high), "bootstrap within classes", n, resamples=RESAMPLES)


def of_mean(
    values: Sequence[float], *, lowest: float = -inf, highest: float = inf
) -> Interval | None:
    """Of the mean of a few independent values, such as of runs: Student's t with n - 1 degrees of
    freedom, cut off where no mean can lie. None for one value.
    """
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return None
    half = float(t.ppf((1 + LEVEL) / 2, n - 1)) * float(np.std(values, ddof=1)) / sqrt(n)
    mean = float(np.mean(values))
    return Interval(max(mean - half, lowest), min(mean + half, highest), "t", n)
