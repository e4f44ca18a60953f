"""Class by class: what was right, what was taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neocog.analysis.answers import Answers
from neocog.analysis.intervals import Interval, wilson


@dataclass(frozen=True)
class ClassScore:
    """One class. What would be nothing divided by nothing is None."""

    name: str
    n: int  # pictures of it
    answered: int  # pictures that were taken for it
    right: int  # both
    precision: float | None  # right / answered
    recall: float | None  # right / n: the accuracy of the class
    f1: float | None  # 2 right / (n + answered): the harmonic mean of the two
    interval: Interval | None  # of recall

    def to_json(self) -> dict[str, Any]:
        return {
            "class": self.name,
            "n": self.n,
            "answered": self.answered,
            "right": self.right,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "interval": None if self.interval is None else self.interval.to_json(),
        }


@dataclass(frozen=True)
class Pair:
    """Pictures of one class that were taken for another."""

    label: str
    answer: str
    count: int
    share: float  # of the pictures of `label`

    def to_json(self) -> dict[str, Any]:
        return {"class": self.label, "as": self.answer, "n": self.count, "share": self.share}


def confusion(of: Answers) -> np.ndarray:
    """int64 (K, K): row k, column j: pictures of class k that were taken for j."""
    k = of.num_classes
    return np.bincount(of.labels * k + of.given, minlength=k * k).reshape(k, k)


def by_class(counts: np.ndarray, classes: Sequence[str]) -> list[ClassScore]:
    """The score of each class from the confusions (K, K), in the order of the classes."""
    rights, sizes, answered = counts.diagonal(), counts.sum(1), counts.sum(0)
    return [
        ClassScore(
            name,
            n,
            taken,
            right,
            precision=_share(right, taken),
            recall=_share(right, n),
            f1=_share(2 * right, n + taken),
            interval=wilson(right, n) if n else None,
        )
        for name, n, taken, right in zip(
            classes, sizes.tolist(), answered.tolist(), rights.tolist(), strict=True
        )
    ]


def confused(counts: np.ndarray, classes: Sequence[str]) -> list[Pair]:
    """Every pair of classes that was confused, the most pictures first; then the larger share."""
    sizes = counts.sum(1)
    wrong = counts - np.diag(counts.diagonal())
    rows, columns = np.nonzero(wrong)
    pairs = [
        Pair(classes[k], classes[j], int(wrong[k, j]), float(wrong[k, j] / sizes[k]))
        for k, j in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))


def macro_f1(scored: Sequence[ClassScore]) -> float:
    """The mean F1 of the classes that have pictures."""
    return float(np.mean([each.f1 for each in scored if each.n and each.f1 is not None]))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
