"""ResNeXt: many narrow paths in each unit instead of one wide one.

Paper  Xie, Girshick, Dollar, Tu, He. Aggregated Residual Transformations for Deep Neural Networks.
       arXiv:1611.05431, CVPR 2017. Table 1; Table 7 and section 5.3 for CIFAR
Idea   The number of paths ("cardinality") is a dimension beside depth and width, and worth more.
       Equal paths need no code of their own: they are a grouped convolution (Figure 3c).

    stage     map      50, 32x4d                         maps of CIFAR   29, 8x64d
    conv1     112x112  7x7, 64, stride 2                 32x32           3x3, 64
    conv2_x   56x56    pool; 3 x (128, 128, 256), C=32   32x32 stage1    3 x (512, 512, 256), C=8
    conv3_x   28x28    4 x (256, 256, 512)               16x16 stage2    3 x (1024, 1024, 512)
    conv4_x   14x14    6 x (512, 512, 1024)              8x8   stage3    3 x (2048, 2048, 1024)
    conv5_x   7x7      3 x (1024, 1024, 2048)
    weights            25.0 M                                            34.4 M; 16x64d 68.1 M

    C x d reads: C paths, each d wide in the first stage. A unit is 1x1, 3x3 in C groups, 1x1.

Unlike the paper
  - 101 as 32x8d is torchvision's. The paper's 101 are 32x4d and 64x4d (Tables 3 and 4).
  - Maps are halved in the 3x3, as section 4 says.
  - Start: He with fan_in; the paper's code draws with fan_out.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from neocog.networks.residual import Residual, conv, projection
from neocog.networks.resnet import resnet, table_1
from neocog.networks.resnet_cifar import resnet_cifar
from neocog.networks.variant import Variant

FIRST = 256  # channels of the first stage, whose paths are `d` wide; with them the paths widen
TABLE_7 = ((3, 256), (3, 512), (3, 1024))


def aggregated(paths: int, d: int, c_in: int, c_out: int, stride: int) -> Residual:
    """Figure 3c: (N, c_in, H, W) -> (N, c_out, H/stride, W/stride)."""
    width = paths * d * c_out // FIRST
    branch = OrderedDict(
        conv1=conv(c_in, width, 1),
        norm1=nn.BatchNorm2d(width),
        relu1=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(width, width, 3, stride, padding=1, groups=paths, bias=False),
        norm2=nn.BatchNorm2d(width),
        relu2=nn.ReLU(inplace=True),
        conv3=conv(width, c_out, 1),
        norm3=nn.BatchNorm2d(c_out),
    )
    return Residual(nn.Sequential(branch), projection(c_in, c_out, stride), nn.ReLU(inplace=True))


_IMAGENET = (("resnext50_32x4d", 50, 32, 4), ("resnext101_32x8d", 101, 32, 8))
_CIFAR = (("resnext29_8x64d_cifar", 8, 64), ("resnext29_16x64d_cifar", 16, 64))
_PAPER = "Xie et al. 2016"
VARIANTS = (
    *(
        Variant(
            name=name,
            build=partial(resnet, partial(aggregated, paths, d), table_1(depth)),
            input=(3, 224, 224),
            year=2016,
            paper=_PAPER,
            num_classes=1000,
            about=f"{paths} paths, {d} wide in the first stage",
        )
        for name, depth, paths, d in _IMAGENET
    ),
    *(
        Variant(
            name=name,
            build=partial(resnet_cifar, partial(aggregated, paths, d), TABLE_7, stem=64),
            input=(3, 32, 32),
            year=2016,
            paper=_PAPER,
            num_classes=10,
            about=f"{paths} paths, {d} wide in the first stage, for 32 px",
        )
        for name, paths, d in _CIFAR
    ),
)
