"""The README's tables, made from benchmarks/results: `python -m benchmarks.table` rewrites them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neocog.bench import plan, tables
from neocog.progress import duration

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- results: made by `python -m benchmarks.table` -->", "<!-- end of results -->"
SPEED_BEGIN, SPEED_END = BEGIN.replace("results", "speed", 1), END.replace("results", "speed")


def everything() -> list[dict[str, Any]]:
    """Every result that is kept, in the order of their names, which begin with the date."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]


def newest() -> list[dict[str, Any]]:
    """The newest result of each arm, in the order in which arms were first measured."""
    arms = {result["arm"]: result for result in everything() if "arm" in result}
    return sorted(arms.values(), key=lambda result: (result["data"], -result["top1_mean"]))


def table(results: list[dict[str, Any]]) -> str:
    lines = [
        "| command | test top-1 | runs | training time | measured |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        spread = result["top1_spread"]
        score = f"{result['top1_mean']:.2%}" + ("" if spread is None else f" ± {spread:.2%}")
        seconds = result["seconds_median"]
        time = "not measured" if seconds is None else duration(seconds)
        command = f"neocog train {result['network']} {result['data']}"
        lines.append(
            f"| `{command}` | {score} | {result['n']} | {time} "
            f"| {result['date']}, {result['machine']} |"
        )
    return "\n".join(lines)


def fastest() -> list[dict[str, Any]]:
    """Runs of `neocog bench`, the oldest first, without what was measured again later on that
    machine.
    """
    runs = [result for result in everything() if "benchmark" in result and not result["quick"]]
    runs = sorted(runs, key=lambda run: str(run["started"]))
    found = [_without_old(run, runs[at + 1 :]) for at, run in enumerate(runs)]
    return [run for run in found if run["rows"]]


def _without_old(run: dict[str, Any], later: list[dict[str, Any]]) -> dict[str, Any]:
    there = [each for each in later if _machine(each) == _machine(run)]
    left = _measured(run).difference(*map(_measured, there))
    rows = [row for row in run["rows"] if (row["section"], row["network"]) in left]
    return {**run, "rows": rows}


def _measured(run: dict[str, Any]) -> set[tuple[str, str]]:
    """What was trained, and what predicted; not that for which no time was left."""
    shown = [row for row in run["rows"] if row["section"] in ("train", "inference")]
    return {(row["section"], row["network"]) for row in shown if row["value"] is not None}


def speed(runs: list[dict[str, Any]]) -> str:
    """Training and predictions, images a second, and how many times faster neocog is: by machine,
    where somebody measured last first, and those held back last; a line of each network.
    """
    parts = []
    machines = dict.fromkeys(map(_machine, reversed(runs)))
    for machine in sorted(machines, key=lambda name: "held to" in name):
        here = [run for run in runs if _machine(run) == machine]
        for what, made in (("Training", tables.training), ("Predicting", tables.inference)):
            for head, dates, lines in _merged(here, made):
                parts += [f"{what} on {machine}, {dates}:", "\n".join((*head, *lines))]
    return "\n\n".join(parts) or "Not measured yet."


def _machine(run: dict[str, Any]) -> str:
    """With what it multiplies by, which says more than its name: makers give many one name."""
    facts, name = run["machine"], tables.machine(run)
    vectors = facts.get("vectors")
    units = "AMX" if facts.get("amx") else f"{vectors}-bf16" if facts.get("bf16") else vectors
    return name if facts.get("gpu") or run["avx2"] or not units else f"{name} with {units}"


def _merged(
    runs: list[dict[str, Any]], made: Callable[[dict[str, Any]], str]
) -> list[tuple[list[str], str, list[str]]]:
    """The tables of several runs as one where they are of the same columns."""
    found: dict[tuple[str, ...], list[tuple[str, list[str]]]] = {}
    for run in runs:
        if text := made(run):
            head, rule, *lines = text.splitlines()
            found.setdefault((head, rule), []).append((run["date"], lines))
    return [
        (
            list(head),
            " and ".join(sorted({date for date, _ in parts})),
            sorted((line for _, lines in parts for line in lines), key=_place),
        )
        for head, parts in found.items()
    ]


def _place(line: str) -> int:
    """Among the networks, small ones first."""
    titles = [work.title for work in plan.TRAINED]
    return titles.index(line.split(" | ")[0].removeprefix("| "))


def main() -> None:
    text = README.read_text(encoding="utf-8")
    for begin, end, made in (
        (BEGIN, END, table(newest())),
        (SPEED_BEGIN, SPEED_END, speed(fastest())),
    ):
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{made}\n{end}{rest.split(end)[1]}"
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
