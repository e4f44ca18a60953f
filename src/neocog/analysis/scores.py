"""Scores, read from a run folder alone."""

from __future__ import annotations

import shlex
from typing import Any

import torch
import torch.nn.functional as F

from neocog.errors import NeocogError
from neocog.records import Predictions
from neocog.run import RunFolder

TOP5_FROM = 6  # classes: with five or fewer, every answer is among the first five


def scores(said: Predictions) -> dict[str, Any]:
    """{"top1", "balanced", "top5", "loss", "n"}: fractions, mean cross-entropy, pictures.

    balanced is the mean of the classes' own accuracies, of classes that have pictures. top5 is None
    below six classes. The answers of a picture are its classes by falling logit; among equal ones
    the label comes last, so a network that says the same of all classes earns nothing.
    """
    logits, labels = torch.from_numpy(said.logits).double(), torch.from_numpy(said.labels)
    if not len(labels):
        raise NeocogError("there are no pictures to score")
    if not bool(logits.isfinite().all()):
        raise NeocogError("the network put out values that are not numbers: it has diverged")
    own = logits.gather(1, labels[:, None])
    ahead = (logits >= own).sum(1) - 1  # all that are not behind, but itself
    return {
        "top1": float((ahead < 1).double().mean()),
        "balanced": balanced_accuracy(ahead < 1, labels),
        "top5": float((ahead < 5).double().mean()) if logits.shape[1] >= TOP5_FROM else None,
        "loss": float(F.cross_entropy(logits, labels)),
        "n": len(labels),
    }


def balanced_accuracy(right: torch.Tensor, labels: torch.Tensor) -> float:
    """The mean over the classes of the share of their pictures that are right (N,)."""
    counts = torch.bincount(labels).double()
    hits = torch.bincount(labels, right.double())
    return float((hits[counts > 0] / counts[counts > 0]).mean())


def summary(folder: RunFolder) -> dict[str, Any]:
    """A finished run in one value: what `train --json` and `eval --json` print."""
    test = folder.predictions("test")
    history = folder.history
    if not folder.finished:
        raise NeocogError(
            f"{folder.path}: no test scores yet: {len(history)} of {folder.recipe.epochs:g} epochs "
            f"are done. Go on with: neocog resume {shlex.quote(str(folder.path))}"
        )
    if not history:
        raise NeocogError(f"{folder.path / 'history.jsonl'}: missing or empty in a finished run")
    validation = folder.predictions("validation")
    pictures = folder.data["pictures"]["train"] * len(history)
    each = folder.data["pictures"]["train"]
    training = sum(each / max(e.images_per_second, 1e-9) for e in history)
    return {
        "run": str(folder.path),
        "network": folder.network_name,
        "data": folder.data["name"],
        "epochs": len(history),
        "seconds": round(sum(e.seconds for e in history), 3),
        "images_per_second": round(pictures / max(training, 1e-9), 1),
        "views": folder.recipe.views,
        "test": _scores(folder, "test", test),
        "validation": _scores(folder, "validation", validation),
    }


def _scores(folder: RunFolder, split: str, said: Predictions | None) -> dict[str, Any] | None:
    try:
        return None if said is None else scores(said)
    except NeocogError as error:
        raise NeocogError(f"{folder.path / split}.npz: {error}") from error
