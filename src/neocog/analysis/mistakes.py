"""Where a network and the labels disagree: its worst mistakes, and labels that look wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neocog.analysis.answers import answers
from neocog.records import Predictions


@dataclass(frozen=True)
class Disagreement:
    """One picture, and what was said of it. Probabilities are from 0 to 1."""

    place: int  # in the split
    label: int
    answer: int  # of the network; of a suspect, the class that it should be looked at for
    chance: float  # of the answer
    label_chance: float
    loss: float  # cross-entropy


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax in float64: (N, K)."""
    return np.asarray(np.exp(_log_chances(logits)))


def by_loss(said: Predictions, *, count: int) -> list[Disagreement]:
    """The pictures of highest loss, worst first, whether the answer is wrong or only unsure."""
    of = answers(said)
    return _told(said, np.argsort(-of.losses, kind="stable")[:count], of.given)


def surest(said: Predictions, *, count: int) -> list[Disagreement]:
    """The wrong answers that were given with the highest probability, surest first."""
    of = answers(said)
    wrong = np.flatnonzero(~of.right)
    order = np.argsort(-of.confidence[wrong], kind="stable")
    return _told(said, wrong[order][:count], of.given)


def wrong(said: Predictions) -> int:
    """How many answers are not the label."""
    return int((~answers(said).right).sum())


@dataclass(frozen=True, eq=False)
class Suspects:
    """Labels that look wrong, and how many wrong ones there would be."""

    found: list[Disagreement]  # the clearest first
    noise: float  # estimated share of wrong labels
    joint: np.ndarray  # int64 (K, K): label, class it is counted for


def suspects(said: Predictions) -> Suspects:
    """Confident learning: which labels the network doubts, by its own measure of each class.

    A class is likely for a picture if it has at least the mean probability that this class has
    among the pictures labelled so; a picture whose likeliest such class is not its label is a
    suspect. The probabilities have to be those of pictures that the network did not train on.
    Northcutt, Jiang, Chuang 2021, arXiv:1911.00068, section 3.1 and equations 1 to 3.
    """
    chances, labels = probabilities(said.logits), said.labels
    classes = chances.shape[1]
    usual = np.full(classes, np.inf)  # a class without pictures is likely for none
    for k in np.unique(labels):
        usual[k] = chances[labels == k, k].mean()
    likely = np.where(chances >= usual, chances, -1.0)
    counted = likely.argmax(1)
    sure = likely.max(1) >= 0
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[sure], counted[sure]), 1)
    places = np.flatnonzero(sure & (counted != labels))
    margin = chances[places, counted[places]] - chances[places, labels[places]]
    order = places[np.argsort(-margin, kind="stable")]
    return Suspects(_told(said, order, counted), _noise(joint, labels), joint)


def _noise(joint: np.ndarray, labels: np.ndarray) -> float:
    """What lies off the diagonal when each row is brought to the pictures that have its label."""
    rows = joint.sum(1, keepdims=True)
    pictures = np.bincount(labels, minlength=len(joint))[:, None]
    shares = np.divide(joint * pictures, rows, out=np.zeros(joint.shape), where=rows > 0)
    total = shares.sum()
    return float(1 - np.trace(shares) / total) if total else 0.0


def _log_chances(logits: np.ndarray) -> np.ndarray:
    levelled = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return np.asarray(levelled - np.log(np.exp(levelled).sum(1, keepdims=True)))


def _told(said: Predictions, places: np.ndarray, given: np.ndarray) -> list[Disagreement]:
    few = Predictions(said.logits[places], said.labels[places])
    logs = _log_chances(few.logits)
    chances, losses = np.exp(logs), -logs[np.arange(len(places)), few.labels]
    return [
        Disagreement(
            place=int(place),
            label=int(few.labels[row]),
            answer=int(given[place]),
            chance=float(chances[row, given[place]]),
            label_chance=float(chances[row, few.labels[row]]),
            loss=float(losses[row]),
        )
        for row, place in enumerate(places)
    ]
