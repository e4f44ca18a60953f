"""The small Inception of courses: ten layers that show the module on pictures of 32 px.

Paper  after Szegedy et al. 2014 (see `googlenet`), as the TensorFlow course of Peking University
       teaches it under the name Inception10
Idea   The four branches of an Inception module, all of one width, and batch norm after each
       convolution: small enough to train in a lesson.

    stage    map      made of                                           weights   multiply-adds
    conv1    32x32    3x3 of 16                                             480         442,368
    block1   16x16    two modules of 4 x 16, the first halves the map    23,104       5,767,168
    block2   8x8      two modules of 4 x 32, the first halves the map    95,360       6,029,312
    head              mean, dense                                         1,290           1,280

Unlike the paper
  - A module's branches (1x1; 1x1, 3x3; 1x1, 5x5; pool 3/1, 1x1) are all of one width, 1x1s that
    thin among them. Where a module halves the map, the 1x1 that each branch has takes the stride.
  - "Two blocks of two, the second halving the map and doubling channels": the course's code halves
    in both blocks, 32 to 16 to 8, and doubles the channels from the first to the second, which is
    what stands here. With a first block that keeps 32x32 the sentence would fit another network,
    of the same weights and nearly four times the work.
  - Biases stay before batch norm, as Keras has them, and the start is Keras's: Xavier, biases zero.
    The course calls batch norm with training=False, so that it never learns a mean or a deviation;
    here it is batch norm.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from neocog.networks import start
from neocog.networks.variant import Variant


class Inception(nn.Module):
    """Four branches of equal width: (N, c_in, H, W) -> (N, 4 * width, H/stride, W/stride)."""

    def __init__(self, c_in: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.one = _conv(c_in, width, 1, stride=stride)
        self.three = nn.Sequential(_conv(c_in, width, 1, stride=stride), _conv(width, width, 3))
        self.five = nn.Sequential(_conv(c_in, width, 1, stride=stride), _conv(width, width, 5))
        pool = nn.MaxPool2d(3, 1, padding=1)
        self.pool = nn.Sequential(pool, _conv(c_in, width, 1, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


def inception10_cifar(*, num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 32, 32) -> (N, num_classes)."""
    head = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    network = nn.Sequential(
        OrderedDict(
            conv1=_conv(in_channels, 16, 3),
            block1=_block(16, 16),
            block2=_block(4 * 16, 32),
            head=nn.Sequential(OrderedDict(head, classifier=nn.Linear(4 * 32, num_classes))),
        )
    )
    start.xavier(network)
    return network


def _block(c_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        Inception(c_in, width, stride=2),
        Inception(4 * width, width, stride=1),
    )


def _conv(c_in: int, c_out: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2)
    norm = nn.BatchNorm2d(c_out)
    return nn.Sequential(OrderedDict(conv=conv, norm=norm, relu=nn.ReLU(inplace=True)))


_PAPER, _ABOUT = "after Szegedy et al. 2014", "four modules of equal branches for 32 px"
VARIANTS = (Variant("inception10_cifar", inception10_cifar, (3, 32, 32), 2014, _PAPER, 10, _ABOUT),)
