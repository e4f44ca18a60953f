"""SE blocks against section 3's formulas, and SE-ResNet-50 against timm."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_logits, equal_step, measured, share_random_weights, slow_but
from torch import nn
from torch.nn import functional as F

from neocog.networks import NETWORKS, create
from neocog.networks.residual import Residual
from neocog.networks.senet import VARIANTS, SqueezeExcite

# seresnet50: timm's weights; 28.1 M in Table 10. The others: those of the net without SE, and for
# each unit of C maps two dense layers, C/16 and C, with biases.
COUNTS = {
    "seresnet50": (28_088_024, 4_091_699_200),
    "seresnet20_cifar": (272_095, 40_553_056),
    "seresnet32_cifar": (468_109, 68_865_952),
    "seresnet44_cifar": (664_123, 97_178_848),
    "seresnet56_cifar": (860_137, 125_491_744),
    "seresnet110_cifar": (1_742_200, 252_899_776),
    "seresnet110_preact_cifar": (1_742_200, 252_899_776),
    "seresnet164_preact_cifar": (1_905_362, 244_694_528),
}
TABLE_1 = [(64, 112), (64, 56), (256, 56), (512, 28), (1024, 14), (2048, 7)]
MAPS = {
    **{name: [(16, 32), (32, 16), (64, 8)] for name in COUNTS},
    "seresnet50": TABLE_1,
    "seresnet164_preact_cifar": [(16, 32), (64, 32), (128, 16), (256, 8)],
}
# Units of each stage and their maps.
UNITS = {
    "seresnet50": [(3, 256), (4, 512), (6, 1024), (3, 2048)],
    "seresnet164_preact_cifar": [(18, 64), (18, 128), (18, 256)],
    **{f"seresnet{6 * n + 2}_cifar": [(n, 16), (n, 32), (n, 64)] for n in (3, 5, 7, 9, 18)},
    "seresnet110_preact_cifar": [(18, 16), (18, 32), (18, 64)],
}


def test_every_variant_is_counted() -> None:
    assert [variant.name for variant in VARIANTS] == list(COUNTS)
    assert all(name.replace("se", "", 1) in NETWORKS for name in COUNTS)


@pytest.mark.parametrize("name", slow_but([n for n in COUNTS if "1" not in n], COUNTS))
def test_counts_are_those_without_and_two_dense_layers_a_unit(name: str) -> None:
    counts, maps = measured(name)
    assert counts == COUNTS[name]
    assert maps == MAPS[name]
    with torch.device("meta"):
        without = create(name.replace("se", "", 1))
    weights = sum(tensor.numel() for tensor in without.parameters())
    for count, channels in UNITS[name]:
        few = channels // 16
        weights += count * (2 * channels * few + few + channels)
    assert counts[0] == weights


def pair(models: ModuleType) -> tuple[nn.Module, nn.Sequential]:
    with torch.device("meta"):
        peer, ours = models.seresnet50(num_classes=10), create("seresnet50", num_classes=10)
    share_random_weights(peer, ours, seed=7)
    return peer, ours


def test_equals_timms(timm_models: ModuleType) -> None:
    peer, ours = pair(timm_models)
    equal_logits(peer, ours, torch.randn(2, 3, 65, 33, generator=torch.Generator().manual_seed(1)))


def test_learns_as_timms(timm_models: ModuleType) -> None:
    peer, ours = pair(timm_models)
    equal_step(peer, ours, torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)))


def test_a_block_is_equations_2_to_4() -> None:
    block = SqueezeExcite(32).double()
    x = torch.randn(2, 32, 5, 4, dtype=torch.float64)
    z = x.sum(dim=(2, 3)) / 20
    first, second = block.weigh.fc1, block.weigh.fc2
    assert first.weight.shape == (2, 32, 1, 1)
    delta = F.relu(z @ first.weight[:, :, 0, 0].T + first.bias)
    s = torch.sigmoid(delta @ second.weight[:, :, 0, 0].T + second.bias)
    torch.testing.assert_close(block(x), x * s[:, :, None, None])


@pytest.mark.parametrize("name", ["seresnet50", "seresnet56_cifar", "seresnet164_preact_cifar"])
def test_every_branch_ends_in_a_block_and_no_shortcut_does(name: str) -> None:
    with torch.device("meta"):
        network = create(name)
    units = [m for m in network.modules() if isinstance(m, Residual)]
    assert len(units) == sum(count for count, _ in UNITS[name])
    assert all(isinstance(unit.branch[-1], SqueezeExcite) for unit in units)
    blocks = [m for m in network.modules() if isinstance(m, SqueezeExcite)]
    assert len(blocks) == len(units)
    channels = [c for count, c in UNITS[name] for _ in range(count)]
    assert [block.weigh.fc2.out_channels for block in blocks] == channels


def test_start_is_he_by_fan_in_for_blocks_too() -> None:
    network = create("seresnet50", seed=0)
    for name in ("conv4_x.2.branch.conv2", "conv5_x.1.branch.se.weigh.fc1"):
        weight = network.get_parameter(f"{name}.weight")
        assert weight.std().item() == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.03)
    assert not network.get_parameter("conv5_x.1.branch.se.weigh.fc1.bias").any()
