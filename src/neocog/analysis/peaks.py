"""Which pictures excite the channels of a layer most, and where in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neocog.analysis import receptive
from neocog.analysis.cost import Table
from neocog.analysis.listening import outputs


@dataclass(frozen=True, eq=False)
class Peaks:
    """For each of K channels its n strongest pictures, strongest first; each picture counts once.

    All are (K, n): the value, the place of the picture, and the position in the map, (0, 0) for a
    layer without one.
    """

    values: Tensor
    places: Tensor
    rows: Tensor
    columns: Tensor


@torch.no_grad()
def peaks(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], layer: str, count: int
) -> Peaks:
    """Over inputs (N, C, H, W) and their places int64 (N,). Zeiler and Fergus 2014,
    arXiv:1311.2901, show such patches in Figure 2.
    """
    best: Peaks | None = None
    for inputs, places in batches:
        made = outputs(network, inputs, [layer])[layer].float().cpu()
        width = made.shape[3] if made.ndim == 4 else 1
        values, at = made.flatten(2).max(2) if made.ndim > 2 else (made, torch.zeros_like(made))
        at = at.long().T
        where = places.expand(values.shape[1], -1)
        new = Peaks(values.T, where, at // width, at % width)
        best = _strongest(new if best is None else _beside(best, new), count)
    assert best is not None, "there was no picture"
    return best


def _beside(one: Peaks, other: Peaks) -> Peaks:
    names = ("values", "places", "rows", "columns")
    return Peaks(*(torch.cat([getattr(one, n), getattr(other, n)], 1) for n in names))


def _strongest(found: Peaks, count: int) -> Peaks:
    order = found.values.argsort(dim=1, descending=True, stable=True)[:, :count]
    names = ("values", "places", "rows", "columns")
    return Peaks(*(getattr(found, name).gather(1, order) for name in names))


def selective(found: Peaks, count: int) -> list[int]:
    """The channels that some picture excites most, in that order; none that is never above 0."""
    order = found.values[:, 0].argsort(descending=True, stable=True)
    return [k for k in order.tolist() if found.values[k, 0] > 0][:count]


def field_of(table: Table, layer: str) -> receptive.Field | None:
    """What a unit of a layer sees: of a stage, what the last layer in it sees; None: unknown."""
    for stage in table.stages:
        if stage.name == layer:
            return stage.receptive_field
    inside = [each for each in table.layers if f"{each.name}.".startswith(f"{layer}.")]
    return inside[-1].receptive_field if inside else None


def patch(
    field: receptive.Field | None, row: int, column: int, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of what the unit at a position sees of a picture (H, W)."""
    if field is None:
        return 0, 0, *size
    ends = []
    for span, place, side in zip(field, (row, column), size, strict=True):
        low, high = (end + place * span.stride for end in span.ends)
        first = min(max(round(low), 0), side - 1)
        ends.append((first, max(min(round(high) + 1, side), first + 1)))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]
