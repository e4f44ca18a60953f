"""The optimizers that recipes name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from neocog.engine.light import SGD, Light
from neocog.engine.muon import Muon
from neocog.errors import UsageError
from neocog.recipe import Recipe


def optimizer_for(network: nn.Module, recipe: Recipe) -> Optimizer:
    """A fresh optimizer over the weights of a network that are trained.

    Raises `UsageError` where the recipe asks for what the network does not have.
    """
    weights = [w for w in network.parameters() if w.requires_grad]
    if not weights:
        raise UsageError("the network has no weights to train")
    if recipe.optimizer == "diagonal-lm":
        _before_distances(network)  # says it now if there are none
        return DiagonalLM(weights, lr=recipe.lr)
    groups = _groups(network, weights, recipe)
    if recipe.optimizer == "muon" and not any(group["matrices"] for group in groups):
        raise UsageError(
            "recipe field optimizer: muon needs a network with convolutions, or more than one "
            "dense layer; use sgd"
        )
    kind = Muon if recipe.optimizer == "muon" else SGD
    return kind(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.nesterov)


def set_rates(
    optimizer: Optimizer, recipe: Recipe, *, rate: float, at: float, rest: bool = False
) -> None:
    """Give each group its rate where the schedule is at `rate`, `at` so many epochs.

    With `rest`, what moves no more asks for no gradient either, and the way back ends sooner;
    `woken` undoes it.
    """
    for group in optimizer.param_groups:
        until = group.get("until", 0.0)
        if until and at >= recipe.warmup:  # falls to zero on its own
            group["lr"] = group["times"] * recipe.lr * max(0.0, 1 - at / until)
            if rest and at >= until:
                for weight in group["params"]:
                    weight.requires_grad_(False)
                    weight.grad = None
        else:
            group["lr"] = rate * group.get("times", 1.0)


@contextmanager
def woken(optimizer: Optimizer) -> Iterator[None]:
    """All that was to be trained is so after, whatever came to rest."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def _groups(
    network: nn.Module, weights: list[nn.Parameter], recipe: Recipe
) -> list[dict[str, Any]]:
    """Weights that are treated alike: `times` lr, until epoch `until` (0: the end).

    A group with another rate decays as much a step as if it had lr.
    """
    head, first_bias = _head(network), _first_bias(network, recipe)
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for weight in weights:
        matrix = recipe.optimizer == "muon" and weight.ndim >= 2 and weight is not head
        own = recipe.bias_lr if weight.ndim < 2 else recipe.head_lr if weight is head else 0.0
        times = (own or recipe.lr) / recipe.lr
        spared = matrix or (weight.ndim < 2 and not recipe.decay_biases)
        settings = {
            "times": times,
            "weight_decay": 0.0 if spared else recipe.weight_decay / times,
            "until": recipe.whiten_epochs if weight is first_bias else 0.0,
            "momentum": recipe.muon_momentum if matrix else recipe.momentum,
            "matrices": matrix,
        }
        key = tuple(settings.values())
        groups.setdefault(key, {"params": [], **settings})["params"].append(weight)
    return list(groups.values())


def _head(network: nn.Module) -> Tensor | None:
    """The weights of the layer that puts out the logits."""
    stage = getattr(network, "head", network)
    layers = [m for m in stage.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return layers[-1].weight if layers else None


def _first_bias(network: nn.Module, recipe: Recipe) -> Tensor | None:
    first = getattr(network, "whiten", None) if recipe.whiten else None
    return getattr(first, "bias", None)


class DiagonalLM(Light):
    """Stochastic diagonal Levenberg-Marquardt: each weight has the rate lr / (mu + h).

    LeCun et al. 1998, section III.B and appendix C. h is the diagonal of the Gauss-Newton
    matrix, from `estimate`; before the first estimate it is 0.
    """

    def __init__(self, weights: list[nn.Parameter], *, lr: float, mu: float = 0.02) -> None:
        super().__init__(weights, {"lr": lr, "mu": mu})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    rate = self._state(weight)["curvature"].add(group["mu"]).reciprocal_()
                    weight.addcmul_(weight.grad, rate, value=-group["lr"])

    def estimate(self, network: nn.Module, images: Tensor, *, generator: Generator) -> None:
        """Set h from pictures (N, C, H, W), one at a time, for a head of squared distances.

        The penalty of a class is |x - code|^2, x being what the last layer but one puts out, so
        its Gauss-Newton diagonal is 2 sum_j (dx_j / dw)^2. With v drawn from +-1, the square
        of d(v x)/dw has that sum as its mean, at the price of one backward pass a picture.
        """
        body = _before_distances(network)
        weights = [w for group in self.param_groups for w in group["params"]]
        totals = [torch.zeros_like(weight) for weight in weights]
        for image in images.split(1):
            x = body(image)
            signs = torch.randint(0, 2, x.shape, generator=generator).to(x) * 2 - 1
            slopes = torch.autograd.grad((signs * x).sum(), weights)
            torch._foreach_addcmul_(totals, slopes, slopes, value=2 / len(images))
        for weight, total in zip(weights, totals, strict=True):
            self._state(weight)["curvature"] = total

    def _state(self, weight: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[weight]
        if "curvature" not in state:
            state["curvature"] = torch.zeros_like(weight)
        return state


def _before_distances(network: nn.Module) -> nn.Sequential:
    """The network without its last layer, which must measure distances from codes."""
    head = getattr(network, "head", None)
    if isinstance(network, nn.Sequential) and isinstance(head, nn.Sequential):
        layers = [*list(network)[:-1], *head]
        if hasattr(layers[-1], "codes"):
            return nn.Sequential(*layers[:-1])
    raise UsageError(
        "recipe field optimizer: diagonal-lm needs a network that ends in squared distances, "
        "as lenet5 does; use sgd"
    )
