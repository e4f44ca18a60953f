"""ResNet against Table 1 of the paper and against torchvision."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_logits, equal_step, measured, share_random_weights, slow_but
from torch import nn

from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.residual import Residual, padding
from neocog.networks.resnet import VARIANTS, basic, bottleneck, resnet

# Weights and multiply-adds: torchvision's figures (1.814, 3.664, 4.089, 7.801, 11.514 G). Of v1 the
# work is counted by hand; Table 1 rounds it to 3.8, 7.6 and 11.3 G, and that of 18 and 34 to 1.8
# and 3.6 G.
COUNTS = {
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_801_405_440),
    "resnet152": (60_192_808, 11_513_626_624),
    "resnet50_v1": (25_557_032, 3_857_973_248),
    "resnet101_v1": (44_549_160, 7_570_194_432),
    "resnet152_v1": (60_192_808, 11_282_415_616),
}
# Table 1: the output sizes, and the channels that each stage ends in.
BASIC = [(64, 112), (64, 56), (128, 28), (256, 14), (512, 7)]
BOTTLENECK = [(64, 112), (64, 56), (256, 56), (512, 28), (1024, 14), (2048, 7)]


def pair(models: ModuleType, name: str) -> tuple[nn.Module, nn.Sequential]:
    with torch.device("meta"):
        peer = getattr(models, name.removesuffix("_v1"))(num_classes=10)
        ours = create(name, num_classes=10)
    if name.endswith("_v1"):  # the paper's stride, moved in the peer
        for unit in peer.modules():
            if isinstance(unit, models.resnet.Bottleneck):
                unit.conv1.stride, unit.conv2.stride = unit.conv2.stride, unit.conv1.stride
    share_random_weights(peer, ours, seed=7)
    return peer, ours


def test_every_variant_is_counted() -> None:
    assert [variant.name for variant in VARIANTS] == list(COUNTS)


@pytest.mark.parametrize("name", slow_but([n for n in COUNTS if "_v1" not in n], COUNTS))
def test_counts_and_maps_are_table_1(name: str) -> None:
    counts, maps = measured(name)
    assert counts == COUNTS[name]
    assert maps == (BASIC if name in ("resnet18", "resnet34") else BOTTLENECK)


@pytest.mark.parametrize("name", slow_but(("resnet18", "resnet50", "resnet50_v1"), COUNTS))
def test_equals_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    peer, ours = pair(torchvision_models, name)
    equal_logits(peer, ours, torch.randn(2, 3, 65, 33, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("name", slow_but(("resnet18", "resnet50", "resnet50_v1"), COUNTS))
def test_learns_as_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    peer, ours = pair(torchvision_models, name)
    equal_step(peer, ours, torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)))


def test_stages_and_units_are_named_as_in_the_paper() -> None:
    with torch.device("meta"):
        network = create("resnet50")
    names = [name for name, _ in network.named_children()]
    stages = ["conv2_x", "conv3_x", "conv4_x", "conv5_x"]
    assert names == ["conv1", "norm1", "relu1", "pool1", *stages, "head"]
    assert [len(network.get_submodule(name)) for name in stages] == [3, 4, 6, 3]
    assert "conv3_x.0.branch.conv2.weight" in network.state_dict()
    assert "conv3_x.0.shortcut.norm.running_mean" in network.state_dict()


@pytest.mark.parametrize(
    ("name", "strides"),
    [("resnet34", (2, 1)), ("resnet50", (1, 2, 1)), ("resnet50_v1", (2, 1, 1))],
)
def test_maps_are_halved_where_the_table_on_the_page_says(
    name: str, strides: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        network = create(name)
    for stage in ("conv3_x", "conv4_x", "conv5_x"):
        first, *others = network.get_submodule(stage)
        assert [m.stride[0] for m in convolutions(first.branch)] == list(strides)
        assert first.shortcut.conv.stride == (2, 2)
        assert all(m.stride == (1, 1) for unit in others for m in convolutions(unit.branch))
        assert all(isinstance(unit.shortcut, nn.Identity) for unit in others)
    projects = not isinstance(network.conv2_x[0].shortcut, nn.Identity)
    assert projects is (name != "resnet34")  # 64 channels come out of conv1
    assert network.conv2_x[0].branch.conv1.stride == (1, 1)


def test_start_is_he_by_fan_in() -> None:
    network = create("resnet50", seed=0)
    weights = dict(network.named_parameters())
    for name in ("conv1", "conv4_x.0.shortcut.conv", "conv5_x.2.branch.conv2", "head.fc"):
        weight = weights[f"{name}.weight"]
        expected = (2 / weight[0].numel()) ** 0.5
        assert weight.std().item() == pytest.approx(expected, rel=0.03)
    assert all(not tensor.any() for name, tensor in weights.items() if name.endswith("bias"))
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 53
    assert all((norm.weight == 1).all() for norm in norms)


def test_a_branch_of_zero_leaves_the_identity() -> None:
    unit = basic(8, 8, 1).eval()
    nn.init.zeros_(unit.branch.norm2.weight)
    x = torch.rand(2, 8, 5, 5)  # not negative, as after a ReLU
    assert torch.equal(unit(x), x)


def test_any_stages_run() -> None:
    network = resnet(bottleneck, [[1, 8], [2, 12]], num_classes=3, in_channels=2)
    assert network(torch.randn(2, 2, 33, 20)).shape == (2, 3)
    assert sum(isinstance(m, Residual) for m in network.modules()) == 3


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ((), "stages must be pairs of (units, channels), as ((2, 64), (2, 128)); not ()"),
        ((2, 2), "must be pairs"),
        (((2, 64, 1),), "must be pairs"),
        (None, "must be pairs"),
        (((0, 64),), "the units of stage 1 must be a whole number of at least 1; 0"),
        (((2, 64), (2, -64)), "the channels of stage 2 must be a whole number of at least 1; -64"),
        ((("2", 64),), "the units of stage 1 must be"),
    ],
)
def test_bad_stages_are_refused_with_right_ones(plan: object, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        resnet(basic, plan)  # type: ignore[arg-type]
    assert reason in str(caught.value)


@pytest.mark.parametrize("what", ["num_classes", "in_channels"])
def test_bad_numbers_are_refused_by_name(what: str) -> None:
    with pytest.raises(UsageError, match=f"{what} must be a whole number of at least 1; 0"):
        resnet(basic, ((1, 8),), **{what: 0})


def test_option_a_does_not_take_channels_away() -> None:
    with pytest.raises(UsageError, match="only adds channels: after 8, 4 is too few"):
        padding(8, 4, 1)


def convolutions(branch: nn.Sequential) -> list[nn.Conv2d]:
    return [m for m in branch if isinstance(m, nn.Conv2d)]
