"""Work on single pictures, shared out to a few threads that stay.

What they call lets go of Python's lock: decoders, numpy, torch.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import torch

HAND_OVER = 0.0005  # seconds

T = TypeVar("T")
R = TypeVar("R")


def each(do: Callable[[T], R], what: Sequence[T]) -> list[R]:
    """`do` of each, in as many threads as there are processors; in order."""
    if not what:
        return []
    answers: list[R | None] = [None] * len(what)
    places = iter(range(len(what)))  # whoever is done takes the next
    inference = torch.is_inference_mode_enabled()  # else tensors of the caller could not be written

    def share() -> None:
        with torch.inference_mode(inference):
            for place in places:
                answers[place] = do(what[place])

    with warnings.catch_warnings():  # here: in the threads it would be no one's own
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        shares = [_pool().submit(share) for _ in range(min(count(), len(what)))]
        for one in shares:
            one.result()
    return cast(list[R], answers)


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
