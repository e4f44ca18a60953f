"""The facts a run produces. A leaf: numbers and arrays, nothing of ours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

MOST = 1e300  # of any number of an epoch: sums of them stay numbers


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
        """What `to_json` gave. Raises `ValueError` or `TypeError` for anything else."""
        made = cls(**values)
        numbers = [made.lr, made.train_loss, made.train_accuracy, made.seconds]
        numbers += [made.images_per_second]
        numbers += [value for value in (made.val_loss, made.val_accuracy) if value is not None]
        sound = (
            type(made.epoch) is int
            and made.epoch >= 0
            and type(made.best) is bool
            and all(type(n) in (int, float) and abs(n) < MOST for n in numbers)
            and min(made.seconds, made.images_per_second) >= 0
        )
        if not sound:
            raise ValueError("an epoch with values that are none of an epoch's")
        return made


@dataclass(frozen=True)
class Norms:
    """How large the weights of each layer are after an epoch's last step, and the gradient that
    this step followed: Euclidean norms by the layer's name. None: there was none, or no number.
    """

    epoch: int  # from 0
    weights: dict[str, float | None]
    gradients: dict[str, float | None]

    def to_json(self) -> dict[str, Any]:
        layers = {
            name: {"weights": norm, "gradient": self.gradients[name]}
            for name, norm in self.weights.items()
        }
        return {"epoch": self.epoch, "layers": layers}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Norms:
        """What `to_json` gave. Raises `ValueError` and its like for anything else."""
        layers = values["layers"].items()
        weights = {name: of["weights"] for name, of in layers}
        gradients = {name: of["gradient"] for name, of in layers}
        norms = [norm for norm in (*weights.values(), *gradients.values()) if norm is not None]
        sound = type(values["epoch"]) is int and values["epoch"] >= 0
        if not (sound and all(type(norm) in (int, float) and 0 <= norm < MOST for norm in norms)):
            raise ValueError("norms of an epoch with values that are none of theirs")
        return cls(values["epoch"], weights, gradients)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network said of a split, before softmax."""

    logits: np.ndarray  # float32 (N, num_classes)
    labels: np.ndarray  # int64 (N,)
