"""Memory that stays with the process from step to step, where the C library can be told to.

glibc gives the large blocks of one step back to the system and asks for the same again in the next,
and the system clears and maps each page anew, 4 KiB at a time. Told to keep them, it asks once.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

# <malloc.h> and <sys/mman.h>
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
MADV_HUGEPAGE = 14


def keep() -> str:
    """Keep freed memory with this process from now on: gives "kept", or "system" if it cannot.

    Call it before the first large tensor. It holds for the whole process and is not undone;
    `give_back` returns what is free. Only glibc, in its own hands, can be told.
    """
    libc = _glibc()
    if libc is None:
        return "system"
    # One arena, for only its memory can be reserved, and no blocks mapped apart from it
    told = [libc.mallopt(*how) for how in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0))]
    told.append(libc.mallopt(M_TRIM_THRESHOLD, -1))  # never
    if not all(told):
        return "system"
    _reserve(libc, _half_of_memory())
    return "kept"


def give_back() -> None:
    """Return to the system what is free; the next step has to ask for it again."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> Any:
    """The C library, if it is glibc and nobody has put another allocator in its place."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc, process = ctypes.CDLL("libc.so.6"), ctypes.CDLL(None)
        ours = ctypes.cast(libc.malloc, ctypes.c_void_p).value
        if not hasattr(libc, "gnu_get_libc_version"):
            return None
        if ours != ctypes.cast(process.malloc, ctypes.c_void_p).value:
            return None
    except (OSError, AttributeError):
        return None
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.malloc_trim.argtypes = [ctypes.c_size_t]
    return libc


def _reserve(libc: Any, size: int) -> None:
    """Addresses for the heap to grow into, to be filled in pages of 2 MiB where there are such.

    No memory is taken before it is written to. Where the system counts what is only reserved, or
    refuses it, nothing is.
    """
    if not size or _counts_reserved():
        return
    block = libc.malloc(size)
    if block is None:
        return
    page = os.sysconf("SC_PAGE_SIZE")
    inside = -(-block // page) * page
    libc.madvise(inside, size - 2 * page, MADV_HUGEPAGE)  # a refusal does no harm
    libc.free(block)


def _half_of_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError):
        return 0


def _counts_reserved() -> bool:
    """Whether what is only reserved counts: by vm.overcommit_memory, or by `ulimit -v`."""
    import resource  # not on Windows

    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        return True
    try:
        return Path("/proc/sys/vm/overcommit_memory").read_text(encoding="ascii").strip() == "2"
    except OSError:
        return False
