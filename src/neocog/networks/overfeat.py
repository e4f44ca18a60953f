"""OverFeat: one network to classify, locate and detect, slid over the picture.

Paper  Sermanet, Eigen, Zhang, Mathieu, Fergus, LeCun. OverFeat: Integrated Recognition,
       Localization and Detection using Convolutional Networks. arXiv:1312.6229, ICLR 2014.
       Table 1 (fast), table 3 (accurate), table 4 (sizes); training and start in section 3.1
Idea   A convolutional network costs little more at all places than at one. For that it is kept
       plain: no contrast normalisation, pools that do not overlap, and wide maps.

    overfeat_fast, 231 px                            overfeat_accurate, 221 px
    conv1   11x11/4     96 @ 56x56   pool 2 -> 28    conv1   7x7/2     96 @ 108x108  pool 3 -> 36
    conv2   5x5        256 @ 24x24   pool 2 -> 12    conv2   7x7      256 @ 30x30    pool 2 -> 15
    conv3   3x3        512 @ 12x12                   conv3   3x3      512 @ 15x15
    conv4   3x3       1024 @ 12x12                   conv4   3x3      512 @ 15x15
    conv5   3x3       1024 @ 12x12   pool 2 -> 6     conv5   3x3     1024 @ 15x15
                                                     conv6   3x3     1024 @ 15x15    pool 3 -> 5
    fc6, 7  dense     3072, 4096                     fc7, 8  dense   4096, 4096
    weights (table 4) 145 million                    144 million
    connections       2810 million                   5369 million

Unlike the paper
  - The multiply-adds here are 2,802 and 5,355 million, 0.3 % below table 4. Biases add less than
    3 million to each; what else the table counts it does not say.
  - Table 1 gives layer 2 an input of 24x24; that is what its convolution makes of 28x28.
  - Dropout 0.5, on "the 6th and 7th" layers, is on both hidden dense ones, the 7th and 8th of
    the accurate form. Biases, of whose start it says nothing, start at zero.
  - The dense layers are dense. To slide the network, read them as convolutions of 6x6 (5x5), 1x1.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from neocog.networks import start
from neocog.networks.variant import Variant


class Conv(NamedTuple):
    """A line of table 1 or 3."""

    c_out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: int = 1  # its kernel and its stride; 1 is none


FAST = (
    Conv(96, 11, stride=4, pool=2),
    Conv(256, 5, pool=2),
    Conv(512, 3, padding=1),
    Conv(1024, 3, padding=1),
    Conv(1024, 3, padding=1, pool=2),
)
ACCURATE = (
    Conv(96, 7, stride=2, pool=3),
    Conv(256, 7, pool=2),
    Conv(512, 3, padding=1),
    Conv(512, 3, padding=1),
    Conv(1024, 3, padding=1),
    Conv(1024, 3, padding=1, pool=3),
)


def _overfeat(
    convs: tuple[Conv, ...],
    hidden: tuple[int, ...],
    side: int,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
) -> nn.Sequential:
    """(N, in_channels, H, W) -> (N, num_classes), where `side` squared is left of H, W."""
    network = nn.Sequential()
    c_in = in_channels
    for number, conv in enumerate(convs, start=1):
        layer = nn.Conv2d(c_in, conv.c_out, conv.kernel, conv.stride, conv.padding)
        network.add_module(f"conv{number}", layer)
        network.add_module(f"relu{number}", nn.ReLU(inplace=True))
        if conv.pool > 1:
            network.add_module(f"pool{number}", nn.MaxPool2d(conv.pool, conv.pool))
        c_in = conv.c_out
    widths = (c_in * side**2, *hidden)
    network.add_module("head", _head(widths, len(convs) + 1, num_classes))
    start.gaussian(network, std=0.01)
    return network


def _head(widths: tuple[int, ...], first: int, num_classes: int) -> nn.Sequential:
    head = nn.Sequential()
    head.add_module("flatten", nn.Flatten())
    for number, (c_in, c_out) in enumerate(pairwise(widths), start=first):
        head.add_module(f"fc{number}", nn.Linear(c_in, c_out))
        head.add_module(f"relu{number}", nn.ReLU(inplace=True))
        head.add_module(f"dropout{number}", nn.Dropout(0.5))
    head.add_module(f"fc{first + len(widths) - 1}", nn.Linear(widths[-1], num_classes))
    return head


overfeat_fast = partial(_overfeat, FAST, (3072, 4096), 6)
overfeat_accurate = partial(_overfeat, ACCURATE, (4096, 4096), 5)

_PAPER = "Sermanet et al. 2013"
_FAST = "11x11/4, five convolutions, 231 px"
_ACCURATE = "7x7/2, six convolutions, 221 px; twice the work"
VARIANTS = (
    Variant("overfeat_fast", overfeat_fast, (3, 231, 231), 2013, _PAPER, 1000, _FAST),
    Variant("overfeat_accurate", overfeat_accurate, (3, 221, 221), 2013, _PAPER, 1000, _ACCURATE),
)
