"""What the shipped recipes reach, and in what time: `python -m benchmarks.accuracy [ARM ...]`.

Each arm is `neocog train` with nothing but a seed changed. A result is written to
benchmarks/results/ with its date, machine, command and n, and is never edited: measure again
instead. `python -m benchmarks.table` puts the newest of each arm into the README.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from neocog import api
from neocog.engine.machine import cpu_name
from neocog.networks import find
from neocog.recipes import default_for

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Arm:
    network: str
    data: str
    seeds: int
    recipe: str | None = None


ARMS = {
    "demo": Arm("lenet_relu", "fashion-mnist", 5),
    "mnist": Arm("lenet_relu", "mnist", 3),
    "book": Arm("lenet_sigmoid", "fashion-mnist", 3),
    "lenet5": Arm("lenet5", "mnist", 1),
    "cifar": Arm("lenet_cifar", "cifar10", 3),
    "fast_mnist": Arm("fast_mnist", "mnist", 5),
    "fast_lenet": Arm("lenet_relu", "fashion-mnist", 5, "fast_lenet"),
    "fast_fashion": Arm("fast_cifar", "fashion-mnist", 3, "fast_fashion"),
    "fast_cifar10": Arm("fast_cifar", "cifar10", 5, "fast_cifar10"),
    "digits": Arm("lenet_relu", "digits", 5),
}


def measured(name: str, arm: Arm, seeds: int) -> dict[str, Any]:
    """One arm over seeds 0, 1, ...: the scores of each, and what they come to."""
    recipe = arm.recipe or default_for(find(arm.network).name, find(arm.network).input[1]).name
    scores = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            run = api.train(
                arm.network,
                arm.data,
                recipe=recipe,
                changes={"seed": seed},
                out=Path(folder) / "run",
            )
            scores.append(run.scores)
    top1 = [score["test"]["top1"] for score in scores]
    return {
        "arm": name,
        "command": f"neocog train {arm.network} {arm.data} --recipe {recipe} --seed N",
        "network": arm.network,
        "data": arm.data,
        "recipe": recipe,
        "date": date.today().isoformat(),
        "machine": cpu_name(),
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "n": seeds,
        "top1_mean": statistics.mean(top1),
        "top1_spread": statistics.stdev(top1) if seeds > 1 else None,
        "seconds_median": statistics.median(score["seconds"] for score in scores),
        "runs": [{k: v for k, v in score.items() if k != "run"} for score in scores],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("arms", nargs="*", metavar="ARM", help=f"of {', '.join(ARMS)}")
    parser.add_argument("--seeds", type=int, help="how many, instead of the arm's own number")
    parser.add_argument("--busy", action="store_true", help="others compute too: record no time")
    options = parser.parse_args()
    wrong = set(options.arms) - set(ARMS)
    if wrong:
        parser.error(f"no such arm: {', '.join(sorted(wrong))}")
    for name in options.arms or ["demo"]:
        arm = ARMS[name]
        result = measured(name, arm, options.seeds or arm.seeds)
        if options.busy:
            result["seconds_median"] = None
        machine = re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-")
        path = RESULTS / f"{result['date']}-{name}-{machine}.json"
        count = 1
        while path.exists():
            count += 1
            path = path.with_name(f"{result['date']}-{name}-{machine}-{count}.json")
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(
            f"{name}: {result['command']}: top-1 {result['top1_mean']:.4f} "
            f"(n {result['n']}), {result['seconds_median']} s -> {path.name}"
        )


if __name__ == "__main__":
    main()
