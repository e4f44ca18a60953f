"""How a run is asked to end: by Ctrl-C, and by SIGTERM, which clusters send beforehand."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM (`terminated`), after the run was saved in the folder `path`."""

    def __init__(self, path: Path, *, terminated: bool = False) -> None:
        super().__init__(f"stopped and saved; `neocog resume {quoted(path)}` goes on")
        self.path, self.terminated = path, terminated


def quoted(path: Path | str) -> str:
    """A path as one types it in a shell, where none is taken for an option."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


class Stop:
    """What Ctrl-C and SIGTERM ask for: in training the end of the step, else an end at once."""

    def __init__(self) -> None:
        self.asked = self.terminated = False
        self.patient = False

    def note(self, signum: int, frame: FrameType | None) -> None:
        self.terminated = signum == signal.SIGTERM
        if self.asked or not self.patient:
            raise KeyboardInterrupt
        self.asked = True

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self.patient = True
        try:
            yield
        finally:
            self.patient = False


@contextmanager
def signals() -> Iterator[Stop]:
    """The two signals noted. In a side thread none comes."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {each: signal.signal(each, stop.note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
