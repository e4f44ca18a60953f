"""The course baseline, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.networks import create


def test_layers_are_the_courses() -> None:
    with torch.device("meta"):
        network = create("baseline_cifar")
    table = [(layer.kind, layer.output) for layer in cost.layers(network, (3, 32, 32))]
    assert table == [
        ("Conv2d", (6, 32, 32)),
        ("BatchNorm2d", (6, 32, 32)),
        ("ReLU", (6, 32, 32)),
        ("MaxPool2d", (6, 16, 16)),
        ("Dropout", (6, 16, 16)),
        ("Flatten", (1536,)),
        ("Linear", (128,)),
        ("ReLU", (128,)),
        ("Dropout", (128,)),
        ("Linear", (10,)),
    ]
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.2]
    assert network.conv1.kernel_size == (5, 5)


def test_counts_by_hand() -> None:
    network = create("baseline_cifar", seed=0)
    by_hand = (25 * 3 * 6 + 6) + 2 * 6 + (1536 * 128 + 128) + (128 * 10 + 10)
    assert sum(tensor.numel() for tensor in network.parameters()) == by_hand == 198_494
    table = cost.layers(network, (3, 32, 32))
    work = 25 * 3 * 6 * 32 * 32 + 1536 * 128 + 128 * 10
    assert sum(layer.multiply_adds for layer in table) == work == 658_688


def test_forward_is_what_it_says() -> None:
    network = create("baseline_cifar", seed=0).eval()
    conv, norm, head = network.conv1, network.norm1, network.head
    nn.init.uniform_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        maps = F.conv2d(F.pad(x, (2, 2, 2, 2)), conv.weight, conv.bias)
        maps = (maps - norm.running_mean[:, None, None]) / norm.running_var[:, None, None].sqrt()
        row = F.max_pool2d(maps.relu(), 2).flatten(1)
        logits = head.fc3(head.fc2(row).relu())
        torch.testing.assert_close(network(x), logits, rtol=1e-3, atol=1e-4)


def test_start_is_xavier_with_biases_zero() -> None:
    network = create("baseline_cifar", seed=0)
    weight = network.head.fc2.weight
    bound = (6 / (1536 + 128)) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert not any(t.any() for n, t in network.named_parameters() if n.endswith("bias"))
