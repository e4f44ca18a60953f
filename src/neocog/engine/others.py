"""Whether others compute here, too: what is timed meanwhile holds for as long as they do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

BUSY = 0.25  # of all processors' time


def watching_others() -> Callable[[], bool]:
    """From now on; called later, it says whether others had more than a quarter of the processors'
    time. Where the system does not tell, whether half of them had work in the minute before.
    """
    before, begin = _of_others(), time.monotonic()
    if before is None:
        loaded = _loaded()
        return lambda: loaded

    def busy() -> bool:
        theirs = (_of_others() or before) - before
        return theirs > BUSY * (time.monotonic() - begin) * (os.cpu_count() or 1)

    return busy


def _of_others() -> float | None:
    """Seconds that the processors have worked, but for this process and those it has begun."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
        user, nice, system, _, _, *interrupts = (int(ticks) for ticks in first[1:9])
        worked = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):  # Linux alone says it so
        return None
    return worked - sum(os.times()[:4])


def _loaded() -> bool:
    try:
        return os.getloadavg()[0] > (os.cpu_count() or 1) / 2
    except (OSError, AttributeError):  # Windows keeps no such average
        return False
