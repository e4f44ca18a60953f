"""How large weights and gradients are, layer by layer."""

from __future__ import annotations

import torch
from torch import nn

from neocog.engine import magnitudes


def test_where_there_is_no_gradient_there_is_no_norm() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    network[2].weight.grad = torch.tensor([[3.0, 4.0]])
    found = magnitudes.norms_of(network, 5)
    assert found.epoch == 5
    assert list(found.weights) == ["0", "2"]
    assert found.gradients == {"0": None, "2": 5.0}


def test_all_are_where_the_weights_are() -> None:
    """Meta tensors meet no others, as those of a GPU do not."""
    made = magnitudes._norms(list(nn.Linear(3, 4, device="meta").parameters()))
    assert made.is_meta
    assert made.shape == (4,)
