"""Runs killed anywhere and gone on with: python -m tests.endurance.kills [--kills 200] [--out FILE]

Each of several runs is made once straight. Then again, killed with SIGKILL at a moment by chance,
or at a step of writing a file (before or after it is opened, flushed or renamed), gone on with, and
killed again, until it ends by itself. What it leaves must be what the straight run left, to the
bit: weights, history but for its seconds, and the logits of validation and test.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from tests.conftest import Silent
from tests.endurance.runs import (
    FOUND,
    SAVE_EVERY,
    WAYS,
    Way,
    child,
    kill_at,
    left,
    nobody,
    same,
    sets,
    train,
    watch,
)

from neocog import api, run

CALLS = ("open", "fsync", "replace")  # where a file is made, flushed and renamed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a table of the counts, as Markdown")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        counts = killed(Path(temporary), options.kills, chance)
    lines = list(_table(counts, options))
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if any(key[2] != "same" for key in counts):
        sys.exit("a run that was killed did not reach what the straight one reached")


def killed(root: Path, kills: int, chance: random.Random) -> Counter[tuple[str, str, str]]:
    """(way, kind of kill, outcome): how many kills. Outcomes are counted when their run ended."""
    places = sets(root)
    counts: Counter[tuple[str, str, str]] = Counter()
    straight = {}
    for name, way in WAYS.items():
        os.environ["NEOCOG_CACHE"] = str(root / f"cache-{name}")
        began = time.monotonic()
        out, counted = root / f"straight-{name}", root / f"calls-{name}"
        assert child(functools.partial(_counted, way, places, out, counted)) == 0
        calls = json.loads(counted.read_text(encoding="utf-8"))
        straight[name] = (left(out), time.monotonic() - began, calls)
    number = 0
    while sum(counts.values()) < kills:
        name = list(WAYS)[number % len(WAYS)]
        number += 1
        os.environ["NEOCOG_CACHE"] = str(root / f"cache-{name}-{number}")
        out = root / f"{name}-{number}"
        reached, seconds, calls = straight[name]
        kinds = _until_it_ends(WAYS[name], places, out, seconds, calls, chance)
        agrees = same(left(out), reached)
        if not agrees:
            shutil.copytree(out, FOUND / out.name, dirs_exist_ok=True)
        outcome = "same" if agrees else f"other: {FOUND / out.name}"
        for kind in kinds:
            counts[name, kind, outcome] += 1
        shutil.rmtree(out)
        shutil.rmtree(os.environ["NEOCOG_CACHE"], ignore_errors=True)
    return counts


def _until_it_ends(
    way: Way,
    places: dict[str, str],
    out: Path,
    seconds: float,
    calls: dict[str, int],
    chance: random.Random,
) -> list[str]:
    """Train and go on until nothing kills it; the kinds of the kills."""
    kinds = []
    while True:
        kill = _kill_of(chance, seconds, calls) if len(kinds) < 8 else None

        def do(kill: tuple[str, float] | None = kill) -> None:
            if kill and kill[0] != "time":
                kill_at(kill[0], int(kill[1]))
            if run.RunFolder(out).saved and run.RunFolder(out).finished:
                return  # killed after its last word
            if run.RunFolder(out).saved:
                api.resume(out, save_every=SAVE_EVERY, watcher=Silent(), tell=nobody)
            else:
                shutil.rmtree(out, ignore_errors=True)  # nothing was saved: a new beginning
                train(way, places, out)

        code = child(do, after=kill[1] if kill and kill[0] == "time" else None)
        if code == 0:
            return kinds
        if code != -signal.SIGKILL:
            raise SystemExit(f"{out}: ended with {code}, which no kill does")
        assert kill is not None
        kinds.append(kill[0])


def _kill_of(chance: random.Random, seconds: float, calls: dict[str, int]) -> tuple[str, float]:
    """Its kind, and after how many seconds or at which call."""
    if chance.random() < 0.4:
        return "time", chance.uniform(0, seconds)
    call = chance.choice(CALLS)
    # the last calls more often: after them nothing comes that could make good what they lost
    place = max(chance.randrange(1, calls[call] + 1) for _ in range(2))
    return f"{chance.choice(('before', 'after'))} {call}", place


def _counted(way: Way, places: dict[str, str], out: Path, into: Path) -> None:
    """Train, and write down how often each call was made."""
    made = dict.fromkeys(CALLS, 0)
    for call in CALLS:
        watch(call, lambda count, now, call=call: made.update({call: count}))
    train(way, places, out)
    counts = json.dumps(made)
    with into.open("w", encoding="utf-8") as file:
        file.write(counts)


def _table(counts: Counter[tuple[str, str, str]], options: argparse.Namespace) -> list[str]:
    kinds = ["time", *(f"{when} {call}" for call in CALLS for when in ("before", "after"))]
    lines = [
        f"# Killed and gone on with, {date.today()}",
        "",
        f"`python -m tests.endurance.kills --kills {options.kills} --seed {options.seed}`, "
        f"Python {platform.python_version()}, torch {torch.__version__}. Kills at a moment by "
        "chance and at calls of the file system; each run was gone on with until it ended.",
        "",
        "| run | " + " | ".join(kinds) + " | same as straight | other |",
        "| --- |" + " --- |" * (len(kinds) + 2),
    ]
    for name in [*WAYS, "all"]:
        mine = {key: n for key, n in counts.items() if name in (key[0], "all")}
        of_kind = [sum(n for key, n in mine.items() if key[1] == kind) for kind in kinds]
        same = sum(n for key, n in mine.items() if key[2] == "same")
        cells = [*of_kind, same, sum(mine.values()) - same]
        lines.append(f"| {name} | " + " | ".join(map(str, cells)) + " |")
    others = sorted({key[2] for key in counts if key[2] != "same"})
    return [*lines, *([""] if others else []), *(f"- {each}" for each in others)]


if __name__ == "__main__":
    print(json.dumps({"started": time.strftime("%H:%M:%S")}), file=sys.stderr)
    main()
