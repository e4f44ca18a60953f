"""Learning curves: what stands at their axes."""

from __future__ import annotations

import pytest

from neocog.records import Epoch
from neocog.report import curves


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_epochs_are_counted_in_whole_numbers(epochs: int) -> None:
    history = [
        Epoch(epoch, 0.1, 1 / (epoch + 1), 0.5, None, None, 1.0, 100.0, best=True)
        for epoch in range(epochs)
    ]
    drawn = curves.figure(history)
    curves.png(drawn)  # only now are ticks settled
    for axes in drawn.axes:
        first, last = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if first <= tick <= last]
        assert all(float(tick).is_integer() for tick in ticks)
        assert len(ticks) >= min(epochs, 3)
