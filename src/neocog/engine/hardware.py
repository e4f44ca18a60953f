"""How a run is carried out on this machine: never what comes out of it beyond rounding."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from neocog.errors import UsageError, unknown

# Pixels a step up to which oneDNN's set-up of each call outweighs what it then saves. LeNet-5, two
# cores, 2026-11-22: a step of 1, 8, 16 pictures of 32 px took 1.5, 1.4, 0.7 times as long with it.
FEW_PIXELS = 8 * 32 * 32
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Hardware:
    """What a run is carried out on, as it is recorded in environment.json."""

    device: str  # cpu, cuda, cuda:1, mps
    name: str  # what the maker calls it
    threads: int
    kernels: str = "default"  # "native": convolutions on the CPU without oneDNN
    precision: str = "fp32"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """With what was chosen switched on, and put back afterwards."""
        onednn: Any = torch.backends.mkldnn
        before = onednn.enabled
        onednn.enabled = before and self.kernels != "native"
        try:
            yield
        finally:
            onednn.enabled = before


def choose(device: str = "auto", *, pixels: int = 1_000_000) -> Hardware:
    """The device asked for, or the fastest there is; `pixels` are those of one step.

    Raises `UsageError` if the device is not there.
    """
    kind = device.split(":")[0]
    if kind not in DEVICES:
        raise unknown("device", device, DEVICES)
    if kind == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if _works(name))
    elif not _works(device):
        raise UsageError(f"device {device!r} is not on this machine; use auto or cpu")
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else cpu_name()
    few = device == "cpu" and pixels <= FEW_PIXELS
    return Hardware(
        device=device,
        name=name,
        threads=torch.get_num_threads(),
        kernels="native" if few else "default",
    )


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
