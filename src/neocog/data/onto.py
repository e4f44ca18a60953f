"""Tensors to where pictures are, without waiting for what is still done there."""

from __future__ import annotations

from torch import Tensor


def onto(x: Tensor, there: Tensor) -> Tensor:
    """`x` on the device of another. From memory that the system may move, torch copies to a GPU
    only when all is done that the GPU was asked for; what is drawn by chance comes at every step.
    """
    if there.device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(there.device, non_blocking=True)
    return x.to(there.device)
