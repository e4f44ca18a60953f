"""DenseNet against torchvision, Tables 1 and 2, and sums done by hand."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_logits, equal_step, share_random_weights, slow_but
from torch import nn

from neocog.analysis import cost
from neocog.errors import UsageError
from neocog.networks import NETWORKS, create
from neocog.networks.densenet import densenet, densenet_cifar

# (weights, multiply-adds). Of 224 px: torchvision's own figures (2.834, 3.360, 4.291, 7.728 G). Of
# CIFAR: Table 2 rounds the weights to 1.0 and 0.8 million; `by_hand` below adds up both columns.
COUNTS = {
    "densenet121": (7_978_856, 2_834_161_664),
    "densenet169": (14_149_480, 3_359_843_328),
    "densenet201": (20_013_928, 4_291_365_888),
    "densenet161": (28_681_000, 7_727_907_072),
    "densenet40_12_cifar": (1_019_722, 264_812_928),
    "densenet_bc100_12_cifar": (769_162, 287_929_692),
}
DEPTHS = {name: int("".join(filter(str.isdigit, name.split("_12_")[0]))) for name in COUNTS}
# Table 1, and torchvision's channels: behind conv0, pool0, each block and each transition.
SIDES = [112, 56, 56, 28, 28, 14, 14, 7, 7]
MAPS = {
    "densenet121": [64, 64, 256, 128, 512, 256, 1024, 512, 1024],
    "densenet169": [64, 64, 256, 128, 512, 256, 1280, 640, 1664],
    "densenet201": [64, 64, 256, 128, 512, 256, 1792, 896, 1920],
    "densenet161": [96, 96, 384, 192, 768, 384, 2112, 1056, 2208],
}
CIFAR_MAPS = {
    "densenet40_12_cifar": [(16, 32), (160, 32), (160, 16), (304, 16), (304, 8), (448, 8)],
    "densenet_bc100_12_cifar": [(24, 32), (216, 32), (108, 16), (300, 16), (150, 8), (342, 8)],
}


def on_meta(name: str) -> nn.Sequential:
    with torch.device("meta"):
        return create(name)


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str) -> None:
    network = on_meta(name)
    table = cost.layers(network, NETWORKS[name].input)
    weights = sum(tensor.numel() for tensor in network.parameters())
    assert (weights, sum(layer.multiply_adds for layer in table)) == COUNTS[name]


@pytest.mark.parametrize("name", CIFAR_MAPS)
def test_cifar_counts_are_those_done_by_hand(name: str) -> None:
    """Section 3, layer by layer, with k = 12."""
    bc = "bc" in name
    c, side = (24, 32) if bc else (16, 32)
    weights, work = 27 * c, 27 * c * side**2
    for block in range(3):
        for _ in range(16 if bc else 12):
            convs = c * 48 + 9 * 48 * 12 if bc else 9 * c * 12
            weights += convs + 2 * c + (2 * 48 if bc else 0)
            work += convs * side**2
            c += 12
        if block < 2:
            kept = c // 2 if bc else c
            weights += c * kept + 2 * c
            work += c * kept * side**2
            c, side = kept, side // 2
    assert (weights + 2 * c + 10 * c + 10, work + 10 * c) == COUNTS[name]
    assert round(COUNTS[name][0] / 1e6, 1) == (0.8 if bc else 1.0)


@pytest.mark.parametrize("name", COUNTS)
def test_maps(name: str) -> None:
    network = on_meta(name).eval()
    expected = CIFAR_MAPS.get(name) or list(zip(MAPS[name], SIDES, strict=True))
    x = torch.empty(1, *NETWORKS[name].input, device="meta")
    seen = []
    for stage, module in network[:-1].named_children():
        x = module(x)
        if stage in ("conv0", "pool0") or stage.startswith(("dense", "transition")):
            seen.append((x.shape[1], x.shape[2]))
    assert seen == expected
    stages = [n for n, _ in network.named_children() if n.startswith(("dense", "transition"))]
    blocks = 3 if "cifar" in name else 4
    numbered = [f"{kind}{i}" for i in range(1, blocks + 1) for kind in ("denseblock", "transition")]
    assert stages == numbered[:-1]


@pytest.mark.parametrize("name", COUNTS)
def test_depth_is_the_one_in_the_name(name: str) -> None:
    layers = [m for m in on_meta(name).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == DEPTHS[name]


def test_a_layer_hands_on_all_it_read() -> None:
    block = create("densenet_bc100_12_cifar", seed=0).eval().denseblock1
    x = torch.randn(2, 24, 8, 8)
    seen = [x]
    for layer in block:
        seen.append(layer(seen[-1]))
        assert seen[-1].shape[1] == seen[-2].shape[1] + 12
        assert torch.equal(seen[-1][:, : seen[-2].shape[1]], seen[-2])


def test_bottleneck_makes_four_k_maps_and_the_plain_form_has_none() -> None:
    with torch.device("meta"):
        plain, bc = create("densenet40_12_cifar"), create("densenet_bc100_12_cifar")
    assert [type(m).__name__ for m in plain.denseblock1.layer1] == ["BatchNorm2d", "ReLU", "Conv2d"]
    assert [type(m).__name__ for m in bc.denseblock1.layer1] == [
        *["BatchNorm2d", "ReLU", "Conv2d"] * 2
    ]
    assert bc.denseblock3.layer16.conv1.out_channels == 4 * 12
    assert not any(isinstance(m, nn.Dropout) for m in plain.modules())


@pytest.mark.parametrize("name", slow_but(("densenet121",), MAPS))
def test_equals_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    equal_logits(*pair(torchvision_models, name), noise(2, 32))


@pytest.mark.parametrize("name", slow_but(("densenet121",), MAPS))
def test_learns_as_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    equal_step(*pair(torchvision_models, name), noise(4, 64))


def pair(torchvision_models: ModuleType, name: str) -> tuple[nn.Module, nn.Sequential]:
    """torchvision's and ours with the same weights."""
    with torch.device("meta"):
        peer = getattr(torchvision_models, name)(num_classes=10)
        ours = create(name, num_classes=10)
    share_random_weights(peer, ours, seed=3)
    return peer, ours


