"""ShuffleNet v2: half of the channels pass by; measured time, not multiply-adds, decides the rest.

Paper  Ma, Zhang, Zheng, Sun. ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture
       Design. arXiv:1807.11164, ECCV 2018. Section 3, Figure 3, Table 5
Idea   Memory traffic counts: equal widths (G1), few groups (G2), few branches (G3), few sums and
       ReLUs (G4). So: split the channels, work on one half, set both side by side, shuffle.

    stage        map        units          channels for  0.5x    1x   1.5x    2x
    conv1        112x112   3x3, stride 2                  24     24     24     24
    pool1        56x56     3x3 max, stride 2              24     24     24     24
    stage2       28x28     1 halving + 3                  48    116    176    244
    stage3       14x14     1 halving + 7                  96    232    352    488
    stage4       7x7       1 halving + 3                 192    464    704    976
    conv5        7x7       1x1                          1024   1024   1024   2048
    head         1x1       7x7 mean, then the classes
    weights (millions)                                   1.4    2.3    3.5    7.4
    multiply-adds (millions; "FLOPs" in the paper)        41    146    299    591

Unlike the paper
  - Its multiply-adds are 1 % more than convolutions and dense layer make, here and in torchvision.
  - The paper names no start: it is that of the authors' code (megvii-model/ShuffleNet-Series),
    where torchvision has torch's own. Their dense layer has no bias, and dropout 0.2 in 2x; ours,
    as torchvision's, has a bias and no dropout.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.networks import start
from neocog.networks.parts import whole
from neocog.networks.variant import Variant

CHANNELS = {  # Table 5: of stages 2 to 4 and of conv5
    "0_5": (48, 96, 192, 1024),
    "1_0": (116, 232, 464, 1024),
    "1_5": (176, 352, 704, 1024),
    "2_0": (244, 488, 976, 2048),
}
UNITS = (4, 8, 4)


class Unit(nn.Module):
    """Figure 3c: (N, c_in, H, W) -> (N, c_out, H, W); with `halve` 3d: -> (N, c_out, H/2, W/2).

    3c splits its channels and passes one half by; in 3d both branches read all of them.
    """

    def __init__(self, c_in: int, c_out: int, *, halve: bool = False) -> None:
        super().__init__()
        self.halve = halve
        half, stride = c_out // 2, 2 if halve else 1
        read = c_in if halve else half
        self.left = nn.Sequential()
        if halve:
            self.left.extend((*_depthwise(read, stride), *_pointwise(read, half)))
        self.right = nn.Sequential(
            *_pointwise(read, half), *_depthwise(half, stride), *_pointwise(half, half)
        )

    def forward(self, x: Tensor) -> Tensor:
        left, right = (x, x) if self.halve else x.chunk(2, dim=1)
        return shuffle(torch.cat((self.left(left), self.right(right)), dim=1), groups=2)


def shuffle(x: Tensor, *, groups: int) -> Tensor:
    """Channels in `groups` rows, read by columns: (N, C, H, W) -> (N, C, H, W)."""
    rows: Tensor = x.unflatten(1, (groups, -1))
    return rows.transpose(1, 2).flatten(1, 2)


def _pointwise(c_in: int, c_out: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(c_in, c_out, 1, bias=False)
    return conv, nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)


def _depthwise(channels: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
    return conv, nn.BatchNorm2d(channels)


def shufflenet_v2(
    channels: Sequence[int], *, num_classes: int = 1000, in_channels: int = 3
) -> nn.Sequential:
    """(N, 3, 224, 224) -> (N, num_classes); `channels` are those of stages 2 to 4 and of conv5."""
    _check(channels)
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 24, 3, stride=2, padding=1, bias=False),
            norm1=nn.BatchNorm2d(24),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(3, 2, padding=1),
        )
    )
    c_in = 24
    for number, (num_units, c_out) in enumerate(zip(UNITS, channels, strict=False), start=2):
        units = [Unit(c_in, c_out, halve=True)]
        units += [Unit(c_out, c_out) for _ in range(num_units - 1)]
        network.add_module(f"stage{number}", nn.Sequential(*units))
        c_in = c_out
    network.add_module("conv5", nn.Sequential(*_pointwise(c_in, channels[3])))
    head = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    head = OrderedDict(head, fc=nn.Linear(channels[3], num_classes))
    network.add_module("head", nn.Sequential(head))
    _start(network)
    return network


def _check(channels: Sequence[int]) -> None:
    for number, width in enumerate(channels):
        whole(f"channels[{number}]", width)
    if len(channels) != 4 or any(width % 2 for width in channels[:3]):
        raise UsageError(
            "channels must be four numbers, of stages 2 to 4, which are even, and of conv5, such "
            f"as {CHANNELS['1_0']}; {channels!r} was given"
        )


def _start(network: nn.Sequential) -> None:
    """N(0, 0.01) in conv1 and fc, N(0, 1 / channels read) between; norms lift their maps a bit."""
    start.gaussian(network, std=0.01)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and name != "conv1":
            nn.init.normal_(layer.weight, std=1 / layer.weight.shape[1])
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, 1e-4)


VARIANTS = tuple(
    Variant(
        f"shufflenet_v2_x{scale}",
        partial(shufflenet_v2, channels),
        (3, 224, 224),
        2018,
        "Ma et al. 2018",
        1000,
        f"{scale.replace('_', '.')} times the channels",
    )
    for scale, channels in CHANNELS.items()
)
