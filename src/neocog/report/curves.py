"""Learning curves: one figure of a run's history."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from neocog.records import Epoch
from neocog.report import fonts

TRAIN, VALIDATION = "#0072b2", "#d55e00"  # Okabe and Ito: told apart by colour-blind eyes too


class Curves(Figure):
    """A figure that a notebook shows by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        return png(self)


def png(drawn: Figure, *, dpi: int = 100) -> bytes:
    """A figure as the content of a PNG file."""
    content = io.BytesIO()
    drawn.savefig(content, format="png", dpi=dpi)
    return content.getvalue()


def figure(history: Sequence[Epoch], *, title: str = "") -> Figure:
    """Loss and accuracy of training and validation, by epoch; not yet shown or saved."""
    drawn = Curves(figsize=(9, 3.4), layout="constrained")
    losses, accuracies = drawn.subplots(1, 2)
    _curve(losses, history, "train_loss", label="train loss", style=(TRAIN, "o-"))
    _curve(losses, history, "val_loss", label="validation loss", style=(VALIDATION, "s--"))
    _curve(accuracies, history, "train_accuracy", label="train accuracy", style=(TRAIN, "o-"))
    _curve(
        accuracies, history, "val_accuracy", label="validation accuracy", style=(VALIDATION, "s--")
    )
    accuracies.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    for axes, what in ((losses, "loss"), (accuracies, "accuracy")):
        axes.set(xlabel="epoch", ylabel=what)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if history:
            axes.legend(frameon=False)
    fonts.set_title(drawn, title)
    return drawn


def _curve(
    axes: Axes, history: Sequence[Epoch], field: str, *, label: str, style: tuple[str, str]
) -> None:
    points = [(e.epoch + 1, getattr(e, field)) for e in history if getattr(e, field) is not None]
    if points:
        colour, line = style
        axes.plot(*zip(*points, strict=True), line, color=colour, label=label, markersize=4)
