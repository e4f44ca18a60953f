"""What a step makes smaller."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from neocog.recipe import Recipe

# (logits (N, K), labels (N,) or shares of the classes (N, K)) -> mean loss
LossFunction = Callable[[Tensor, Tensor], Tensor]

# The constant j of LeCun et al. 1998, eq. (9): the penalty of a picture that is no class at all.
# The paper gives no value, only that it is positive. It must be small beside the penalty of a
# picture not yet learnt (about 84, one a unit of F6), or wrong classes alone are pushed away.
RUBBISH_PENALTY = 0.1


def loss_of(recipe: Recipe, weights: Tensor | None = None) -> LossFunction:
    """The loss that a recipe names. With `weights` (K,) a picture counts as its class does, and the
    mean is theirs.
    """
    if recipe.loss == "lenet5-map":
        return lenet5_map
    smoothing = recipe.label_smoothing

    def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
        of_class = None if weights is None else weights.to(logits.device)
        return F.cross_entropy(logits, labels, of_class, label_smoothing=smoothing)

    return cross_entropy


def mass(labels: Tensor, weights: Tensor | None = None) -> float:
    """What `loss_of(recipe, weights)` divides by to have the mean: means of parts of a batch, each
    times its share of the mass, add up to the mean of the batch.
    """
    if weights is None or labels.ndim == 2:  # torch takes the mean over pictures of mixed ones
        return float(len(labels))
    return float(weights.to(labels.device)[labels].sum())


def lenet5_map(logits: Tensor, labels: Tensor) -> Tensor:
    """LeCun et al. 1998, eq. (9): y_D + log(exp(-j) + sum_i exp(-y_i)), y the RBF penalties.

    `logits` are minus the penalties, so this is cross-entropy with one more class, "none of
    these", whose logit is -j.
    """
    none = logits.new_full((len(logits), 1), -RUBBISH_PENALTY)
    return F.cross_entropy(torch.cat([logits, none], 1), labels)
