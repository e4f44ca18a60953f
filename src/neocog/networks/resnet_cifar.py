"""ResNet for CIFAR: the same idea where maps are small, from 20 layers to 110, and without it.

Paper  He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. arXiv:1512.03385,
       CVPR 2016. Section 4.2, Table 6; Figure 6 for the plain nets
Idea   6n + 2 layers, so that nothing but depth differs: with shortcuts deeper is better, and
       without them, 56 layers fit the training set worse than 20.

    stage     map      layers    channels                20     32     44     56     110
    conv1     32x32    1         16, 3x3
    stage1    32x32    2n        16, units of two 3x3    n = 3  5      7      9      18
    stage2    16x16    2n        32
    stage3    8x8      2n        64
    head      1x1      1         average pool, dense 10
    weights, millions                                    0.27   0.46   0.66   0.85   1.7
    error on CIFAR-10, %                                 8.75   7.51   7.17   6.97   6.43

Unlike the paper
  - Option A, "identity shortcuts in all cases", is all that it uses here, with "extra zero
    entries": ours stand behind the maps that there are, which the paper leaves open. The `b` of
    `resnet20b_cifar` is option B of section 4.1: the 1x1 projections with batch norm. The 40.8
    million multiply-adds often told of ResNet-20 are that form's; option A has 40.6.
  - `resnet18_cifar` is what courses train: the ImageNet net (Table 1) behind a 3x3 with stride 1
    and no pool. The paper has no such net.
  - Start: He with fan_in, as "[13]" has it, the dense layer too.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from neocog.networks import start
from neocog.networks.parts import whole
from neocog.networks.residual import Residual, Stages, Unit, checked, conv, head, padding, stages
from neocog.networks.resnet import basic, table_1
from neocog.networks.variant import Variant

DEPTHS = (20, 32, 44, 56, 110)


def plain(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """Two 3x3 without a shortcut: (N, c_in, H, W) -> (N, c_out, H/stride, W/stride)."""
    return nn.Sequential(
        OrderedDict(
            conv1=conv(c_in, c_out, 3, stride),
            norm1=nn.BatchNorm2d(c_out),
            relu1=nn.ReLU(inplace=True),
            conv2=conv(c_out, c_out, 3),
            norm2=nn.BatchNorm2d(c_out),
            relu2=nn.ReLU(inplace=True),
        )
    )


def padded(c_in: int, c_out: int, stride: int) -> Residual:
    """The plain unit and a shortcut of option A; the last ReLU follows the sum."""
    *branch, last = plain(c_in, c_out, stride).named_children()
    return Residual(nn.Sequential(OrderedDict(branch)), padding(c_in, c_out, stride), last[1])


def resnet_cifar(
    unit: Unit, plan: Stages, *, stem: int = 16, num_classes: int = 10, in_channels: int = 3
) -> nn.Sequential:
    """(N, in_channels, H, W) -> (N, num_classes), of any units in any stages.

    `resnet_cifar(padded, ((3, 16), (3, 32), (3, 64)))` is ResNet-20. `stem`: channels of conv1.
    """
    plan = checked(plan)
    for what, value in {
        "stem": stem,
        "num_classes": num_classes,
        "in_channels": in_channels,
    }.items():
        whole(what, value)
    network = nn.Sequential(
        OrderedDict(
            conv1=conv(in_channels, stem, 3),
            norm1=nn.BatchNorm2d(stem),
            relu1=nn.ReLU(inplace=True),
            **stages(unit, stem, plan, name="stage{}"),
            head=head(plan[-1][1], num_classes),
        )
    )
    start.he(network)
    return network


def section_4_2(depth: int) -> list[tuple[int, int]]:
    """The stages of 6n + 2 layers: units, channels."""
    return [((depth - 2) // 6, width) for width in (16, 32, 64)]


_EIGHTEEN = partial(resnet_cifar, basic, table_1(18), stem=64)
_SMALL = "18 behind a 3x3 without pool, as courses train it"
VARIANTS = (
    *(
        Variant(
            name=name.format(depth),
            build=partial(resnet_cifar, unit, section_4_2(depth)),
            input=(3, 32, 32),
            year=2015,
            paper="He et al. 2015",
            num_classes=10,
            about=about,
        )
        for name, unit, about in (
            ("resnet{}_cifar", padded, "shortcuts padded with zeros (option A)"),
            ("resnet{}b_cifar", basic, "projections where shapes change (option B)"),
            ("plain{}_cifar", plain, "without shortcuts"),
        )
        for depth in DEPTHS
    ),
    Variant("resnet18_cifar", _EIGHTEEN, (3, 32, 32), 2015, "after He et al. 2015", 10, _SMALL),
)
