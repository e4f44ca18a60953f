"""ShuffleNet against the figures and tables of its paper; no library of ours to test with has it.

All seven were compared once (2026) with pytorchcv 0.0.74, whose units put the shortcut behind
instead of before what they make: with that put right, logits of random weights differed by 5e-7.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.shufflenet import Shuffle, shufflenet

GROUPS = (1, 2, 3, 4, 8)
# (weights, multiply-adds); the weights are those that osmr's imgclsmob publishes.
COUNTS = {
    "shufflenet_g1": (1_531_936, 143_078_976),
    "shufflenet_g2": (1_733_848, 140_836_512),
    "shufflenet_g3": (1_865_728, 137_460_672),
    "shufflenet_g4": (1_968_344, 134_339_776),
    "shufflenet_g8": (2_434_768, 138_365_952),
    "shufflenet_g3_x0_5": (718_324, 37_589_856),
    "shufflenet_g3_x0_25": (305_902, 11_009_808),
}
# Table 1: millions, which the convolutions alone make.
COMPLEXITY = dict(zip(GROUPS, (143, 140, 137, 133, 137), strict=True))
# Table 1, g = 1, 2, 3, 4, 8: channels of stages 2, 3, 4.
CHANNELS = {
    "shufflenet_g1": (24, 144, 288, 576),
    "shufflenet_g2": (24, 200, 400, 800),
    "shufflenet_g3": (24, 240, 480, 960),
    "shufflenet_g4": (24, 272, 544, 1088),
    "shufflenet_g8": (24, 384, 768, 1536),
    "shufflenet_g3_x0_5": (12, 120, 240, 480),
    "shufflenet_g3_x0_25": (6, 60, 120, 240),
}


def on_meta(name: str) -> nn.Sequential:
    with torch.device("meta"):
        return create(name)


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str) -> None:
    network = on_meta(name)
    table = cost.layers(network, (3, 224, 224))
    weights = sum(tensor.numel() for tensor in network.parameters())
    assert (weights, sum(layer.multiply_adds for layer in table)) == COUNTS[name]


@pytest.mark.parametrize("groups", GROUPS)
def test_complexity_is_table_1s_to_the_million(groups: int) -> None:
    table = cost.layers(on_meta(f"shufflenet_g{groups}"), (3, 224, 224))
    convolutions = sum(layer.multiply_adds for layer in table if layer.kind == "Conv2d")
    assert round(convolutions / 1e6) == COMPLEXITY[groups]


def test_half_the_channels_cost_what_table_2_says() -> None:
    assert round(COUNTS["shufflenet_g3_x0_5"][1] / 1e6) == 38
    # It says 13 for a quarter: of 12 channels in conv1, which is not a quarter of 24.
    assert round(COUNTS["shufflenet_g3_x0_25"][1] / 1e6) == 11


@pytest.mark.parametrize("name", COUNTS)
def test_maps_are_table_1s(name: str) -> None:
    network = on_meta(name).eval()
    x = torch.empty(1, 3, 224, 224, device="meta")
    seen = {}
    for stage, module in network[:-1].named_children():
        x = module(x)
        seen[stage] = (x.shape[1], x.shape[2])
    stem, *stages = CHANNELS[name]
    assert (seen["conv1"], seen["pool1"]) == ((stem, 112), (stem, 56))
    assert [seen[f"stage{n}"] for n in (2, 3, 4)] == list(zip(stages, (28, 14, 7), strict=True))
    assert [len(network.get_submodule(f"stage{n}")) for n in (2, 3, 4)] == [4, 8, 4]


@pytest.mark.parametrize(("groups", "channels"), [(3, 12), (2, 8), (4, 4), (1, 5)])
def test_shuffle_is_figure_1s_permutation(groups: int, channels: int) -> None:
    """Of g x n channels: reshape to (g, n), transpose, flatten (section 3.1)."""
    x = torch.arange(channels, dtype=torch.float32).view(1, -1, 1, 1).expand(2, -1, 3, 4)
    order = Shuffle(groups)(x)[0, :, 0, 0].int().tolist()
    n = channels // groups
    assert order == [row * n + column for column in range(n) for row in range(groups)]
    assert sorted(order) == list(range(channels))


def test_after_the_shuffle_every_group_hears_every_other() -> None:
    made = Shuffle(3)(torch.arange(12).view(1, 12, 1, 1)).flatten().view(3, 4) // 4
    assert all(set(group.tolist()) == {0, 1, 2} for group in made)


@pytest.mark.parametrize("groups", GROUPS)
def test_the_first_1x1_of_stage_2_and_it_alone_is_in_no_groups(groups: int) -> None:
    network = on_meta(f"shufflenet_g{groups}")
    first = {n: m.groups for n, m in network.named_modules() if n.endswith("gconv1")}
    assert first.pop("stage2.0.branch.gconv1") == 1
    assert set(first.values()) == {groups}
    assert len(first) == 15
    last = [m.groups for n, m in network.named_modules() if n.endswith("gconv3")]
    assert last == [groups] * 16


def test_a_quarter_of_the_channels_is_the_bottleneck() -> None:
    network = on_meta("shufflenet_g3")
    for name, module in network.named_modules():
        if name.endswith("dwconv"):
            quarter = {"2": 60, "3": 120, "4": 240}[name[len("stage")]]
            assert module.groups == module.in_channels == module.out_channels == quarter


@pytest.mark.parametrize("index", [0, 1])
def test_a_unit_is_figure_2s_computed_group_by_group(index: int) -> None:
    """Grouped convolutions as dense ones side by side; b of Figure 2 adds, c stands beside."""
    unit = create("shufflenet_g3", seed=0).eval().stage3[index]
    generator = torch.Generator().manual_seed(0)
    for name, tensor in unit.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 2, generator=generator)
    x = torch.randn(2, 240 if index == 0 else 480, 6, 6, generator=generator)
    branch = unit.branch

    def grouped(maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        parts = zip(maps.chunk(3, 1), weight.chunk(3, 0), strict=True)
        return torch.cat([F.conv2d(part, kernels) for part, kernels in parts], 1)

    with torch.no_grad():
        made = branch.norm1(grouped(x, branch.gconv1.weight)).relu()
        n = made.shape[1] // 3
        made = made[:, [group * n + i for i in range(n) for group in range(3)]]
        channels = [
            F.conv2d(made[:, [i]], kernel[None], padding=1, stride=2 - index)
            for i, kernel in enumerate(branch.dwconv.weight)
        ]
        made = branch.norm2(torch.cat(channels, 1))  # and no ReLU
        made = branch.norm3(grouped(made, branch.gconv3.weight))
        shortcut = x if index else F.avg_pool2d(x, 3, 2, padding=1)
        expected = (made + shortcut if index else torch.cat((shortcut, made), 1)).relu()
        torch.testing.assert_close(unit(x), expected, rtol=1e-4, atol=1e-4)


def test_start_is_the_authors() -> None:
    for name, tensor in create("shufflenet_g3", seed=0).named_parameters():
        if tensor.dim() > 1:
            plain = name in ("conv1.weight", "head.fc.weight")
            std = 0.01 if plain else 1 / tensor.shape[1]
            assert tensor.std().item() == pytest.approx(std, rel=0.1), name
        elif "norm" in name:
            assert tensor.eq(1.0 if name.endswith("weight") else torch.tensor(1e-4)).all()
        else:
            assert not tensor.any()


def test_learns_and_survives_bf16_channels_last_and_export() -> None:
    network = create("shufflenet_g3_x0_25", num_classes=4, seed=0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 64, 64, generator=generator)
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
    network.eval()
    with torch.no_grad():
        logits = network(x)
        torch.testing.assert_close(network(x[:1]), logits[:1], rtol=1e-4, atol=1e-5)
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), logits, rtol=1e-4, atol=1e-6)
        network.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(half.float(), logits, rtol=0.05, atol=0.1 * logits.std().item())


@pytest.mark.parametrize(
    ("groups", "scale", "message"),
    [
        (5, 1, r"groups must be one of \[1, 2, 3, 4, 8\]; 5"),
        (3, -1, "scale must leave whole channels .* as 1 does; -1"),
        (3, 0, "scale must leave whole channels .* as 1 does; 0"),
        (8, 0.3, "scale must leave whole channels to each of 8 groups, as 1 does; 0.3"),
    ],
)
def test_what_makes_no_sense_is_refused(groups: int, scale: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shufflenet(groups, scale=scale)
