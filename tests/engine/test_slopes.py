"""Gradients for a slope that is given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neocog.engine.slopes import slopes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_they_are_torchs_to_the_bit(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 8, 3).to(dtype)
    x = torch.randn(2, 3, 9, 7, dtype=dtype, requires_grad=True)
    made = layer(x)
    given, by = torch.randn(made.shape, dtype=dtype), [x, *layer.parameters()]
    right = torch.autograd.grad(made, by, given, retain_graph=True)
    assert all(map(torch.equal, slopes(made, by, given), right))
