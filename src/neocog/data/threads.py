"""Work on single pictures, shared out to a few threads that stay.

What they call lets go of Python's lock: decoders, numpy, and operators of torch on a picture small
enough that torch does not share it out to threads of its own.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")


def each(do: Callable[[T], R], what: Sequence[T]) -> list[R]:
    """`do` of each, in as many threads as there are processors, this one among them; in order."""
    answers: list[R | None] = [None] * len(what)
    places = iter(range(len(what)))  # whoever is done takes the next

    def share() -> None:
        for place in places:
            answers[place] = do(what[place])

    with warnings.catch_warnings():  # here: in the threads it would be no one's own
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        others = [_pool().submit(share) for _ in range(min(count(), len(what)) - 1)]
        try:
            share()
        finally:
            for other in others:
                other.result()
    return cast(list[R], answers)


def count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count(), thread_name_prefix="neocog-pictures")
