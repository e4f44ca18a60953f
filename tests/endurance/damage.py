"""Runs damaged and gone on with: python -m tests.endurance.damage [--cases 120] [--out FILE]

All that may happen to a run but kills (`kills.py`): files of a run folder are damaged here while
the run is stopped; `disks`, `stops` and `recipes` are called by this script too.

Runs are stopped midway, by SIGKILL or SIGTERM; then a file in the folder is cut, zeroed, changed in
a bit, lengthened, emptied or removed, at places by chance; and `neocog resume` goes on, or refuses.
A third of those that go on are killed once more, while they write for the first time.

Expected: of a damaged last.pt, that before.pt is taken, that this is said, and that the end is the
straight run's to the bit; of two damaged ones, an error that names both, and nothing changed; of
other files the same end, or an error that names the file.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from tests.endurance.disks import KINDS, filled
from tests.endurance.recipes import stopped
from tests.endurance.runs import (
    FOUND,
    WAYS,
    At,
    Counts,
    Straight,
    Straights,
    Way,
    child,
    command,
    kill_at,
    killed_here,
    left,
    resuming,
    same,
    table,
    train,
)
from tests.endurance.stops import disturbed

from neocog.engine.machine import cpu_name

FALLEN_BACK = ("last.pt", "Going on from the one before it, before.pt")
NOT_RECORDED = ("how it began is not recorded",)
SAME, REFUSED = "same as straight", "refused, and why"


@dataclass(frozen=True)
class Case:
    """What is done to a folder, and what must come of it."""

    kind: str
    do: Callable[[Path, random.Random], None]
    ends: tuple[str, ...] = (SAME,)  # any of them
    says: tuple[str, ...] = ()  # on stderr
    silent: bool = False  # the one before must not be taken
    asks: bool = False  # precision is asked for again, for it is recorded no more


def cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    # at the very end there may be nothing but a line end, without which JSON is whole
    path.write_bytes(content[: chance.randrange(max(len(content) - 4, 1))])


def zeroed(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    place = chance.randrange(max(len(content) - 4, 1))
    path.write_bytes(content[:place] + bytes(len(content) - place))


def flipped(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if content:  # a history may be empty
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def longer(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(chance.randbytes(chance.randrange(1, 5000)))


def emptied(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


def removed(path: Path, chance: random.Random) -> None:
    path.unlink()


HARMS = {"cut": cut, "zeros": zeroed, "bit": flipped, "longer": longer, "emptied": emptied}


def cases() -> Iterator[Case]:
    """Those of checkpoints twice, for they matter most."""
    whole = {**HARMS, "removed": removed}
    for word, harm in itertools.chain(whole.items(), whole.items()):
        yield Case(f"last.pt {word}", _to(harm, "last.pt"), says=FALLEN_BACK)
    for word, harm in whole.items():
        yield Case(f"before.pt {word}", _to(harm, "before.pt"), silent=True)
        yield Case(
            f"both {word}",
            _to(harm, "last.pt", "before.pt"),
            ends=(REFUSED,),
            says=("last.pt", "before.pt") if word != "removed" else ("last.pt",),
        )
        if word != "longer":
            yield Case(f"history {word}", _to(harm, "history.jsonl"), silent=True)
        yield Case(f"norms {word}", _to(harm, "norms.jsonl"), silent=True)
        yield Case(
            f"weights {word}",
            _to(harm, "best.safetensors"),
            ends=(SAME, REFUSED),
            # a bit that says nothing of the weights, a name in the metadata, may go unseen
            says=("best.safetensors",) if word != "bit" else (),
        )
    yield Case("last.pt is before.pt", _twin, silent=True)
    for word in ("cut", "zeros", "emptied", "removed"):
        harm = whole[word]
        yield Case(
            f"environment {word}", _to(harm, "environment.json"), says=NOT_RECORDED, asks=True
        )
        for name in ("recipe.json", "input.json"):
            yield Case(
                f"{name.split('.')[0]} {word}", _to(harm, name), ends=(REFUSED,), says=(name,)
            )


def _to(harm: Callable[[Path, random.Random], None], *names: str) -> Callable[..., None]:
    def do(out: Path, chance: random.Random) -> None:
        for name in names:
            harm(out / name, chance)

    return do


def _twin(out: Path, chance: random.Random) -> None:
    shutil.copyfile(out / "before.pt", out / "last.pt")


def damaged(straights: Straights, number: int, chance: random.Random) -> Counts:
    """(run, damage, outcome) of so many cases."""
    counts, places = Counts(), straights.places
    order = list(cases())
    chance.shuffle(order)
    order = list(itertools.islice(itertools.cycle(order), number))
    names = itertools.cycle(WAYS)
    for count, begin in enumerate(range(0, number, 4)):
        name = next(names)
        way = WAYS[name]
        whole = straights.of(name)
        straights.cache(name)
        midway = _stopped(way, places, straights.root / f"{name}-{count}", whole, chance)
        for place, case in enumerate(order[begin : begin + 4]):
            out = midway.with_name(f"{midway.name}-{place}")
            shutil.copytree(midway, out)
            case.do(out, chance)
            again = resuming(out, *(["--precision", way.precision] if case.asks else []))
            wrong, end = _end(case, again, out, whole, chance)
            if wrong:
                shutil.copytree(out, FOUND / out.name, dirs_exist_ok=True)
            counts[name, case.kind, f"other: {wrong} ({out.name})" if wrong else end] += 1
            shutil.rmtree(out)
        shutil.rmtree(midway)
    return counts


def _stopped(
    way: Way, places: dict[str, str], out: Path, whole: Straight, chance: random.Random
) -> Path:
    """A run that was stopped after its first epoch, with both checkpoints."""
    while True:
        kill = chance.random() < 0.5
        do = killed_here if kill else lambda: os.kill(os.getpid(), signal.SIGTERM)
        at = At(chance.randrange(whole.first + 1, whole.facts), do)

        def begin(at: At = at) -> int:
            sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - KeyboardInterrupt is told
            train(way, places, out, at)
            return 0

        code = child(begin)
        if code not in (-signal.SIGKILL, 1):
            raise SystemExit(f"{out}: ended with {code}, which no stop does")
        if all((out / name).exists() for name in ("last.pt", "before.pt", "best.safetensors")):
            return out
        shutil.rmtree(out)


def _end(
    case: Case, again: list[str | Path], out: Path, whole: Straight, chance: random.Random
) -> tuple[str, str]:
    """What is wrong about how it ends, "" for nothing; and how it ends."""
    before, said = _digest(out), out.with_name(f"{out.name}-said")
    told = ""
    # killed between two renames it has to take the one before
    if case.ends == (SAME,) and not case.silent and chance.random() < 1 / 3:
        when = f"{chance.choice(('before', 'after'))} {chance.choice(('open', 'replace'))}"
        number = chance.randrange(1, 6)
        code, told = command(again, said, before=lambda: kill_at(when, number))
        if code == 0:  # it wrote less than that
            return _judged(case, out, code, told, told, before, whole)
    code, more = command(again, said)
    return _judged(case, out, code, told + more, told or more, before, whole)


def _judged(
    case: Case, out: Path, code: int, told: str, first: str, before: str, whole: Straight
) -> tuple[str, str]:
    if "Traceback" in told:
        return f"a traceback: {told.splitlines()[-1]}", ""
    missing = [each for each in case.says if each not in first]
    if missing:
        return f"does not say {missing[0]!r} but {first.splitlines()[-1:]}", ""
    if case.silent and FALLEN_BACK[1] in told:
        return "took the one before", ""
    if code == 0 and SAME in case.ends:
        return ("" if same(left(out), whole.left) else "not what the straight one left"), SAME
    if code in (1, 2) and REFUSED in case.ends:
        changed = SAME not in case.ends and _digest(out) != before
        return ("the folder was changed" if changed else ""), REFUSED
    return f"exit code {code}: {told.splitlines()[-1:]}", ""


def _digest(out: Path) -> str:
    """Of all names and contents but the lock's, and what a killed process left half written."""
    seen = hashlib.sha256()
    for path in sorted(out.iterdir()):
        if path.name != ".lock" and path.suffix != ".part":
            seen.update(path.name.encode() + path.read_bytes())
    return seen.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="the tables of the counts, as Markdown")
    options = parser.parse_args()
    number, chance = options.cases, random.Random(options.seed)
    few = number < 50  # the short form
    lines = [
        f"# Damaged, disturbed, stopped, and gone on with, {date.today()}",
        "",
        f"`python -m tests.endurance.damage --cases {number} --seed {options.seed}`, Python "
        f"{platform.python_version()}, torch {torch.__version__}, {cpu_name()}.",
    ]
    counts = Counts()
    with tempfile.TemporaryDirectory() as temporary:
        straights = Straights(Path(temporary))
        parts: dict[str, Callable[[], Counts]] = {
            "damage": lambda: damaged(straights, number, chance),
            "full disk": lambda: filled(straights, max(number // 4, len(KINDS)), chance),
            "disturbance": lambda: disturbed(straights, max(number // 4, 2), chance),
            # the last, for it computes in this process
            "recipe, pictures": lambda: stopped(straights.root / "recipes", chance, few=few),
        }
        for title, part in parts.items():
            made = part()
            about = ["", *table(title, made)]
            print("\n".join(about), flush=True)
            lines, counts = lines + about, counts + made
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if any(end.startswith("other") for _, _, end in counts):
        sys.exit("something did not end as it should")


if __name__ == "__main__":
    main()
