"""`neocog nets`."""

from __future__ import annotations

import argparse

import torch

from neocog.analysis import cost
from neocog.cli.output import emit, table
from neocog.networks import NETWORKS, Variant, find


def nets(options: argparse.Namespace) -> None:
    if options.name is None:
        _list(as_json=options.json)
    else:
        _show(find(options.name), as_json=options.json)


def _layers(variant: Variant) -> list[cost.Layer]:
    with torch.device("meta"):
        network = variant.build(num_classes=variant.num_classes, in_channels=variant.input[0])
    return cost.layers(network, variant.input)


def _list(*, as_json: bool) -> None:
    rows, facts = [], []
    for variant in NETWORKS.values():
        parameters, multiply_adds = _totals(_layers(variant))
        facts.append(
            {
                "name": variant.name,
                "year": variant.year,
                "input": list(variant.input),
                "parameters": parameters,
                "multiply_adds": multiply_adds,
                "paper": variant.paper,
                "about": variant.about,
            }
        )
        rows.append(
            [
                variant.name,
                str(variant.year),
                _size(variant.input),
                f"{parameters:,}",
                _short(multiply_adds),
                variant.about,
            ]
        )
    if as_json:
        emit(facts)
        return
    head = ["network", "year", "input", "weights", "multiply-adds", "what it is"]
    print(table(head, rows, right=(3, 4)))


def _totals(layers: list[cost.Layer]) -> tuple[int, int]:
    """Weights and multiply-adds."""
    return sum(layer.parameters for layer in layers), sum(layer.multiply_adds for layer in layers)


def _show(variant: Variant, *, as_json: bool) -> None:
    layers = _layers(variant)
    parameters, multiply_adds = _totals(layers)
    if as_json:
        emit(
            {
                "name": variant.name,
                "input": list(variant.input),
                "parameters": parameters,
                "multiply_adds": multiply_adds,
                "layers": [
                    {
                        "name": layer.name,
                        "kind": layer.kind,
                        "output": list(layer.output),
                        "parameters": layer.parameters,
                        "multiply_adds": layer.multiply_adds,
                    }
                    for layer in layers
                ],
            }
        )
        return
    print(f"{variant.name}: {variant.about}\n{variant.paper}; input {_size(variant.input)}\n")
    rows = [
        [
            layer.name,
            layer.kind,
            _size(layer.output),
            f"{layer.parameters:,}",
            f"{layer.multiply_adds:,}",
        ]
        for layer in layers
    ]
    rows.append(["total", "", "", f"{parameters:,}", f"{multiply_adds:,}"])
    head = ["layer", "kind", "output", "weights", "multiply-adds"]
    print(table(head, rows, right=(2, 3, 4)))


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)


def _short(count: int) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:,}"
