"""C of ours, compiled for the processor that it runs on, where there is a C compiler."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMPILERS = ("gcc", "clang", "cc")
FLAGS = ("-O3", "-march=native", "-fPIC", "-shared", "-Wno-psabi")
# A machine that is to compute as one with AVX2 does, and no more, is told so by what oneDNN reads
HELD = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
SECONDS = 60.0  # that a compiler may take


def compiled(source: Path, more: Sequence[str] = ()) -> Any:
    """The library of a source, in half a second at most; None where it cannot be made. Nothing of
    it stays on disk. `more`: what else the compiler is given.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    here = (sys.platform, platform.machine()) == ("linux", "x86_64")
    if not (here and compiler):
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="neocog-", ignore_cleanup_errors=True) as folder:
            made = Path(folder) / f"{source.stem}.so"
            held = any(os.environ.get(name, "").upper() in ("AVX", "AVX2") for name in HELD)
            flags = [*FLAGS, *(["-mno-avx512f"] if held else [])]
            command = [compiler, *flags, "-o", str(made), str(source), *more]
            subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
            return ctypes.CDLL(str(made))
    except (OSError, subprocess.SubprocessError):
        return None
