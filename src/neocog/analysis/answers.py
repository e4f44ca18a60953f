"""What a network answered, picture by picture: what every score is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neocog.errors import NeocogError
from neocog.records import Predictions

ROWS = 4096  # pictures looked at together: float64 logits of a thousand classes are 32 MB


@dataclass(frozen=True, eq=False)
class Answers:
    """Of each picture its label, its answer and how sure the network was of it.

    The answers to a picture are its classes by falling logit; among equal ones the label comes
    last, so a network that says the same of all classes earns nothing.
    """

    labels: np.ndarray  # int64 (N,)
    given: np.ndarray  # int64 (N,): the first answer
    right: np.ndarray  # bool (N,): the first answer is the label
    among5: np.ndarray  # bool (N,): the label is among the first five
    confidence: np.ndarray  # float64 (N,): softmax of the first answer
    losses: np.ndarray  # float64 (N,): -log softmax of the label, in nats
    num_classes: int

    def __len__(self) -> int:
        return len(self.labels)


def answers(said: Predictions, *, temperature: float = 1.0) -> Answers:
    """The answers in logits (N, K), these divided by `temperature` first.

    Raises `NeocogError` where there are no pictures, or a logit is no finite number.
    """
    if not len(said.labels):
        raise NeocogError("there are no pictures to score")
    if not np.isfinite(said.logits).all():
        raise NeocogError("the network put out values that are not numbers: it has diverged")
    parts = [
        _of_rows(said.logits[start : start + ROWS] / np.float64(temperature), labels)
        for start in range(0, len(said.labels), ROWS)
        for labels in [said.labels[start : start + ROWS]]
    ]
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    given, right, among5, confidence, losses = columns
    k = said.logits.shape[1]
    return Answers(said.labels, given, right, among5, confidence, losses, num_classes=k)


def _of_rows(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """given, right, among5, confidence and losses. `logits`, float64 (n, K), is used up."""
    rows = np.arange(len(labels))
    own, top = logits[rows, labels], logits.max(1)
    ahead = (logits >= own[:, None]).sum(1) - 1  # all that are not behind, but itself
    total = np.exp(logits - top[:, None]).sum(1)
    losses = top - own + np.log(total)
    logits[rows, labels] = -np.inf
    right = ahead < 1
    given = np.where(right, labels, logits.argmax(1))
    return given, right, ahead < 5, 1 / total, losses
