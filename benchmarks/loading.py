"""How fast pictures in files become batches, beside torchvision's ImageFolder and DataLoader.

    python -m benchmarks.loading FOLDER [--pictures 3600] [--rounds 3] [--out benchmarks/results]

The photographs of FOLDER (class folders, or train/ of them) are laid out again in a temporary
folder as often as it takes. Every arm decodes, cuts a random area and aspect to 160 px, mirrors and
normalises, in batches of 64; each in a process of its own, by turns. What was decoded is forgotten
in between, what was compiled is not: that happens once a machine, in the first of the rounds.
torchvision is a peer of this measurement alone: neocog never imports it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

SIDE, BATCH = 160, 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ARMS = ("neocog", "neocog, nothing kept", "torchvision")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=3600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="of torchvision's DataLoader")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = _laid_out(options.folder, Path(temporary), options.pictures)
        taken = _rounds(root, Path(temporary), options.rounds, options.workers)
    lines = list(_lines(taken, options))
    print("\n".join(lines))
    if options.out:
        from neocog.engine.machine import cpu_name

        machine = re.sub("[^a-z0-9]+", "-", cpu_name().lower())
        path = options.out / f"{date.today()}-loading-{machine}.json"
        facts = {"command": f"python -m benchmarks.loading (pictures {options.pictures})"}
        options.out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**facts, "pictures_a_second": taken}, indent=2) + "\n")


def _laid_out(folder: Path, into: Path, count: int) -> Path:
    found = sorted(path for path in folder.rglob("*.jpg"))
    for number in range(count):
        path = found[number % len(found)]
        target = into / "pictures" / path.parent.name / f"{number:06}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return into / "pictures"


def _rounds(root: Path, temporary: Path, rounds: int, workers: int) -> dict[str, list[list[float]]]:
    taken: dict[str, list[list[float]]] = {arm: [] for arm in ARMS}
    for number in range(rounds):
        for arm in ARMS if number % 2 else reversed(ARMS):
            cache = temporary / "cache"
            environment = {**os.environ, "NEOCOG_CACHE": str(cache)}
            job = [sys.executable, "-m", "benchmarks.loading_child", arm, str(root), str(workers)]
            done = subprocess.run(job, env=environment, check=True, stdout=subprocess.PIPE)
            taken[arm].append(json.loads(done.stdout))
            shutil.rmtree(cache / "pixels", ignore_errors=True)
    return taken


def _lines(taken: dict[str, list[list[float]]], options: argparse.Namespace) -> Iterator[str]:
    first = {arm: statistics.median(rates[0] for rates in each) for arm, each in taken.items()}
    later = {arm: statistics.median(rates[-1] for rates in each) for arm, each in taken.items()}
    peer = "torchvision"
    yield f"{options.pictures:,} pictures, {SIDE} px, batches of {BATCH}, n = {options.rounds}"
    for arm in ARMS:
        yield (
            f"{arm:<22} first epoch {first[arm]:8,.0f}/s ({first[arm] / first[peer]:.2f}x)"
            f"   later {later[arm]:8,.0f}/s ({later[arm] / later[peer]:.2f}x)"
        )


if __name__ == "__main__":
    main()
