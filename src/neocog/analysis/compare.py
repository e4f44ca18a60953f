"""Networks side by side, a layer a row: the table in which courses set AlexNet beside LeNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from neocog.analysis.cost import Layer, Table

MOST_ROWS = 16  # deeper networks are set side by side stage by stage
Cost = tuple[int, int]  # weights, multiply-adds
NONE: Cost = (0, 0)


@dataclass(frozen=True)
class Row:
    """One layer, or stage, of each network; None where a network has no such one."""

    label: str
    costs: list[Cost | None]


@dataclass(frozen=True)
class Comparison:
    """`factors`: weights and multiply-adds of each network, as multiples of the first one's."""

    names: list[str]
    rows: list[Row]
    totals: list[Cost]
    factors: list[tuple[float, float]]


def compare(tables: Mapping[str, Table]) -> Comparison:
    """Convolutions and dense layers in their order, or stages where there are many."""
    convs = [_weighted(table, dense=False) for table in tables.values()]
    denses = [_weighted(table, dense=True) for table in tables.values()]
    rows = [*_rows("conv", convs), *_rows("dense", denses)]
    if len(rows) > MOST_ROWS:
        rows = _rows("stage", [_by_stage(table) for table in tables.values()])
    totals = [(table.parameters, table.multiply_adds) for table in tables.values()]
    first = totals[0]
    factors = [(w / max(first[0], 1), m / max(first[1], 1)) for w, m in totals]
    return Comparison(list(tables), rows, totals, factors)


def _rows(kind: str, columns: list[list[Cost]]) -> list[Row]:
    return [
        Row(f"{kind} {number}", list(costs))
        for number, costs in enumerate(zip_longest(*columns), start=1)
    ]


def _weighted(table: Table, *, dense: bool) -> list[Cost]:
    """Each layer with multiply-adds, with the weights that follow it (batch norm, say) in its."""
    costs: list[tuple[bool, Cost]] = []
    for layer in table.layers:
        if layer.multiply_adds:
            costs.append((_is_dense(layer), (layer.parameters, layer.multiply_adds)))
        elif layer.parameters and costs:
            flat, (weights, work) = costs[-1]
            costs[-1] = flat, (weights + layer.parameters, work)
    return [cost for flat, cost in costs if flat == dense]


def _is_dense(layer: Layer) -> bool:
    return len(layer.output) == 1


def _by_stage(table: Table) -> list[Cost]:
    stages: dict[str, Cost] = {}
    for layer in table.layers:
        name = layer.name.split(".")[0]
        weights, work = stages.get(name, NONE)
        stages[name] = weights + layer.parameters, work + layer.multiply_adds
    return [cost for cost in stages.values() if cost != NONE]
