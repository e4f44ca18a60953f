"""Run folders as a process that trains would have left them, without training."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from neocog import runtext
from neocog.now import Now, this_process
from neocog.records import Epoch


def epoch(number: int, **changed: Any) -> Epoch:
    values = {
        "epoch": number,
        "lr": 0.1 / (number + 1),
        "train_loss": 2.0 / (number + 1),
        "train_accuracy": 1 - 0.5 / (number + 1),
        "val_loss": 2.1 / (number + 1),
        "val_accuracy": 1 - 0.6 / (number + 1),
        "seconds": 2.0,
        "images_per_second": 1234.5,
        "best": True,
    }
    return Epoch(**{**values, **changed})


def run(
    folder: Path, *, epochs: int = 0, of: int = 12, network: str = "lenet", began: float = 0
) -> Path:
    """A run that has so many epochs behind it; `began`: so many seconds ago."""
    folder.mkdir(parents=True)
    counts = {"train": 90, "validation": 10, "test": 20}
    data = {"name": "digits", "fingerprint": "", "seed": 0, "validation": 0.1, "from": None}
    about = {
        "network": {"name": network, "num_classes": 10, "in_channels": 1},
        "data": {**data, "pictures": counts},
        "recipe": {"name": "quick", "epochs": of},
    }
    path = folder / "recipe.json"
    path.write_text(json.dumps(about))
    when = time.time() - began
    os.utime(path, (when, when))
    history(folder, epochs)
    return folder


def history(folder: Path, epochs: int) -> None:
    lines = runtext.json_lines([epoch(number).to_json() for number in range(epochs)])
    (folder / "history.jsonl").write_bytes(lines)


def says(folder: Path, **changed: Any) -> None:
    """A now.json of this process."""
    values: dict[str, Any] = {
        "state": "running",
        "epoch": 3,
        "epochs": 12,
        "step": 5,
        "steps": 20,
        "loss": 0.75,
        "accuracy": 0.8125,
        "lr": 0.05,
        "images_per_second": 4321.0,
        "seconds_left": 205.0,
        "trail": ((3.1, 0.8, 0.8), (3.25, 0.7, 0.825)),
        "process": this_process(),
    }
    (folder / "now.json").write_text(Now(**{**values, **changed}).to_json())
