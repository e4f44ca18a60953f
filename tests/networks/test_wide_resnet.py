"""WRN-28-10 against Table 1, taken literally, and WRN-50-2 against torchvision."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_logits, equal_step, measured, share_random_weights
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.residual import Residual
from neocog.networks.wide_resnet import VARIANTS, wide_resnet

# 28-10: 36.5 M (Table 5), the work counted by hand. 50-2: torchvision's figures (11.398 G).
COUNTS = {
    "wrn28_10_cifar": (36_479_194, 5_243_328_768),
    "wrn28_10_dropout_cifar": (36_479_194, 5_243_328_768),
    "wide_resnet50_2": (68_883_240, 11_398_021_120),
}
TABLE_1 = [(16, 32), (160, 32), (320, 16), (640, 8)]
IMAGENET = [(64, 112), (64, 56), (256, 56), (512, 28), (1024, 14), (2048, 7)]


class Reference(nn.Module):
    """Figure 1d and Table 1 in plain calls, with lists of weights in the order of their use.

    A unit: o = norm relu(x); y = conv norm relu conv (o); y + (x or, where channels grow, a 1x1 of
    o). That 1x1 comes last in its unit.
    """

    def __init__(self, depth: int, k: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.units = nn.ModuleList()
        c_in = 16
        for c_out, stride in ((16 * k, 1), (32 * k, 2), (64 * k, 2)):
            for _ in range((depth - 4) // 6):
                unit = [
                    nn.BatchNorm2d(c_in),
                    nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False),
                    nn.BatchNorm2d(c_out),
                    nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False),
                ]
                if c_in != c_out:
                    unit.append(nn.Conv2d(c_in, c_out, 1, stride, bias=False))
                self.units.append(nn.ModuleList(unit))
                c_in, stride = c_out, 1
        self.norm = nn.BatchNorm2d(c_in)
        self.fc = nn.Linear(c_in, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        for unit in self.units:
            assert isinstance(unit, nn.ModuleList)
            o = F.relu(unit[0](x))
            x = unit[4](o) if len(unit) == 5 else x
            x = x + unit[3](F.relu(unit[2](unit[1](o))))
        return self.fc(F.relu(self.norm(x)).mean(dim=(2, 3)))


def test_every_variant_is_counted() -> None:
    assert [variant.name for variant in VARIANTS] == list(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_maps_are_the_papers(name: str) -> None:
    assert measured(name) == (COUNTS[name], TABLE_1 if name.startswith("wrn") else IMAGENET)


@pytest.mark.parametrize(("depth", "k", "side"), [(28, 10, 8), (16, 2, 32)])
def test_equals_table_1_taken_literally(depth: int, k: int, side: int) -> None:
    with torch.device("meta"):
        peer, ours = Reference(depth, k), wide_resnet(depth, k)
    share_random_weights(peer, ours, seed=7)
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    equal_logits(peer, ours, x)
    if depth == 16:
        equal_step(peer, ours, x)


def test_50_2_equals_torchvisions(torchvision_models: ModuleType) -> None:
    with torch.device("meta"):
        peer = torchvision_models.wide_resnet50_2(num_classes=10)
        ours = create("wide_resnet50_2", num_classes=10)
    share_random_weights(peer, ours, seed=7)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    equal_logits(peer, ours, x)
    equal_step(peer, ours, x)


def test_dropout_stands_between_the_convolutions() -> None:
    with torch.device("meta"):
        without, network = create("wrn28_10_cifar"), create("wrn28_10_dropout_cifar")
    assert not [m for m in without.modules() if isinstance(m, nn.Dropout)]
    units = [m for m in network.modules() if isinstance(m, Residual)]
    assert len(units) == 12
    for unit in units:
        names = [name for name, _ in unit.branch.named_children()]
        assert names[-4:] == ["norm2", "relu2", "dropout", "conv2"]
        assert unit.branch.dropout.p == 0.3
    assert list(network.state_dict()) == list(without.state_dict())


def test_stages_are_named_as_in_table_1() -> None:
    with torch.device("meta"):
        network = create("wrn28_10_cifar")
    names = [name for name, _ in network.named_children()]
    assert names == ["conv1", "conv2", "conv3", "conv4", "norm", "relu", "head"]
    assert [len(network.get_submodule(f"conv{i}")) for i in (2, 3, 4)] == [4, 4, 4]


def test_start_is_he_by_fan_in() -> None:
    network = wide_resnet(16, 4)
    for name in ("conv3.0.unit.shortcut", "conv4.1.branch.conv2", "head.fc"):
        weight = network.get_parameter(f"{name}.weight")
        assert weight.std().item() == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.05)


@pytest.mark.parametrize("depth", [0, 4, 27, -2, 28.0, "28"])
def test_bad_depths_are_refused_with_right_ones(depth: object) -> None:
    with pytest.raises(UsageError, match=r"depth must be 6n \+ 4: 10, 16, 22, 28, ...;"):
        wide_resnet(depth, 2)  # type: ignore[arg-type]


def test_bad_widths_and_dropout_are_refused() -> None:
    with pytest.raises(UsageError, match="k must be a whole number of at least 1; -10"):
        wide_resnet(28, -10)
    for dropout in (1.0, -0.1):
        with pytest.raises(UsageError, match="dropout must be at least 0 and less than 1"):
            wide_resnet(10, 1, dropout=dropout)
