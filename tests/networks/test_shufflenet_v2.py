"""ShuffleNet v2 against torchvision and Table 5."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_logits, equal_step, share_random_weights, slow_but, survives
from torch import nn

from neocog.analysis import cost
from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.shufflenet_v2 import Unit, shuffle, shufflenet_v2

# (weights, multiply-adds): torchvision's own figures (0.040, 0.145, 0.296, 0.583 G).
COUNTS = {
    "shufflenet_v2_x0_5": (1_366_792, 40_476_448),
    "shufflenet_v2_x1_0": (2_278_604, 144_907_992),
    "shufflenet_v2_x1_5": (3_503_624, 295_759_392),
    "shufflenet_v2_x2_0": (7_393_996, 583_253_464),
}
# Table 5: weights and multiply-adds in millions; channels of stages 2 to 4 and of conv5.
TABLE_5 = {
    "shufflenet_v2_x0_5": (1.4, 41, (48, 96, 192, 1024)),
    "shufflenet_v2_x1_0": (2.3, 146, (116, 232, 464, 1024)),
    "shufflenet_v2_x1_5": (3.5, 299, (176, 352, 704, 1024)),
    "shufflenet_v2_x2_0": (7.4, 591, (244, 488, 976, 2048)),
}


def on_meta(name: str) -> nn.Sequential:
    with torch.device("meta"):
        return create(name)


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str) -> None:
    network = on_meta(name)
    weights = sum(tensor.numel() for tensor in network.parameters())
    work = sum(layer.multiply_adds for layer in cost.layers(network, (3, 224, 224)))
    assert (weights, work) == COUNTS[name]
    millions, papers, _ = TABLE_5[name]
    assert round(weights / 1e6, 1) == millions
    assert 1.005 < papers * 1e6 / work < 1.014  # the paper's are one in a hundred more, always


@pytest.mark.parametrize("name", COUNTS)
def test_maps_are_table_5s(name: str) -> None:
    network = on_meta(name).eval()
    x = torch.empty(1, 3, 224, 224, device="meta")
    seen = {}
    for stage, module in network[:-1].named_children():
        x = module(x)
        seen[stage] = (x.shape[1], x.shape[2])
    assert (seen["conv1"], seen["pool1"]) == ((24, 112), (24, 56))
    made = [seen[n] for n in ("stage2", "stage3", "stage4", "conv5")]
    assert made == list(zip(TABLE_5[name][2], (28, 14, 7, 7), strict=True))
    assert [len(network.get_submodule(f"stage{n}")) for n in (2, 3, 4)] == [4, 8, 4]


def test_shuffle_takes_halves_in_turn() -> None:
    order = shuffle(torch.arange(6).view(1, 6, 1, 1), groups=2).flatten()
    assert order.tolist() == [0, 3, 1, 4, 2, 5]


def test_half_of_the_channels_pass_by_untouched() -> None:
    unit = Unit(8, 8).eval()
    x = torch.randn(2, 8, 5, 5)
    made = unit(x)
    assert torch.equal(made[:, 0::2], x[:, :4])
    assert not torch.equal(made[:, 1::2], x[:, 4:])
    assert torch.equal(x.chunk(2, 1)[1], x[:, 4:])


def test_halving_reads_all_channels_in_both_branches() -> None:
    unit = Unit(6, 8, halve=True).eval()
    x = torch.randn(1, 6, 8, 8, requires_grad=True)
    for branch in (unit.left, unit.right):
        (gradient,) = torch.autograd.grad(branch(x).square().sum(), x)
        assert gradient.abs().sum((0, 2, 3)).gt(0).all()
    assert unit(x).shape == (1, 8, 4, 4)


def test_no_relu_follows_a_depthwise_convolution() -> None:
    table = cost.layers(on_meta("shufflenet_v2_x0_5"), (3, 224, 224))
    depthwise = [i for i, layer in enumerate(table) if layer.multiply_adds and i and _thin(layer)]
    assert len(depthwise) == 16 + 3
    assert all(table[i + 1].kind == "BatchNorm2d" for i in depthwise)
    assert all(table[i + 2].kind == "Conv2d" for i in depthwise)


def _thin(layer: cost.Layer) -> bool:
    return layer.kind == "Conv2d" and layer.parameters == 9 * layer.output[0]


@pytest.mark.parametrize("name", COUNTS)
def test_equals_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    equal_logits(*pair(torchvision_models, name), noise(2))


@pytest.mark.parametrize("name", slow_but(("shufflenet_v2_x1_0",), COUNTS))
def test_learns_as_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    equal_step(*pair(torchvision_models, name), noise(4))


def pair(torchvision_models: ModuleType, name: str) -> tuple[nn.Module, nn.Sequential]:
    """torchvision's and ours with the same weights."""
    with torch.device("meta"):
        peer = getattr(torchvision_models, name)(num_classes=10)
        ours = create(name, num_classes=10)
    share_random_weights(peer, ours, seed=3)
    return peer, ours


def noise(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(count))


def test_start_is_the_authors() -> None:
    for name, tensor in create("shufflenet_v2_x0_5", seed=0).named_parameters():
        if tensor.dim() > 1:
            plain = name in ("conv1.weight", "head.fc.weight")
            std = 0.01 if plain else 1 / tensor.shape[1]
            assert tensor.std().item() == pytest.approx(std, rel=0.2), name
        elif name == "head.fc.bias":
            assert not tensor.any()
        else:
            assert tensor.eq(1.0 if name.endswith("weight") else torch.tensor(1e-4)).all()


def test_survives_bf16_channels_last_and_export() -> None:
    network = create("shufflenet_v2_x0_5", num_classes=10, seed=0)
    x = noise(8)
    survives(network, x)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ((48, 96, 192), r"such as \(116, 232, 464, 1024\); \(48, 96, 192\) was given"),
        ((47, 96, 192, 1024), "which are even"),
        ((48, -96, 192, 1024), r"channels\[1\] must be a whole number of at least 1; -96"),
    ],
)
def test_what_makes_no_sense_is_refused(channels: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shufflenet_v2(channels)
