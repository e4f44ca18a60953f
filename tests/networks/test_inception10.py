"""The small Inception of courses: counted by hand, for no library has it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.networks import create


@pytest.fixture
def network() -> nn.Sequential:
    return create("inception10_cifar", seed=0)


def module(c_in: int, width: int) -> int:
    """Weights of one: four 1x1s, a 3x3, a 5x5, with biases and batch norm."""
    return 4 * c_in * width + (9 + 25) * width**2 + 6 * width + 6 * 2 * width


def test_stages_maps_and_counts(network: nn.Sequential) -> None:
    x = torch.zeros(2, 3, 32, 32)
    shapes = {name: tuple((x := stage(x)).shape[1:]) for name, stage in network.named_children()}
    assert shapes == {
        "conv1": (16, 32, 32),
        "block1": (64, 16, 16),
        "block2": (128, 8, 8),
        "head": (10,),
    }
    counts = [sum(w.numel() for w in stage.parameters()) for stage in network]
    assert counts == [
        27 * 16 + 16 + 2 * 16,
        module(16, 16) + module(64, 16),
        module(64, 32) + module(128, 32),
        1290,
    ]
    assert counts == [480, 23_104, 95_360, 1_290]
    table = cost.layers(network, (3, 32, 32))
    assert sum(layer.multiply_adds for layer in table) == 12_240_128


def test_it_is_ten_layers_deep(network: nn.Sequential) -> None:
    """conv1, two in each of four modules, dense."""
    deepest = [network.conv1, *(m.five for block in network[1:3] for m in block)]
    convolutions = [m for part in deepest for m in part.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) + 1 == 10


def test_the_first_module_of_each_block_halves(network: nn.Sequential) -> None:
    strides = [
        [branch.stride for branch in part.modules() if isinstance(branch, nn.Conv2d)]
        for block in network[1:3]
        for part in block
    ]
    halving = [(2, 2), (2, 2), (1, 1), (2, 2), (1, 1), (2, 2)]  # the 1x1s take the stride
    assert strides == [halving, [(1, 1)] * 6] * 2


def test_module_is_the_courses(network: nn.Sequential) -> None:
    """Its branches by torch's functions, with weights and statistics that hide nothing."""
    generator = torch.Generator().manual_seed(0)
    part = network.eval().block2[0]
    for tensor in part.state_dict().values():
        if tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5, generator=generator)
    state = part.state_dict()

    def layer(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight, bias = state[f"{name}.conv.weight"], state[f"{name}.conv.bias"]
        x = F.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2)
        kinds = ("running_mean", "running_var", "weight", "bias")
        return F.relu(F.batch_norm(x, *(state[f"{name}.norm.{kind}"] for kind in kinds)))

    x = torch.randn(2, 64, 16, 16, generator=generator)
    expected = [
        layer("one", x, 2),
        layer("three.1", layer("three.0", x, 2)),
        layer("five.1", layer("five.0", x, 2)),
        layer("pool.1", F.max_pool2d(x, 3, stride=1, padding=1), 2),
    ]
    torch.testing.assert_close(part(x), torch.cat(expected, dim=1))


def test_start_is_keras(network: nn.Sequential) -> None:
    for name, tensor in network.named_parameters():
        if name.endswith(("conv.bias", "classifier.bias", "norm.bias")):
            assert not tensor.any(), name
    weight = network.block2[1].five[1].conv.weight
    bound = (6 / (32 * 25 + 32 * 25)) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_it_learns(network: nn.Sequential) -> None:
    x, labels = torch.randn(8, 3, 32, 32), torch.arange(8)
    optimizer = torch.optim.SGD(network.train().parameters(), lr=0.01, momentum=0.9)
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(network(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
