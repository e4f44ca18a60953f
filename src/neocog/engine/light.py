"""SGD that begins at once, and reads and writes large weights once.

torch keeps its compilers out of an optimizer's methods, and the first call of such a method imports
torch._dynamo for it: 2.1 s of the 17 that `neocog train fast_mnist mnist` took (two cores of an AMD
EPYC, 2026-11-22). An optimizer is never compiled here, so the methods are taken from behind their
guards, where functools.wraps keeps them. What they compute is torch's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from neocog.engine import wide


class Light(Optimizer):
    """Mixed into an optimizer, ahead of it: torch's methods without their guards."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


_step = inspect.unwrap(torch.optim.SGD.step)
# Numbers from which a weight is worth it, and by which it must be made up: what torch's one pass
# does with the few left over may be rounded otherwise.
LARGE, VECTOR = 2**14, 64


class SGD(Light, torch.optim.SGD):
    """torch.optim.SGD, to the bit.

    On a CPU it takes a large weight, its gradient and its momentum through the caches once (torch's
    `fused`), where torch by itself takes them three to five times. 124 million weights, two cores
    of a Xeon, 2026-11-23: 48 ms instead of 76, and with weight decay 52 instead of 130.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        groups = self.param_groups
        try:
            self.param_groups = [part for group in groups for part in self._parts(group)]
            _step(self)
        finally:
            self.param_groups = groups

    def _parts(self, group: dict[str, Any]) -> list[dict[str, Any]]:
        """What is left to torch of a group: in as many passes as it takes, and in one."""
        if all(weight.numel() < LARGE for weight in group["params"]):
            return [group]
        parts: tuple[list[Tensor], list[Tensor]] = ([], [])
        for weight in group["params"]:
            if wide.updates(weight):
                # without momentum torch keeps nothing, not even that there is nothing
                wide.update(weight, group, self.state[weight] if group["momentum"] else {})
            else:
                parts[self._in_one_pass(weight)].append(weight)
        usual, once = ({**group, "params": part} for part in parts)
        return [usual, {**once, "fused": True}] if parts[1] else [usual]

    def _in_one_pass(self, weight: Tensor) -> bool:
        """Whether all that belongs to it lies alike in memory: torch takes that for granted."""
        if weight.numel() < LARGE or weight.numel() % VECTOR or weight.grad is None:
            return False
        buffer = self.state[weight].get("momentum_buffer") if weight in self.state else None
        of_it = [weight, weight.grad, *([] if buffer is None else [buffer])]
        alike = {(t.stride(), t.dtype, t.device.type) for t in of_it}
        dense = weight.is_contiguous() or (
            weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
        )
        return dense and alike == {(weight.stride(), torch.float32, "cpu")}
