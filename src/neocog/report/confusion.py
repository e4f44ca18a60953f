"""What was taken for what, as one figure: rows are the classes shown, columns the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from neocog.report import fonts
from neocog.report.curves import TRAIN, VALIDATION, Curves

WHOLE = 120  # classes that are all drawn; of more, those that are confused most
PART = 29  # so many of them; the others are one more
NUMBERED = 30  # classes up to which each field says its number
NAMES, POINTS = 1.6, 72  # inches that names of classes take; points of type in an inch
NOTHING = "#e4e4e4"
RIGHT = LinearSegmentedColormap.from_list("right", ["#ffffff", TRAIN])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#ffffff", VALIDATION])


def figure(counts: np.ndarray, classes: Sequence[str], *, title: str = "") -> Figure:
    """Confusions, int64 (K, K), as shares of each row: right ones in one colour, wrong in another.

    The wrong have a scale of their own, on which few show too. Of more than WHOLE classes the PART
    most confused are drawn, and all others together in a last row and column. Grey is what has no
    share: the row of a class without pictures, and the field of the others among themselves, who
    are right there and wrong.
    """
    whole = len(classes) <= WHOLE
    # names first, for their numbers are those of all classes
    counts, labels = shown(counts, fonts.shown(classes))
    k = len(labels)
    side = min(max(NAMES + 0.36 * k, 3.2), 13.0)
    drawn = Curves(figsize=(side + 2.2, side), layout="compressed")
    axes = drawn.subplots()
    sizes = counts.sum(1, keepdims=True)
    shares = np.divide(counts, sizes, out=np.full(counts.shape, np.nan), where=sizes > 0)
    if not whole:
        shares[-1, -1] = np.nan
    _fields(axes, shares)
    if k <= NUMBERED:
        _numbers(axes, counts, shares)
    size = min(9.0, 0.8 * POINTS * (side - NAMES) / k)  # as high as a row
    text: dict[str, Any] = {"fontfamily": fonts.families(), "fontsize": size}
    axes.set_xticks(range(k), labels, rotation=90 if _long(labels) else 0, **text)
    axes.set_yticks(range(k), labels, **text)
    axes.tick_params(length=0 if k <= NUMBERED else 1)
    axes.set(xlabel="answered", ylabel="shown")
    axes.spines[:].set_color("#bbbbbb")
    fonts.set_title(drawn, title)
    return drawn


def shown(counts: np.ndarray, classes: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The counts and names that are drawn: all of them, or the most confused and the rest."""
    if len(classes) <= WHOLE:
        return counts, list(classes)
    chosen = _most_confused(counts)
    rest = np.setdiff1d(np.arange(len(classes)), chosen)
    sums = np.add.reduceat(counts[np.r_[chosen, rest]], range(len(chosen) + 1), axis=0)
    sums = np.add.reduceat(sums[:, np.r_[chosen, rest]], range(len(chosen) + 1), axis=1)
    return sums, [*(classes[c] for c in chosen), f"{len(rest):,} others"]


def words(counts: np.ndarray, classes: Sequence[str]) -> str:
    """The figure in a sentence or two, for who does not see it."""
    n, right = int(counts.sum()), int(np.trace(counts))
    wrong = counts - np.diag(counts.diagonal())
    pictures = f"{n:,} picture{'' if n == 1 else 's'}"
    kinds = f"{len(classes):,} class{'' if len(classes) == 1 else 'es'}"
    said = f"Confusion matrix of {kinds}, {pictures}: {right:,} on the diagonal, "
    if not wrong.any():
        return f"{said}that is all of them."
    row, column = divmod(int(wrong.argmax()), len(classes))
    return (
        f"{said}{n - right:,} beside it. Most often confused: {classes[row]} taken for "
        f"{classes[column]}, {int(wrong[row, column]):,} of {int(counts[row].sum()):,} times."
    )


def _most_confused(counts: np.ndarray) -> np.ndarray:
    """PART classes, rising: those of the pairs that were confused most often."""
    wrong = counts - np.diag(counts.diagonal())
    pairs = np.argsort(-wrong, axis=None, kind="stable")[: PART * PART]
    both = np.stack(np.unravel_index(pairs, wrong.shape), 1).ravel()
    return np.sort(np.array(list(dict.fromkeys(both.tolist()))[:PART]))


def _fields(axes: Axes, shares: np.ndarray) -> None:
    diagonal = np.eye(len(shares), dtype=bool)
    highest = _highest(shares)
    axes.set_facecolor(NOTHING)
    scales = (RIGHT, PowerNorm(1, 0, 1), "right"), (WRONG, PowerNorm(0.5, 0, highest), "wrong")
    for (colours, scale, name), hidden in zip(scales, (~diagonal, diagonal), strict=True):
        part = np.ma.masked_array(shares, hidden | np.isnan(shares))
        axes.imshow(part, cmap=colours, norm=scale, interpolation="nearest")
        bar = axes.figure.colorbar(
            ScalarMappable(scale, colours), ax=axes, shrink=0.6, aspect=30, pad=0.02
        )
        bar.outline.set_visible(False)
        decimals = 0 if scale.vmax is None or scale.vmax > 0.05 else 1
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=decimals))
        bar.set_label(name, fontsize=9)


def _numbers(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    highest = _highest(shares)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        if count and not np.isnan(share):
            dark = share if row == column else (share / highest) ** 0.5
            colour = "white" if dark > 0.6 else "#1b1b1b"
            text = f"{count:,}"
            size = 9 if len(text) <= 3 else 27 / len(text)
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def _highest(shares: np.ndarray) -> float:
    """The largest share of wrong ones, where their scale ends."""
    wrong = shares[~np.eye(len(shares), dtype=bool)]
    return max(float(np.nan_to_num(wrong).max(initial=0)), 0.01)


def _long(labels: Sequence[str]) -> bool:
    return max(map(len, labels)) > 3
