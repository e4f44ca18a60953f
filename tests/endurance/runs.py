"""What the endurance scripts share: runs in children that may be ended anywhere, and comparing.

Children are forked from a process that has imported everything and computed nothing, so that an
end costs a second and not an import of torch. POSIX only.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import safetensors.numpy
import sklearn.datasets  # noqa: F401 - else each child imports it, in two seconds
from matplotlib.figure import Figure
from tests.conftest import Silent
from tests.folders import flat_folder

from neocog import api, run
from neocog.analysis.twin import takes
from neocog.cli.main import main
from neocog.data.loading import load_folder
from neocog.data.packing import pack
from neocog.networks import create
from neocog.records import Epoch, Step
from neocog.report import curves

SAVE_EVERY = 0.02  # seconds
FOUND = Path("build/endurance")  # where what went wrong is kept
LONGEST = 120.0  # seconds: a child that takes longer hangs

Counts = Counter[tuple[str, str, str]]  # (run, what was done to it, outcome)


@dataclass(frozen=True)
class Way:
    """A run to be ended early: what it trains on, and the recipe's changes."""

    network: str
    data: str  # "digits", "folder" or "shards"
    changes: dict[str, Any]
    precision: str = "auto"


WAYS = {
    "plain": Way("lenet_relu", "digits", {"epochs": 2}),
    "everything": Way(
        "lenet_relu",
        "digits",
        {"epochs": 2, "optimizer": "muon", "lr": 0.05, "bias_lr": 0.1, "shift": 2, "cutout": 5,
         "average": "lookahead", "mixup": 0.2, "label_smoothing": 0.1, "momentum": 0.9},
    ),
    "plateau": Way("lenet_relu", "digits", {"epochs": 3, "schedule": "plateau", "lr": 0.02}),
    "folder": Way(
        "lenet_relu",
        "folder",
        {"epochs": 2, "batch_size": 8, "jitter": 0.3, "area": (0.5, 1.0), "rotate": 9.0},
    ),
    "shards": Way("lenet_relu", "shards", {"epochs": 2, "batch_size": 8, "trivial": True}),
    "growing": Way(
        "squeezenet1_1",  # with dropout
        "folder",
        {"epochs": 2, "batch_size": 8, "size": 36, "begin_size": 24, "grow_epochs": 1.5},
    ),
    "bf16": Way("lenet_relu", "folder", {"epochs": 2, "batch_size": 8, "cutmix": 1.0}, "bf16"),
}  # fmt: skip


class At(Silent):
    """A watcher that does something once, at the so-many-th fact of a run."""

    def __init__(self, number: int, do: Callable[[], object]) -> None:
        self.number, self.do, self.seen = number, do, 0

    def see(self, fact: object) -> None:
        self.seen += 1
        if self.seen == self.number:
            self.do()


def killed_here() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watch(call: str, see: Callable[[int, str], object]) -> None:
    """Let `see` be told of each such call of the file system: its number, before and after."""
    owner = os if call == "fsync" else Path
    own, count = getattr(owner, call), itertools.count(1)

    def called(*arguments: Any, **named: Any) -> Any:
        number = next(count)
        see(number, "before")
        value = own(*arguments, **named)
        see(number, "after")
        return value

    setattr(owner, call, called)


def kill_at(kind: str, number: int) -> None:
    """Let this process be killed at its so-many-th call: "before open", "after replace"."""
    when, call = kind.split()

    def struck(count: int, now: str) -> None:
        if count == number and now == when:
            killed_here()

    watch(call, struck)


