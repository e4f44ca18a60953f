"""`neocog nets`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neocog.analysis import cost
from neocog.analysis.compare import Cost, compare
from neocog.analysis.figures import FIGURES
from neocog.analysis.receptive import Field
from neocog.cli.output import emit, table
from neocog.errors import NeocogError, UsageError
from neocog.networks import NETWORKS, Variant, create, find

Size = tuple[int, int, int]


def nets(options: argparse.Namespace) -> None:
    size = None if options.input is None else _parsed(options.input)
    if options.compare:
        _compare([find(name) for name in options.compare], size, as_json=options.json)
    elif options.name is None:
        if size or options.draw or options.stages:
            raise UsageError("--input, --stages and --draw need a network: neocog nets NAME ...")
        _list(as_json=options.json)
    elif options.draw:
        _draw(find(options.name), size, Path(options.draw), as_json=options.json)
    else:
        _show(find(options.name), size, options)


def _on_meta(variant: Variant, size: Size | None) -> tuple[nn.Sequential, Size]:
    """The network without its weights, and the (C, H, W) that it is shown with."""
    shown = size or variant.input
    with torch.device("meta"):
        return create(variant.name, in_channels=shown[0]), shown


def _followed(variant: Variant, size: Size | None) -> cost.Table:
    network, shown = _on_meta(variant, size)
    try:
        return cost.table(network, shown)
    except UsageError as error:
        smallest = FIGURES[variant.name][2]
        raise UsageError(
            f"{variant.name} cannot take an input of {_size(shown)}; its own is "
            f"{_size(variant.input)}, the smallest it takes {smallest}x{smallest}"
        ) from error


def _list(*, as_json: bool) -> None:
    facts = [
        {
            "name": variant.name,
            "year": variant.year,
            "input": list(variant.input),
            "parameters": FIGURES[variant.name][0],
            "multiply_adds": FIGURES[variant.name][1],
            "smallest": FIGURES[variant.name][2],
            "paper": variant.paper,
            "about": variant.about,
        }
        for variant in NETWORKS.values()
    ]
    if as_json:
        emit(facts)
        return
    rows = [
        [
            variant.name,
            str(variant.year),
            _size(variant.input),
            f"{FIGURES[variant.name][0]:,}",
            _short(FIGURES[variant.name][1]),
            f"{FIGURES[variant.name][2]} px",
            variant.paper,
        ]
        for variant in NETWORKS.values()
    ]
    head = ["network", "year", "input", "weights", "multiply-adds", "smallest", "paper"]
    print(table(head, rows, right=(3, 4, 5)))
    print(f"\n{len(rows)} networks, weights of auxiliary heads included; smallest: pixels a side.")
    print("`neocog nets NAME` shows one layer by layer")


def _show(variant: Variant, size: Size | None, options: argparse.Namespace) -> None:
    network, shown = _on_meta(variant, size)
    seen = _followed(variant, size)
    silent = sum(w.numel() for w in network.parameters()) - seen.parameters
    layers = seen.stages if options.stages else seen.layers
    if options.json:
        value: dict[str, Any] = {
            "name": variant.name,
            "input": list(shown),
            "parameters": seen.parameters,
            "multiply_adds": seen.multiply_adds,
            "layers": [_as_json(layer) for layer in layers],
        }
        emit(value | ({"auxiliary_parameters": silent} if silent else {}))
        return
    print(f"{variant.name}: {variant.about}\n{variant.paper}; input {_size(shown)}\n")
    head = ["layer", "kind", "output", "weights", "multiply-adds", "memory", "sees", "step"]
    rows = [
        [
            layer.name,
            layer.kind,
            _size(layer.output),
            f"{layer.parameters:,}",
            f"{layer.multiply_adds:,}",
            f"{layer.memory / 1024:,.1f} KiB",
            *_sees(layer.receptive_field),
        ]
        for layer in layers
    ]
    memory = sum(layer.memory for layer in seen.layers)
    total = [f"{seen.parameters:,}", f"{seen.multiply_adds:,}", f"{memory / 2**20:,.1f} MiB"]
    print(table(head, [*rows, ["total", "", "", *total, "", ""]], right=(2, 3, 4, 5, 6, 7)))
    print(f"\n{_short(seen.multiply_adds)} multiply-adds = {_short(2 * seen.multiply_adds)} FLOPs")
    print("sees: pixels of the picture that a unit depends on; step: pixels between two units")
    if silent:
        print(f"auxiliary heads, which run only while training: {silent:,} weights more")


def _as_json(layer: cost.Layer) -> dict[str, Any]:
    field = layer.receptive_field
    return {
        "name": layer.name,
        "kind": layer.kind,
        "output": list(layer.output),
        "parameters": layer.parameters,
        "multiply_adds": layer.multiply_adds,
        "receptive_field": None
        if field is None
        else {
            "size": [span.size for span in field],
            "stride": [span.stride for span in field],
            "offset": [span.offset for span in field],
        },
    }


def _compare(variants: list[Variant], size: Size | None, *, as_json: bool) -> None:
    found = compare({variant.name: _followed(variant, size) for variant in variants})
    if as_json:
        emit(
            {
                "networks": found.names,
                "rows": [
                    {"layer": row.label, "costs": [_cost_json(cost) for cost in row.costs]}
                    for row in found.rows
                ],
                "totals": [_cost_json(cost) for cost in found.totals],
                "factors": [{"parameters": w, "multiply_adds": m} for w, m in found.factors],
            }
        )
        return
    head = ["layer", *(f"{n} {what}" for what in ("weights", "mul-adds") for n in found.names)]
    rows = [[row.label, *_cells(row.costs, 0), *_cells(row.costs, 1)] for row in found.rows]
    rows.append(["total", *_cells(found.totals, 0), *_cells(found.totals, 1)])
    times = [[_times(factor[which]) for factor in found.factors] for which in (0, 1)]
    rows.append([f"against {found.names[0]}", *times[0], *times[1]])
    print(table(head, rows, right=range(1, len(head))))


def _times(factor: float) -> str:
    return f"{factor:,.0f}x" if factor >= 10 else f"{factor:.3g}x"


def _cost_json(cost: Cost | None) -> dict[str, int] | None:
    return None if cost is None else {"parameters": cost[0], "multiply_adds": cost[1]}


def _cells(costs: list[Cost | None] | list[Cost], which: int) -> list[str]:
    return ["-" if cost is None else _short(cost[which]) for cost in costs]


def _draw(variant: Variant, size: Size | None, out: Path, *, as_json: bool) -> None:
    from neocog.report.drawing import svg

    if out.suffix.lower() != ".svg":
        raise UsageError(f"--draw {out}: the picture is written as .svg")
    seen = _followed(variant, size)
    title = f"{variant.name} ({variant.paper}), input {_size(size or variant.input)}"
    try:
        out.write_text(svg(seen, title=title), encoding="utf-8")
    except OSError as error:
        raise NeocogError(f"--draw {out}: cannot be written: {error.strerror}") from error
    if as_json:
        emit({"file": str(out), "name": variant.name})
    else:
        print(f"{out}: {variant.name} as blocks")


def _parsed(text: str) -> Size:
    parts = text.lower().replace("x", ",").split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"--input {text}: write channels, height and width, such as 3,224,224")
    channels, height, width = (int(part) for part in parts)
    return channels, height, width


def _sees(field: Field | None) -> tuple[str, str]:
    """A receptive field and its stride, as one number where both axes agree."""
    if field is None:
        return "?", "?"
    height, width = field
    if (height.size, height.stride) == (width.size, width.stride):
        return str(height.size), str(height.stride)
    return f"{height.size}x{width.size}", f"{height.stride}x{width.stride}"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)


def _short(count: int) -> str:
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.3f} {name}" if unit > 1000 else f"{count / unit:.1f} {name}"
    return str(count)
