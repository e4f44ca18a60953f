"""The machine itself: what it is, and how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
import time
from typing import Any

import torch
from torch import Tensor

from neocog.bench.plan import Job
from neocog.engine.hardware import choose
from neocog.engine.machine import cpu_name, has_bf16

SIDES = (1024, 2048, 4096)  # of the square matrices: the best of them is the peak
GPU_SIDES = (4096, 8192, 16384)
QUICK_SIDES = (256,)


def peak(job: Job) -> dict[str, Any]:
    """GFLOP/s of the fastest matrix product in fp32 and, where there are units for it, in bf16."""
    device = choose(job.device).device
    kinds = {"fp32": torch.float32}
    if job.precision != "fp32" and has_bf16(device):
        kinds["bf16"] = torch.bfloat16
    sides = QUICK_SIDES if job.steps else GPU_SIDES if device.startswith("cuda") else SIDES
    seconds = job.seconds / 2 / len(kinds) / len(sides)
    rates = {
        name: max(_rate(side, dtype, device, seconds) for side in sides)
        for name, dtype in kinds.items()
    }
    return {"value": rates["fp32"], "peaks": rates, "machine": facts(device)}


def facts(device: str) -> dict[str, Any]:
    """What a result file says of the machine."""
    cpu: Any = torch.cpu
    amx = bool(getattr(cpu, "_is_amx_tile_supported", bool)())
    return {
        "processor": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory": _memory(),
        "device": device,
        "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "amx": amx,
        "bf16": has_bf16(device),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _rate(side: int, dtype: torch.dtype, device: str, seconds: float) -> float:
    """GFLOP/s of the fastest of the products that the seconds give, after one that warms up."""
    one = torch.rand(side, side, device=device).to(dtype)
    other = torch.rand(side, side, device=device).to(dtype)
    out = torch.empty(side, side, device=device, dtype=dtype)
    _product(one, other, out)
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < seconds or best == float("inf"):
        best = min(best, _product(one, other, out))
    return 2 * side**3 / best / 1e9


def _product(one: Tensor, other: Tensor, out: Tensor) -> float:
    before = time.perf_counter()
    torch.mm(one, other, out=out)
    if out.device.type == "cuda":
        torch.cuda.synchronize(out.device)
    return time.perf_counter() - before


def _memory() -> int | None:
    """Bytes of the machine's memory."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
