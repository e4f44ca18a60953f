"""Whether a network is as often right as it is sure: bins, their error, and one temperature.

Guo, Pleiss, Sun and Weinberger 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any

import numpy as np

from neocog.analysis.answers import ROWS, Answers
from neocog.errors import UsageError, unknown
from neocog.records import Predictions

BINS = 15  # as Guo et al. and most after them
BINNINGS = ("equal mass", "equal width")
DRAWS = 200  # networks that are calibrated, drawn by chance
TOGETHER = 2**21  # numbers drawn at once
COLDEST, HOTTEST = 0.01, 100.0  # temperatures


@dataclass(frozen=True)
class Bin:
    """Pictures of about the same confidence: what a reliability diagram is drawn from."""

    low: float  # confidences above low, up to high
    high: float
    n: int
    confidence: float  # their mean
    accuracy: float  # the share of them that is right

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Temperature:
    """What logits are to be divided by; None, and why, where no value is the best."""

    value: float | None
    n: int  # pictures that it was fitted to
    why: str = ""


def reliability(of: Answers, *, binning: str = "equal mass", bins: int = BINS) -> list[Bin]:
    """The bins that have pictures, by rising confidence.

    "equal width" cuts 0 to 1 into equal parts (Guo et al., section 2); "equal mass" cuts the
    pictures into parts of equal number, but never between pictures of the same confidence, so
    nothing depends on their order.
    """
    edges = _edges(of.confidence, binning, bins)
    place = np.searchsorted(edges[1:-1], of.confidence)
    counts = np.bincount(place, minlength=len(edges) - 1)
    sure = np.bincount(place, of.confidence, minlength=len(counts))
    right = np.bincount(place, of.right, minlength=len(counts))
    return [
        Bin(
            low=float(edges[b]),
            high=float(edges[b + 1]),
            n=int(counts[b]),
            confidence=float(sure[b] / counts[b]),
            accuracy=float(right[b] / counts[b]),
        )
        for b in np.flatnonzero(counts)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """ECE: how far accuracy and confidence of a bin lie apart, averaged over all pictures.

    Guo et al., equation 3; of bins of equal mass it is less biased (Roelofs, Cain, Shlens and Mozer
    2022, arXiv:2012.08668, section 4).
    """
    n = sum(each.n for each in bins)
    return sum(each.n * abs(each.accuracy - each.confidence) for each in bins) / n


def error_if_calibrated(
    of: Answers, *, binning: str = "equal mass", bins: int = BINS, seed: int = 0
) -> float:
    """The ECE to be expected of a network that is just as sure and is right exactly so often.

    It is above 0, for bins hold few pictures; an ECE below it says nothing. The mean over DRAWS
    draws of what is right, by the confidences (Broecker and Smith 2007, Weather and Forecasting
    22 (3), section 3).
    """
    order = np.sort(of.confidence)
    edges = _edges(order, binning, bins)
    starts = np.unique(np.searchsorted(order, edges[1:-1], side="right"))
    starts = np.concatenate([[0], starts[(starts > 0) & (starts < len(order))]])
    expected = np.add.reduceat(order, starts)
    rng, at_once = np.random.default_rng(seed), max(1, TOGETHER // len(order))
    errors = []
    for done in range(0, DRAWS, at_once):
        draws = rng.random((min(at_once, DRAWS - done), len(order))) < order
        hits = np.add.reduceat(draws, starts, axis=1, dtype=np.int64)
        errors.append(np.abs(hits - expected).sum(1) / len(order))
    return float(np.concatenate(errors).mean())


def _edges(confidence: np.ndarray, binning: str, bins: int) -> np.ndarray:
    if binning not in BINNINGS:
        raise unknown("binning", binning, BINNINGS)
    if bins < 1:
        raise UsageError(f"bins: {bins} was given; it takes 1 or more")
    if binning == "equal width":
        return np.linspace(0, 1, bins + 1)
    last = -(-len(confidence) * np.arange(1, bins) // bins) - 1  # the last picture of each part
    return np.concatenate([[0.0], np.unique(np.sort(confidence)[last]), [1.0]])


def fitted_temperature(said: Predictions) -> Temperature:
    """The one temperature of least log loss on these pictures, which are not to be the test's.

    Guo et al., section 4.2. The loss is convex in 1 / temperature, so where its slope is 0 it is
    least; logits divided by it give the same answers, more or less sure.
    """
    from scipy.optimize import brentq

    n = len(said.labels)
    if not n:
        return Temperature(None, 0, "there are no pictures to fit it to")
    if not np.isfinite(said.logits).all():
        return Temperature(None, n, "logits of them are no numbers")
    if said.logits.shape[1] == 1:
        return Temperature(None, n, "there is one class")
    if _slope(said, 1 / HOTTEST) >= 0:
        return Temperature(
            None, n, f"the best is above {HOTTEST:g}: the logits say nothing of them"
        )
    if _slope(said, 1 / COLDEST) <= 0:
        return Temperature(None, n, f"the best is below {COLDEST:g}: all of them are right")
    # in its logarithm: a few steps less, and a thousand classes take a second each
    hot, cold = -log(HOTTEST), -log(COLDEST)
    inverse = brentq(lambda b: _slope(said, exp(b)), hot, cold, xtol=1e-6, rtol=1e-6)
    return Temperature(exp(-float(inverse)), n)


def _slope(said: Predictions, inverse: float) -> float:
    """The derivative of the mean log loss after 1 / temperature, there."""
    total = 0.0
    for start in range(0, len(said.labels), ROWS):
        labels = said.labels[start : start + ROWS]
        logits = said.logits[start : start + ROWS].astype(np.float64)
        logits -= logits[np.arange(len(labels)), labels][:, None]
        scaled = inverse * logits
        chances = np.exp(scaled - scaled.max(1, keepdims=True))
        total += float(((chances * logits).sum(1) / chances.sum(1)).sum())
    return total / len(said.labels)
