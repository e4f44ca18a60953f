"""Batches made in a thread of their own while the step before them runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")


def ahead(values: Iterator[T], count: int) -> Generator[T, None, None]:
    """The same values, up to `count` of them made before they are asked for. What making one
    raises is raised where it would have come. Closed early, it makes no more.
    """
    made: queue.Queue[tuple[list[T], BaseException | None]] = queue.Queue(maxsize=count)
    stop = threading.Event()

    def offer(some: list[T], error: BaseException | None = None) -> bool:
        while not stop.is_set():
            try:
                made.put((some, error), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for value in values:
                if not offer([value]):
                    return
            offer([])  # the end
        except BaseException as error:  # raised again where it is waited for
            offer([], error)

    thread = threading.Thread(target=make, name="neocog-batches", daemon=True)
    thread.start()
    try:
        while True:
            some, error = made.get()
            if error is not None:
                raise error
            if not some:
                return
            yield some[0]
    finally:
        stop.set()
        thread.join()
