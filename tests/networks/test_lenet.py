"""The forms of LeNet that courses teach."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neocog.networks import create


def test_sigmoid_form_is_the_books() -> None:
    ours = create("lenet_sigmoid", seed=0)
    book = nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )
    book.load_state_dict(
        dict(zip(book.state_dict(), ours.state_dict().values(), strict=True)), strict=True
    )
    x = torch.rand(4, 1, 28, 28)
    assert torch.equal(ours(x), book(x))


@pytest.mark.parametrize(
    ("name", "unit", "pool"),
    [
        ("lenet_sigmoid", nn.Sigmoid, nn.AvgPool2d),
        ("lenet_relu", nn.ReLU, nn.MaxPool2d),
        ("lenet_mxnet", nn.Tanh, nn.MaxPool2d),
        ("lenet_cifar", nn.ReLU, nn.MaxPool2d),
    ],
)
def test_units_and_pooling(name: str, unit: type[nn.Module], pool: type[nn.Module]) -> None:
    network = create(name)
    assert {type(network.unit1), type(network.unit2), type(network.head.unit3)} == {unit}
    assert {type(network.pool1), type(network.pool2)} == {pool}
    assert type(network.head[-1]) is nn.Linear  # logits: nothing after the last layer


@pytest.mark.parametrize(
    ("name", "std"),
    [  # of head.fc3: Xavier sqrt(2 / (in + out)), He sqrt(2 / in)
        ("lenet_sigmoid", (2 / 520) ** 0.5),
        ("lenet_relu", (2 / 400) ** 0.5),
        ("lenet_mxnet", (2 / 1300) ** 0.5),
        ("lenet_cifar", (2 / 400) ** 0.5),
    ],
)
def test_start(name: str, std: float) -> None:
    network = create(name, seed=0)
    assert network.head.fc3.weight.std().item() == pytest.approx(std, rel=0.02)
    assert all(not t.any() for key, t in network.named_parameters() if key.endswith("bias"))
