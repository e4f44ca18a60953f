"""How a run is carried out on this machine: never what comes out of it beyond rounding."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from neocog.errors import UsageError, unknown

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Hardware:
    """What a run is carried out on, as it is recorded in environment.json."""

    device: str  # cpu, cuda, cuda:1, mps
    name: str  # what the maker calls it
    threads: int
    precision: str = "fp32"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def choose(device: str = "auto") -> Hardware:
    """The device asked for, or the fastest there is. Raises `UsageError` if it is not there."""
    kind = device.split(":")[0]
    if kind not in DEVICES:
        raise unknown("device", device, DEVICES)
    if kind == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if _works(name))
    elif not _works(device):
        raise UsageError(f"device {device!r} is not on this machine; use auto or cpu")
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else cpu_name()
    return Hardware(device=device, name=name, threads=torch.get_num_threads())


def _works(device: str) -> bool:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):  # torch says it with either
        return False
    return True


def cpu_name() -> str:
    """The processor's name, as well as this system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return f"{found[0]}, {os.cpu_count()} cores"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
