"""ResNeXt against torchvision, Table 7, and the sum of paths that its groups stand for."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_logits, equal_step, measured, share_random_weights, slow_but
from torch import nn
from torch.nn import functional as F

from neocog.networks import create
from neocog.networks.resnext import VARIANTS, aggregated

# ImageNet: torchvision's figures (4.230 and 16.414 G). CIFAR: Table 7 has 34.4 M and 68.1 M weights
# (68.155 M cut, not rounded); the work is counted by hand.
COUNTS = {
    "resnext50_32x4d": (25_028_904, 4_230_479_872),
    "resnext101_32x8d": (88_791_336, 16_414_015_488),
    "resnext29_8x64d_cifar": (34_426_698, 5_387_266_048),
    "resnext29_16x64d_cifar": (68_155_210, 10_688_866_304),
}
TABLE_1 = [(64, 112), (64, 56), (256, 56), (512, 28), (1024, 14), (2048, 7)]
SECTION_5_3 = [(64, 32), (256, 32), (512, 16), (1024, 8)]


def peer_of_29(models: ModuleType, paths: int) -> nn.Sequential:
    """torchvision's Bottleneck in the plan of section 5.3."""
    layers = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    c_in = 64
    for planes in (64, 128, 256):
        for number in range(3):
            stride = 2 if number == 0 and planes > 64 else 1
            down = None
            if number == 0:
                one = nn.Conv2d(c_in, 4 * planes, 1, stride, bias=False)
                down = nn.Sequential(one, nn.BatchNorm2d(4 * planes))
            block = models.resnet.Bottleneck(c_in, planes, stride, down, paths, base_width=64)
            layers.append(block)
            c_in = 4 * planes
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c_in, 10))


def pair(models: ModuleType, name: str) -> tuple[nn.Module, nn.Sequential]:
    with torch.device("meta"):
        if name.endswith("_cifar"):
            peer = peer_of_29(models, 16 if "16x" in name else 8)
        else:
            peer = getattr(models, name)(num_classes=10)
        ours = create(name, num_classes=10)
    share_random_weights(peer, ours, seed=7)
    return peer, ours


def test_every_variant_is_counted() -> None:
    assert [variant.name for variant in VARIANTS] == list(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_maps_are_the_papers(name: str) -> None:
    expected = SECTION_5_3 if name.endswith("_cifar") else TABLE_1
    assert measured(name) == (COUNTS[name], expected)


@pytest.mark.parametrize("name", slow_but(("resnext50_32x4d",), COUNTS))
def test_equals_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    peer, ours = pair(torchvision_models, name)
    side = 8 if name.endswith("_cifar") else 64
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    equal_logits(peer, ours, x)


@pytest.mark.parametrize("name", slow_but(("resnext50_32x4d",), COUNTS))
def test_learns_as_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    peer, ours = pair(torchvision_models, name)
    side = 8 if name.endswith("_cifar") else 64
    x = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(2))
    equal_step(peer, ours, x)


def test_groups_are_a_sum_of_paths() -> None:
    """Figure 3: (c), which is ours, computes what (a) draws: C paths, added up at the end."""
    unit = aggregated(4, 16, 256, 256, 1).eval().double()
    x = torch.randn(2, 256, 3, 3, dtype=torch.float64)
    for norm in (unit.branch.norm1, unit.branch.norm2, unit.branch.norm3):
        nn.init.normal_(norm.bias)
    down, across, up = (unit.branch.get_submodule(f"conv{i}").weight for i in (1, 2, 3))
    norm1, norm2, norm3 = (unit.branch.get_submodule(f"norm{i}") for i in (1, 2, 3))
    total = torch.zeros_like(x)
    for path in range(4):
        mine = slice(16 * path, 16 * path + 16)
        y = F.conv2d(x, down[mine])
        y = F.relu(y / (1 + norm1.eps) ** 0.5 + norm1.bias[mine, None, None])
        y = F.conv2d(y, across[mine], padding=1)
        y = F.relu(y / (1 + norm2.eps) ** 0.5 + norm2.bias[mine, None, None])
        total += F.conv2d(y, up[:, mine])
    torch.testing.assert_close(unit(x), F.relu(x + norm3(total)))


def test_paths_widen_with_the_stages() -> None:
    """Table 1: 128, 256, 512, 1024 for 32x4d; the first stage of 8x64d has 512."""
    with torch.device("meta"):
        fifty, small = create("resnext50_32x4d"), create("resnext29_8x64d_cifar")
    stages = [fifty.conv2_x, fifty.conv3_x, fifty.conv4_x, fifty.conv5_x]
    assert [s[1].branch.conv2.out_channels for s in stages] == [128, 256, 512, 1024]
    assert {s[1].branch.conv2.groups for s in stages} == {32}
    assert [s[0].branch.conv2.stride[0] for s in stages] == [1, 2, 2, 2]
    convs = [s[0].branch.conv2 for s in (small.stage1, small.stage2, small.stage3)]
    assert [(c.out_channels, c.groups) for c in convs] == [(512, 8), (1024, 8), (2048, 8)]
