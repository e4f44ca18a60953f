"""Inception v3 against its paper's maps and against torchvision."""

from __future__ import annotations

import copy
from types import ModuleType

import pytest
import torch
from tests.peers import share_random_weights
from torch import nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.networks.auxiliary import WithAuxiliary
from neocog.networks.inception import inception_v3

# Table 1, "input size", as far as the released network follows it: channels and side.
MAPS = {
    "conv1a": (32, 149),
    "conv2a": (32, 147),
    "conv2b": (64, 147),
    "pool3a": (64, 73),
    "conv3b": (80, 73),  # Table 1: 80 at 71, by a 3x3
    "conv4a": (192, 71),
    "pool5a": (192, 35),
    "mixed5b": (256, 35),
    "mixed5c": (288, 35),
    "mixed5d": (288, 35),
    "mixed6a": (768, 17),
    "mixed6b": (768, 17),
    "mixed6c": (768, 17),
    "mixed6d": (768, 17),
    "mixed6e": (768, 17),
    "mixed7a": (1280, 8),
    "mixed7b": (2048, 8),
    "mixed7c": (2048, 8),
}


@pytest.fixture(scope="module")
def bare() -> WithAuxiliary:
    """Without numbers."""
    with torch.device("meta"):
        return inception_v3()


def test_maps_are_the_papers(bare: WithAuxiliary) -> None:
    x = torch.empty(2, 3, 299, 299, device="meta")
    seen = {}
    for name, stage in bare[:-1].named_children():
        x = stage(x)
        seen[name] = (x.shape[1], x.shape[2])
    assert seen == MAPS


def test_weights_and_multiply_adds(bare: WithAuxiliary) -> None:
    """torchvision: 27,161,264 and 5.713 G. The abstract: under 25 million, and 5 billion."""
    table = cost.layers(bare, (3, 299, 299))
    assert sum(layer.parameters for layer in table) == 23_834_568
    assert sum(layer.multiply_adds for layer in table) == 5_713_216_096
    assert sum(w.numel() for w in bare.auxiliary.parameters()) == 3_326_696
    assert sum(w.numel() for w in bare.parameters()) == 27_161_264


def test_large_filters_are_factored(bare: WithAuxiliary) -> None:
    kernels = {
        name: module.kernel_size
        for name, module in bare[:-1].named_modules()
        if isinstance(module, nn.Conv2d)
    }
    assert {k for name, k in kernels.items() if name < "mixed6"} == {(1, 1), (3, 3), (5, 5)}
    sevens = [k for name, k in kernels.items() if name.startswith("mixed6e.sevens")]
    assert sevens == [(1, 1), (7, 1), (1, 7), (7, 1), (1, 7)]
    flat = {k for name, k in kernels.items() if name.startswith("mixed7c")}
    assert flat == {(1, 1), (3, 3), (1, 3), (3, 1)}


def test_auxiliary_head_is_figure_8s(bare: WithAuxiliary) -> None:
    assert list(bare.auxiliary) == ["mixed6e"]
    assert bare.auxiliary_weight == 0.4
    head = bare.auxiliary["mixed6e"]
    maps = torch.rand(1, 768, 17, 17)
    assert torch.equal(head.pool(maps), F.avg_pool2d(maps, 5, 3))  # 5x5 of each
    x = torch.empty(2, 768, 17, 17, device="meta")
    shapes = [tuple((x := layer(x)).shape[1:]) for layer in head]
    assert shapes[1:] == [(128, 5, 5), (768, 1, 1), (768,), (1000,)]


@pytest.mark.parametrize("side", [75, 128, 320])
def test_takes_other_sizes_while_training(side: int) -> None:
    with torch.device("meta"):
        logits = inception_v3(num_classes=7).training_logits(torch.empty(2, 3, side, side))
    assert [(weight, scores.shape) for weight, scores in logits] == [(1.0, (2, 7)), (0.4, (2, 7))]


def test_start_is_torchvisions() -> None:
    odd = {"auxiliary.mixed6e.conv2.conv.weight": 0.01, "auxiliary.mixed6e.classifier.weight": 1e-3}
    for name, tensor in inception_v3(num_classes=50).named_parameters():
        if tensor.dim() > 1 and tensor.numel() > 30_000:
            assert tensor.std().item() == pytest.approx(odd.get(name, 0.1), rel=0.02), name


@pytest.fixture(scope="module")
def pair(torchvision_models: ModuleType) -> tuple[nn.Module, WithAuxiliary]:
    with torch.device("meta"):
        peer = torchvision_models.inception_v3(num_classes=10, aux_logits=True, init_weights=False)
        ours = inception_v3(num_classes=10)
    peer._modules["AuxLogits"] = peer._modules.pop("AuxLogits")  # into our order: last
    share_random_weights(peer, ours, seed=2)
    return peer, ours


@pytest.mark.parametrize("size", [75, 139])
def test_equals_torchvisions(pair: tuple[nn.Module, WithAuxiliary], size: int) -> None:
    peer, ours = pair
    x = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        logits = ours(x)
        torch.testing.assert_close(logits, peer(x), rtol=1e-4, atol=1e-5)
    assert logits.std() > 0.01


@pytest.mark.slow
def test_training_step_equals_torchvisions(pair: tuple[nn.Module, WithAuxiliary]) -> None:
    """At 299 px, the smallest whose auxiliary map torchvision takes; dropout on."""
    peer, ours = (copy.deepcopy(network).train() for network in pair)  # which share weights
    x, labels = torch.randn(2, 3, 299, 299), torch.arange(2)
    torch.manual_seed(3)
    theirs = peer(x)
    torch.manual_seed(3)
    (_, main), (weight, side) = ours.training_logits(x)
    torch.testing.assert_close(main, theirs.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(side, theirs.aux_logits, rtol=1e-4, atol=1e-5)
    loss = F.cross_entropy(main, labels) + weight * F.cross_entropy(side, labels)
    others = F.cross_entropy(theirs.logits, labels) + 0.4 * F.cross_entropy(
        theirs.aux_logits, labels
    )
    torch.testing.assert_close(loss, others, rtol=1e-4, atol=0)
    for network, value in ((ours, loss), (peer, others)):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        value.backward()
        optimizer.step()
    for own, other in zip(ours.state_dict().values(), peer.state_dict().values(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)
