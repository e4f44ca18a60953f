"""Steps timed: the first are warm-up, then as many as the seconds give."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from neocog.bench.process import page_faults

WARM_STEPS = 2
LEAST_STEPS = 2
WARM_SHARE = 0.3  # of the measured seconds: small networks need more than two steps to settle


class Stopwatch:
    """`begin`, then `tick` after every step until it says that it is enough.

    `settle` waits for a GPU; it is called at both ends of what is measured, not between.
    """

    def __init__(
        self, seconds: float, *, steps: int = 0, settle: Callable[[], None] | None = None
    ) -> None:
        self.seconds, self.most = seconds, steps
        self.settle = settle or _nothing
        self.clock = time.perf_counter
        self.warm_steps, self.warm_seconds = 0, 0.0
        self.times: list[float] = []
        self.faults = 0
        self._last, self._warm, self._faults_before = 0.0, True, 0
        self._measured = 0.0

    def begin(self) -> None:
        """The first step begins; or the next one, after something that is not counted."""
        self._last = self.clock()

    skip = begin

    def tick(self) -> bool:
        """A step is done. True: enough are."""
        now = self.clock()
        passed, self._last = now - self._last, now
        if self._warm:
            self._warm_up(passed)
            return False
        self.times.append(passed)
        self._measured += passed
        enough = len(self.times) >= LEAST_STEPS and self._measured >= self.seconds
        if enough or len(self.times) == self.most:
            self._settled()
            self.faults = page_faults() - self._faults_before
            return True
        return False

    def _warm_up(self, passed: float) -> None:
        self.warm_steps += 1
        self.warm_seconds += passed
        enough = self.warm_seconds >= WARM_SHARE * self.seconds
        enough = enough or 0 < self.most <= self.warm_steps
        if enough and self.warm_steps >= WARM_STEPS:
            self.settle()
            self._warm, self._faults_before = False, page_faults()
            self._last = self.clock()

    def _settled(self) -> None:
        """What a GPU still had to do belongs to the last step."""
        self.settle()
        self.times[-1] += self.clock() - self._last

    def facts(self, batch: int) -> dict[str, Any]:
        """What was measured, of steps of `batch` pictures."""
        total = sum(self.times)
        return {
            "value": batch * len(self.times) / total,
            "steps": len(self.times),
            "seconds": total,
            "median_step": self._usual_step(total),
            "warm_steps": self.warm_steps,
            "warm_seconds": self.warm_seconds,
            "faults_per_step": self.faults / len(self.times),
        }

    def _usual_step(self, total: float) -> float:
        """The median; on a GPU, where a step ends before its work does, the mean."""
        return median(self.times) if self.settle is _nothing else total / len(self.times)


def _nothing() -> None:
    pass
