"""Scores, read from a run folder alone."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from neocog.errors import NeocogError
from neocog.records import Predictions
from neocog.run import RunFolder

TOP5_FROM = 6  # classes: with five or fewer, every answer is among the first five


def scores(said: Predictions) -> dict[str, Any]:
    """{"top1", "top5", "loss", "n"}: fractions, mean cross-entropy, pictures.

    top5 is None below six classes. A label counts as found at k when fewer than k classes have
    a higher logit.
    """
    logits, labels = torch.from_numpy(said.logits), torch.from_numpy(said.labels)
    own = logits.gather(1, labels[:, None])
    ahead = (logits > own).sum(1)
    return {
        "top1": float((logits.argmax(1) == labels).double().mean()),
        "top5": float((ahead < 5).double().mean()) if logits.shape[1] >= TOP5_FROM else None,
        "loss": float(F.cross_entropy(logits.double(), labels)),
        "n": len(labels),
    }


def summary(folder: RunFolder) -> dict[str, Any]:
    """A finished run in one value: what `train --json` and `eval --json` print."""
    test = folder.predictions("test")
    history = folder.history
    if test is None:
        raise NeocogError(
            f"{folder.path}: no test scores yet: {len(history)} of {folder.recipe.epochs} epochs "
            f"are done. Go on with: neocog resume {folder.path}"
        )
    validation = folder.predictions("validation")
    pictures = folder.data["pictures"]["train"] * len(history)
    training = sum(folder.data["pictures"]["train"] / e.images_per_second for e in history)
    return {
        "run": str(folder.path),
        "network": folder.network_name,
        "data": folder.data["name"],
        "epochs": len(history),
        "seconds": round(sum(e.seconds for e in history), 3),
        "images_per_second": round(pictures / max(training, 1e-9), 1),
        "test": scores(test),
        "validation": None if validation is None else scores(validation),
    }
