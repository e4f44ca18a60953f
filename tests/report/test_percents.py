"""Percentages that say neither all nor nothing where it is neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neocog.report.percents import hundredths, percent


@pytest.mark.parametrize(
    ("share", "digits", "shown"),
    [
        (0.0, 2, "0.00"),
        (1.0, 2, "100.00"),
        (29_999 / 30_000, 2, ">99.99"),
        (0.99994, 2, "99.99"),
        (1 / 30_000, 2, "<0.01"),
        (0.9999, 1, ">99.9"),
        (0.0004, 1, "<0.1"),
        (0.999, 0, ">99"),
        (0.8887, 2, "88.87"),
    ],
)
def test_shares_as_they_are_shown(share: float, digits: int, shown: str) -> None:
    assert hundredths(share, digits) == shown
    assert percent(share, digits) == f"{shown}%"


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_all_is_said_of_all_alone(counted: tuple[int, int]) -> None:
    right, n = counted
    shown = hundredths(right / n)
    assert (shown == "100.00") == (right == n)
    assert (shown == "0.00") == (right == 0)
    if shown[0] not in "<>":
        assert abs(float(shown) - 100 * right / n) <= 0.005 + 1e-9
