"""AlexNet against the paper's formulas, and its 2014 form against torchvision."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_step, share_random_weights
from torch import nn

from neocog.analysis import cost
from neocog.networks import create
from neocog.networks.alexnet import alexnet


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    return create("alexnet", seed=0)


def test_response_normalisation_is_the_papers(network: nn.Sequential) -> None:
    """Section 3.3, term by term: the sum over n = 5 neighbours, not torch's mean."""
    a = torch.randn(2, 9, 3, 3, dtype=torch.float64) * 30
    k, n, alpha, beta = 2, 5, 1e-4, 0.75
    expected = torch.empty_like(a)
    for i in range(9):
        neighbours = a[:, max(0, i - n // 2) : min(9 - 1, i + n // 2) + 1]
        expected[:, i] = a[:, i] / (k + alpha * neighbours.square().sum(1)) ** beta
    torch.testing.assert_close(network.norm1(a), expected)
    torch.testing.assert_close(network.norm2(a), expected)


def test_order_is_convolution_relu_norm_overlapping_pool(network: nn.Sequential) -> None:
    names = [name for name, _ in network.named_children()]
    assert names[:8] == ["conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2"]
    assert [name for name in names if name.startswith("pool")] == ["pool1", "pool2", "pool5"]
    for pool in (network.pool1, network.pool2, network.pool5):
        assert (pool.kernel_size, pool.stride) == (3, 2)
    sizes = [network.pool1(torch.zeros(1, 1, s, s)).shape[-1] for s in (55, 27, 13)]
    assert sizes == [27, 13, 6]


def test_the_second_group_sees_nothing_of_the_first(network: nn.Sequential) -> None:
    assert [network.get_submodule(f"conv{i}").groups for i in range(1, 6)] == [1, 2, 1, 2, 2]
    assert network.conv2.weight.shape == (256, 48, 5, 5)  # the paper's 5x5x48
    assert network.conv4.weight.shape == (384, 192, 3, 3)
    x = torch.randn(1, 96, 5, 5)
    changed = x.clone()
    changed[:, :48] += 1
    same = network.conv2(x) == network.conv2(changed)
    assert same[:, 128:].all()
    assert not same[:, :128].any()


def test_start_is_the_papers(network: nn.Sequential) -> None:
    ones = {"conv2", "conv4", "conv5", "head.fc6", "head.fc7"}
    for name, tensor in network.named_parameters():
        layer, kind = name.rsplit(".", 1)
        if kind == "bias":
            assert tensor.eq(float(layer in ones)).all()
        else:
            assert tensor.std().item() == pytest.approx(0.01, rel=0.02)
            assert tensor.mean().abs() < 1e-4


def test_dropout_follows_both_hidden_dense_layers(network: nn.Sequential) -> None:
    kinds = [type(m).__name__ for m in network.head]
    assert kinds == ["Flatten", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert {m.p for m in network.head if isinstance(m, nn.Dropout)} == {0.5}


def test_backward_reaches_the_first_layer(network: nn.Sequential) -> None:
    network.train()(torch.randn(2, 3, 227, 227)).logsumexp(1).sum().backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in network.parameters())
    assert network.conv1.weight.grad.any()
    network.zero_grad()


def test_book_form_has_the_books_shapes() -> None:
    with torch.device("meta"):
        table = cost.layers(create("alexnet_book"), (1, 224, 224))
    kept = ("Conv2d", "MaxPool2d", "Flatten", "Linear")
    shapes = [layer.output for layer in table if layer.kind in kept]
    assert [s[-1] for s in shapes] == [54, 26, 26, 12, 12, 12, 12, 5, 6400, 4096, 4096, 10]
    assert [s[0] for s in shapes[:8]] == [96, 96, 256, 256, 384, 384, 256, 256]


def test_cifar_form_flattens_to_1024_and_pads_where_the_course_does() -> None:
    with torch.device("meta"):
        network = create("alexnet_cifar")
        table = {layer.name: layer for layer in cost.layers(network, (3, 32, 32))}
    assert table["head.flatten"].output == (1024,)
    padding = [network.get_submodule(f"conv{i}").padding[0] for i in range(1, 6)]
    assert padding == [0, 0, 1, 1, 1]
    assert [name for name in table if name.startswith("norm")] == ["norm1", "norm2"]


@pytest.mark.parametrize("size", [224, 127])
def test_2014_form_equals_torchvisions(torchvision_models: ModuleType, size: int) -> None:
    with torch.device("meta"):
        peer = torchvision_models.alexnet(num_classes=20)
        ours = create("alexnet_owt", num_classes=20)
    share_random_weights(peer, ours, seed=size)
    x = torch.randn(1, 3, size, size)
    with torch.inference_mode():
        assert torch.equal(ours(x), peer(x))


@pytest.mark.slow
def test_2014_form_learns_as_torchvisions(torchvision_models: ModuleType) -> None:
    with torch.device("meta"):
        peer = torchvision_models.alexnet(num_classes=10)
        ours = create("alexnet_owt", num_classes=10)
    share_random_weights(peer, ours, seed=7)
    equal_step(peer, ours, torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)))


def test_2014_form_starts_as_torchvisions_does(torchvision_models: ModuleType) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        peer = torchvision_models.alexnet(num_classes=3)
    ours = create("alexnet_owt", num_classes=3, seed=5)
    pairs = zip(peer.parameters(), ours.parameters(), strict=True)
    assert all(torch.equal(theirs, own) for theirs, own in pairs)


def test_builders_stand_alone() -> None:
    with torch.device("meta"):
        assert alexnet(num_classes=4)[-1][-1].out_features == 4
