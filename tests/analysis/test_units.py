"""How units behave: what is dead, off and saturated is counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.analysis.units import behaviour, ends_of
from neocog.networks import create
from neocog.networks.lenet5 import Squash


@pytest.mark.parametrize(
    ("module", "ends"),
    [
        (nn.ReLU(inplace=True), ()),
        (nn.LeakyReLU(), ()),
        (nn.GELU(), ()),
        (nn.PReLU(), ()),
        (nn.Sigmoid(), (0.0, 1.0, 1.0)),
        (nn.Tanh(), (-1.0, 1.0, 2.0)),
        (nn.ReLU6(), (6.0, 6.0)),
        (Squash(), (-1.7159, 1.7159, 2 * 1.7159)),
        (nn.Identity(), None),
        (nn.Dropout(0.5), None),
        (nn.MaxPool2d(2), None),
        (nn.AvgPool2d(3, 1, 1), None),
        (nn.Flatten(), None),
        (nn.Softmax(1), None),
        (nn.LocalResponseNorm(5), None),
        (nn.BatchNorm2d(3), None),
        (nn.Conv2d(3, 3, 3), None),
        (nn.Linear(5, 5), None),
        (nn.Sequential(nn.ReLU()), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_function_says_itself_where_it_ends(
    module: nn.Module, ends: tuple[float, ...] | None
) -> None:
    assert ends_of(module.eval()) == (ends if ends is None else pytest.approx(ends))


def test_dead_and_off_units_of_a_relu() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(inplace=True), nn.Flatten())
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([1.0, -1.0, 0.0, 1.0]).view(4, 1, 1, 1)
        network[0].bias[:] = torch.tensor([0.0, 0.0, -1.0, -5.0])
    values = torch.tensor([1.0, 2.0, 3.0, 6.0]).view(1, 1, 2, 2)
    (seen,) = behaviour(network, [values, -values * 0 + 1])
    assert (seen.name, seen.kind, seen.units) == ("1", "ReLU", 4)
    assert seen.dead == 0.5  # the second and the third; the fourth is alive at one position
    # of 8 values each: none, all, all, and 7
    assert seen.zero == pytest.approx((0 + 8 + 8 + 7) / 32)
    assert seen.saturated is None
    assert seen.mean == pytest.approx((1 + 2 + 3 + 6 + 4 * 1 + 1) / 32)
    every = torch.tensor([1.0, 2, 3, 6, 1, 1, 1, 1, 1, *[0] * 23])
    assert seen.std == pytest.approx(float(every.std(correction=0)), rel=1e-5)


def test_saturated_values_of_a_sigmoid() -> None:
    inputs = torch.tensor([[-9.0, -2.0, 0.0, 3.1], [0.5, 9.0, 2.9, -3.0]])[:, :, None, None]
    (seen,) = behaviour(nn.Sequential(nn.Sigmoid()), [inputs])
    # sigmoid(3) is 0.953, sigmoid(2.9) 0.948
    assert seen.saturated == pytest.approx(4 / 8)
    assert seen.dead == 0


def test_a_module_that_runs_twice_is_counted_twice_over() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.relu(x) - 1)

    (seen,) = behaviour(Twice(), [torch.ones(1, 2, 1, 1)])
    assert seen.zero == 0.5


def test_of_a_network_without_activation_modules_the_children_are_watched() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.conv(x)).mean((2, 3))

    (seen,) = behaviour(Functional(), [torch.rand(2, 1, 3, 3)])
    assert (seen.name, seen.units) == ("conv", 2)


def test_sigmoids_of_a_deep_net_saturate_and_relus_do_not() -> None:
    given = [torch.rand(4, 1, 28, 28)]
    ours = {
        name: behaviour(create(name, num_classes=10, in_channels=1, seed=0).eval(), given)
        for name in ("lenet_relu", "lenet_sigmoid")
    }
    assert [each.kind for each in ours["lenet_relu"]] == ["ReLU"] * 4
    assert all(each.saturated is None for each in ours["lenet_relu"])
    assert all(each.saturated is not None for each in ours["lenet_sigmoid"])
