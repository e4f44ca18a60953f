"""Sums through memory that processes share: the numbers, and what becomes of those who wait."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from neocog.engine import exchange
from neocog.engine.exchange import Exchange, GoneError, opened, possible

pytestmark = pytest.mark.skipif(not possible(), reason="no memory to share in this way here")
SIZES = (1, 7, 1000, exchange.PIECE // 4, exchange.PIECE + 13, 2)
ENDS = """
import sys
from neocog.engine.exchange import Exchange
import torch
one = Exchange(1, 2, sys.argv[1])
print("there", flush=True)
one.total(torch.tensor([3.0]))
"""


@pytest.fixture
def of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are a process's: of threads none can tell whether another has ended."""
    monkeypatch.setattr(exchange, "GIVEN_UP", 60.0)


def several(world: int) -> list[Exchange]:
    """Of threads."""
    first = Exchange(0, world)
    return [first, *(Exchange(rank, world, first.place) for rank in range(1, world))]


def drawn(rank: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return [torch.randn(size, generator=generator, dtype=dtype) for size in SIZES]


@pytest.mark.usefixtures("of_threads")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("world", [2, 3, 5])
def test_all_have_the_same_sum_to_the_bit(world: int, dtype: torch.dtype) -> None:
    members = several(world)

    def go(member: Exchange) -> list[Tensor]:
        return [member.total(numbers) for numbers in drawn(member.rank, dtype)]

    with ThreadPoolExecutor(world) as pool:
        answers = list(pool.map(go, members))
    given = [drawn(rank, dtype) for rank in range(world)]
    for place in range(len(SIZES)):
        expected = given[0][place].clone()
        for rank in range(1, world):
            expected += given[rank][place]
        for answer in answers:
            assert torch.equal(answer[place], expected)


def test_who_waits_for_one_that_has_ended_is_told() -> None:
    first = Exchange(0, 2)
    with subprocess.Popen(
        [sys.executable, "-c", ENDS, first.place], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "there\n"  # as all wait for all before the first sum
        assert float(first.total(torch.tensor([1.0]))) == 4
    with pytest.raises(GoneError, match="process 2 of 2 has ended"):
        first.total(torch.tensor([1.0]))


@pytest.mark.usefixtures("of_threads")
def test_sums_of_different_things_are_noticed() -> None:
    first, second = several(2)
    with ThreadPoolExecutor(2) as pool:
        one, other = (
            pool.submit(member.total, torch.ones(size))
            for member, size in ((first, 3), (second, 4))
        )
        with pytest.raises(AssertionError, match="different things"):
            one.result()
        with pytest.raises(AssertionError, match="different things"):
            other.result()


def test_a_place_of_another_machine_or_time_is_refused() -> None:
    first = Exchange(0, 2)
    process, number, secret = first.place.split(":")
    for place in (
        f"{process}:{number}:{secret[::-1]}",
        f"{process}:9999:{secret}",
        f"{process}:0:{secret}",
    ):
        with pytest.raises(OSError, match=r"memory of another|No such file"):
            Exchange(1, 2, place)


def test_where_one_cannot_none_does(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []

    def nobody_else(own: bool) -> bool:
        said.append(own)
        return False

    assert opened(0, 2, shared=lambda content: content, all_have=nobody_else) is None
    monkeypatch.setattr(exchange, "possible", lambda: False)
    assert opened(0, 2, shared=lambda content: content, all_have=nobody_else) is None
    assert opened(1, 2, shared=lambda content: b"", all_have=nobody_else) is None
    assert said == [True, False, False]