def noise(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(count))


def test_start_is_hes() -> None:
    network = create("densenet40_12_cifar", seed=0)
    for name, tensor in network.named_parameters():
        if tensor.dim() == 1:
            assert tensor.eq(1.0 if "norm" in name and name.endswith("weight") else 0.0).all()
        else:
            assert tensor.std().item() == pytest.approx(
                (2 / tensor[0].numel()) ** 0.5, rel=0.2 if tensor.numel() < 2000 else 0.06
            )


@pytest.mark.slow
def test_survives_bf16_channels_last_and_export() -> None:
    network = create("densenet_bc100_12_cifar", seed=0).eval()
    x = noise(2, 32)
    with torch.no_grad():
        logits = network(x)
        torch.testing.assert_close(network(x[:1]), logits[:1], rtol=1e-4, atol=1e-5)
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), logits, rtol=1e-4, atol=1e-6)
        network.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(half.float(), logits, rtol=0.05, atol=0.05 * logits.std().item())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: densenet(()), r"such as \(6, 12\); \(\) was given"),
        (lambda: densenet((6, 0)), "the layers of block 2 must be a whole number of at least 1; 0"),
        (lambda: densenet((6, 12), k=-32), "k must be a whole number of at least 1; -32"),
        (lambda: densenet_cifar(41, bc=False), r"3n \+ 4, such as 40; 41"),
        (lambda: densenet_cifar(42), r"6n \+ 4, such as 40; 42"),
        (lambda: densenet_cifar(4), r"6n \+ 4, such as 10; 4"),
    ],
)
def test_what_makes_no_sense_is_refused(build: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build()  # type: ignore[operator]
