"""What the files of a run folder hold: understood, or refused with a `ValueError`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from neocog.records import Predictions


def json_in(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def data_in(path: Path) -> dict[str, Any]:
    value = dict(json_in(path)["data"])
    counts = value["pictures"]
    sound = (
        isinstance(value["name"], str)
        and isinstance(value["seed"], int)
        and isinstance(value["validation"], int | float)
        and isinstance(value["from"], str | None)
        and all(isinstance(counts[key], int) for key in ("train", "validation", "test"))
    )
    if not sound:
        raise ValueError("what it says of the data set is not of the right kind")
    return value


def predictions_in(path: Path) -> Predictions:
    with np.load(path, allow_pickle=False) as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    sound = (
        logits.ndim == 2
        and labels.shape == logits.shape[:1]
        and logits.dtype == np.float32
        and labels.dtype == np.int64
        and bool(((labels >= 0) & (labels < logits.shape[1])).all())
    )
    if not sound:
        raise ValueError
    return Predictions(logits=logits, labels=labels)
