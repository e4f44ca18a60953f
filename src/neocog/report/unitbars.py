"""The units of each layer in bars: what is dead, off and saturated, and how large values are."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from neocog.analysis.units import Behaviour
from neocog.report import fonts
from neocog.report.panels import GREY, RIGHT, WRONG

OFF = "#999999"


def figure(layers: Sequence[Behaviour], *, title: str) -> Figure:
    """Shares on the left, mean and spread on the right; layers from the input down."""
    drawn = Figure(figsize=(9, 0.42 * len(layers) + 1.7), layout="constrained")
    shares, values = drawn.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _shares(shares, layers)
    _values(values, layers)
    fonts.set_title(drawn, title, size=10)
    return drawn


def sentence(layers: Sequence[Behaviour]) -> str:
    """The figure in words."""
    dead = [f"{each.name} {each.dead:.0%}" for each in layers if each.dead > 0]
    full = [f"{each.name} {each.saturated:.0%}" for each in layers if each.saturated]
    words = f"Activations of {len(layers)} layers. "
    words += f"Dead units: {', '.join(dead)}." if dead else "No unit is dead."
    return words + (f" Saturated values: {', '.join(full)}." if full else "")


def _shares(axes: Axes, layers: Sequence[Behaviour]) -> None:
    places = range(len(layers))
    bars = {
        "values not above zero": ([each.zero for each in layers], OFF),
        "units dead": ([each.dead for each in layers], WRONG),
        "values saturated": ([each.saturated or 0.0 for each in layers], RIGHT),
    }
    used = {name: bar for name, bar in bars.items() if name == "units dead" or any(bar[0])}
    thick = 0.8 / len(used)
    for number, (name, (shares, colour)) in enumerate(used.items()):
        at = [place - 0.4 + thick * (number + 0.5) for place in places]
        axes.barh(at, shares, thick, color=colour, label=name)
    axes.set(xlim=(0, 1), yticks=list(places), ylim=(len(layers) - 0.5, -0.5))
    axes.set_yticklabels([f"{each.name} ({each.kind}, {each.units:,})" for each in layers])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)


def _values(axes: Axes, layers: Sequence[Behaviour]) -> None:
    places = list(range(len(layers)))
    means, spreads = [each.mean for each in layers], [each.std for each in layers]
    axes.errorbar(means, places, xerr=spreads, fmt="o", color=GREY, markersize=4, capsize=2)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xlabel("mean, and one standard deviation", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
