"""The baseline: the least that is a convolutional network, to measure the others by.

Paper  none. Courses on CIFAR-10 begin with it; its newest part is batch norm (Ioffe and Szegedy
       2015, arXiv:1502.03167)
Idea   One of each layer that the others repeat: convolve, normalise, bend, shrink, drop, decide.

    layer      kernel    maps            then
    conv1      5x5x3     6 @ 32x32       batch norm, ReLU, pool 2/2 -> 16x16, dropout 0.2
    fc2        dense     128             ReLU, dropout 0.2
    fc3        dense     classes

Unlike the paper
  - The courses write it in Keras, whose start this is: Xavier, biases zero. Batch norm is torch's:
    eps 1e-5 and a tenth of each batch into the averages, where Keras has 1e-3 and a hundredth.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from neocog.networks import start
from neocog.networks.variant import Variant


def baseline_cifar(*, num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 32, 32) -> (N, num_classes)."""
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 6, 5, padding=2),
            norm1=nn.BatchNorm2d(6),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(2, 2),
            dropout1=nn.Dropout(0.2),
            head=nn.Sequential(
                OrderedDict(
                    flatten=nn.Flatten(),
                    fc2=nn.Linear(6 * 16 * 16, 128),
                    relu2=nn.ReLU(inplace=True),
                    dropout2=nn.Dropout(0.2),
                    fc3=nn.Linear(128, num_classes),
                )
            ),
        )
    )
    start.xavier(network)
    return network


_PAPER = "after Ioffe and Szegedy 2015"
_ABOUT = "one convolution of 6 maps and two dense layers: what courses begin with"
VARIANTS = (Variant("baseline_cifar", baseline_cifar, (3, 32, 32), 2015, _PAPER, 10, _ABOUT),)
