"""What a run records of where it was made."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from neocog.data.dataset import Dataset
from neocog.engine.hardware import Hardware


def environment_of(dataset: Dataset, hardware: Hardware) -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": versions(),
        "system": platform.platform(),
        "hardware": hardware.to_json(),
        "data": {"origin": dataset.origin},
    }


def versions() -> dict[str, str]:
    return {
        "neocog": version("neocog"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
    }
