"""The README's table, made from benchmarks/results: `python -m benchmarks.table` rewrites it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neocog.progress import duration

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- results: made by `python -m benchmarks.table` -->", "<!-- end of results -->"


def newest() -> list[dict[str, Any]]:
    """The newest result of each arm, in the order in which arms were first measured."""
    arms: dict[str, dict[str, Any]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        arms[result["arm"]] = result
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


def main() -> None:
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{table(newest())}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
