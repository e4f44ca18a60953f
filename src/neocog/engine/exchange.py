"""Sums over the processes of one machine through memory that they share.

gloo goes through the network stack and hands each sum from thread to thread: 1 to 2 ms for a small
network's gradient, of a step of 15 ms. Here each process writes its numbers where all can read them
and adds up everybody's, in order of rank, so that all have the same bits. Linux on x86 alone, whose
memory shows a processor's writes in the order in which they were made; elsewhere gloo does it.
"""

from __future__ import annotations

import mmap
import os
import platform
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = "neocog-gradients"
PIECE = 4 << 20  # bytes that are exchanged at once
LINE = 128  # bytes: what processors pass on to each other is a line of 64, or two
SPINS = 200  # looks at a count before other threads are let run
SHORT, NAP = 0.005, 0.0002  # seconds: a wait; and what is slept at a time in a longer one
GIVEN_UP = 0.2  # seconds after which it is asked whether it is still there
SECRET = 16  # bytes


class GoneError(RuntimeError):
    """A process whose numbers are waited for has ended."""


def possible() -> bool:
    """Whether processes of this system can share memory as it is done here."""
    x86 = platform.machine() in ("x86_64", "AMD64")
    return fcntl is not None and hasattr(os, "memfd_create") and x86


def opened(
    rank: int, world: int, *, shared: Callable[[bytes], bytes], all_have: Callable[[bool], bool]
) -> Exchange | None:
    """What all processes of a run share; None, in all, where one of them cannot. `shared` gives
    what the first says, `all_have` whether all say so.
    """
    made = None
    with suppress(OSError):
        if rank == 0 and possible():
            made = Exchange(rank, world)
    place = shared(made.place.encode() if made else b"").decode()
    with suppress(OSError):
        if rank > 0 and place and possible():
            made = Exchange(rank, world, place)
    if all_have(made is not None):
        return made
    if made is not None:
        made.leave()
    return None


class Exchange:
    """Memory that `world` processes share, of which this is one. `place` names it to the others:
    the first makes it without one, and it is gone with the last process that has it.

    Raises `OSError` where there is none, as on another machine.
    """

    def __init__(self, rank: int, world: int, place: str = "") -> None:
        self.rank, self.world = rank, world
        size = LINE * (world + 1) + 2 * world * PIECE
        if place:
            process, number, secret = place.split(":")
            path = Path(f"/proc/{process}/fd/{number}")
            if NAME not in str(path.readlink()):  # of another machine: nothing that may be opened
                raise OSError(f"{path}: no memory of another process")
            self._file = os.open(path, os.O_RDWR)
            if os.pread(self._file, SECRET, LINE * world).hex() != secret:
                os.close(self._file)
                raise OSError(f"{path}: the memory of another run")
        else:
            secret = secrets.token_hex(SECRET)
            self._file = os.memfd_create(NAME)
            os.ftruncate(self._file, size)
            os.pwrite(self._file, bytes.fromhex(secret), LINE * world)
            place = f"{os.getpid()}:{self._file}:{secret}"
        self.place = place
        # held as long as this process is there, however it ends; others ask for it
        fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, rank)
        memory = mmap.mmap(self._file, size)
        counts = np.frombuffer(memory, dtype=np.uint64, count=world * LINE // 8)
        # of each: sums begun, and the bytes of the last two
        self._counts = [counts[each * LINE // 8 :][:3] for each in range(world)]
        whole = torch.frombuffer(memory, dtype=torch.uint8, offset=LINE * (world + 1))
        self._pieces = whole.view(2, world, PIECE)
        self._done = 0

    def total(self, numbers: Tensor) -> Tensor:
        """The sum of each number (n,) over the processes, in its place. Raises `GoneError`."""
        step = PIECE // numbers.element_size()
        for begin in range(0, len(numbers), step):
            self._total(numbers[begin : begin + step])
        return numbers

    def _total(self, numbers: Tensor) -> None:
        """Two pieces by turns: one is written to again when all have written to the other, which
        each does after having read the one.
        """
        self._done += 1
        size = len(numbers) * numbers.element_size()
        pieces = self._pieces[self._done % 2, :, :size].view(numbers.dtype)
        pieces[self.rank].copy_(numbers)
        self._counts[self.rank][1 + self._done % 2] = size
        self._counts[self.rank][0] = self._done
        for other in range(self.world):
            if other != self.rank:
                self._wait_for(other)
                its = int(self._counts[other][1 + self._done % 2])
                assert its == size, "processes add up different things"
        torch.add(pieces[0], pieces[1], out=numbers)
        for other in range(2, self.world):
            numbers.add_(pieces[other])

    def _wait_for(self, other: int) -> None:
        count, done = self._counts[other], self._done
        for _ in range(SPINS):
            if count[0] >= done:
                return
        began = time.monotonic()
        asked = began + GIVEN_UP
        while count[0] < done:
            now = time.monotonic()
            if now - began < SHORT:
                os.sched_yield()
            time.sleep(0 if now - began < SHORT else NAP)  # lets this process's own threads run too
            if now >= asked:
                if self._gone(other) and count[0] < done:
                    raise GoneError(f"process {other + 1} of {self.world} has ended")
                asked = now + GIVEN_UP

    def _gone(self, other: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, other)
        except OSError:
            return False
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, other)
        return True

    def leave(self) -> None:
        """Others wait for this process no more. The memory stays as long as numbers lie in it."""
        with suppress(OSError):
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self.rank)
            os.close(self._file)
