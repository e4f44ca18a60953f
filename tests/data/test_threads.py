"""Threads that work on single pictures, and what they are given to do."""

from __future__ import annotations

import threading
import time
import warnings

import pytest
import torch
import torch.nn.functional as F

from neocog.data import geometry, threads


def test_answers_come_in_order_and_nothing_to_do_is_done() -> None:
    assert threads.each(lambda number: number * 2, range(50)) == list(range(0, 100, 2))
    assert threads.each(lambda number: number, []) == []


def test_torch_works_alone_in_each_and_as_before_elsewhere() -> None:
    """In as many threads as there are, all at once: each has a number of its own."""
    before, together = torch.get_num_threads(), threading.Barrier(threads.count())

    def number(_: int) -> int:
        together.wait(10)
        torch.ones(300_000).add_(1)
        return torch.get_num_threads()

    torch.set_num_threads(3)
    try:
        assert threads.each(number, range(threads.count())) == [1] * threads.count()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("inference", [False, True])
def test_they_may_write_to_what_the_caller_made(inference: bool) -> None:
    with torch.inference_mode(inference):
        made = torch.zeros(8, 4)
        threads.each(lambda row: row.add_(1), made.unbind())
        assert made.eq(1).all()
        assert threads.each(lambda _: torch.zeros(1).is_inference(), [0]) == [inference]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(9, 7), (40, 30), (40, 7), (17, 23)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_into_a_batch_gives_the_bits_of_resizing(
    interpolation: str, size: tuple[int, int], channels: int
) -> None:
    generator = torch.Generator().manual_seed(3)
    rows = torch.randint(256, (1, 17, 23, channels), generator=generator).to(torch.uint8)
    images, made = rows.permute(0, 3, 1, 2), torch.zeros(2, *size, channels, dtype=torch.uint8)
    geometry.resize_into(made.permute(0, 3, 1, 2)[1:], images, interpolation)
    shrinks = size[0] < 17 or size[1] < 23
    peer = F.interpolate(images, size, mode=interpolation, antialias=shrinks)
    assert torch.equal(made.permute(0, 3, 1, 2)[1:], peer)
    assert torch.equal(geometry.resized(images, size, interpolation), peer)
    assert not made[0].any()


def test_what_is_begun_gives_way_to_what_is_asked_for_now() -> None:
    """All threads are at work on what was begun; what `each` is given comes in between."""
    many, done = 40 * threads.count(), []
    go, at_work = threading.Event(), threading.Semaphore(0)

    def slow(number: int) -> int:
        at_work.release()
        assert go.wait(10)
        done.append(number)
        return number

    begun = threads.begin(slow, range(many))
    for _ in range(threads.count()):
        assert at_work.acquire(timeout=10)
    asked = threading.Thread(target=lambda: threads.each(lambda n: done.append(-n), [1, 2]))
    asked.start()
    for _ in range(1000):
        if threads._urgent:
            break
        time.sleep(0.01)
    go.set()
    asked.join(10)
    assert begun.answers() == list(range(many))
    assert max(done.index(-1), done.index(-2)) < 4 * threads.count()


def test_what_fails_is_raised_where_it_is_waited_for() -> None:
    def fails(number: int) -> int:
        return 1 // number

    begun = threads.begin(fails, [1, 0, 1])
    with pytest.raises(ZeroDivisionError):
        begun.answers()
    with pytest.raises(ZeroDivisionError):
        threads.each(fails, [0])
    assert threads.each(fails, [1]) == [1]  # and the threads go on


def test_what_is_stopped_is_done_no_further_and_raises_nothing() -> None:
    go, at_work, asked = threading.Event(), threading.Semaphore(0), list[int]()

    def fails(number: int) -> None:
        asked.append(number)
        at_work.release()
        assert go.wait(10)
        if number == 0:
            raise MemoryError

    begun = threads.begin(fails, range(20 * threads.count()))
    for _ in range(threads.count()):
        assert at_work.acquire(timeout=10)
    threading.Timer(0.1, go.set).start()  # they are waited for
    begun.stop()
    assert go.is_set()
    assert len(asked) == threads.count()


@pytest.mark.parametrize("inference", [False, True])
def test_each_piece_of_work_is_in_the_mode_of_its_caller(inference: bool) -> None:
    held = threading.Event()

    def wait(_: int) -> bool:
        held.wait(10)
        return torch.is_inference_mode_enabled()

    with torch.inference_mode(inference):
        begun = threads.begin(wait, range(4 * threads.count()))
    with torch.inference_mode(not inference):
        threading.Timer(0.05, held.set).start()
        now = threads.each(lambda _: torch.is_inference_mode_enabled(), range(8))
    assert now == [not inference] * 8
    assert set(begun.answers()) == {inference}


def test_remarks_on_odd_pictures_are_not_heard_and_others_are() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.resetwarnings()
        warnings.simplefilter("always")
        for _ in range(3):
            threads.each(lambda number: number, [1])
        assert len(warnings.filters) == 2
        warnings.warn_explicit("odd", UserWarning, "f.py", 1, module="PIL.TiffImagePlugin")
        warnings.warn_explicit("mine", UserWarning, "f.py", 1, module="users.own")
    assert [str(one.message) for one in heard] == ["mine"]
