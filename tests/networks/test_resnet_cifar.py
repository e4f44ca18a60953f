"""The CIFAR nets against section 4.2, and against the same plan built of torchvision's units."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_logits, equal_step, measured, share_random_weights
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.residual import padding
from neocog.networks.resnet_cifar import DEPTHS, VARIANTS, padded, resnet_cifar

# Option A and plain: 0.27, 0.46, 0.66, 0.85, 1.7 M (Table 6). Option B adds two projections with
# batch norm. The work is counted by hand from section 4.2.
WEIGHTS = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}
WORK = {20: 40_551_040, 32: 68_862_592, 44: 97_174_144, 56: 125_485_696, 110: 252_887_680}
PROJECTED = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64, 16 * 32 * 16**2 + 32 * 64 * 8**2
COUNTS = {
    **{f"resnet{d}_cifar": (WEIGHTS[d], WORK[d]) for d in DEPTHS},
    **{f"resnet{d}b_cifar": (WEIGHTS[d] + PROJECTED[0], WORK[d] + PROJECTED[1]) for d in DEPTHS},
    **{f"plain{d}_cifar": (WEIGHTS[d], WORK[d]) for d in DEPTHS},
    "resnet18_cifar": (11_173_962, 555_422_720),  # the weights that courses print
}
MAPS = {
    **{name: [(16, 32), (32, 16), (64, 8)] for name in COUNTS},  # section 4.2
    "resnet18_cifar": [(64, 32), (128, 16), (256, 8), (512, 4)],
}


class Padded(nn.Module):
    """Option A, in other words than ours: strided by hand, zeros behind."""

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, ::2, ::2]
        return torch.cat([x, torch.zeros_like(x)], dim=1)


class Nothing(nn.Module):
    """Not a shortcut at all."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(1)


def peer_of(models: ModuleType, kind: str, depth: int) -> nn.Sequential:
    """torchvision's BasicBlock in the plan of section 4.2."""
    layers = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    c_in = 16
    for c_out in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            shortcut: nn.Module | None = None
            if kind == "plain":
                shortcut = Nothing()
            elif c_in != c_out and kind == "a":
                shortcut = Padded()
            elif c_in != c_out:
                one = nn.Conv2d(c_in, c_out, 1, stride=2, bias=False)
                shortcut = nn.Sequential(one, nn.BatchNorm2d(c_out))
            stride = 1 if c_in == c_out else 2
            layers.append(models.resnet.BasicBlock(c_in, c_out, stride, shortcut))
            c_in = c_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def pair(models: ModuleType, kind: str, depth: int) -> tuple[nn.Module, nn.Sequential]:
    names = {"a": "resnet{}_cifar", "b": "resnet{}b_cifar", "plain": "plain{}_cifar"}
    with torch.device("meta"):
        peer, ours = peer_of(models, kind, depth), create(names[kind].format(depth))
    share_random_weights(peer, ours, seed=depth)
    return peer, ours


def test_every_variant_is_counted() -> None:
    assert [variant.name for variant in VARIANTS] == list(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_maps_are_the_papers(name: str) -> None:
    assert measured(name) == (COUNTS[name], MAPS[name])


def test_table_6_rounds_these_weights_and_40_8_million_is_option_b() -> None:
    table_6 = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}
    assert all(round(WEIGHTS[d] / 1e6, 1 if d == 110 else 2) == table_6[d] for d in DEPTHS)
    assert round(COUNTS["resnet20b_cifar"][1] / 1e6, 1) == 40.8


@pytest.mark.parametrize("depth", [20, 56, 110])
@pytest.mark.parametrize("kind", ["a", "b", "plain"])
def test_equals_torchvisions_units(torchvision_models: ModuleType, kind: str, depth: int) -> None:
    peer, ours = pair(torchvision_models, kind, depth)
    equal_logits(peer, ours, torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("kind", ["a", "b", "plain"])
def test_learns_as_torchvisions_units(torchvision_models: ModuleType, kind: str) -> None:
    peer, ours = pair(torchvision_models, kind, 20)
    equal_step(peer, ours, torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(2)))


def test_18_is_torchvisions_behind_a_small_stem(torchvision_models: ModuleType) -> None:
    with torch.device("meta"):
        peer = torchvision_models.resnet18(num_classes=10)
        peer.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        peer.maxpool = nn.Identity()
        ours = create("resnet18_cifar")
    share_random_weights(peer, ours, seed=3)
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    equal_logits(peer, ours, x)
    equal_step(peer, ours, x)


def test_option_a_has_no_weights_and_only_thins_and_pads() -> None:
    shortcut = padding(16, 32, 2)
    assert not list(shortcut.parameters())
    x = torch.randn(2, 16, 8, 8)
    y = shortcut(x)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert y.shape == (2, 32, 4, 4)
    assert not y[:, 16:].any()
    for side in (7, 9):  # odd maps too fit the branch beside it
        assert padded(16, 32, 2)(torch.randn(2, 16, side, side)).shape[2] == (side + 1) // 2


def test_plain_nets_have_no_shortcuts_and_are_else_the_same() -> None:
    with torch.device("meta"):
        plain, residual = create("plain56_cifar"), create("resnet56_cifar")
    assert not [name for name, _ in plain.named_modules() if "shortcut" in name]
    shapes = [[t.shape for t in net.state_dict().values()] for net in (plain, residual)]
    assert shapes[0] == shapes[1]
    assert [type(m).__name__ for m in plain.stage2[0]] == ["Conv2d", "BatchNorm2d", "ReLU"] * 2


def test_start_is_he_by_fan_in() -> None:
    network = create("resnet56b_cifar", seed=0)
    for name in ("stage2.0.shortcut.conv", "stage3.8.branch.conv2", "head.fc"):
        weight = network.get_parameter(f"{name}.weight")
        assert weight.std().item() == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.1)


def test_bad_numbers_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="stem must be a whole number of at least 1; -16"):
        resnet_cifar(padded, ((3, 16),), stem=-16)
    with pytest.raises(UsageError, match=r"stages must be pairs .* not 3"):
        resnet_cifar(padded, 3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="after 16, 8 is too few"):
        resnet_cifar(padded, ((3, 16), (3, 8)))
