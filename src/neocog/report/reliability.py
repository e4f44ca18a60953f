"""Whether a network is as often right as it is sure, as one figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from neocog.analysis.calibration import Bin, calibration_error
from neocog.analysis.intervals import wilson
from neocog.report.curves import TRAIN, VALIDATION, Curves
from neocog.report.fonts import set_title


def figure(bins: Sequence[Bin], after: Sequence[Bin] = (), *, title: str = "") -> Figure:
    """Accuracy over confidence, a point a bin with its 95 % Wilson interval, and below it how many
    pictures each bin has. `after`: the bins with a temperature, beside them.
    """
    drawn = Curves(figsize=(5.4, 6.2), layout="constrained")
    upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle=":", label="calibrated")
    _points(upper, bins, "as it is", (TRAIN, "o"))
    _pictures(lower, bins, TRAIN, fill=True)
    if after:
        _points(upper, after, "with a temperature", (VALIDATION, "s"))
        _pictures(lower, after, VALIDATION, fill=False)
    upper.set(ylabel="accuracy", ylim=(-0.02, 1.02), xlim=(-0.02, 1.02))
    lower.set(xlabel="confidence", ylabel="pictures")
    for axis in (upper.xaxis, upper.yaxis, lower.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    upper.legend(frameon=False, loc="upper left")
    set_title(drawn, title)
    return drawn


def words(bins: Sequence[Bin], after: Sequence[Bin] = ()) -> str:
    """The figure in a sentence or two, for who does not see it."""
    n = sum(each.n for each in bins)
    sure = sum(each.n * each.confidence for each in bins) / n
    right = sum(each.n * each.accuracy for each in bins) / n
    leans = "as sure as it is right"
    if abs(sure - right) >= 0.005:
        leans = "too sure" if sure > right else "not sure enough"
    said = (
        f"Reliability diagram of {n:,} pictures in {len(bins)} bins: the network is {sure:.1%} "
        f"sure and {right:.1%} right on average, so {leans}; its calibration error is "
        f"{calibration_error(list(bins)):.1%}"
    )
    if not after:
        return f"{said}."
    return f"{said}, and {calibration_error(list(after)):.1%} with a temperature."


def _points(axes: Axes, bins: Sequence[Bin], label: str, style: tuple[str, str]) -> None:
    colour, mark = style
    spans = [wilson(round(each.accuracy * each.n), each.n) for each in bins]
    x, y = [each.confidence for each in bins], [each.accuracy for each in bins]
    low = [max(0.0, at - span.low) for at, span in zip(y, spans, strict=True)]
    high = [max(0.0, span.high - at) for at, span in zip(y, spans, strict=True)]
    gap = f"{label}: ECE {calibration_error(list(bins)):.1%}"
    axes.errorbar(
        x, y, [low, high], fmt=mark, color=colour, label=gap, markersize=5, elinewidth=1, capsize=2
    )


def _pictures(axes: Axes, bins: Sequence[Bin], colour: str, *, fill: bool) -> None:
    n = sum(each.n for each in bins)
    low = np.array([each.low for each in bins])
    widths = [each.high - each.low for each in bins]
    heights = [each.n / n for each in bins]
    face = to_rgba(colour, 0.5 if fill else 0.0)
    edge = "none" if fill else colour
    axes.bar(low, heights, widths, align="edge", color=face, edgecolor=edge)
