"""MobileNet: a convolution split into one over space and one over channels.

Paper  Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam. MobileNets: Efficient
       Convolutional Neural Networks for Mobile Vision Applications. arXiv:1704.04861. Tables 1, 6
Idea   A 3x3 on each map by itself (depthwise), then a 1x1 across them (pointwise), each with norm
       and ReLU (Figure 3): 8 to 9 times less work. The width alpha thins all layers alike.

    stage               map       channels   stride
    conv1               112x112         32   2
    separable1          112x112         64   1
    separable2, 3       56x56          128   2, 1
    separable4, 5       28x28          256   2, 1
    separable6 to 11    14x14          512   2, 1, 1, 1, 1, 1
    separable12, 13     7x7           1024   2, 1
    head                1x1    7x7 mean, then the classes
    alpha                                    1    0.75     0.5    0.25
    weights (millions)                     4.2     2.6     1.3     0.5
    multiply-adds (millions)               569     325     149      41

Unlike the paper
  - Table 1 prints stride 2 for the last depthwise layer too, yet keeps its map 7x7: it is 1.
  - The paper draws ReLU. The authors' code (tensorflow/models) and those after it, Keras and timm,
    have ReLU6, and pad TensorFlow's way (at stride 2 below and on the right only).
  - The paper names no start: it is that of the authors' code, N(0, 0.09) cut at two deviations.
    Norms are torch's (epsilon 1e-5); theirs had 1e-3 and a dropout of 0.001 before the classes.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from neocog.errors import UsageError
from neocog.networks import start
from neocog.networks.variant import Variant

TABLE_1 = (  # channels and stride of each separable convolution
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    *((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    *((1024, 2), (1024, 1)),
)


def separable(c_in: int, c_out: int, *, stride: int = 1) -> nn.Sequential:
    """Figure 3, right: (N, c_in, H, W) -> (N, c_out, H/stride, W/stride)."""
    return nn.Sequential(
        OrderedDict(
            depthwise=nn.Conv2d(c_in, c_in, 3, stride, padding=1, groups=c_in, bias=False),
            norm1=nn.BatchNorm2d(c_in),
            relu1=nn.ReLU(inplace=True),
            pointwise=nn.Conv2d(c_in, c_out, 1, bias=False),
            norm2=nn.BatchNorm2d(c_out),
            relu2=nn.ReLU(inplace=True),
        )
    )


def mobilenet(*, alpha: float = 1, num_classes: int = 1000, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 224, 224) -> (N, num_classes); `alpha` is the width multiplier of section 3.3."""
    if not alpha >= 1 / 32:
        raise UsageError(f"alpha must be 1/32, one channel in conv1, or more; {alpha!r} was given")
    c_in = int(32 * alpha)
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, c_in, 3, stride=2, padding=1, bias=False),
            norm1=nn.BatchNorm2d(c_in),
            relu1=nn.ReLU(inplace=True),
        )
    )
    for number, (channels, stride) in enumerate(TABLE_1, start=1):
        c_out = int(channels * alpha)
        network.add_module(f"separable{number}", separable(c_in, c_out, stride=stride))
        c_in = c_out
    head = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    network.add_module("head", nn.Sequential(OrderedDict(head, fc=nn.Linear(c_in, num_classes))))
    _start(network)
    return network


def _start(network: nn.Sequential) -> None:
    for layer in start.weighted(network):
        nn.init.trunc_normal_(layer.weight, std=0.09, a=-0.18, b=0.18)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


_ABOUT = {
    1: "depthwise and pointwise convolutions",
    0.75: "three quarters of the channels",
    0.5: "half the channels",
    0.25: "a quarter of the channels",
}
VARIANTS = tuple(
    Variant(
        f"mobilenet_v1_x{alpha}".replace(".", "_") if alpha < 1 else "mobilenet_v1",
        partial(mobilenet, alpha=alpha),
        (3, 224, 224),
        2017,
        "Howard et al. 2017",
        1000,
        about,
    )
    for alpha, about in _ABOUT.items()
)
