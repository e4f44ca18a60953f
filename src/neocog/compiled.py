"""C of ours, compiled for the processor that it runs on, where there is a C compiler."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

COMPILERS = ("gcc", "clang", "cc")
FLAGS = ("-O3", "-march=native", "-fPIC", "-shared", "-Wno-psabi")
# A machine that is to compute as one with AVX2 does, and no more, is told so by what oneDNN reads
HELD = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
SECONDS = 60.0  # that a compiler may take
UNUSED = 90 * 24 * 3600  # seconds, after which a kept library goes when another is kept
KEPT = re.compile(r"\w+-[0-9a-f]{32}-[0-9a-f]{32}\.so")  # the name of a kept library
OTHERS = 0o022  # may write: group, everybody


def compiled(source: Path, more: Sequence[str] = (), *, folder: Path | None = None) -> Any:
    """The library of a source, in a second or two; None where it cannot be made. `more`:
    what else the compiler is given.

    With `folder` it is kept there, for the next process, under a name that says what it was made
    of, by what, for which processor, and what it is to contain; a folder or a file that others may
    write to is not believed. Without, nothing of it stays on disk.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    here = (sys.platform, platform.machine()) == ("linux", "x86_64")
    if not (here and compiler):
        return None
    held = any(os.environ.get(name, "").upper() in ("AVX", "AVX2") for name in HELD)
    flags = [*FLAGS, *(["-mno-avx512f"] if held else []), *more]
    begin, known = "", None
    if folder is not None:
        try:
            begin = f"{source.stem}-{_made_of(source, compiler, flags)}-"
            known = _known(folder, begin)
        except OSError:  # what is in the way stays there: made as if there were no folder
            folder = None
    try:
        return _made(source, compiler, flags, folder, begin) if known is None else known
    except (OSError, subprocess.SubprocessError):
        return None


def of_torchs_threads() -> tuple[str, ...]:
    """What a compiler is told so that threads of C are those that torch has, and no more are made;
    without them C works alone.
    """
    openmp = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    return ("-fopenmp", str(openmp)) if openmp.is_file() else ()


def _made(
    source: Path, compiler: str, flags: Sequence[str], folder: Path | None, begin: str
) -> Any:
    with tempfile.TemporaryDirectory(prefix="neocog-", ignore_cleanup_errors=True) as work:
        made = Path(work) / f"{source.stem}.so"
        command = [compiler, "-o", str(made), str(source), *flags]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
        library = ctypes.CDLL(str(made))
        if folder is not None:
            with contextlib.suppress(OSError):  # a full disk, a cache that cannot be written to
                _keep(folder, begin, made.read_bytes())
        return library


def _made_of(source: Path, compiler: str, flags: Sequence[str]) -> str:
    """A name for all that a library follows from."""
    at = Path(compiler).resolve()
    facts = at.stat()
    digest = hashlib.sha256(source.read_bytes())
    for fact in (_processor(), str(at), facts.st_size, facts.st_mtime_ns, *flags):
        digest.update(f"{fact}\0".encode())
    return digest.hexdigest()[:32]


@functools.cache
def _processor() -> str:
    """Which one this is, and what it can do, as the compiler finds out for itself."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    first = lines[: lines.index("")] if "" in lines else lines
    wanted = ("vendor_id", "cpu family", "model", "stepping", "flags", "cache size")
    return "\n".join(line for line in first if line.startswith(wanted))


def _known(folder: Path, begin: str) -> Any:
    """The library that was kept, if it is whole and nobody else can have written it."""
    for path in folder.glob(f"{begin}*.so"):
        library = _ours(folder, path)
        if library and path.name == begin + _content(library):
            with contextlib.suppress(OSError):
                os.utime(path)
            return _loaded(library)
    return None


def _ours(folder: Path, path: Path) -> bytes:
    """What is in a file, b"" if others may have written it: of the file that is read, whatever
    becomes of its name meanwhile.
    """
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(file, "rb") as opened:
        mine = _is_mine(folder.lstat()) and _is_mine(os.fstat(file))
        return opened.read() if mine else b""


def _is_mine(facts: os.stat_result) -> bool:
    return facts.st_uid == os.getuid() and not facts.st_mode & OTHERS


def _loaded(library: bytes) -> Any:
    """From a folder of its own: by its name in the cache another might be loaded than was read."""
    with tempfile.TemporaryDirectory(prefix="neocog-", ignore_cleanup_errors=True) as work:
        path = Path(work) / "kept.so"
        path.write_bytes(library)
        return ctypes.CDLL(str(path))


def _content(library: bytes) -> str:
    return f"{hashlib.sha256(library).hexdigest()[:32]}.so"


def _keep(folder: Path, begin: str, library: bytes) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_mine(folder.lstat()):
        return
    ours = (path for path in folder.iterdir() if KEPT.fullmatch(path.name))
    for path in (*ours, *folder.glob(".*.part")):
        if time.time() - path.stat().st_mtime > UNUSED:
            path.unlink()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False) as file:
        try:
            file.write(library)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(folder / (begin + _content(library)))
        except BaseException:
            Path(file.name).unlink()
            raise


class Soon:
    """A library, or None, made by `make` in a thread of its own: nobody waits for a compiler who
    can do without for a while.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make, self.library = make, None
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None

    def now(self) -> Any:
        """It, or None while it is being made, which begins when it is first asked for."""
        if self.thread is None:
            self._begin()
        return self.library

    def made(self) -> Any:
        """It, waited for."""
        self.now()
        if self.thread is not None:
            self.thread.join()
        return self.library

    def _begin(self) -> None:
        def make() -> None:
            self.library = self.make()

        with self.lock:
            if self.thread is None:
                thread = threading.Thread(target=make, name="neocog-compiler")
                thread.start()
                self.thread = thread  # now: whoever finds it waits for it
