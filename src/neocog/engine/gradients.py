"""The gradient of one step: of a batch at once or in pieces, alone or among several processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from neocog.engine.losses import LossFunction, mass
from neocog.engine.passes import Passes


def backward(
    passes: Passes,
    images: Tensor,
    labels: Tensor,
    loss_of_batch: LossFunction,
    *,
    class_weights: Tensor | None = None,
    pieces: int = 1,
    weight: float = 1.0,
    aside: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Adds up the gradient of the mean loss over the batch, times `weight`: of `pieces` one after
    the other, which takes the memory of one, and sums the same gradient up to rounding, but for
    batch norm and dropout, which see a piece at a time. Gives the mean loss and the logits (N, K).
    What `aside(loss)` gives is added before the last way back.
    """
    if pieces == 1:
        loss, logits = passes.loss(images, labels, loss_of_batch)
        whole_loss = loss if weight == 1 else loss * weight
        (whole_loss if aside is None else whole_loss + aside(loss.detach())).backward()
        return loss.detach(), logits.detach()
    whole = mass(labels, class_weights)
    losses, said = [], []
    some = zip(images.tensor_split(pieces), labels.tensor_split(pieces), strict=True)
    for number, (piece, of_them) in enumerate(some):
        share = mass(of_them, class_weights) / whole
        with passes.apart() if number + 1 < pieces else nullcontext():
            loss, logits = passes.loss(piece, of_them, loss_of_batch)
            losses.append(loss.detach() * share)
            part = loss * (share * weight)
            if aside is not None and number + 1 == pieces:
                part = part + aside(torch.stack(losses).sum())
            part.backward()
        said.append(logits.detach())
    return torch.stack(losses).sum(), torch.cat(said)
