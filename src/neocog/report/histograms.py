"""The weights of each layer as histograms, with the norms of weights and gradients."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neocog.analysis.weights import Weights
from neocog.report import fonts
from neocog.report.panels import GREY, RIGHT, WRONG, bare

MOST = 24  # layers with a histogram of their own
COLUMNS = 4


def figure(layers: Sequence[Weights], *, title: str) -> Figure:
    """A histogram for each of up to 24 layers, spread over all; below, norms of every layer."""
    chosen = spread(layers)
    rows = -(-len(chosen) // COLUMNS)
    drawn = Figure(figsize=(9, 1.55 * rows + 2.9), layout="constrained")
    above, below = drawn.subfigures(2, 1, height_ratios=(1.55 * rows, 2.4), squeeze=False)[:, 0]
    grid = above.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        bare(axes)
    for axes, layer in zip(grid.flat, chosen, strict=False):
        _histogram(axes, layer)
    _norms(below.subplots(), layers)
    fonts.set_title(drawn, title, size=10)
    return drawn


def sentence(layers: Sequence[Weights]) -> str:
    """The figure in words."""
    least, most = min(layers, key=lambda w: w.std), max(layers, key=lambda w: w.std)
    words = (
        f"Weights of {len(layers)} layers: standard deviations from {least.std:.3g} ({least.name}) "
        f"to {most.std:.3g} ({most.name})."
    )
    paces = [(each.pace, each.name) for each in layers if each.pace is not None]
    if paces:
        (slow, slow_name), (fast, fast_name) = min(paces), max(paces)
        words += (
            f" Gradients beside weights from {slow:.2g} ({slow_name}) to {fast:.2g} ({fast_name})."
        )
    return words


def spread(layers: Sequence[Weights]) -> list[Weights]:
    """All, or so many of them from the first to the last."""
    if len(layers) <= MOST:
        return list(layers)
    return [layers[round(n * (len(layers) - 1) / (MOST - 1))] for n in range(MOST)]


def _histogram(axes: Axes, layer: Weights) -> None:
    axes.stairs(layer.counts, layer.edges, fill=True, color=RIGHT)
    axes.axvline(0, color="black", linewidth=0.5)
    axes.set_xticks([-layer.largest, 0, layer.largest] if layer.largest else [0])
    axes.set_xticklabels([f"{x:.2g}" for x in axes.get_xticks()], fontsize=6)
    axes.set_title(f"{layer.name}, std {layer.std:.2g}", fontsize=7, pad=2)


def _norms(axes: Axes, layers: Sequence[Weights]) -> None:
    places = list(range(len(layers)))
    axes.semilogy(places, _above(layer.norm for layer in layers), "o-", color=RIGHT, markersize=3)
    lines = ["norm of the weights"]
    if any(layer.gradient is not None for layer in layers):
        slopes = _above(layer.gradient or 0.0 for layer in layers)
        axes.semilogy(places, slopes, "s--", color=WRONG, markersize=3)
        lines.append("norm of the gradient, one batch")
    axes.legend(lines, frameon=False, fontsize=8)
    few = places if len(places) <= MOST else [places[0], places[-1]]
    axes.set_xticks(few)
    axes.set_xticklabels([layers[n].name for n in few], rotation=40, ha="right", fontsize=7)
    axes.tick_params(axis="y", labelsize=7, colors=GREY)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _above(values: object) -> list[float]:
    """None where nothing can stand on a logarithmic axis."""
    return [value if value > 0 else float("nan") for value in values]  # type: ignore[attr-defined]
