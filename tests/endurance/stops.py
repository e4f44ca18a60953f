"""Runs asked to end, disturbed and failing in the middle: python -m tests.endurance.stops

SIGTERM and Ctrl-C at moments by chance, up to three in a run, with no checkpoint but those that the
signals themselves cause; a second process on a folder in which one trains; pictures that are taken
away while a run reads them, and an exception in the middle of a step. Expected: exit codes 75 and
130, refusals, errors that name what is gone; and in the end what the straight run left, to the bit.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tests.endurance.runs import (
    FOUND,
    WAYS,
    At,
    Counts,
    Straight,
    Straights,
    command,
    left,
    resuming,
    same,
    table,
    training_of,
)

from neocog import run

SELDOM = ("--save-every", "3600")  # later options replace earlier ones
UNCACHED = ("--cache-size", "0")  # a picture that was decoded is not read again
CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}
SAME = "same as straight"
# what is moved away, below the place of the data
AWAY = {"a picture": "*/*.jpg", "a class": "[bgr]*", "a shard": "*.tar", "all of it": ""}


class Disturbed:
    """The straight runs, and how the disturbed ones end."""

    def __init__(self, straights: Straights, chance: random.Random) -> None:
        self.straights, self.chance, self.counts = straights, chance, Counts()
        self.root, self.places = straights.root, straights.places
        self.number = 0

    def next(self, name: str) -> tuple[Path, Straight]:
        """A new run folder, and the straight run of that name."""
        self.number += 1
        whole = self.straights.of(name)
        self.straights.cache(name)
        return self.root / f"{name}-disturbed-{self.number}", whole

    def command(self, arguments: list[str | Path], **named: Any) -> tuple[int, str]:
        return command(arguments, self.root / f"said-{self.number}", **named)

    def count(self, name: str, kind: str, out: Path, wrong: str, times: int = 1) -> None:
        wrong = wrong or ("litter" if list(out.glob(".*.part")) else "")
        if not wrong and not same(left(out), self.straights.of(name).left):
            wrong = "not what the straight one left"
        if wrong and out.exists():
            shutil.copytree(out, FOUND / out.name, dirs_exist_ok=True)
        self.counts[name, kind, f"other: {wrong} ({out.name})" if wrong else SAME] += times

    # -- signals

    def asked_to_end(self, name: str, by: signal.Signals) -> None:
        """Up to three times, at moments by chance; then gone on with to its end."""
        out, whole = self.next(name)
        begin = training_of(WAYS[name], self.places, out, *SELDOM)
        began, stops, at = out.with_name(f"{out.name}-began"), 0, (0, 0)
        kind = f"{by.name} at a moment by chance"
        while True:
            began.unlink(missing_ok=True)
            go_on = run.RunFolder(out).saved
            if not go_on:
                shutil.rmtree(out, ignore_errors=True)
            code, told = self.command(
                resuming(out, *SELDOM) if go_on else begin,
                before=_as_a_shell_would,
                watcher=At(1, began.touch),
                after=self.chance.uniform(0, whole.seconds) if stops < 3 else None,
                by=by,
            )
            if code == 0 or (run.RunFolder(out).saved and run.RunFolder(out).finished):
                return self.count(name, kind, out, "", max(stops, 1))
            stops += 1
            wrong, at = self._wrong(out, code, told, by, began=began.exists(), before=at)
            if wrong:
                return self.count(name, kind, out, wrong)

    def _wrong(
        self,
        out: Path,
        code: int,
        told: str,
        by: signal.Signals,
        *,
        began: bool,
        before: tuple[int, int],
    ) -> tuple[str, tuple[int, int]]:
        """What is wrong about how a signal ended it, and how far it was saved."""
        said = "stopped and saved. Go on with:" in told
        if began and (code != CODES[by] or not said):
            return f"exit code {code}: {told.splitlines()[-1:]}", before
        if not began and code not in (CODES[by], -by, 130) and "KeyboardInterrupt" not in told:
            return f"exit code {code} before it began: {told.splitlines()[-1:]}", before
        if not run.RunFolder(out).saved:
            return ("said to be saved and is not" if said else ""), before
        state = run.RunFolder(out).state()
        at = int(state["epoch"]), int(state["step"])
        if at < before or (began and at == (0, 0)):
            return f"saved at {at}, and before at {before}", at
        return "", at

    # -- two processes

    def two_in_one_folder(self, name: str) -> None:
        """While one trains, it is resumed and begun by another."""
        out, whole = self.next(name)
        held, go = out.with_name(f"{out.name}-held"), out.with_name(f"{out.name}-go")
        begin, ends = training_of(WAYS[name], self.places, out), []

        def wait() -> None:
            held.touch()
            _until(go.exists)

        def others(_: int) -> None:
            _until(held.exists)
            for arguments in (resuming(out), begin):
                ends.append(command(arguments, self.root / f"other-{self.number}"))
            go.touch()

        at = At(self.chance.randrange(1, whole.facts), wait)
        code, told = self.command(begin, watcher=at, meanwhile=others)
        reasons = ("another process is training in this run folder", "this folder is not empty")
        wrong = "" if code == 0 else f"exit code {code}: {told.splitlines()[-1:]}"
        for (other, said), reason in zip(ends, reasons, strict=True):
            if other != 2 or reason not in said:
                wrong = wrong or f"the other ended with {other}: {said.splitlines()[-1:]}"
        self.count(name, "another process resumes and begins it", out, wrong)

    # -- what fails in the middle

    def taken_away(self, name: str, what: str) -> None:
        """Pictures or shards are moved away at a step, and put back after the run has ended."""
        out, whole = self.next(name)
        place = Path(self.places[WAYS[name].data])
        found = sorted(place.glob(AWAY[what])) if AWAY[what] else [place]
        moved = self.chance.choice(found)
        aside = self.root / "aside"
        at = At(self.chance.randrange(1, whole.first), lambda: moved.rename(aside))
        begin = training_of(WAYS[name], self.places, out, *UNCACHED)
        code, told = self.command(begin, watcher=at)
        aside.rename(moved)
        kind = f"{what} is taken away, and put back"
        wrong = ""
        if code not in (0, 1) or "Traceback" in told:
            wrong = f"exit code {code}: {told.splitlines()[-1:]}"
        elif code == 1 and str(moved) not in told:
            wrong = f"it does not name {moved}: {told.splitlines()[-1:]}"
        elif code == 1:
            code, told = self.command(resuming(out, *UNCACHED))
            wrong = "" if code == 0 else f"put back: exit code {code}: {told.splitlines()[-1:]}"
        self.count(name, kind, out, wrong)

    def failing_step(self, name: str) -> None:
        """An exception in the middle of a step, as of a machine without memory."""
        out, whole = self.next(name)
        number = self.chance.randrange(2, whole.facts - 1)

        def fail() -> None:
            own, count = torch.Tensor.backward, itertools.count(1)

            def backward(*arguments: Any, **named: Any) -> None:
                if next(count) == number:
                    raise MemoryError
                own(*arguments, **named)

            torch.Tensor.backward = backward  # type: ignore[method-assign]

        begin = training_of(WAYS[name], self.places, out)
        code, told = self.command(begin, before=fail)
        wrong = "" if code == 1 and "MemoryError" in told else f"exit code {code}"
        if not wrong:
            code, told = self.command(resuming(out))
            wrong = "" if code == 0 else f"resumed: exit code {code}: {told.splitlines()[-1:]}"
        self.count(name, "an exception in the middle of a step", out, wrong)


def disturbed(straights: Straights, number: int, chance: random.Random) -> Counts:
    """(run, kind, outcome): `number` runs asked to end, and half as many disturbed otherwise."""
    all_ = Disturbed(straights, chance)
    names = itertools.cycle(WAYS)
    for count, name in zip(range(number), names, strict=False):
        all_.asked_to_end(name, (signal.SIGTERM, signal.SIGINT)[count % 2])
    others: list[Callable[[], None]] = [
        lambda: all_.taken_away("folder", "a class"),
        lambda: all_.two_in_one_folder("plain"),
        lambda: all_.taken_away("shards", "a shard"),
        lambda: all_.failing_step("everything"),
        lambda: all_.taken_away("folder", "a picture"),
        lambda: all_.two_in_one_folder("folder"),
        lambda: all_.taken_away("shards", "all of it"),
        lambda: all_.failing_step("growing"),
        lambda: all_.taken_away("folder", "all of it"),
    ]
    chance.shuffle(others)
    for _, do in zip(range(number // 2), itertools.cycle(others), strict=False):
        do()
    return all_.counts


def _as_a_shell_would() -> None:
    """Signals as they are for a command in the foreground, whatever this process was started by."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        if time.monotonic() > end:
            raise SystemExit("waited for a minute in vain")
        time.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=28)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        counts = disturbed(Straights(Path(temporary)), options.cases, random.Random(options.seed))
    print("\n".join(table("disturbance", counts)))


if __name__ == "__main__":
    main()
