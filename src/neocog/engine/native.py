"""fused.c, stages.c and winograd.c, compiled for where they run, where there is a C compiler."""

from __future__ import annotations

import ctypes
import functools
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neocog.compiled import compiled, of_torchs_threads
from neocog.data.cache import compiled_dir

SOURCE = Path(__file__).with_name("fused.c")
STAGES = SOURCE.with_name("stages.c")
WINOGRAD = SOURCE.with_name("winograd.c")
WIDTH = 16  # channels are taken so many at a time
POINTERS = (
    *("x", "more", "scale", "shift", "table", "y", "g"),
    *("mean", "slant", "level", "given", "given_more", "sums"),
)


class Pass(ctypes.Structure):
    """As in fused.c."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("threads", ctypes.c_int32),
        ("act", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in POINTERS),
    )


class Windows(ctypes.Structure):
    """As in fused.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n", "h", "w", "channels", "high", "wide")),
        *((name, ctypes.c_int32) for name in ("size", "step", "pad", "threads")),
        *((name, ctypes.c_void_p) for name in ("x", "y", "place", "g", "given")),
    )


class Update(ctypes.Structure):
    """As in fused.c."""

    _fields_ = (
        ("many", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("threads", "first", "nesterov")),
        *((name, ctypes.c_float) for name in ("rate", "momentum", "decay")),
        *((name, ctypes.c_void_p) for name in ("weight", "buffer", "slope", "half")),
    )


class Stage(ctypes.Structure):
    """As in stages.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n", "high", "wide", "in_", "tall", "broad", "out")),
        *((name, ctypes.c_int64) for name in ("kernel_h", "kernel_w", "pad_h", "pad_w")),
        *((name, ctypes.c_int64) for name in ("by_out", "by_in", "by_row", "by_column")),
        *((name, ctypes.c_int32) for name in ("threads", "of_x")),
        *((name, ctypes.c_void_p) for name in ("x", "weight", "bias", "y", "place", "g")),
        *((name, ctypes.c_void_p) for name in ("given", "of_weight", "of_bias")),
    )


class Convolution(ctypes.Structure):
    """As in winograd.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n", "high", "wide", "in_", "tall", "broad", "out")),
        *((name, ctypes.c_int64) for name in ("pad", "x_step", "y_step")),
        *((name, ctypes.c_int32) for name in ("taps", "threads", "turned")),
        *((name, ctypes.c_void_p) for name in ("x", "weight", "bias", "g", "y")),
        *((name, ctypes.c_void_p) for name in ("of_weight", "of_bias")),
    )


@functools.cache
def edition() -> str:
    """Which C it is: what was measured with another says little about this one."""
    sources = (SOURCE, STAGES, WINOGRAD)
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def built(source: Path, *more: str) -> Any:
    """The library of a source, in a second or two at most; None where it cannot be made. `more`:
    what else the compiler is told.
    """
    threads = of_torchs_threads()
    return compiled(source, (*threads, *more), folder=compiled_dir()) if threads else None


def tables(act: nn.Module) -> tuple[Tensor, Tensor]:
    """What torch answers to each bfloat16 number, and the slope there; float32 (65536,)."""
    every = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    with torch.enable_grad():
        values = every.float().requires_grad_()
        made = type(act).forward(act, values.clone())  # it may write in place
        (slopes,) = torch.autograd.grad(made.sum(), values)
    return made.detach(), slopes


def is_laid(x: Tensor, dtype: torch.dtype = torch.bfloat16) -> bool:
    """Whether maps are in `dtype`, channels last without gaps."""
    return x.dtype == dtype and x.device.type == "cpu" and x.ndim == 4 and is_dense(x)


def is_dense(x: Tensor) -> bool:
    return x.numel() > 0 and x.is_contiguous(memory_format=torch.channels_last)
