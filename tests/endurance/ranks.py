"""Processes of one run killed: python -m tests.endurance.ranks [--cases 30] [--out FILE]

Runs of two or three processes, one of which is killed by chance: with SIGKILL at a moment, with
SIGKILL while it writes, or asked to end by SIGTERM. Expected: the others end within seconds by
themselves, which is said; `resume` in as many processes reaches what a run of as many reached that
nothing happened to, to the bit; in another number it reaches the end. And one run on two machines,
each a network namespace: it reaches what two processes of one machine do.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from tests.endurance.machines import SKIPPED, trained_on_both, two_machines
from tests.endurance.runs import (
    FOUND,
    WAYS,
    Counts,
    kill_at,
    left,
    resuming,
    same,
    sets,
    table,
    training_of,
)

from neocog.cli.main import main as neocog
from neocog.engine.machine import cpu_name
from neocog.run import RunFolder

RUNS = ("plain", "everything", "folder", "shards")
ENDS_WITHIN = 30.0  # seconds, on a machine that does much else; alone it is one
LONGEST = 240.0
SAME, FINISHED = "same as straight", "finished in another number"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a table of the counts, as Markdown")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        counts = ended(Path(temporary), options.cases, chance)
        counts["plain", "nothing; two machines", on_two(Path(temporary))] += 1
    lines = [
        f"# Processes of a run killed, {date.today()}",
        "",
        f"`python -m tests.endurance.ranks --cases {options.cases} --seed {options.seed}`, "
        f"{cpu_name()}, Python {platform.python_version()}, torch {torch.__version__}, gloo.",
        "",
        *table("what ended one of them", counts),
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if any(key[2] not in (SAME, FINISHED, SKIPPED) for key in counts):
        sys.exit("processes of a run did not end, or it did not reach what the straight one did")


def ended(root: Path, cases: int, chance: random.Random) -> Counts:
    places = sets(root)
    counts: Counts = Counter()
    straight: dict[tuple[str, int], tuple[dict[str, object], float]] = {}
    for number in range(cases):
        name, world = RUNS[number % len(RUNS)], 2 + number // len(RUNS) % 2
        os.environ["NEOCOG_CACHE"] = str(root / f"cache-{name}")
        if (name, world) not in straight:
            out, began = root / f"straight-{name}-{world}", time.monotonic()
            codes, _ = together(training_of(WAYS[name], places, out), world, root / "said")
            assert codes == [0] * world, (root / "said-0").read_text(encoding="utf-8")
            straight[name, world] = left(out), time.monotonic() - began
        reached, seconds = straight[name, world]
        out = root / f"{name}-{world}-{number}"
        kind = chance.choice(("SIGKILL", "SIGKILL while writing", "SIGTERM"))
        rank = 0 if kind == "SIGKILL while writing" else chance.randrange(world)
        wrong = _ended_once(
            training_of(WAYS[name], places, out), out, world, rank, kind, seconds, chance
        )
        now = world if number % 3 else 5 - world
        codes = [0]
        if not wrong and RunFolder(out).saved and not RunFolder(out).finished:
            codes, _ = together(resuming(out), now, root / "said")
        elif not wrong and not RunFolder(out).saved:
            shutil.rmtree(out, ignore_errors=True)
            codes, now = (
                together(training_of(WAYS[name], places, out), world, root / "said")[0],
                world,
            )
        if any(codes):
            wrong = f"resumed, it ended with {codes}"
        outcome = wrong or (SAME if same(left(out), reached) else "")
        if not outcome:
            complete = len(RunFolder(out).history) == len(reached["history"])  # type: ignore[arg-type]
            outcome = FINISHED if now != world and complete else "other weights"
        if outcome not in (SAME, FINISHED):
            FOUND.mkdir(parents=True, exist_ok=True)
            if out.exists():
                shutil.copytree(out, FOUND / out.name, dirs_exist_ok=True)
            for said in root.glob("said-*"):
                shutil.copy(said, FOUND / f"{out.name}-{said.name}")
            outcome = f"other: {outcome}, {FOUND / out.name}"
        counts[name, kind, outcome] += 1
        shutil.rmtree(out, ignore_errors=True)
    return counts


def on_two(root: Path) -> str:
    """How a run of two machines comes out, one process on each."""
    # on two machines each process has all cores; here they are dealt out
    places, one_thread = {"digits": "digits"}, ["--threads", "1"]
    out, there = root / "two-machines", root / "one-machine"
    command = [*training_of(WAYS["plain"], places, out), *one_thread]
    with two_machines() as made:
        wrong = trained_on_both(command, out) if made else SKIPPED
    if wrong:
        return wrong
    together([*training_of(WAYS["plain"], places, there), *one_thread], 2, root / "said")
    return SAME if same(left(out), left(there)) else "other weights"


def _ended_once(
    arguments: Sequence[str | Path],
    out: Path,
    world: int,
    rank: int,
    kind: str,
    seconds: float,
    chance: random.Random,
) -> str:
    """What went wrong when one of the processes was ended; nothing, mostly."""
    said = out.with_name("said")
    if kind == "SIGKILL while writing":
        call = chance.choice(("before open", "after fsync", "before replace", "after replace"))
        place = chance.randrange(8, 60)
        codes, took = together(arguments, world, said, before=lambda: kill_at(call, place))
    else:
        by = signal.SIGTERM if kind == "SIGTERM" else signal.SIGKILL
        after = chance.uniform(0.1, 1) * seconds
        # who ends before all have met is its launcher's to see, and here there is none
        codes, took = together(arguments, world, said, by=by, rank=rank, after=after, met=out)
    if took > ENDS_WITHIN:
        return f"the others took {took:.0f} s to end"
    if all(code == 0 for code in codes):
        return ""  # it was over before
    ends = {0, 1, 75, -signal.SIGKILL, -signal.SIGTERM}
    return "" if set(codes) <= ends else f"ended with {codes}"


def together(
    arguments: Sequence[str | Path],
    world: int,
    said: Path,
    *,
    rank: int = 0,
    by: signal.Signals = signal.SIGKILL,
    after: float | None = None,
    met: Path | None = None,
    before: Callable[[], object] | None = None,
) -> tuple[list[int], float]:
    """`neocog` in so many processes, of which one is sent a signal after so many seconds, if there
    is a file `met`, or does something `before`: their exit codes, and the seconds from the end of
    the first to that of the last. What each says lies at `said`-RANK.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = []
    for place in range(world):
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _be(arguments, place, world, port, Path(f"{said}-{place}"), before)
        pids.append(pid)
    began, struck = time.monotonic(), after is None
    codes: dict[int, int] = {}
    first = 0.0
    while len(codes) < world:
        for place, pid in enumerate(pids):
            if place not in codes and (status := os.waitpid(pid, os.WNOHANG))[0]:
                codes[place] = os.waitstatus_to_exitcode(status[1])
                first = first or time.monotonic()
        now = time.monotonic()
        if (
            not struck
            and after is not None
            and now - began >= after
            and (met is None or met.exists())
        ):
            struck = True
            if rank not in codes:
                os.kill(pids[rank], by)
        if now - began > LONGEST or (first and now - first > 2 * ENDS_WITHIN):
            for place, pid in enumerate(pids):
                if place not in codes:
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    return [codes[place] for place in range(world)], time.monotonic() - first


def _be(
    arguments: Sequence[str | Path],
    place: int,
    world: int,
    port: int,
    said: Path,
    before: Callable[[], object] | None,
) -> None:
    """One of the processes; does not come back."""
    code = 1
    try:
        os.environ.update(RANK=str(place), LOCAL_RANK=str(place), WORLD_SIZE=str(world))
        os.environ.update(
            LOCAL_WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
        )
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if before is not None and place == 0:
            before()
        code = neocog([str(each) for each in arguments])
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
