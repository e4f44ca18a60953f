"""What a process costs its machine; all of it does nothing where the system cannot say."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import re
import signal
import sys
from pathlib import Path
from typing import Any

# Windows has none
resource: Any = (
    importlib.import_module("resource") if importlib.util.find_spec("resource") else None
)

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def page_faults() -> int:
    """How often this process has met memory that was not there yet."""
    if resource is None:
        return 0
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int(usage.ru_minflt + usage.ru_majflt)


def peak_memory() -> int | None:
    """Bytes of memory that this process held at most.

    On Linux not ru_maxrss: it goes on from what the parent held before the child was started.
    """
    with contextlib.suppress(OSError):
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    if resource is None:
        return None
    held = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return held if sys.platform == "darwin" else held * 1024


def facts() -> dict[str, Any]:
    return {"peak_memory": peak_memory(), "page_faults": page_faults()}


def end_with_parent() -> None:
    """A benchmark that was killed leaves no child behind that goes on computing (Linux)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


def offer_to_die_first() -> None:
    """Where memory runs out, the child goes and not the process that keeps the results."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
