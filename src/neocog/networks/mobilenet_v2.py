"""MobileNet v2: narrow maps joined by shortcuts, wide and depthwise between them.

Paper  Sandler, Howard, Zhu, Zhmoginov, Chen. MobileNetV2: Inverted Residuals and Linear
       Bottlenecks. arXiv:1801.04381, CVPR 2018. Section 4, Tables 1 and 2
Idea   What maps hold fits in few channels, and a ReLU there would lose it: so the last 1x1 of a
       block has none (linear bottleneck), and shortcuts join the thin ends (inverted residual).

    stage         map       expansion t   channels   blocks   stride of the first
    conv1         112x112                       32            2
    bottleneck1   112x112             1         16        1   1
    bottleneck2   56x56               6         24        2   2
    bottleneck3   28x28               6         32        3   2
    bottleneck4   14x14               6         64        4   2
    bottleneck5   14x14               6         96        3   1
    bottleneck6   7x7                 6        160        3   2
    bottleneck7   7x7                 6        320        1   1
    conv2         7x7                         1280            1x1
    head          1x1       7x7 mean, dropout 0.2, then the classes
    A block (Table 1): 1x1 to t times its channels, ReLU6; depthwise 3x3, ReLU6; 1x1. A norm follows
    each. Where it changes neither map nor channels it is added to what it read.

Unlike the paper
  - It gives 3.4 M weights; this table, its norms included, makes 3.50 M, in torchvision too.
  - With t = 1 there is no first 1x1: so the authors' code (tensorflow/models), whence dropout, too.
  - The paper names no start: it is that of their code, N(0, 0.09) cut at two deviations, where
    torchvision has He's. Norms are torch's, as in torchvision (epsilon 1e-5; theirs had 1e-3), and
    so is the padding, which at stride 2 was below and on the right only.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from neocog.networks import start
from neocog.networks.variant import Variant

TABLE_2 = (  # t, channels, blocks, stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Residual(nn.Sequential):
    """What its layers make of x, and x itself: (N, C, H, W) -> (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        made = x
        for layer in self:
            made = layer(made)
        return x + made


def block(c_in: int, c_out: int, *, t: int = 6, stride: int = 1) -> nn.Sequential:
    """Figure 4d: (N, c_in, H, W) -> (N, c_out, H/stride, W/stride)."""
    wide = t * c_in
    layers = OrderedDict[str, nn.Module]()
    if t > 1:
        layers["expand"] = _conv(c_in, wide, 1)
    layers["depthwise"] = _conv(wide, wide, 3, stride=stride, groups=wide)
    layers["project"] = nn.Conv2d(wide, c_out, 1, bias=False)
    layers["norm"] = nn.BatchNorm2d(c_out)
    return Residual(layers) if stride == 1 and c_in == c_out else nn.Sequential(layers)


def _conv(c_in: int, c_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
            norm=nn.BatchNorm2d(c_out),
            relu=nn.ReLU6(inplace=True),
        )
    )


def mobilenet_v2(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 224, 224) -> (N, num_classes)."""
    network = nn.Sequential(OrderedDict(conv1=_conv(in_channels, 32, 3, stride=2)))
    c_in = 32
    for number, (t, c_out, num_blocks, stride) in enumerate(TABLE_2, start=1):
        blocks = [block(c_in, c_out, t=t, stride=stride)]
        blocks += [block(c_out, c_out, t=t) for _ in range(num_blocks - 1)]
        network.add_module(f"bottleneck{number}", nn.Sequential(*blocks))
        c_in = c_out
    network.add_module("conv2", _conv(c_in, 1280, 1))
    head = OrderedDict(
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        dropout=nn.Dropout(0.2),
        fc=nn.Linear(1280, num_classes),
    )
    network.add_module("head", nn.Sequential(head))
    _start(network)
    return network


def _start(network: nn.Sequential) -> None:
    for layer in start.weighted(network):
        nn.init.trunc_normal_(layer.weight, std=0.09, a=-0.18, b=0.18)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


_ABOUT = "inverted residuals, linear bottlenecks"
VARIANTS = (
    Variant("mobilenet_v2", mobilenet_v2, (3, 224, 224), 2018, "Sandler et al. 2018", 1000, _ABOUT),
)
