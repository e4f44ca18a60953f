"""Work on single pictures, shared out to a few threads that stay.

What they call lets go of Python's lock: decoders, numpy, torch.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar, cast

import torch

HAND_OVER = 0.0005  # seconds
REMARKERS = re.compile(r"PIL\.|neocog\.data\.pictures")  # modules that warn of odd pictures

T = TypeVar("T")
R = TypeVar("R")


class Begun(Generic[R]):
    """Work that is being done; `answers` waits for all of it."""

    def __init__(
        self, found: list[R | None], places: Iterator[int], shares: Sequence[Future[None]]
    ) -> None:
        self.found, self.places, self.shares = found, places, shares
        self.stopped = False

    def answers(self) -> list[R]:
        """In order. What a piece of work raised is raised."""
        assert not self.stopped
        for share in self.shares:
            share.result()
        return cast(list[R], self.found)

    def stop(self) -> None:
        """No more of it is begun; what is under way is waited for, and raises nothing."""
        self.stopped = True
        for _ in self.places:
            pass
        wait(self.shares)


def each(do: Callable[[T], R], what: Sequence[T]) -> list[R]:
    """`do` of each, in as many threads as there are processors; in order."""
    return _begun(do, what, urgent=True).answers()


def begin(do: Callable[[T], R], what: Sequence[T]) -> Begun[R]:
    """The same without waiting for it: what `each` is given meanwhile goes first."""
    return _begun(do, what, urgent=False)


def _begun(do: Callable[[T], R], what: Sequence[T], *, urgent: bool) -> Begun[R]:
    found: list[R | None] = [None] * len(what)
    places = iter(range(len(what)))  # whoever is done takes the next
    inference = torch.is_inference_mode_enabled()  # else tensors of the caller could not be written

    def share() -> None:
        with torch.inference_mode(inference):
            for place in places:
                if not urgent:
                    _do_what_is_urgent()
                found[place] = do(what[place])

    _silence()
    shares = [_Share(share) for _ in range(min(count(), len(what)))]
    if urgent:
        _urgent.extend(shares)
    for one in shares:
        _pool().submit(_do_what_is_urgent if urgent else one)
    return Begun(found, places, [one.done for one in shares])


class _Share:
    """What one thread does of some work, whichever thread that is."""

    def __init__(self, do: Callable[[], None]) -> None:
        self.do, self.done = do, Future[None]()

    def __call__(self) -> None:
        try:
            self.do()
        except BaseException as error:  # raised again where it is waited for
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


_urgent: deque[_Share] = deque()


def _do_what_is_urgent() -> None:
    while _urgent:
        try:
            share = _urgent.popleft()
        except IndexError:  # another thread has taken it
            return
        share()


def _silence() -> None:
    """No word of Pillow's on odd metadata. Not for a while only: a filter is everybody's, and
    these threads work on while their caller does something else.
    """
    if not any(entry[3] == REMARKERS for entry in warnings.filters):
        warnings.filterwarnings("ignore", module=REMARKERS.pattern)


def parts(length: int, size: int) -> list[slice]:
    """So many in a row, one after the other, in parts of at most `size`."""
    return [slice(first, min(first + size, length)) for first in range(0, length, size)]


def count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _alone() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # only now does this thread have the number for good


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """The threads, in each of which torch works alone: shared out further, a single picture would
    take twice as long.
    """
    # a thread that waits for Python's lock asks for it sooner: what these do takes less than the
    # 5 ms that Python has it wait. With pictures kept decoded, 10 to 13 % more came (n = 5)
    sys.setswitchinterval(min(sys.getswitchinterval(), HAND_OVER))
    made = ThreadPoolExecutor(
        count(),
        thread_name_prefix="neocog-pictures",
        initializer=_alone,
    )
    # torch remembers the last number set anywhere for threads to come: it is put back once all of
    # these have begun, which they do together
    before, begun = torch.get_num_threads(), threading.Barrier(count())
    for started in [made.submit(begun.wait) for _ in range(count())]:
        started.result()
    torch.set_num_threads(before)
    return made
