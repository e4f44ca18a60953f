"""ResNet: layers learn what to add to their input, so that hundreds of them train.

Paper  He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. arXiv:1512.03385,
       CVPR 2016. Table 1; Figure 2 for the sum, Figure 5 for the two units
Idea   y = F(x) + x (equation 1): where nothing is to be done, F need only be zero. The shortcut
       costs nothing, and the gradient goes back along it undiminished.

    stage     map      18            34            50                      101    152
    conv1     112x112  7x7, 64, stride 2, all of them; then 3x3 max pool, stride 2
    conv2_x   56x56    2 x (64, 64)  3 x (64, 64)  3 x (64, 64, 256)        x 3    x 3
    conv3_x   28x28    2 x (128..)   4 x (128..)   4 x (128, 128, 512)      x 4    x 8
    conv4_x   14x14    2 x (256..)   6 x (256..)   6 x (256, 256, 1024)     x 23   x 36
    conv5_x   7x7      2 x (512..)   3 x (512..)   3 x (512, 512, 2048)     x 3    x 3
    head      1x1      average pool, dense 1000
    multiply-adds, G   1.8           3.6           3.8                      7.6    11.3

Unlike the paper
  - The paper halves a map in a bottleneck's first 1x1, which skips three inputs of four: that is
    `resnet50_v1`, `101_v1` and `152_v1`, and the multiply-adds printed above. `resnet50` and the
    deeper halve it in the 3x3, as torchvision and most others do ("v1.5"): 4.1, 7.8 and 11.5.
  - Shortcuts are option B: 1x1 projections with batch norm where the shape changes, else identity.
    The paper prints that for 50 and deeper, and all three options for 34.
  - Start: He with fan_in ("as in [13]", whose equation 10 is that), the dense layer too.
    torchvision draws with fan_out, which [13] calls as good, and its dense layer as torch does.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from neocog.networks import start
from neocog.networks.parts import whole
from neocog.networks.residual import Residual, Stages, Unit, checked, conv, head, projection, stages
from neocog.networks.variant import Variant

# Table 1: the units of conv2_x to conv5_x.
BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
BOTTLENECK = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def basic(c_in: int, c_out: int, stride: int) -> Residual:
    """Two 3x3 (Figure 5, left): (N, c_in, H, W) -> (N, c_out, H/stride, W/stride)."""
    branch = OrderedDict(
        conv1=conv(c_in, c_out, 3, stride),
        norm1=nn.BatchNorm2d(c_out),
        relu1=nn.ReLU(inplace=True),
        conv2=conv(c_out, c_out, 3),
        norm2=nn.BatchNorm2d(c_out),
    )
    return Residual(nn.Sequential(branch), projection(c_in, c_out, stride), nn.ReLU(inplace=True))


def narrow(c_in: int, width: int, c_out: int, strides: tuple[int, int]) -> Residual:
    """1x1 to `width`, 3x3, 1x1 to `c_out` (Figure 5, right); `strides` are the first two's."""
    branch = OrderedDict(
        conv1=conv(c_in, width, 1, strides[0]),
        norm1=nn.BatchNorm2d(width),
        relu1=nn.ReLU(inplace=True),
        conv2=conv(width, width, 3, strides[1]),
        norm2=nn.BatchNorm2d(width),
        relu2=nn.ReLU(inplace=True),
        conv3=conv(width, c_out, 1),
        norm3=nn.BatchNorm2d(c_out),
    )
    shortcut = projection(c_in, c_out, max(strides))
    return Residual(nn.Sequential(branch), shortcut, nn.ReLU(inplace=True))


def bottleneck(c_in: int, c_out: int, stride: int) -> Residual:
    return narrow(c_in, max(c_out // 4, 1), c_out, (1, stride))


def bottleneck_v1(c_in: int, c_out: int, stride: int) -> Residual:
    return narrow(c_in, max(c_out // 4, 1), c_out, (stride, 1))


def resnet(
    unit: Unit, plan: Stages, *, num_classes: int = 1000, in_channels: int = 3
) -> nn.Sequential:
    """(N, in_channels, H, W) -> (N, num_classes), of any units in any stages.

    `resnet(basic, ((2, 64), (2, 128), (2, 256), (2, 512)))` is ResNet-18.
    """
    plan = checked(plan)
    whole("num_classes", num_classes)
    whole("in_channels", in_channels)
    network = nn.Sequential(
        OrderedDict(
            conv1=conv(in_channels, 64, 7, 2),
            norm1=nn.BatchNorm2d(64),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(3, 2, padding=1),
            **stages(unit, 64, plan, name="conv{}_x", first=2),
            head=head(plan[-1][1], num_classes),
        )
    )
    start.he(network)
    return network


def table_1(depth: int) -> list[tuple[int, int]]:
    """The stages of a depth: units, channels."""
    counts, first = (BASIC[depth], 64) if depth in BASIC else (BOTTLENECK[depth], 256)
    return [(count, first * 2**number) for number, count in enumerate(counts)]


_BASIC = "units of two 3x3"
_BOTTLENECK = "bottleneck units, maps halved in the 3x3 (v1.5)"
_V1 = "bottleneck units, maps halved in the first 1x1: the paper's"
VARIANTS = (
    *(
        Variant(
            name=f"resnet{depth}{suffix}",
            build=partial(resnet, unit, table_1(depth)),
            input=(3, 224, 224),
            year=2015,
            paper="He et al. 2015",
            num_classes=1000,
            about=about,
        )
        for depths, suffix, unit, about in (
            (BASIC, "", basic, _BASIC),
            (BOTTLENECK, "", bottleneck, _BOTTLENECK),
            (BOTTLENECK, "_v1", bottleneck_v1, _V1),
        )
        for depth in depths
    ),
)
