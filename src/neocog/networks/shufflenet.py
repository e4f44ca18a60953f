"""ShuffleNet: 1x1 convolutions in groups, and channels shuffled so that the groups meet.

Paper  Zhang, Zhou, Lin, Sun. ShuffleNet: An Extremely Efficient Convolutional Neural Network for
       Mobile Devices. arXiv:1707.01083, CVPR 2018. Section 3, Figures 1 and 2, Table 1
Idea   With depthwise 3x3s nearly all the work is in the dense 1x1s. In g groups they cost a g-th,
       so maps can be wider; but a group would never see another. Shuffling mends that for nothing.

    stage        map       units          channels for  g=1   g=2   g=3   g=4   g=8
    conv1        112x112   3x3, stride 2                 24    24    24    24    24
    pool1        56x56     3x3 max, stride 2             24    24    24    24    24
    stage2       28x28     1 halving + 3                144   200   240   272   384
    stage3       14x14     1 halving + 7                288   400   480   544   768
    stage4       7x7       1 halving + 3                576   800   960  1088  1536
    head         1x1       7x7 mean, then the classes
    multiply-adds (millions; without the dense layer)   143   140   137   133   137
    A unit (Figure 2): 1x1 in groups to a quarter of its channels, norm, ReLU, shuffle, depthwise
    3x3, norm, 1x1 in groups, norm. It is added to what it read; halving, it stands beside its mean.

Unlike the paper
  - As in Table 1 the first 1x1 of stage2 is in no groups, for 24 channels are few; many forget it.
    The authors' later code (megvii-model/ShuffleNet-Series) shuffles the other way about.
  - Scaled, conv1 is so too, as section 3.3 has it. Table 2's 13 million for 0.25 would need 12
    channels there; with 6 it is 11. Its 38 million for 0.5 is met.
  - The paper says of the start only that training follows ResNeXt's: this one is that of the later
    code, whose dense layer has no bias. Ours has one.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.networks import start
from neocog.networks.variant import Variant

CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # groups: channels of stage2, then doubled
UNITS = (4, 8, 4)


class Shuffle(nn.Module):
    """Figure 1: channels in `groups` rows, read by columns. (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = x.unflatten(1, (self.groups, -1))
        return rows.transpose(1, 2).flatten(1, 2)


class Unit(nn.Module):
    """Figure 2b: (N, c_in, H, W) -> (N, c_out, H, W); with `halve` 2c: -> (N, c_out, H/2, W/2)."""

    def __init__(
        self, c_in: int, c_out: int, *, groups: int, halve: bool = False, first: bool = False
    ) -> None:
        super().__init__()
        self.halve = halve
        middle = c_out // 4
        made = c_out - c_in if halve else c_out
        stride = 2 if halve else 1
        self.branch = nn.Sequential(
            OrderedDict(
                gconv1=nn.Conv2d(c_in, middle, 1, groups=1 if first else groups, bias=False),
                norm1=nn.BatchNorm2d(middle),
                relu1=nn.ReLU(inplace=True),
                shuffle=Shuffle(groups),
                dwconv=nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False),
                norm2=nn.BatchNorm2d(middle),
                gconv3=nn.Conv2d(middle, made, 1, groups=groups, bias=False),
                norm3=nn.BatchNorm2d(made),
            )
        )
        self.shortcut = nn.AvgPool2d(3, 2, padding=1) if halve else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        kept, made = self.shortcut(x), self.branch(x)
        both: Tensor = self.relu(torch.cat((kept, made), dim=1) if self.halve else kept + made)
        return both


def shufflenet(
    groups: int = 3, *, scale: float = 1, num_classes: int = 1000, in_channels: int = 3
) -> nn.Sequential:
    """(N, 3, 224, 224) -> (N, num_classes); `scale` multiplies all channels of Table 1."""
    stem, width = _scaled(groups, scale)
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, stem, 3, stride=2, padding=1, bias=False),
            norm1=nn.BatchNorm2d(stem),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(3, 2, padding=1),
        )
    )
    c_in = stem
    for number, num_units in enumerate(UNITS, start=2):
        units = [Unit(c_in, width, groups=groups, halve=True, first=number == 2)]
        units += [Unit(width, width, groups=groups) for _ in range(num_units - 1)]
        network.add_module(f"stage{number}", nn.Sequential(*units))
        c_in, width = width, 2 * width
    head = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    network.add_module("head", nn.Sequential(OrderedDict(head, fc=nn.Linear(c_in, num_classes))))
    _start(network)
    return network


def _scaled(groups: int, scale: float) -> tuple[int, int]:
    """Channels of conv1 and of stage2, if every layer can be split into its groups."""
    if groups not in CHANNELS:
        raise UsageError(f"groups must be one of {[*CHANNELS]}; {groups!r} was given")
    stem, width = 24 * scale, CHANNELS[groups] * scale
    if stem < 1 or stem % 1 or width % (4 * groups) or (width - stem) % groups:
        raise UsageError(
            f"scale must leave whole channels to each of {groups} groups, as 1 does; "
            f"{scale!r} was given"
        )
    return int(stem), int(width)


def _start(network: nn.Sequential) -> None:
    """N(0, 0.01) in conv1 and fc, N(0, 1 / channels read) between; norms lift their maps a bit."""
    start.gaussian(network, std=0.01)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and name != "conv1":
            nn.init.normal_(layer.weight, std=1 / layer.weight.shape[1])
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, 1e-4)


_FORMS = [
    *((f"shufflenet_g{g}", g, 1, f"1x1 convolutions in groups: {g}") for g in CHANNELS),
    ("shufflenet_g3_x0_5", 3, 0.5, "3 groups, half the channels"),
    ("shufflenet_g3_x0_25", 3, 0.25, "3 groups, a quarter of the channels"),
]
VARIANTS = tuple(
    Variant(
        name, partial(shufflenet, g, scale=s), (3, 224, 224), 2017, "Zhang et al. 2017", 1000, about
    )
    for name, g, s, about in _FORMS
)
