"""What this machine has: devices, units that multiply in bfloat16, a compiler, a name."""

from __future__ import annotations

import os
import platform
import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from neocog.errors import UsageError

COMPILERS = ("g++", "clang++", "c++")


def device_of(name: str) -> str:
    """The device of that name, or the first there is for "auto"; `UsageError` if there is none."""
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if _works(device))
    if not _works(name):
        raise UsageError(f"device {name!r} is not on this machine; use auto or cpu")
    return name


def _works(device: str) -> bool:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):  # torch says it with either
        return False
    return True


@contextmanager
def all_bits() -> Iterator[None]:
    """float32 on a GPU with its 24 bits: torch has convolutions multiply ten of them (TF32), if not
    matrix products, and both would be recorded as fp32. Who wants fewer has bf16.
    """
    backends: Any = torch.backends
    kinds = backends.cudnn.conv, backends.cuda.matmul
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee"
        yield
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision


def has_bf16(device: str) -> bool:
    """Whether a device multiplies in bfloat16 faster than in float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    has: Mapping[str, Any] = torch.cpu.get_capabilities()
    units = has.get("amx_bf16", False) or has.get("avx512_bf16", False)
    return bool(units) and _onednn_may(("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT"))


def has_tiles() -> bool:
    """Whether the CPU multiplies tiles of bfloat16 (AMX)."""
    has: Mapping[str, Any] = torch.cpu.get_capabilities()
    tiles = has.get("amx_bf16", False) and _onednn_may(("AMX", "AVX10", "ALL", "DEFAULT"))
    return bool(tiles)


def _onednn_may(names: tuple[str, ...]) -> bool:
    """Whether the environment leaves oneDNN the instructions that one of these names stands for."""
    most = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL"
    return any(name in most.upper() for name in names)


def can_compile(device: str) -> bool:
    """Whether what torch.compile needs is likely to be here."""
    if device.startswith("cuda"):
        from torch.utils._triton import has_triton

        return bool(has_triton())
    header = Path(sysconfig.get_path("include")) / "Python.h"
    named = os.environ.get("CXX")
    found = [shutil.which(name) for name in ((named,) if named else COMPILERS)]
    return device == "cpu" and os.name == "posix" and any(found) and header.is_file()


def name_of(device: str) -> str:
    """What the maker of a device calls it."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else cpu_name()


def cpu_name() -> str:
    """The processor's name, as well as this system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        return f"{found[0]}, {os.cpu_count()} cores"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
