"""SGD that begins at once.

torch keeps its compilers out of an optimizer's methods, and the first call of such a method imports
torch._dynamo for it: 2.1 s of the 17 that `neocog train fast_mnist mnist` took (two cores of an AMD
EPYC, 2026-11-22). An optimizer is never compiled here, so the methods are taken from behind their
guards, where functools.wraps keeps them. What they compute is torch's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch.optim import Optimizer


class Light(Optimizer):
    """Mixed into an optimizer, ahead of it: torch's methods without their guards."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


_step = inspect.unwrap(torch.optim.SGD.step)


class SGD(Light, torch.optim.SGD):
    """torch.optim.SGD."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        _step(self)
