"""Two processes of one thread beside one process of two: python -m benchmarks.devices [--rounds 5]

The same runs by turns, each `neocog train` of its own; what counts is the images a second of its
training steps, as history.jsonl has them. Nothing else should run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

# network, data, recipe fields: epochs long enough for half a minute or so
RUNS = {
    "lenet_relu, 28 px, batch 128": ("lenet_relu", "mnist", {"epochs": 1.0}),
    "resnet20_cifar, 32 px, batch 128": ("resnet20_cifar", "cifar10", {"epochs": 0.12}),
    "the same, synchronised norms": (
        "resnet20_cifar",
        "cifar10",
        {"epochs": 0.12, "batch_norm": "synchronised"},
    ),
    "vgg11_bn, 32 px, batch 128": ("vgg11_bn", "cifar10", {"epochs": 0.06, "size": 32}),
}
WAYS = {
    "one of two threads": ("--threads", "2"),
    "two of one thread": ("--threads", "1", "--devices", "2"),
}
FIXED = ("--layout", "channels_last", "--precision", "fp32", "--compile", "no", "--json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="WORDS", help="runs with these in their name")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    taken: dict[str, dict[str, list[float]]] = {}
    name = ""
    for label, (network, data, fields) in RUNS.items():
        if options.only not in label:
            continue
        taken[label] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way, more in WAYS.items():
                speed, name = measured(network, data, fields, more)
                taken[label][way].append(speed)
        one, two = (statistics.median(taken[label][way]) for way in WAYS)
        print(f"{label}: {one:,.0f} and {two:,.0f} images/s, {two / one:.2f}", flush=True)
        # after each, so that nothing is lost where it is ended early
        result = {"date": str(date.today()), "machine": name, "images_per_second": taken}
        path = options.out / f"{date.today()}-devices.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measured(
    network: str, data: str, fields: dict[str, object], more: tuple[str, ...]
) -> tuple[float, str]:
    sets = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = ["train", network, data, "--recipe", "quick", "--out", str(out)]
        done = subprocess.run(
            [sys.executable, "-m", "neocog", *command, *sets, *FIXED, *more],
            capture_output=True,
            text=True,
            check=False,
            env={name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        epochs = (out / "history.jsonl").read_text(encoding="utf-8").splitlines()
        environment = json.loads((out / "environment.json").read_text(encoding="utf-8"))
        return json.loads(epochs[-1])["images_per_second"], environment["hardware"]["name"]


if __name__ == "__main__":
    main()
