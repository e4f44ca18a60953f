"""Scores, read from a run folder alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from neocog.analysis.answers import Answers, answers
from neocog.errors import NeocogError
from neocog.now import diverged
from neocog.records import Predictions
from neocog.run import RunFolder
from neocog.stopping import quoted

TOP5_FROM = 6  # classes: with five or fewer, every answer is among the first five


def scores(said: Predictions) -> dict[str, Any]:
    """{"top1", "balanced", "top5", "loss", "n"}: fractions, mean cross-entropy, pictures.

    balanced is the mean of the classes' own accuracies, of classes that have pictures. top5 is None
    below six classes. Raises `NeocogError` where nothing can be scored.
    """
    return scores_in(answers(said))


def scores_in(of: Answers) -> dict[str, Any]:
    """The same, of answers in hand."""
    return {
        "top1": float(of.right.mean()),
        "balanced": balanced_accuracy(of.right, of.labels),
        "top5": float(of.among5.mean()) if of.num_classes >= TOP5_FROM else None,
        "loss": float(of.losses.mean()),
        "n": len(of),
    }


def balanced_accuracy(right: np.ndarray, labels: np.ndarray) -> float:
    """The mean over the classes of the share of their pictures that are right (N,)."""
    counts = np.bincount(labels)
    hits = np.bincount(labels, right)
    return float((hits[counts > 0] / counts[counts > 0]).mean())


def summary(folder: RunFolder) -> dict[str, Any]:
    """A finished run in one value: what `train --json` and `eval --json` print."""
    test = folder.predictions("test")
    check_finished(folder)
    history = folder.history
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


def check_finished(folder: RunFolder) -> None:
    """`NeocogError`, with how to go on, where a run has not been scored yet, or cannot be."""
    pictures = folder.data["pictures"]
    if not pictures["test"] and not pictures["validation"]:
        advice = "Hold some out when training, as with: --set validation=0.1"
        if folder.recipe.validation:  # and no class had one to spare
            advice = "Put two pictures or more into each class, and train anew: one is held out"
        raise NeocogError(
            f"{folder.path}: no scores: its data have neither test nor validation pictures. "
            f"{advice}"
        )
    if not folder.finished and (why := diverged(folder.path)) is not None:
        raise NeocogError(f"{folder.path}: no scores, for training diverged: {why}")
    if not folder.finished:
        raise NeocogError(
            f"{folder.path}: no test scores yet: {len(folder.history)} of "
            f"{folder.recipe.epochs:g} epochs are done. "
            f"Go on with: neocog resume {quoted(folder.path)}"
        )


def _scores(folder: RunFolder, split: str, said: Predictions | None) -> dict[str, Any] | None:
    try:
        return None if said is None else scores(said)
    except NeocogError as error:
        raise NeocogError(f"{folder.path / split}.npz: {error}") from error
