"""Whether the time told is the time taken: `python -m benchmarks.told`, on Linux or macOS.

Each command runs whole, under a terminal of its own. What its live line says is left, after the
first tenth and halfway, is held against what was left until the command ended; so is what `--plan`
said beforehand, and what `--minutes` asked for.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

COMMANDS = {
    "lenet": "lenet_relu fashion-mnist",
    "fast_mnist": "fast_mnist mnist",
    "vgg": "vgg_cifar cifar10 --epochs 3",
    "resnet20": "resnet20_cifar cifar10 --recipe fast --epochs 1",
    "minutes": "lenet_cifar cifar10 --minutes 2",
}
LOOKS = (0.1, 0.5)  # shares of the training done
_LINE = re.compile(r"epoch (\d+)/(\d+) +(\d+)%.*?((?:\d+ (?:h|min|s) ?)+)left")
_UNITS = {"h": 3600, "min": 60, "s": 1}


@dataclass
class Said:
    """Of one command: when it began to train and ended, and what it said when, in seconds."""

    begun: float = 0.0
    ended: float = 0.0
    lines: list[tuple[float, float, float]] = field(default_factory=list)  # when, share, left

    def at(self, share: float) -> tuple[float, float]:
        """What was said to be left when so much was done, and what was."""
        when, _, left = next(line for line in self.lines if line[1] >= share)
        return left, self.ended - when


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    options = parser.parse_args()
    print("| neocog train ... | --plan, s | taken, s | left after a tenth: said, was | halfway |")
    print("| --- | --- | --- | --- | --- |")
    for name in options.only:
        words = shlex.split(COMMANDS[name])
        planned = seconds_in(planned_by(words))
        said = run(words)
        looks = (
            f"{left:.0f}, {was:.1f} ({left / was - 1:+.0%})" for left, was in map(said.at, LOOKS)
        )
        taken = said.ended - said.begun
        row = [
            COMMANDS[name],
            f"{planned:.0f} ({planned / taken - 1:+.0%})",
            f"{taken:.1f}",
            *looks,
        ]
        print(f"| {' | '.join(row)} |", flush=True)


def planned_by(words: list[str]) -> str:
    """What `--plan` says of the whole run; once more where it had to choose how to run first."""
    command = [sys.executable, "-m", "neocog", "train", *words, "--plan"]
    for _ in range(2):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    said = re.search(r"in all +([^,\n]+)", done.stdout + done.stderr)
    assert said, done.stdout
    return said[1]


def run(words: list[str]) -> Said:
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
        mine, theirs = pty.openpty()
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "neocog", "train", *words, "--out", out],
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "200"},
        )
        os.close(theirs)
        said = Said(begun)
        for when, text in _chunks(mine):
            for epoch, epochs, percent, left in _LINE.findall(text):
                share = (int(epoch) - 1 + int(percent) / 100) / int(epochs)
                if not said.lines:
                    said.begun = when
                said.lines.append((when, share, seconds_in(left)))
        said.ended = time.monotonic()
        assert process.wait() == 0, words
        return said


def _chunks(terminal: int) -> Iterator[tuple[float, str]]:
    while True:
        try:
            content = os.read(terminal, 65536)
        except OSError:  # the other end was closed
            return
        if not content:
            return
        yield time.monotonic(), content.decode(errors="replace")


def seconds_in(text: str) -> float:
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+) (h|min|s)", text))


if __name__ == "__main__":
    main()
