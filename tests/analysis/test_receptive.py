"""Receptive fields by rule against the footprint of a gradient, which knows no rules."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.analysis.receptive import Span
from neocog.networks import NETWORKS, create

QUICK = (
    *("lenet5", "lenet_relu", "alexnet_cifar", "vgg_cifar", "nin_cifar", "inception10_cifar"),
    *("resnet20_cifar", "resnet20b_cifar", "plain20_cifar", "seresnet20_cifar", "fast_cifar"),
    *("densenet40_12_cifar", "squeezenet1_1", "mobilenet_v1_x0_25", "shufflenet_v2_x0_5"),
)


def known(text: str) -> Span:
    size, stride, offset, units = text.split()
    return Span(int(size), int(stride), float(offset), int(units))


@pytest.mark.parametrize(
    ("name", "layer", "size", "stride"),
    [
        # published: Araujo et al. 2019, table of receptive fields (AlexNet, VGG-16), and by hand
        ("alexnet", "pool5", 195, 32),
        ("vgg16", "last map", 212, 32),
        ("lenet5", "c5", 32, 4),
        ("resnet50_v1", "last map", 483, 32),
        ("resnet101_v1", "last map", 1027, 32),
    ],
)
def test_published_receptive_fields(name: str, layer: str, size: int, stride: int) -> None:
    with torch.device("meta"):
        network = create(name)
    found = cost.layers(network, NETWORKS[name].input)
    if layer == "last map":
        field = [s for s in found if len(s.output) == 3 and s.output[1] > 1][-1].receptive_field
    else:
        field = next(s for s in found if s.name == layer).receptive_field
    assert field is not None
    assert (field[0].size, field[0].stride) == (size, stride)


def smooth(network: nn.Module) -> nn.Module:
    """The same geometry in float64, with nothing that hides a pixel: positive weights, means for
    maxima, no ReLU; every pixel that a unit can see then has a gradient above zero.
    """
    for name, child in network.named_children():
        if isinstance(child, nn.MaxPool2d):
            kernel, stride, padding = child.kernel_size, child.stride, child.padding
            mean = nn.AvgPool2d(kernel, stride, padding, ceil_mode=child.ceil_mode)
            setattr(network, name, mean)
        elif isinstance(child, nn.AdaptiveMaxPool2d):
            setattr(network, name, nn.AdaptiveAvgPool2d(child.output_size))
        elif isinstance(child, nn.ReLU | nn.ReLU6 | nn.GELU | nn.Tanh | nn.Dropout):
            setattr(network, name, nn.Identity())
        elif isinstance(child, nn.Sigmoid):
            setattr(network, name, Gate())
        else:
            smooth(child)
    return network


class Gate(nn.Module):
    """About one, as a gate is, and never flat: a sigmoid's slope is lost in rounding."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 + 0.1 * x / (1 + x.abs())


def positive(network: nn.Module) -> nn.Module:
    with torch.no_grad():
        for weight in network.parameters():
            fan_in = max(weight[0].numel(), 1) if weight.ndim > 1 else 1
            weight.copy_(torch.full_like(weight, (1.0 if weight.ndim > 1 else 0.5) / fan_in))
    return network.double().eval()


Box = tuple[int, int, int, int]  # first and last row, first and last column


def footprint(body: nn.Module, size: tuple[int, int, int], at: tuple[int, int] | None) -> Box:
    """The pixels that move unit `at` of the last map; None: that move any unit."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, *size, generator=generator, dtype=torch.float64).requires_grad_()
    maps = body(x)[0]
    chosen = maps if at is None else maps[:, at[0], at[1]]
    (slope,) = torch.autograd.grad(chosen.sum(), x)
    rows, columns = (slope[0].abs().sum(0) > 0).nonzero().T.tolist()
    return min(rows), max(rows), min(columns), max(columns)


def expected(field: tuple[Span, Span], at: tuple[int, int], *, seen: Box) -> Box:
    """The same by the rule, cut to what is seen at all: a valid pooling may leave out a border."""
    ends: list[int] = []
    for axis, (span, place) in enumerate(zip(field, at, strict=True)):
        low, high = (end + place * span.stride for end in span.ends)
        ends += [max(math.ceil(low), seen[2 * axis]), min(math.floor(high), seen[2 * axis + 1])]
    return ends[0], ends[1], ends[2], ends[3]


def check(name: str) -> None:
    network = positive(smooth(create(name, num_classes=10, seed=0)))
    size = NETWORKS[name].input
    body = network[:-1]  # type: ignore[index]
    field = cost.table(body, size).stages[-1].receptive_field
    assert field is not None
    units, seen = (field[0].units, field[1].units), footprint(body, size, None)
    for at in {(0, 0), (units[0] // 2, units[1] // 2)}:
        assert footprint(body, size, at) == expected(field, at, seen=seen)


@pytest.mark.parametrize("name", QUICK)
def test_a_field_is_the_gradients_footprint(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in QUICK])
def test_every_networks_field_is_the_gradients_footprint(name: str) -> None:
    check(name)


class Foreign(nn.Module):
    """Of everything that a user's forward may do without a module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, stride=2, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (1, 2, 3, 0))
        x = torch.cat([self.conv(x), F.avg_pool2d(x, 5, 2)], 1)
        x = x[:, :, 1::2, ::3] + 1
        a, b = x.chunk(2, 1)
        return a * b


def test_what_a_foreign_forward_does_without_modules_is_followed() -> None:
    network = positive(Foreign())
    seen = cost.table(network, (2, 40, 44))
    (layer,) = seen.layers
    assert layer.name == "conv"
    # the field of the result: as that of a layer that does nothing, put behind
    field = cost.table(nn.Sequential(network, nn.Identity()), (2, 40, 44)).layers[-1]
    assert field.receptive_field is not None
    for at in ((0, 0), (2, 3)):
        measured = footprint(network, (2, 40, 44), at)
        assert measured == expected(field.receptive_field, at, seen=(0, 39, 0, 43))


@pytest.mark.parametrize(
    "make",
    [lambda: nn.Upsample(scale_factor=2), lambda: nn.ConvTranspose2d(1, 1, 2, 2)],
    ids=["upsample", "transposed"],
)
def test_what_is_not_known_is_not_guessed(make: object) -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3), make(), nn.Conv2d(1, 1, 3))  # type: ignore[operator]
    fields = [layer.receptive_field for layer in cost.layers(network, (1, 9, 9))]
    assert fields[0] is not None
    assert fields[1:] == [None, None]
