"""Threads that work on single pictures, and what they are given to do."""

from __future__ import annotations

import threading

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
