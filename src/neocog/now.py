"""now.json: where a run stands within an epoch, said about once a second by the process that
trains it. A page that is watched reads it; nothing that decides a run does.

    state               "running", "stopped" or "diverged"; the file is removed when all is done
    why                 what ended it, in words, or null
    epoch, epochs       the epoch under way, from 0, and how many there will be
    step, steps         done in this epoch, and in it
    loss, accuracy      of the epoch so far; null before its first step
    lr, images_per_second, seconds_left      or null, where they are not known
    trail               [at, loss, accuracy] of stretches of this epoch; `at` in epochs
    process             pid, host and began: who wrote it
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neocog.records import MOST

LONGEST = 100_000  # bytes of the file; ours has a few thousand
STATES = ("running", "stopped", "diverged")


@dataclass(frozen=True)
class Process:
    """A process, as another on the same machine can find it again."""

    pid: int
    host: str  # with the name of its process table, where containers have their own
    began: str  # so that another with the same number is not taken for it; "" where not known


@dataclass(frozen=True)
class Now:
    """What now.json says."""

    state: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None
    accuracy: float | None
    lr: float | None
    images_per_second: float | None
    seconds_left: float | None
    trail: tuple[tuple[float, float, float], ...]
    process: Process
    why: str | None = None

    def to_json(self) -> str:
        # not dataclasses.asdict, which copies each number of the trail
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return json.dumps({**values, "process": dataclasses.asdict(self.process)})

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Now:
        """What `to_json` gave. Raises `ValueError`, `TypeError` or `KeyError` for anything else."""
        process = Process(**values["process"])
        trail = tuple((at, loss, accuracy) for at, loss, accuracy in values["trail"])
        made = cls(**{**values, "process": process, "trail": trail})
        if not (_said(made) and _counted(made) and _numbers(made)):
            raise ValueError("values that are none of a run's")
        return made


def now_in(path: Path) -> Now:
    """What a now.json says; raises `ValueError` and its like where it is none."""
    with path.open("rb") as file:
        content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"more than {LONGEST:,} bytes")
    values = json.loads(content)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    return Now.from_json(values)


def diverged(folder: Path) -> str | None:
    """Why the run in a folder diverged, in words; None where it did not, or nothing says so."""
    try:
        now = now_in(folder / "now.json")
    except Exception:  # there is none, or whatever is in the file
        return None
    return (now.why or "") if now.state == "diverged" else None


def _said(now: Now) -> bool:
    process = now.process
    return (
        now.state in STATES
        and isinstance(now.why, str | None)
        and type(process.pid) is int
        and 0 < process.pid < 2**31
        and isinstance(process.host, str)
        and isinstance(process.began, str)
    )


def _counted(now: Now) -> bool:
    counts = (now.epoch, now.epochs, now.step, now.steps)
    return all(type(count) is int and 0 <= count < 2**53 for count in counts)


def _numbers(now: Now) -> bool:
    numbers = [now.loss, now.accuracy, now.lr, now.images_per_second, now.seconds_left]
    known = [number for number in numbers if number is not None]
    known += [number for point in now.trail for number in point]
    return all(type(number) in (int, float) and abs(number) < MOST for number in known)


def this_process() -> Process:
    """The one that asks."""
    return Process(os.getpid(), _host(), _began(os.getpid()))


def gone(process: Process) -> bool | None:
    """Whether a process has ended; None where that cannot be known, as of another machine's."""
    if process.host != _host() or os.name == "nt":  # there, asking after a process may end it
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and another user's
        pass
    return bool(process.began) and process.began != _began(process.pid)


@functools.cache
def _host() -> str:
    try:
        table = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        table = ""
    return f"{socket.gethostname()} {table}".strip()


def _began(pid: int) -> str:
    """When a process began, in ticks since the start of the system; "" where Linux does not say,
    and for one that has ended and is still listed.
    """
    try:
        # after the name, which may have brackets and spaces in it: fields 3 and 22 of proc(5)
        said = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return "" if said[0] == b"Z" else said[19].decode()
    except (OSError, IndexError):
        return ""
