"""The facts a run produces. A leaf: numbers and arrays, nothing of ours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Step:
    """One step is done. `loss` and `accuracy` are of the epoch so far.

    The sums stay on the device until somebody reads them: reading waits for a GPU.
    """

    epoch: int  # from 0
    step: int  # steps done in this epoch
    steps: int  # steps in this epoch
    done: float  # the share of the whole run's steps that are done
    pictures: int  # pictures seen in this epoch
    lr: float
    seconds: float  # spent in this epoch's steps
    loss_sum: Tensor
    correct: Tensor

    @property
    def loss(self) -> float:
        return float(self.loss_sum) / max(self.pictures, 1)

    @property
    def accuracy(self) -> float:
        return float(self.correct) / max(self.pictures, 1)

    @property
    def images_per_second(self) -> float:
        return self.pictures / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Epoch:
    """One pass over the training split, and what the validation split says after it."""

    epoch: int  # from 0
    lr: float  # of its last step
    train_loss: float  # mean over the pictures as they were trained on
    train_accuracy: float
    val_loss: float | None  # None without a validation split
    val_accuracy: float | None
    seconds: float  # training and validation
    images_per_second: float  # of training alone
    best: bool  # the best validation so far; always true without a validation split

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Epoch:
        return cls(**values)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network said of a split, before softmax."""

    logits: np.ndarray  # float32 (N, num_classes)
    labels: np.ndarray  # int64 (N,)
