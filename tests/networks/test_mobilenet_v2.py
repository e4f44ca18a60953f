"""MobileNet v2 against torchvision and Table 2."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_logits, equal_step, share_random_weights, survives
from torch import nn

from neocog.analysis import cost
from neocog.networks import create
from neocog.networks.mobilenet_v2 import Residual, block


def on_meta() -> nn.Sequential:
    with torch.device("meta"):
        return create("mobilenet_v2")


def test_counts_are_torchvisions() -> None:
    """And 300 million multiply-adds in Table 4; its 3.4 million weights are 3.5 with the norms."""
    network = on_meta()
    weights = sum(tensor.numel() for tensor in network.parameters())
    work = sum(layer.multiply_adds for layer in cost.layers(network, (3, 224, 224)))
    assert (weights, work) == (3_504_872, 300_774_272)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert round((weights - sum(2 * m.num_features for m in norms)) / 1e6, 2) == 3.47


def test_maps_are_table_2s() -> None:
    network = on_meta().eval()
    x = torch.empty(1, 3, 224, 224, device="meta")
    seen = []
    for module in network[:-1]:
        x = module(x)
        seen.append((x.shape[1], x.shape[2]))
    assert seen == [
        *[(32, 112), (16, 112), (24, 56), (32, 28), (64, 14), (96, 14), (160, 7), (320, 7)],
        (1280, 7),
    ]
    stages = [network.get_submodule(f"bottleneck{n}") for n in range(1, 8)]
    assert [len(stage) for stage in stages] == [1, 2, 3, 4, 3, 3, 1]


def test_shortcuts_join_the_thin_ends_where_they_fit() -> None:
    kinds = {n: type(m) for n, m in on_meta().named_modules() if n.count(".") == 1 and "neck" in n}
    assert sum(kind is Residual for kind in kinds.values()) == 10
    for name, kind in kinds.items():
        assert (kind is Residual) == (not name.endswith(".0"))
    residual = block(4, 4).eval()
    x = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(residual(x) - x, nn.Sequential(*residual)(x), rtol=1e-4, atol=1e-6)


def test_bottlenecks_are_linear_and_six_times_as_wide_within() -> None:
    network = on_meta()
    table = {layer.name: layer for layer in cost.layers(network, (3, 224, 224))}
    assert sum(layer.kind == "ReLU6" for layer in table.values()) == 1 + 16 * 2 + 1 + 1
    last = list(network.bottleneck4[1].children())[-2:]
    assert [type(m).__name__ for m in last] == ["Conv2d", "BatchNorm2d"]
    assert table["bottleneck4.1.depthwise.conv"].output == (6 * 64, 14, 14)
    assert "bottleneck1.0.expand.conv" not in table


@pytest.mark.parametrize("size", [32, 64])
def test_equals_torchvisions(torchvision_models: ModuleType, size: int) -> None:
    equal_logits(*pair(torchvision_models), noise(2, size))


def test_learns_as_torchvisions(torchvision_models: ModuleType) -> None:
    """With the dropout of both, which is 0.2, turned off."""
    peer, ours = pair(torchvision_models)
    for network in (peer, ours):
        (dropout,) = (m for m in network.modules() if isinstance(m, nn.Dropout))
        assert dropout.p == 0.2
        dropout.p = 0.0
    equal_step(peer, ours, noise(4, 64))


def pair(torchvision_models: ModuleType) -> tuple[nn.Module, nn.Sequential]:
    """torchvision's and ours with the same weights."""
    with torch.device("meta"):
        peer = torchvision_models.mobilenet_v2(num_classes=10)
        ours = create("mobilenet_v2", num_classes=10)
    share_random_weights(peer, ours, seed=3)
    return peer, ours


def noise(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(count))


def test_start_is_the_authors() -> None:
    for name, tensor in create("mobilenet_v2", seed=0).named_parameters():
        if tensor.dim() > 1:  # cut at two deviations, which leaves 0.88 of the deviation
            assert tensor.abs().max() <= 0.18
            assert tensor.std().item() == pytest.approx(0.09 * 0.8796, rel=0.1), name
        else:
            assert tensor.eq(1.0 if "norm" in name and name.endswith("weight") else 0.0).all()


def test_survives_bf16_channels_last_and_export() -> None:
    network = create("mobilenet_v2", num_classes=10, seed=0)
    x = noise(8, 64)
    survives(network, x)
