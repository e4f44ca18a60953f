"""Muon: steps in which every direction counts the same.

Jordan et al. Muon, kellerjordan.github.io/posts/muon, 2024; here with the weights held to one norm,
as github.com/KellerJordan/cifar10-airbench, airbench94_muon.py, trains convolutions.

torch.optim.Muon takes matrices only and multiplies them in bf16, which took 33 times as long as
float32 on a CPU without bf16 (256x2304, one core of an AMD EPYC, 2026-11-22). This one takes
convolutions too, in float32; but for the norm it is the same, and is tested against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neocog.engine.light import SGD

# x -> a x + b x^3 + c x^5 drives singular values from (0, 1] to somewhere between 0.7 and 1.2
A, B, C = 3.4445, -4.7750, 2.0315
STEPS = 3


class Muon(SGD):
    """SGD, but for groups with `matrices` true: their weights (rows, ...) are scaled to a norm of
    sqrt(rows) and moved by lr times the nearest orthogonal matrix to what SGD's step would be.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            if group["matrices"]:
                self._move(group)
        super().step()

    def _move(self, group: dict[str, Any]) -> None:
        for weight in group["params"]:
            if weight.grad is None:
                continue
            wanted = self._with_momentum(weight, group)
            rows, columns = len(weight), weight[0].numel()
            weight.mul_(math.sqrt(rows) / weight.norm().clamp_min(1e-12))
            whole = orthogonal(wanted.reshape(rows, columns)).view(weight.shape)
            weight.add_(whole, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))
            weight.grad = None  # done: SGD itself passes over it

    def _with_momentum(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        state, slope = self.state[weight], weight.grad
        assert slope is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer: Tensor = state["momentum_buffer"]
        buffer.mul_(group["momentum"]).add_(slope)
        return slope.add(buffer, alpha=group["momentum"]) if group["nesterov"] else buffer


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V^T, where U S V^T is the matrix: by Newton and Schulz, without finding U and V."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(STEPS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=B, alpha=C), x, beta=A)
    return x.T if tall else x
