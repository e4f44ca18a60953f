from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from neocog.data.ahead import ahead


def test_the_same_values_come_in_the_same_order() -> None:
    assert list(ahead(iter(range(50)), 3)) == list(range(50))
    assert list(ahead(iter([]), 1)) == []


def test_they_are_made_before_they_are_asked_for_but_not_more_than_so_many() -> None:
    made: list[int] = []
    two = threading.Event()

    def values() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number == 2:
                two.set()
            yield number

    some = ahead(values(), 1)
    assert next(some) == 0
    assert two.wait(5)  # 1 is waiting to be taken, 2 is made and waits for room
    assert made == [0, 1, 2]
    some.close()
    assert made == [0, 1, 2]


def test_an_error_comes_where_it_would_have_come_and_no_thread_is_left() -> None:
    def values() -> Iterator[int]:
        yield 1
        raise KeyError("bad")

    some = ahead(values(), 4)
    assert next(some) == 1
    with pytest.raises(KeyError, match="bad"):
        next(some)
    assert not [t for t in threading.enumerate() if t.name == "neocog-batches"]
