"""Wide ResNet: fewer layers, each of them wide, do as well as a thousand thin ones, and faster.

Paper  Zagoruyko, Komodakis. Wide Residual Networks. arXiv:1605.07146, BMVC 2016. Table 1; Tables 5
       and 6 for WRN-28-10 and its dropout
Idea   k times the channels for the same units: weights grow as k squared, and so does what a GPU
       can do at once; depth only adds steps that wait for each other.

    stage    map      WRN-d-k, d = 6n + 4          28-10: n = 4, k = 10
    conv1    32x32    16, 3x3                      16
    conv2    32x32    n x (16k, 16k)               4 x (160, 160)
    conv3    16x16    n x (32k, 32k)               4 x (320, 320)
    conv4    8x8      n x (64k, 64k)               4 x (640, 640)
    head     1x1      average pool, dense 10       36.5 M weights
    error on CIFAR-10, CIFAR-100, %                4.00, 19.25; with dropout 3.89, 18.85 (Table 6)

    A unit is BN, ReLU, conv, BN, ReLU, conv ("pre-activation"): B(3, 3) in the paper's words.

Unlike the paper
  - What it leaves open is as in its code: where channels grow, a 1x1 projection without batch norm
    reads the activated input, and BN and ReLU follow the last unit.
  - `wide_resnet50_2` is its WRN-50-2-bottleneck as torchvision ships it: ResNet-50 whose 3x3 are
    twice as wide while units' inputs and outputs stay, maps halved in the 3x3.
  - Start: He with fan_in; its code draws with fan_out.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from neocog.errors import UsageError
from neocog.networks import start
from neocog.networks.parts import whole
from neocog.networks.residual import Residual, conv, head, stages
from neocog.networks.resnet import narrow, resnet, table_1
from neocog.networks.variant import Variant


def wide(dropout: float, c_in: int, c_out: int, stride: int) -> nn.Module:
    """B(3, 3): (N, c_in, H, W) -> (N, c_out, H/stride, W/stride)."""
    begin = OrderedDict[str, nn.Module](norm1=nn.BatchNorm2d(c_in), relu1=nn.ReLU(inplace=True))
    rest = OrderedDict[str, nn.Module](
        conv1=conv(c_in, c_out, 3, stride),
        norm2=nn.BatchNorm2d(c_out),
        relu2=nn.ReLU(inplace=True),
    )
    if dropout:  # section 2.4: between the convolutions
        rest["dropout"] = nn.Dropout(dropout)
    rest["conv2"] = conv(c_out, c_out, 3)
    if (c_in, stride) == (c_out, 1):
        return Residual(nn.Sequential(begin | rest), nn.Identity(), nn.Identity())
    unit = Residual(nn.Sequential(rest), conv(c_in, c_out, 1, stride), nn.Identity())
    return nn.Sequential(begin | OrderedDict(unit=unit))


def wide_resnet(
    depth: int, k: int, *, dropout: float = 0.0, num_classes: int = 10, in_channels: int = 3
) -> nn.Sequential:
    """WRN-depth-k: (N, in_channels, 32, 32) -> (N, num_classes)."""
    whole("k", k)
    if not isinstance(depth, int) or depth < 10 or depth % 6 != 4:
        raise UsageError(f"depth must be 6n + 4: 10, 16, 22, 28, ...; {depth!r} was given")
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout must be at least 0 and less than 1; {dropout!r} was given")
    plan = [((depth - 4) // 6, channels * k) for channels in (16, 32, 64)]
    network = nn.Sequential(
        OrderedDict(
            conv1=conv(in_channels, 16, 3),
            **stages(partial(wide, dropout), 16, plan, name="conv{}", first=2),
            norm=nn.BatchNorm2d(64 * k),
            relu=nn.ReLU(inplace=True),
            head=head(64 * k, num_classes),
        )
    )
    start.he(network)
    return network


def twice(c_in: int, c_out: int, stride: int) -> Residual:
    """ResNet's bottleneck with twice its width."""
    return narrow(c_in, c_out // 2, c_out, (1, stride))


_PAPER = "Zagoruyko and Komodakis 2016"
_28_10, _DROPOUT = partial(wide_resnet, 28, 10), partial(wide_resnet, 28, 10, dropout=0.3)
_50_2, _ABOUT = partial(resnet, twice, table_1(50)), "ResNet-50 with 3x3 twice as wide"
VARIANTS = (
    Variant("wrn28_10_cifar", _28_10, (3, 32, 32), 2016, _PAPER, 10, "28 layers, k = 10"),
    Variant("wrn28_10_dropout_cifar", _DROPOUT, (3, 32, 32), 2016, _PAPER, 10, "and dropout 0.3"),
    Variant("wide_resnet50_2", _50_2, (3, 224, 224), 2016, _PAPER, 1000, _ABOUT),
)
