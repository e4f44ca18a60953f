"""ProxylessNAS: blocks chosen by search, on the task itself, for the machine that will run them.

Paper  Cai, Zhu, Han. ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware.
       arXiv:1812.00332, ICLR 2019. Section 3, Figure 4
Idea   Train one path of the super-network at a time, picked by learned odds, with measured latency
       in the loss: no small stand-in task is needed, and each device gets a network of its own: the
       GPU a wide and shallow one with large kernels, the CPU a deep and narrow one (section 4.3).

    stage    map        cpu                       gpu                 mobile
    conv1    112x112     40                        40                  32
    stage1   112x112     24: 13                    24: 13              16: 13
    stage2   56x56       32: 63 33 33 33           32: 35              32: 35 33
    stage3   28x28       48: 63 33 33 35           56: 37 33           40: 37 33 35 35
    stage4   14x14       88: 63 33                112: 67 35           80: 67 35 35 35
    stage5   14x14      104: 65 33 33 33          128: 65 33 35        96: 65 35 35 35
    stage6   7x7        216: 65 35 35 33          256: 67 67 67 65    192: 67 67 37 37
    stage7   7x7        360: 65                   432: 67             320: 67
    conv2    7x7       1432: 1x1                 1728: 1x1           1280: 1x1
    head     1x1       7x7 mean, then the classes
    Read "104: 65 33" as 104 channels; a block that expands 6 times with a 5x5 depthwise kernel, one
    of 3 and 3x3. Blocks are MobileNet v2's. In stages 2 to 6 the search chose up to four.

Unlike the paper
  - Figure 4 is a picture: the table is as two re-implementations have it that agree (osmr's
    imgclsmob and Google's TuNAS), with ReLU6 and norms of epsilon 1e-3 as in the authors' code.
  - The start is that of the authors' code: He by what a layer makes, k x k x c_out. It ignores that
    depthwise layers are grouped, so those begin small, and the norms behind them make up for it.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from math import sqrt

from torch import Tensor, nn

from neocog.errors import unknown
from neocog.networks import start
from neocog.networks.variant import Variant

PLANS = {  # channels of conv1, stages 1 to 7, conv2; blocks of the stages
    "cpu": (
        (40, 24, 32, 48, 88, 104, 216, 360, 1432),
        "13 | 63 33 33 33 | 63 33 33 35 | 63 33 | 65 33 33 33 | 65 35 35 33 | 65",
    ),
    "gpu": (
        (40, 24, 32, 56, 112, 128, 256, 432, 1728),
        "13 | 35 | 37 33 | 67 35 | 65 33 35 | 67 67 67 65 | 67",
    ),
    "mobile": (
        (32, 16, 32, 40, 80, 96, 192, 320, 1280),
        "13 | 35 33 | 37 33 35 35 | 67 35 35 35 | 65 35 35 35 | 67 67 37 37 | 67",
    ),
}
STRIDES = (1, 2, 2, 2, 1, 2, 1)


class Residual(nn.Sequential):
    """What its layers make of x, and x itself: (N, C, H, W) -> (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        made = x
        for layer in self:
            made = layer(made)
        return x + made


def block(c_in: int, c_out: int, code: str, *, stride: int = 1) -> nn.Sequential:
    """`code` is expansion and kernel: (N, c_in, H, W) -> (N, c_out, H/stride, W/stride)."""
    expansion, kernel = map(int, code)
    wide = expansion * c_in
    layers = OrderedDict[str, nn.Module]()
    if expansion > 1:
        layers["expand"] = _conv(c_in, wide, 1)
    layers["depthwise"] = _conv(wide, wide, kernel, stride=stride, groups=wide)
    layers["project"] = nn.Conv2d(wide, c_out, 1, bias=False)
    layers["norm"] = nn.BatchNorm2d(c_out, eps=1e-3)
    return Residual(layers) if stride == 1 and c_in == c_out else nn.Sequential(layers)


def _conv(c_in: int, c_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
            norm=nn.BatchNorm2d(c_out, eps=1e-3),
            relu=nn.ReLU6(inplace=True),
        )
    )


def proxyless(platform: str, *, num_classes: int = 1000, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 224, 224) -> (N, num_classes), for the "cpu", the "gpu" or the "mobile" phone."""
    if platform not in PLANS:
        raise unknown("platform", platform, PLANS)
    (c_in, *channels, last), codes = PLANS[platform]
    network = nn.Sequential(OrderedDict(conv1=_conv(in_channels, c_in, 3, stride=2)))
    stages = zip(channels, codes.split("|"), STRIDES, strict=True)
    for number, (c_out, stage, stride) in enumerate(stages, start=1):
        first, *others = stage.split()
        blocks = [block(c_in, c_out, first, stride=stride)]
        blocks += [block(c_out, c_out, code) for code in others]
        network.add_module(f"stage{number}", nn.Sequential(*blocks))
        c_in = c_out
    network.add_module("conv2", _conv(c_in, last, 1))
    head = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    network.add_module("head", nn.Sequential(OrderedDict(head, fc=nn.Linear(last, num_classes))))
    _start(network)
    return network


def _start(network: nn.Sequential) -> None:
    for layer in start.weighted(network):
        if isinstance(layer, nn.Conv2d):
            made = layer.out_channels * layer.kernel_size[0] ** 2
            nn.init.normal_(layer.weight, std=sqrt(2 / made))
        else:
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)


VARIANTS = tuple(
    Variant(
        f"proxyless_{platform}",
        partial(proxyless, platform),
        (3, 224, 224),
        2018,
        "Cai et al. 2018",
        1000,
        f"searched for the {platform}",
    )
    for platform in PLANS
)
