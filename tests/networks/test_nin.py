"""NiN against the authors' definitions and the book."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.networks import NETWORKS, create

FORMS = ["nin_cifar", "nin", "nin_book"]
# Weights counted from the definitions; nin's are the 29 MiB (4 bytes each) of its Caffe file.
COUNTS = {
    "nin_cifar": (966_986, 222_486_528),
    "nin": (7_595_176, 1_100_188_800),
    "nin_book": (1_992_166, 762_297_352),
}
# Of each convolution: (maps, side) of what it makes.
CONVS = {
    "nin_cifar": [(192, 32), (160, 32), (96, 32), *[(192, 16)] * 3, *[(192, 8)] * 2, (10, 8)],
    "nin": [*[(96, 54)] * 3, *[(256, 27)] * 3, *[(384, 13)] * 3, *[(1024, 6)] * 2, (1000, 6)],
    "nin_book": [*[(96, 54)] * 3, *[(256, 26)] * 3, *[(384, 12)] * 3, *[(10, 5)] * 3],
}


def on_meta(name: str) -> nn.Sequential:
    with torch.device("meta"):
        return create(name)


@pytest.mark.parametrize("name", FORMS)
def test_counts(name: str) -> None:
    network = on_meta(name)
    table = cost.layers(network, NETWORKS[name].input)
    weights = sum(tensor.numel() for tensor in network.parameters())
    assert (weights, sum(layer.multiply_adds for layer in table)) == COUNTS[name]
    assert 28.9 < COUNTS["nin"][0] * 4 / 2**20 < 29.1


@pytest.mark.parametrize("name", FORMS)
def test_maps_are_the_definitions(name: str) -> None:
    table = cost.layers(on_meta(name), NETWORKS[name].input)
    convs = [layer for layer in table if layer.kind == "Conv2d"]
    assert [layer.output[:2] for layer in convs] == CONVS[name]
    count = len(convs) // 3
    authors = [
        n for i in range(1, count + 1) for n in (f"conv{i}", f"cccp{2 * i - 1}", f"cccp{2 * i}")
    ]
    assert [layer.name.rpartition(".")[2] for layer in convs] == authors


@pytest.mark.parametrize("name", FORMS)
def test_every_convolution_has_its_relu_the_last_one_too(name: str) -> None:
    table = cost.layers(on_meta(name), NETWORKS[name].input)
    kinds = [layer.kind for layer in table]
    assert all(kinds[i + 1] == "ReLU" for i, kind in enumerate(kinds) if kind == "Conv2d")
    assert kinds[-2:] == ["AdaptiveAvgPool2d", "Flatten"]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("nin_cifar", "mlpconv1 pool1 dropout1 mlpconv2 pool2 dropout2 mlpconv3 head"),
        ("nin", "mlpconv1 pool1 mlpconv2 pool2 mlpconv3 pool3 dropout3 mlpconv4 head"),
        ("nin_book", "mlpconv1 pool1 mlpconv2 pool2 mlpconv3 pool3 dropout3 head"),
    ],
)
def test_pools_and_dropouts_are_where_the_definitions_have_them(name: str, order: str) -> None:
    network = on_meta(name)
    assert [child for child, _ in network.named_children()] == order.split()
    assert {m.p for m in network if isinstance(m, nn.Dropout)} == {0.5}
    pools = [(m.kernel_size, m.stride) for m in network if isinstance(m, nn.MaxPool2d)]
    assert set(pools) == {(3, 2)}


@pytest.mark.parametrize("name", FORMS)
def test_only_the_head_knows_the_classes(name: str) -> None:
    with torch.device("meta"):
        few, many = create(name, num_classes=3), create(name, num_classes=300)
    differ = {
        key.partition(".")[0]
        for key, tensor in few.state_dict().items()
        if tensor.shape != many.state_dict()[key].shape
    }
    assert differ == {"head"}


def test_a_logit_is_the_mean_of_its_map() -> None:
    """The CIFAR form written out: cuda-convnet's pools hang over the right and lower edge."""
    network = create("nin_cifar", seed=0).eval()
    x = torch.randn(2, 3, 32, 32)
    weights = [weight for name, weight in network.named_parameters() if name.endswith("weight")]
    maps = x
    for number, weight in enumerate(weights):
        maps = F.conv2d(maps, weight, padding=weight.shape[-1] // 2).relu()
        if number in (2, 5):
            maps = F.max_pool2d(F.pad(maps, (0, 1, 0, 1), value=-torch.inf), 3, 2)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), maps.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)


def test_starts_are_the_definitions() -> None:
    for name, tight in {"nin_cifar": (), "nin": ("conv1", "conv3", "cccp8")}.items():
        for key, tensor in create(name, seed=0).named_parameters():
            if key.endswith("bias"):
                assert not tensor.any()
            else:
                std = 0.01 if key.split(".")[-2] in tight else 0.05
                assert tensor.std().item() == pytest.approx(std, rel=0.05), key


def test_the_books_start_is_xavier() -> None:
    weight = create("nin_book", seed=0).mlpconv2.conv2.weight
    bound = (6 / (25 * 96 + 25 * 256)) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
