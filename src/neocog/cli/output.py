"""How results and messages look."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from neocog.progress import duration
from neocog.recipes import described
from neocog.report.percents import percent

if TYPE_CHECKING:
    from neocog.planning import Plan

LIVE, PLAIN = 0.2, 5.0  # seconds between two lines of progress: on a terminal, elsewhere


def program() -> str:
    """How to call neocog again: by its name where that is found, else as it was called now."""
    if shutil.which("neocog"):
        return "neocog"
    called = Path(sys.argv[0])
    return f"{sys.executable} -m neocog" if called.name == "__main__.py" else str(called)


def tell(line: str) -> None:
    """A message for people, on stderr."""
    print(plain(line), file=sys.stderr, flush=True)


def plain(words: str) -> str:
    """Lines for a terminal: what would steer it, as a sign in the name of a file may, is spelt."""
    return "\n".join(
        "".join(s if s.isprintable() else repr(s)[1:-1] for s in line) for line in words.split("\n")
    )


def emit(value: object) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, indent=2, allow_nan=False))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> str:
    """Columns as wide as they need; those numbered in `right` end flush."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def score_head(scores: dict[str, Any]) -> str:
    """What was trained, and how long."""
    return (
        f"{scores['network']} on {scores['data']}: {scores['epochs']} epochs in "
        f"{duration(scores['seconds'])}, {scores['images_per_second']:,.0f} images/s"
    )


def score_lines(scores: dict[str, Any], *, chosen: bool) -> list[str]:
    """The scores of a run, a split a line; `chosen`: whether validation chose the weights."""
    lines = [score_head(scores)]
    views = "" if scores["views"] == "one" else f"   views {scores['views']}"
    for split in ("test", "validation"):
        said = scores[split]
        if said is not None:
            top5 = "" if said["top5"] is None else f"   top-5 {percent(said['top5'])}"
            even = said["balanced"]  # said where classes are of such sizes that it differs
            balanced = f"   balanced {percent(even)}" if abs(even - said["top1"]) >= 5e-5 else ""
            lines.append(
                f"{split:<11} top-1 {percent(said['top1'])}{balanced}{top5}   "
                f"loss {said['loss']:.4f}   {said['n']:,} pictures{views}"
            )
    if scores["test"] is None:
        why = ": the weights were chosen by these validation pictures"
        lines.append(f"test        none{why if chosen else ''}")
    return lines


def plan_lines(plan: Plan) -> list[str]:
    """What a run would take, for people."""
    recipe, pace = plan.recipe, plan.pace
    memory = [] if plan.memory is None else [f"memory      {plan.memory / 1e9:.1f} GB at most"]
    return [
        f"{plan.network} on {plan.dataset}, {described(recipe)}: {recipe.epochs:g} epochs of "
        f"{plan.length.steps:,} steps",
        f"a step      {1000 * pace.step:.3g} ms, {recipe.batch_size / pace.step:,.0f} images/s "
        f"(median of {pace.steps})",
        f"an epoch    {duration(plan.seconds_an_epoch)}, validation included",
        f"in all      {duration(plan.seconds)}, scoring included",
        *memory,
    ]


class Counting:
    """How far it is: a live line on a terminal, else a line every few seconds."""

    def __init__(self, stream: IO[str], total: int, done: str) -> None:
        self.stream, self.total, self.done, self.live = stream, total, done, stream.isatty()
        self.began = self.last = time.monotonic()

    def see(self, done: int) -> None:
        now = time.monotonic()
        if now - self.last < (LIVE if self.live else PLAIN):
            return
        self.last = now
        left = (now - self.began) / done * (self.total - done)
        text = f"{self.done} {done:,} of {self.total:,} pictures, {duration(left)} left"
        self.stream.write(f"\r\x1b[K{text}" if self.live else f"{text}\n")
        self.stream.flush()

    def close(self) -> None:
        if self.live:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


class Transfers:
    """Shows a transfer as it goes: a live line on a terminal, else a line every few seconds."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream, self.live, self._last = stream, stream.isatty(), time.monotonic()
        self._complete: set[str] = set()

    def __call__(self, label: str, done: int, total: int | None) -> None:
        if label in self._complete:
            return
        complete = total is not None and done >= total
        if complete:
            self._complete.add(label)
        if time.monotonic() - self._last < (0.2 if self.live else 5.0) and not complete:
            return
        self._last = time.monotonic()
        share = f" of {total / 1e6:,.1f}" if total else ""
        text = f"{label}: {done / 1e6:,.1f}{share} MB"
        if self.live:
            self.stream.write("\r\x1b[K" + text + ("\n" if complete else ""))
        else:
            self.stream.write(text + "\n")
        self.stream.flush()
