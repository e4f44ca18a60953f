"""The README's tables, made from benchmarks/results: `python -m benchmarks.table` rewrites them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neocog.bench import tables
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
    """The newest whole run of `neocog bench`, and those since of some of its networks alone, which
    it does not hide; then the same held to AVX2. Without what was measured again later on that
    machine.
    """
    runs = [result for result in everything() if "benchmark" in result and not result["quick"]]
    runs = sorted(filter(tables.training, runs), key=lambda run: str(run["started"]))
    found: list[dict[str, Any]] = []
    for avx2 in (False, True):
        same = [run for run in runs if run["avx2"] == avx2]
        most = max((len(_trained(run)) for run in same), default=0)
        whole = max((at for at, run in enumerate(same) if len(_trained(run)) == most), default=0)
        same = same[whole:]
        found += [_without_old(run, same[at + 1 :]) for at, run in enumerate(same)]
    return [run for run in found if run["rows"]]


def _without_old(run: dict[str, Any], later: list[dict[str, Any]]) -> dict[str, Any]:
    there = [each for each in later if tables.machine(each) == tables.machine(run)]
    left = _measured(run).difference(*map(_measured, there))
    rows = [row for row in run["rows"] if (row["section"], row["network"]) in left]
    return {**run, "rows": rows}


def _measured(run: dict[str, Any]) -> set[tuple[str, str]]:
    """What was trained, and what predicted; not that for which no time was left."""
    shown = [row for row in run["rows"] if row["section"] in ("train", "inference")]
    return {(row["section"], row["network"]) for row in shown if row["value"] is not None}


def _trained(run: dict[str, Any]) -> set[str]:
    return {network for section, network in _measured(run) if section == "train"}


def speed(runs: list[dict[str, Any]]) -> str:
    """Training and predictions, images a second, and how many times faster neocog is."""
    parts = []
    for run in runs:
        where = f"{tables.machine(run)}, {run['date']}"
        if tables.training(run):
            parts += [f"Training on {where}:", tables.training(run)]
        if tables.inference(run):
            parts += [f"Predicting on {where}:", tables.inference(run)]
    return "\n\n".join(parts) or "Not measured yet."


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
