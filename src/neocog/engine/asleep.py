"""What of a network that does not learn is dead, by its gradients and by what its layers say."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from torch import Tensor, nn

from neocog.engine.tracing import untouched

FADED = 1e-3  # of the largest gradient, each beside its weights: what learns so much slower
SAME = 1e-3  # of the size of what a layer puts out: pictures that differ by less are one to it
DEAD = 0.9  # of a layer's units


def asleep(network: nn.Module, images: Tensor) -> list[str]:
    """What is wrong with it, a sentence each, from the gradients of its last step and from what it
    makes of pictures (N, C, H, W). Nothing of it changes.
    """
    return [*_faded(network), *_silent(network, images)]


def _faded(network: nn.Module) -> list[str]:
    """The layer that learns least, if that is next to nothing beside the one that learns most."""
    pace = {
        name: float(weight.grad.norm() / weight.detach().norm().clamp_min(1e-12))
        for name, weight in network.named_parameters()
        if weight.grad is not None and weight.ndim >= 2
    }
    if not pace:
        return []
    least, most = min(pace, key=pace.__getitem__), max(pace, key=pace.__getitem__)
    if pace[most] == 0:
        return ["No gradient reaches any of its weights"]
    if pace[least] > FADED * pace[most]:
        return []
    share = pace[least] / pace[most]
    return [f"The gradient of {least} is {share:.1g} times that of {most}, each beside its weights"]


def _silent(network: nn.Module, images: Tensor) -> list[str]:
    """The first layer that is dead, and the first that tells no picture from another."""
    said: dict[str, str] = {}

    def look(name: str, module: nn.Module, given: Any, made: Any) -> None:
        if not isinstance(made, Tensor) or len(made) != len(images) or made.ndim < 2:
            return
        what = f"{name or 'the network'} ({type(module).__name__})"
        units = made.float().transpose(0, 1).flatten(1)  # a map is one unit
        dead = float((units == 0).all(1).float().mean())
        if dead >= DEAD:
            words = f"{dead:.0%} of the units of {what} are 0 for each of {len(images)} pictures"
            said.setdefault("dead", words)
        size = float(made.float().square().mean().sqrt())
        if float(made.float().std(0).square().mean().sqrt()) <= SAME * size:
            words = f"{what} puts out the same for all of {len(images)} pictures, within {SAME:.1%}"
            said.setdefault("same", words)

    mode = network.training
    with ExitStack() as back, untouched(network, 0):
        back.callback(network.train, mode)
        for name, module in network.named_modules():
            if next(module.children(), None) is None:
                back.callback(module.register_forward_hook(partial(look, name)).remove)
        network.eval()
        network(images)
    return list(said.values())
