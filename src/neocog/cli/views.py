"""`neocog eval RUN... --views PROTOCOL`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from neocog.analysis.against import check_several
from neocog.analysis.scores import scores
from neocog.cli.evaluated import comparison_lines, seed_lines
from neocog.cli.output import Counting, Transfers, emit, table, tell
from neocog.engine.views import Protocol, find
from neocog.errors import NeocogError, UsageError
from neocog.evaluation import Evaluation, compared
from neocog.protocols import evaluate as asked
from neocog.report.page import printable
from neocog.report.percents import hundredths, percent
from neocog.run import RunFolder


def evaluate(options: argparse.Namespace) -> None:
    if options.compare:  # said before anything is asked
        check_several([RunFolder.open(path) for path in options.runs])
    watch = _Counted()
    try:
        said = asked(
            options.runs,
            views="single" if options.views is None else options.views,
            scales=_scales(options.scales),
            data=options.data,
            from_dir=options.from_dir,
            tell=tell,
            progress=Transfers(sys.stderr),
            watch=watch,
        )
    finally:
        watch.close()
    found = compared(said) if options.compare else None
    if options.json:
        emit(found or said.to_json())
        return
    told = lines(said)
    if found:
        told = [*head_lines(said), "", *comparison_lines(found), *seed_lines(found["seeds"])]
    for line in told:
        print(line)


def head_lines(said: Evaluation, *, several: bool = False) -> list[str]:
    """What was looked at; `several`: that runs are averaged too."""
    protocol = find(said.facts["views"])
    source = "" if protocol.source == "none" else f" ({protocol.source})"
    of = "" if said.split == "all" else f"{said.split} "
    made = [
        f"{protocol.name}: {protocol.about}{source}",
        f"{_averaged(protocol, several=several)}"
        f"{len(said.predictions.labels):,} {of}pictures of {printable(said.data)}",
    ]
    if said.own and said.split == "validation":
        chosen = any(RunFolder.open(run).recipe.select == "best" for run in said.runs)
        flattered = ": the weights were chosen by these pictures, which flatters them"
        made.append(f"there is no test split{flattered if chosen else ''}")
    if not said.own:
        made.append(_learnt(said.seen))
    return made


def lines(said: Evaluation) -> list[str]:
    """What was looked at, a line a run, and all together."""
    made = head_lines(said, several=bool(said.members))
    made.insert(2, f"intervals: of top-1, Wilson, n {len(said.predictions.labels):,}")
    rows = [_row(member) for member in said.members or (said,)]
    if said.members:
        rows.append(["together", f"{len(said.members)} networks", *_numbers(said), ""])
    head = ["run", "network", "passes", "shorter sides", "top-1", "95 % interval", "top-5", "loss"]
    head += ["as scored"] if said.own else []
    kept = [place for place in range(len(head)) if any(row[place] for row in rows)]
    cells = [[row[place] for place in kept] for row in rows]
    right = [number for number, place in enumerate(kept) if place not in (0, 1, 3)]
    return [*made, "", table([head[place] for place in kept], cells, right=right)]


def _averaged(protocol: Protocol, *, several: bool) -> str:
    if protocol.views == 1:
        return "softmax averaged over the runs; " if several else ""
    return f"{protocol.averaged} averaged{', then softmax over the runs' if several else ''}; "


def _learnt(seen: dict[str, int] | None) -> str:
    if seen is None:
        return "whether any of them was trained on is not known"
    if not any(seen.values()):
        return "none of them was trained on, or validated with"
    return (
        f"{seen['train']:,} of them were trained on, {seen['validation']:,} validated with: "
        "this is no measure of what it would say of new ones"
    )


def _row(said: Evaluation) -> list[str]:
    row = [printable(said.runs[0]), said.networks[0], *_numbers(said)]
    if said.own:
        row.append(_then(said))
    return row


def _then(said: Evaluation) -> str:
    """Top-1 as it was scored when it was trained."""
    try:
        then = RunFolder.open(said.runs[0]).predictions(said.split)
        return "" if then is None else percent(scores(then)["top1"])
    except NeocogError:
        return "damaged"


def _numbers(said: Evaluation) -> list[str]:
    of: dict[str, Any] = said.scores
    return [
        f"{said.facts['passes']:,}",
        " ".join(str(side) for side in said.facts["scales"] or ()),
        percent(of["top1"]),
        f"{hundredths(said.interval.low)} to {percent(said.interval.high)}",
        "" if of["top5"] is None else percent(of["top5"]),
        f"{of['loss']:.4f}",
    ]


def _scales(given: str | None) -> list[int]:
    try:
        return [] if given is None else [int(side) for side in given.split(",")]
    except ValueError:
        raise UsageError(
            f"--scales: {given} was given; it takes whole numbers of pixels, as 224,256,288"
        ) from None


class _Counted:
    """How far each run is."""

    def __init__(self) -> None:
        self.run, self.line = "", Counting(sys.stderr, 0, "")

    def __call__(self, run: str, done: int, count: int) -> None:
        if run != self.run:
            self.close()
            self.run, self.line = run, Counting(sys.stderr, count, f"{run}:")
        self.line.see(done)

    def close(self) -> None:
        self.line.close()
