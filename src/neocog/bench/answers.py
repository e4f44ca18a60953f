"""Predictions timed and compared with PyTorch's fp32 answers. NumPy only, for all arms alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neocog.bench import pictures
from neocog.bench.plan import Job
from neocog.bench.stopwatch import Stopwatch

Predict = Callable[[np.ndarray], np.ndarray]  # (N, 3, H, W) -> (N, num_classes)


def measured(job: Job, predict: Predict) -> dict[str, Any]:
    """Images a second over the pictures, again and again, and how often the answer is fp32's."""
    images, answers = inputs(job), np.load(Path(job.folder) / "answers.npy")
    watch = Stopwatch(job.seconds, steps=job.steps)
    agreed: dict[int, bool] = {}
    first = 0
    watch.begin()
    while True:
        said = predict(images[first : first + job.batch]).argmax(1)
        enough = watch.tick()
        for place, answer in enumerate(said, start=first):
            agreed[place] = bool(answer == answers[place])
        if enough:
            break
        first = (first + job.batch) % (len(images) - job.batch + 1)
        watch.skip()
    counts = {"pictures": len(agreed), "agreed": sum(agreed.values())}
    return {**watch.facts(job.batch), "agreement": counts}


def inputs(job: Job) -> np.ndarray:
    return pictures.to_float(np.load(Path(job.folder) / "pictures.npy"))
