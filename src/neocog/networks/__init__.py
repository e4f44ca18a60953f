"""The networks: `NETWORKS` is the table of contents, `create` the door.

Every network is an `nn.Sequential` of stages named as in its paper and takes (N, C, H, W) to logits
(N, num_classes). Its last stage is `head`, all that follows the last map: `net[:-1]` is therefore
the feature extractor, and `net.head` turns its maps into logits.
"""

from __future__ import annotations

import torch
from torch import nn

from neocog.errors import unknown
from neocog.networks.alexnet import VARIANTS as ALEXNET
from neocog.networks.lenet import VARIANTS as LENET
from neocog.networks.lenet5 import VARIANTS as LENET5
from neocog.networks.parts import whole
from neocog.networks.variant import Made, Variant
from neocog.networks.vgg import VARIANTS as VGG
from neocog.networks.vgg import vgg

__all__ = ["NETWORKS", "Made", "Variant", "create", "find", "how_made", "vgg"]

NETWORKS: dict[str, Variant] = {v.name: v for v in (*LENET5, *LENET, *ALEXNET, *VGG)}


def create(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    seed: int | None = None,
) -> nn.Sequential:
    """The network called `name`, with its paper's initial weights.

    Classes and channels are the paper's unless given. With a `seed` the weights follow from it
    alone, and torch's global generator is left as it was. How it was made is kept in `net.made`.
    """
    variant = find(name)
    classes = variant.num_classes if num_classes is None else num_classes
    channels = variant.input[0] if in_channels is None else in_channels
    whole("num_classes", classes)
    whole("in_channels", channels)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        network = variant.build(num_classes=classes, in_channels=channels)
    made = Made(variant.name, classes, channels, (channels, *variant.input[1:]))
    network.made = made  # type: ignore[assignment]  # torch types attributes as modules
    return network


def find(name: str) -> Variant:
    """The variant of that name; case, hyphens, spaces and underscores do not matter."""
    for variant in NETWORKS.values():
        if _fold(variant.name) == _fold(name):
            return variant
    raise unknown("network", name, NETWORKS)


def how_made(network: nn.Module) -> Made | None:
    """How `create` made this network; None for any other."""
    made = getattr(network, "made", None)
    return made if isinstance(made, Made) else None


def _fold(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())
