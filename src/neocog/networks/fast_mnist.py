"""The least network for handwritten digits: 99 % within seconds of a laptop's processor.

Paper  none; ours. Its norms and its recipe's optimizer are those that train `fast_cifar`
Idea   Every operation that costs time must earn it. The first layer halves the picture, the second
       layer's maps are pooled before anything else passes over them, and no map is padded.

    layer    kernel         maps of 28 px   then
    conv1    5x5, stride 2    8 @ 12x12      norm, ReLU
    conv2    3x3             16 @ 10x10      pool 2: 5x5, norm, ReLU
    conv3    3x3             64 @ 3x3        norm, ReLU
    head     dense           classes
    weights  16,504; 0.23 million multiply-adds, little over half of LeNet's

Unlike the paper
  - There is none. Its recipe is `fast_mnist`, its weights begin as He et al. 2015 have them.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from neocog.networks import start
from neocog.networks.variant import Variant

MAPS = (8, 16, 64)
SIDE = 3  # of the last maps


def fast_mnist(*, num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """(N, 1, 28, 28) -> (N, num_classes)."""
    first, second, third = MAPS
    dense = nn.Linear(third * SIDE**2, num_classes, bias=False)
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, first, 5, stride=2, bias=False),
            norm1=nn.BatchNorm2d(first),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(first, second, 3, bias=False),
            pool2=nn.MaxPool2d(2),
            norm2=nn.BatchNorm2d(second),
            relu2=nn.ReLU(),
            conv3=nn.Conv2d(second, third, 3, bias=False),
            norm3=nn.BatchNorm2d(third),
            relu3=nn.ReLU(),
            head=nn.Sequential(OrderedDict(flatten=nn.Flatten(), fc=dense)),
        )
    )
    start.he(network)
    return network


_ABOUT = "three small convolutions: 99 % on digits within seconds of two cores"
VARIANTS = (Variant("fast_mnist", fast_mnist, (1, 28, 28), 2026, "neocog", 10, _ABOUT),)
