"""The layers of FIELD.md's known faults, and that a fault of their kind is caught.

What today's libraries do is run too: whatever they do, what comes out of a network with its faulty
layers held is right.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.engine import precision
from neocog.engine.hardware import Hardware
from neocog.engine.passes import in_bf16
from neocog.engine.precision import Shape, is_right, shapes, to_hold
from neocog.networks import create

BF16 = Hardware(device="cpu", name="any", threads=1, precision="bf16")
FAULTS = {
    "grouped": (nn.Conv2d(16, 16, 3, padding=1, groups=4), (8, 16, 8, 8)),
    "depthwise": (nn.Conv2d(16, 16, 3, padding=1, groups=16), (8, 16, 8, 8)),
    "dilated": (nn.Conv2d(8, 16, 3, dilation=2), (8, 8, 12, 12)),
    "stride larger than kernel": (nn.Conv2d(8, 16, 1, stride=2), (8, 8, 9, 9)),
    "stride 3, kernel 2": (nn.Conv2d(8, 16, 2, stride=3), (8, 8, 11, 11)),
    "2x2 of a map of 2x2": (nn.Conv2d(32, 32, 2), (8, 32, 2, 2)),
    "dense": (nn.Linear(64, 10), (8, 64)),
}


def kind(name: str) -> tuple[nn.Module, Shape]:
    layer, given = FAULTS[name]
    return layer, Shape(repr(layer), given, first=False)


def broken(real: Callable[..., Tensor], spoil: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """The function, but what it puts out in bfloat16 is spoiled."""

    def function(x: Tensor, *rest: Any, **options: Any) -> Tensor:
        made = real(x, *rest, **options)
        return spoil(made) if made.dtype == torch.bfloat16 else made

    return function


def one_column_lost(made: Tensor) -> Tensor:
    return torch.cat((torch.zeros_like(made[..., :1]), made[..., 1:]), -1)


def no_number(made: Tensor) -> Tensor:
    return made * torch.where(torch.arange(made.shape[1]) == 0, torch.nan, 1.0).view(
        1, -1, *[1] * (made.ndim - 2)
    ).to(made)


def a_gradient_doubled(made: Tensor) -> Tensor:
    return 2 * made - made.detach()


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("spoil", [one_column_lost, no_number, a_gradient_doubled])
@pytest.mark.parametrize("name", FAULTS)
def test_a_layer_that_bf16_computes_wrongly_is_found_out(
    name: str, spoil: Callable[[Tensor], Tensor], layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, shape = kind(name)
    here = dataclasses.replace(BF16, layout=layout)
    for function in ("conv2d", "linear"):
        monkeypatch.setattr(F, function, broken(getattr(F, function), spoil))
    assert not is_right(layer, shape, here)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("name", FAULTS)
def test_what_this_machine_computes_is_right_or_held(name: str, layout: str) -> None:
    """Against float32 of the same rounded numbers, by another bound than the probe's."""
    layer, given = copy.deepcopy(FAULTS[name])
    here = dataclasses.replace(BF16, layout=layout)
    network = nn.Sequential(layer)
    held = to_hold(network, given, here, speed="any")
    x = torch.randn(given).bfloat16().float()
    for weight in layer.parameters():
        weight.data = weight.data.bfloat16().float()
    here = dataclasses.replace(here, held=held)
    with torch.no_grad():
        wanted = network(x)
        with here.in_force(network), in_bf16("cpu"):
            made = network(x).float()
    assert float((made - wanted).norm() / wanted.norm()) < 2.0**-7


def test_a_layer_that_there_is_not_in_bf16_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(made: Tensor) -> Tensor:
        raise RuntimeError("not implemented for 'BFloat16'")

    layer, shape = kind("dense")
    monkeypatch.setattr(F, "linear", broken(F.linear, missing))
    assert not is_right(layer, shape, BF16)


class Mixed(nn.Module):
    """A layer used twice, a grouped one, and a head of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.twin = nn.Conv2d(8, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.dense = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twin(self.again(self.again(self.conv(x))))
        return self.dense(self.norm(self.grouped(x)).mean((2, 3)))


def test_layers_of_one_shape_are_one_and_the_network_is_left_alone() -> None:
    network = Mixed().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = shapes(network, (6, 3, 8, 8), BF16)
    assert [(s.given, s.first) for s in found] == [
        ((6, 3, 8, 8), True),
        ((6, 8, 8, 8), False),
        ((6, 8, 8, 8), False),
        ((6, 8), False),
    ]
    names = [[name for name, _ in layers] for layers in found.values()]
    assert names == [["conv"], ["again", "again", "twin"], ["grouped"], ["dense"]]
    assert network.training
    assert not any(layer._forward_pre_hooks for layer in network.modules())
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_auxiliary_heads_are_looked_at_too() -> None:
    network = create("googlenet_bn", num_classes=10)
    named = {
        name for layers in shapes(network, (2, 3, 224, 224), BF16).values() for name, _ in layers
    }
    assert any(name.startswith("auxiliary.") for name in named)


def test_what_is_slower_in_bf16_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Mixed()
    times = {"conv": (1.0, 2.0), "again": (1.04, 1.0), "grouped": (9.0, 1.0), "dense": (1.1, 1.0)}
    by_layer = {repr(getattr(network, name)): pair for name, pair in times.items()}
    monkeypatch.setattr(precision, "seconds", lambda layer, shape, here: by_layer[repr(layer)])
    shape = (4, 3, 8, 8)
    assert to_hold(network, shape, BF16, speed="timed") == ("grouped", "dense")
    assert to_hold(network, shape, BF16, speed="known") == ("grouped",)
    assert to_hold(network, shape, BF16, speed="any") == ()
    on_gpu = dataclasses.replace(BF16, device="cuda")
    assert precision._is_quick(network.grouped, kind("grouped")[1], on_gpu, "known")


def test_the_times_of_a_layer_are_those_of_its_steps() -> None:
    layer, shape = kind("dense")
    assert min(precision.seconds(layer, shape, BF16)) > 0


@pytest.mark.parametrize(
    ("rows", "numbers", "tried"),
    [(2000, 24 * 31 * 31, 352), (128, 64 * 32 * 32, 128), (32, 64 * 224 * 224, 2), (5, 2**30, 1)],
)
def test_of_a_large_batch_no_more_is_tried_than_tells(rows: int, numbers: int, tried: int) -> None:
    """Sixteen at a time where there are so many, for they may be laid side by side."""
    assert precision._enough(rows, numbers) == tried
