"""Whole runs: when they end, and what they took from the start of their process."""

from __future__ import annotations

import time
from typing import Any

from neocog.bench.plan import TARGETS, Job


class Reached:
    """Hears the test accuracy after each epoch."""

    def __init__(self, job: Job) -> None:
        self.launched = job.launched
        self.target = TARGETS[job.network].accuracy if job.kind == "accuracy" else None
        self.history: list[float] = []
        self.seconds = 0.0

    def epoch(self, accuracy: float) -> bool:
        """An epoch is over. True: the run may stop, for the target is reached."""
        self.seconds = time.monotonic() - self.launched
        self.history.append(accuracy)
        return self.target is not None and accuracy >= self.target

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "value": self.seconds,
            "epochs": len(self.history),
            "accuracies": self.history,
        }
        if self.target is not None and max(self.history) < self.target:
            best, epochs = max(self.history), len(self.history)
            facts["status"] = "not reached"
            facts["reason"] = f"{best:.4f} was the best of {epochs} epochs, {self.seconds:,.0f} s"
        return facts
