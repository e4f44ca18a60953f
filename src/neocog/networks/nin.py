"""NiN: a small network slid over the maps instead of a filter, and no dense layer at the end.

Paper  Lin, Chen, Yan. Network In Network. arXiv:1312.4400, ICLR 2014. Sections 3.1 (mlpconv), 3.2
       (global average pooling), 4. It leaves the sizes to the authors' definitions, which are
       github.com/mavenlin/cuda-convnet, NIN/cifar-10_def, and for ImageNet their Caffe model
Idea   Follow each convolution by two of 1x1, which mix maps as dense layers would mix features.
       The last makes one map a class; its mean over all places is the logit.

    stage        nin_cifar, 32 px            nin, 224 px                    nin_book, 224 px
    mlpconv1     5x5, 192 160  96 @ 32x32    11x11/4,  96  96  96 @ 54x54   as nin @ 54x54
      pool 3/2   16x16, dropout              27x27                          26x26
    mlpconv2     5x5, 192 192 192 @ 16x16    5x5,     256 256 256 @ 27x27   as nin @ 26x26
      pool 3/2   8x8, dropout                13x13                          12x12
    mlpconv3     3x3, 192 192  10 @ 8x8      3x3,     384 384 384 @ 13x13   as nin @ 12x12
      pool 3/2                               6x6, dropout                   5x5, dropout
    mlpconv4                                 3x3,   1024 1024 1000 @ 6x6    3x3, 10 10 10 @ 5x5
    then         mean of each map            mean of each map               mean of each map

Unlike the paper
  - Section 4 has every mlpconv followed by a max pool; the definitions have none after the last.
    Theirs are cuda-convnet's and Caffe's pools, which may hang over the edge: 27 px of 54, not 26.
  - Layers as wide as there are classes are part of `head`. The last ReLU is the authors', too.
  - Start: N(0, 0.05), and in `nin` 0.01 for conv1, conv3 and cccp8, as in the definitions.
    `nin_book` is Dive into Deep Learning's: grey, Xavier start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import nn

from neocog.networks import start
from neocog.networks.variant import Variant

CLASSES = 0  # in a line of widths: as many as there are classes


class Mlpconv(NamedTuple):
    """A convolution of `kernel` and two of 1x1, each followed by ReLU."""

    kernel: int
    stride: int
    padding: int
    widths: tuple[int, int, int]


@dataclass(frozen=True)
class Form:
    """A column of the table above."""

    stages: tuple[Mlpconv, ...]
    dropout_after: tuple[int, ...]  # the pools of these stages
    overhang: bool  # whether pools may hang over the edge
    start: Callable[[nn.Module], None]


def _start_of_caffe(network: nn.Module) -> None:
    start.gaussian(network, std=0.05)
    for name in ("mlpconv1.conv1", "mlpconv3.conv3", "head.cccp8"):
        nn.init.normal_(network.get_parameter(f"{name}.weight"), std=0.01)


_FIRST_THREE = (
    Mlpconv(11, 4, 0, (96, 96, 96)),
    Mlpconv(5, 1, 2, (256, 256, 256)),
    Mlpconv(3, 1, 1, (384, 384, 384)),
)
CIFAR = Form(
    stages=(
        Mlpconv(5, 1, 2, (192, 160, 96)),
        Mlpconv(5, 1, 2, (192, 192, 192)),
        Mlpconv(3, 1, 1, (192, 192, CLASSES)),
    ),
    dropout_after=(1, 2),
    overhang=True,
    start=partial(start.gaussian, std=0.05),
)
IMAGENET = Form(
    (*_FIRST_THREE, Mlpconv(3, 1, 1, (1024, 1024, CLASSES))), (3,), True, _start_of_caffe
)
BOOK = Form(
    (*_FIRST_THREE, Mlpconv(3, 1, 1, (CLASSES, CLASSES, CLASSES))), (3,), False, start.xavier
)


def nin(form: Form, *, num_classes: int, in_channels: int) -> nn.Sequential:
    """(N, in_channels, H, W) -> (N, num_classes)."""
    network, head = nn.Sequential(), nn.Sequential()
    c_in = in_channels
    for number, stage in enumerate(form.stages, start=1):
        block = nn.Sequential()
        c_in = _add_mlpconv(number, stage, c_in, block, head, num_classes)
        if len(block):
            network.add_module(f"mlpconv{number}", block)
        if number < len(form.stages):
            network.add_module(f"pool{number}", nn.MaxPool2d(3, 2, ceil_mode=form.overhang))
        if number in form.dropout_after:
            network.add_module(f"dropout{number}", nn.Dropout(0.5))
    head.add_module("pool", nn.AdaptiveAvgPool2d(1))
    head.add_module("flatten", nn.Flatten())
    network.add_module("head", head)
    form.start(network)
    return network


def _add_mlpconv(
    number: int, stage: Mlpconv, c_in: int, block: nn.Module, head: nn.Module, num_classes: int
) -> int:
    """Put the three convolutions where they belong; the channels of the last."""
    kernel, stride, padding, widths = stage
    # The authors' names: cross-channel parametric pooling, counted through.
    names = (f"conv{number}", f"cccp{2 * number - 1}", f"cccp{2 * number}")
    for name, width in zip(names, widths, strict=True):
        into, c_out = (head, num_classes) if width == CLASSES else (block, width)
        into.add_module(name, nn.Conv2d(c_in, c_out, kernel, stride, padding))
        into.add_module(f"relu_{name}", nn.ReLU(inplace=True))
        c_in, kernel, stride, padding = c_out, 1, 1, 0
    return c_in


_PAPER, _AFTER = "Lin et al. 2013", "after Lin et al. 2013"
_CIFAR, _IMAGENET = "three mlpconv layers for 32 px", "four mlpconv layers: the authors' Caffe form"
_BOOK = "four mlpconv layers, the last as narrow as the classes, grey: Dive into Deep Learning"
VARIANTS = (
    Variant("nin_cifar", partial(nin, CIFAR), (3, 32, 32), 2013, _PAPER, 10, _CIFAR),
    Variant("nin", partial(nin, IMAGENET), (3, 224, 224), 2013, _PAPER, 1000, _IMAGENET),
    Variant("nin_book", partial(nin, BOOK), (1, 224, 224), 2013, _AFTER, 10, _BOOK),
)