def child(
    do: Callable[[], object],
    after: float | None = None,
    *,
    by: signal.Signals = signal.SIGKILL,
    meanwhile: Callable[[int], object] | None = None,
) -> int:
    """How a child that does this ends: with what `do` gives, or 0. Sent the signal `by` after so
    many seconds, if it is still there; `meanwhile` is called with its process id.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code: Any = 1
        try:
            code = do()
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 0)
    if meanwhile is not None:
        meanwhile(pid)
    if after is not None:
        ended = _waited(pid, after)
        if ended is not None:
            return ended
        os.kill(pid, by)
    ended = _waited(pid, LONGEST)
    if ended is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise SystemExit(f"a child did not end within {LONGEST:.0f} s")
    return ended


def _waited(pid: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def command(
    arguments: Sequence[str | Path],
    said: Path,
    *,
    before: Callable[[], object] | None = None,
    watcher: Silent | None = None,
    **ends: Any,
) -> tuple[int, str]:
    """`neocog` with these arguments in a child: its exit code, and what it says on stderr, which
    lies at `said`. `before` is called in the child; `ends` are `child`'s.
    """

    def do() -> int:
        file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        for name in ("train", "resume"):
            seen = functools.partial(getattr(api, name), watcher=watcher or Silent())
            setattr(api, name, seen)
        if before is not None:
            before()
        return main([str(each) for each in arguments])

    code = child(do, **ends)
    return code, said.read_text(encoding="utf-8") if said.exists() else ""


def training_of(way: Way, places: dict[str, str], out: Path, *more: str) -> list[str | Path]:
    """The command that begins a run."""
    sets = [f"{k}={_text(v)}" for k, v in way.changes.items()]
    return [
        *("train", way.network, places[way.data], "--recipe", "quick", "--out", out),
        *("--precision", way.precision, "--save-every", str(SAVE_EVERY), *more),
        *itertools.chain.from_iterable(("--set", each) for each in sets),
    ]


def resuming(out: Path, *more: str) -> list[str | Path]:
    return ["resume", out, "--save-every", str(SAVE_EVERY), *more]


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def train(way: Way, places: dict[str, str], out: Path, watcher: Silent | None = None) -> None:
    api.train(
        way.network,
        places[way.data],
        recipe="quick",
        changes=way.changes,
        out=out,
        precision=way.precision,
        save_every=SAVE_EVERY,
        watcher=watcher or Silent(),
        tell=nobody,
    )


def sets(root: Path) -> dict[str, str]:
    """What the ways train on, made below `root`."""
    curves.png(Figure())  # fonts are found here, and compilers imported, and not in each child
    takes(create("squeezenet1_1"), (3, 24, 24))
    folder = flat_folder(root / "folder", 16)

    def packed() -> None:
        pack(load_folder(folder, cache_size=0), root / "shards", shard_size=12_000)

    assert child(packed) == 0
    return {"digits": "digits", "folder": str(folder), "shards": str(root / "shards")}


@dataclass(frozen=True)
class Straight:
    """A run that nothing happened to."""

    left: dict[str, Any]
    seconds: float
    facts: int  # steps and epochs
    first: int  # facts up to the end of the first epoch


def straight(way: Way, places: dict[str, str], out: Path) -> Straight:
    counted = out.with_name(f"{out.name}-facts")

    class Counting(Silent):
        seen = first = 0

        def see(self, fact: object) -> None:
            assert isinstance(fact, Step | Epoch)
            self.seen += 1
            if isinstance(fact, Epoch) and not self.first:
                self.first = self.seen

    def do() -> None:
        seen = Counting()
        train(way, places, out, seen)
        with counted.open("w", encoding="utf-8") as file:
            file.write(f"{seen.seen} {seen.first}")

    began = time.monotonic()
    assert child(do) == 0
    seconds = time.monotonic() - began
    facts, first = map(int, counted.read_text(encoding="utf-8").split())
    return Straight(left(out), seconds, facts, first)


class Straights:
    """The straight runs of the ways, made when they are first asked for, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root, self.places = root, sets(root)
        self._made: dict[str, Straight] = {}

    def of(self, name: str) -> Straight:
        if name not in self._made:
            self.cache(name)
            self._made[name] = straight(WAYS[name], self.places, self.root / f"straight-{name}")
        return self._made[name]

    def cache(self, name: str) -> None:
        """Let decoded pictures and notes lie with those of the straight run."""
        os.environ["NEOCOG_CACHE"] = str(self.root / f"cache-{name}")


def left(out: Path) -> dict[str, Any]:
    """What a run leaves that must not depend on when it was stopped."""
    folder = run.RunFolder.open(out)
    said = {name: folder.predictions(name) for name in ("validation", "test")}
    return {
        "history": [
            {k: v for k, v in epoch.to_json().items() if "second" not in k}
            for epoch in folder.history
        ],
        "norms": [each.to_json() for each in folder.norms],
        "weights": safetensors.numpy.load_file(out / "best.safetensors"),
        **{f"{name} logits": {"all": each.logits} for name, each in said.items() if each},
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        one[key] == other[key]
        if key in ("history", "norms")
        else one[key].keys() == other[key].keys()
        and all(np.array_equal(one[key][name], other[key][name]) for name in one[key])
        for key in one
    )


def nobody(line: str) -> None:
    pass


def table(title: str, counts: Counts) -> list[str]:
    """Counts as Markdown: a line for each thing that was done, and what else came of it."""
    others = sorted(key for key in counts if key[2].startswith("other"))
    ends = sorted({key[2] for key in counts} - {key[2] for key in others})
    lines = [f"| {title} | {' | '.join(ends)} | other |", "| --- |" + " --- |" * (len(ends) + 1)]
    for kind in [*sorted({kind for _, kind, _ in counts}), "all"]:
        mine = {key: n for key, n in counts.items() if kind in (key[1], "all")}
        cells = [sum(n for key, n in mine.items() if key[2] == end) for end in ends]
        cells.append(sum(mine.values()) - sum(cells))
        lines.append(f"| {kind} | {' | '.join(map(str, cells))} |")
    return [*lines, *([""] if others else []), *(f"- {', '.join(key)}" for key in others)]
