"""ProxylessNAS against Google's TuNAS, which writes the same networks as choices of a search.

All three were compared once (2026) with pytorchcv 0.0.74: logits of random weights differed by
less than 1e-6.
"""

from __future__ import annotations

import pytest
import torch
from tests.peers import survives
from torch import nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.proxylessnas import Residual, block, proxyless

# (weights, multiply-adds). Weights: those that osmr's imgclsmob publishes. Multiply-adds: 320
# million for mobile is the authors' own figure (README of mit-han-lab/proxylessnas).
COUNTS = {
    "cpu": (4_361_648, 439_243_864),
    "gpu": (7_119_848, 465_260_160),
    "mobile": (4_080_512, 320_427_584),
}
# tensorflow/models, official/projects/tunas: widths, and of 22 places which of 3x3, 5x5, 7x7 that
# expand 3 times (0, 1, 2) or 6 times (3, 4, 5) is there; 6 is nothing.
TUNAS = {
    "cpu": (
        (40, 24, 32, 48, 88, 104, 216, 360, 1432),
        (0, 3, 0, 0, 0, 3, 0, 0, 1, 3, 6, 6, 0, 4, 0, 0, 0, 4, 1, 1, 0, 4),
    ),
    "gpu": (
        (40, 24, 32, 56, 112, 128, 256, 432, 1728),
        (0, 1, 6, 6, 6, 2, 6, 6, 0, 5, 6, 6, 1, 4, 6, 0, 1, 5, 5, 5, 4, 5),
    ),
    "mobile": (
        (32, 16, 32, 40, 80, 96, 192, 320, 1280),
        (0, 1, 0, 6, 6, 2, 0, 1, 1, 5, 1, 1, 1, 4, 1, 1, 1, 5, 5, 2, 2, 5),
    ),
}
CHOICES = [(3, 3), (3, 5), (3, 7), (6, 3), (6, 5), (6, 7)]
SIDES = (112, 56, 28, 14, 14, 7, 7)


def on_meta(platform: str) -> nn.Sequential:
    with torch.device("meta"):
        return create(f"proxyless_{platform}")


@pytest.mark.parametrize("platform", COUNTS)
def test_counts(platform: str) -> None:
    network = on_meta(platform)
    weights = sum(tensor.numel() for tensor in network.parameters())
    work = sum(layer.multiply_adds for layer in cost.layers(network, (3, 224, 224)))
    assert (weights, work) == COUNTS[platform]


@pytest.mark.parametrize("platform", COUNTS)
def test_blocks_are_those_of_tunas(platform: str) -> None:
    network = on_meta(platform)
    widths, choices = TUNAS[platform]
    shapes = {layer.name: layer.output for layer in cost.layers(network, (3, 224, 224))}
    assert shapes["conv1.conv"] == (widths[0], 112, 112)
    assert shapes["conv2.conv"] == (widths[8], 7, 7)
    at = 0
    c_in = widths[0]
    for number, (places, side) in enumerate(
        zip((1, 4, 4, 4, 4, 4, 1), SIDES, strict=True), start=1
    ):
        c_out = widths[number]
        expected = []
        for choice in choices[at : at + places]:
            if choice < 6:
                expansion, kernel = (1, 3) if number == 1 else CHOICES[choice]
                expected.append((expansion * c_in, kernel, c_out, side))
                c_in = c_out
        at += places
        stage = network.get_submodule(f"stage{number}")
        assert expected == [
            (
                one.depthwise.conv.groups,
                one.depthwise.conv.kernel_size[0],
                one.project.out_channels,
                shapes[f"stage{number}.{i}.project"][1],
            )
            for i, one in enumerate(stage)
        ]
    assert at == 22


@pytest.mark.parametrize("platform", COUNTS)
def test_all_but_the_first_block_of_a_stage_have_a_shortcut(platform: str) -> None:
    network = on_meta(platform)
    for number in range(1, 8):
        first, *others = network.get_submodule(f"stage{number}")
        assert type(first) is nn.Sequential
        assert all(type(other) is Residual for other in others)


def test_a_block_is_expansion_depthwise_and_linear_projection() -> None:
    residual = block(4, 4, "35").eval()
    x = torch.randn(2, 4, 9, 9)
    scale = (1 + 1e-3) ** -0.5  # of a fresh norm, whose epsilon is the authors'
    with torch.no_grad():
        made = F.relu6(F.conv2d(x, residual.expand.conv.weight) * scale)
        kernels = residual.depthwise.conv.weight
        made = F.relu6(F.conv2d(made, kernels, padding=2, groups=12) * scale)
        expected = x + F.conv2d(made, residual.project.weight) * scale
        torch.testing.assert_close(residual(x), expected, rtol=1e-4, atol=1e-6)
    assert [n for n, _ in block(4, 6, "13").named_children()] == ["depthwise", "project", "norm"]


def test_every_norm_has_the_authors_epsilon() -> None:
    norms = [m for m in on_meta("gpu").modules() if isinstance(m, nn.BatchNorm2d)]
    assert {m.eps for m in norms} == {1e-3}


def test_start_is_the_authors() -> None:
    """He by k x k x c_out, the groups forgotten; the dense layer uniform."""
    network = create("proxyless_mobile", seed=0)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            std = (2 / (layer.kernel_size[0] ** 2 * layer.out_channels)) ** 0.5
            assert layer.weight.std().item() == pytest.approx(std, rel=0.15), name
    bound = 1280**-0.5
    assert 0.99 * bound < network.head.fc.weight.abs().max() <= bound
    assert not network.head.fc.bias.any()


@pytest.mark.slow
def test_learns_and_survives_bf16_channels_last_and_export() -> None:
    network = create("proxyless_mobile", num_classes=4, seed=0)
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    steps = torch.optim.SGD(network.parameters(), lr=0.01)
    losses = []
    for _ in range(6):
        loss = F.cross_entropy(network(x), torch.arange(4))
        steps.zero_grad()
        loss.backward()
        assert all(w.grad is not None and w.grad.isfinite().all() for w in network.parameters())
        steps.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    survives(network, x)


def test_an_unknown_platform_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no platform is called 'moble'; did you mean mobile"):
        proxyless("moble")
