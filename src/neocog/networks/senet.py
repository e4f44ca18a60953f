"""SENet: each unit weighs its own maps by what it sees in the whole picture.

Paper  Hu, Shen, Albanie, Sun, Wu. Squeeze-and-Excitation Networks. arXiv:1709.01507, CVPR 2018.
       Section 3 and Figure 3; Table 1 for SE-ResNet-50; Tables 4 and 5 for CIFAR
Idea   Squeeze: the mean of each map. Excite: two small dense layers turn these C means into C
       weights between 0 and 1. Scale: each map times its weight. It goes into any network, at the
       end of a residual branch, before the sum.

    SE-ResNet-50   map      the unit of ResNet-50     squeezed to    weights to
    conv2_x        56x56    3 x (64, 64, 256)         16             256
    conv3_x        28x28    4 x (128, 128, 512)       32             512
    conv4_x        14x14    6 x (256, 256, 1024)      64             1024
    conv5_x        7x7      3 x (512, 512, 2048)      128            2048
    weights        28.1 M, of which 2.5 M are the SE blocks' (r = 16, Table 10)

Unlike the paper
  - Maps are halved in the 3x3 (see `resnet`), as in timm's seresnet50; hence 4.1 G multiply-adds,
    not 3.87 (Table 2).
  - The dense layers are 1x1 convolutions of 1x1 maps, which are the same sums; weights bear the
    shapes that others publish.
  - On CIFAR the paper puts SE into the nets of He et al. 2016: those are the `_preact` ones. The
    others are the nets of 2015 with r = 16 likewise, which leaves 1, 2 and 4 units to squeeze to.
  - Start: He with fan_in, the dense layers too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from neocog.networks import start
from neocog.networks.preact import preact
from neocog.networks.residual import Residual
from neocog.networks.resnet import bottleneck, resnet, table_1
from neocog.networks.resnet_cifar import DEPTHS, padded, resnet_cifar, section_4_2
from neocog.networks.variant import Variant

RATIO = 16  # r of section 3.2


class SqueezeExcite(nn.Module):
    """Each map times a weight that follows from the means of all: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(channels // RATIO, 1)
        self.weigh = nn.Sequential(
            OrderedDict(
                squeeze=nn.AdaptiveAvgPool2d(1),
                fc1=nn.Conv2d(channels, few, 1),
                relu=nn.ReLU(inplace=True),
                fc2=nn.Conv2d(few, channels, 1),
                sigmoid=nn.Sigmoid(),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.weigh(x)
        return x * weights


def excited(
    build: Callable[..., nn.Sequential], *, num_classes: int, in_channels: int
) -> nn.Sequential:
    """The network that `build` makes, with an SE block at the end of every residual branch."""
    network = build(num_classes=num_classes, in_channels=in_channels)
    for unit in [m for m in network.modules() if isinstance(m, Residual)]:
        convs = [m for m in unit.branch if isinstance(m, nn.Conv2d)]
        unit.branch.add_module("se", SqueezeExcite(convs[-1].out_channels))
    start.he(network)
    return network


_PAPER, _AFTER = "Hu et al. 2017", "after Hu et al. 2017"
_FIFTY = partial(excited, partial(resnet, bottleneck, table_1(50)))
VARIANTS = (
    Variant("seresnet50", _FIFTY, (3, 224, 224), 2017, _PAPER, 1000, "ResNet-50 with SE blocks"),
    *(
        Variant(
            name=f"seresnet{depth}_cifar",
            build=partial(excited, partial(resnet_cifar, padded, section_4_2(depth))),
            input=(3, 32, 32),
            year=2017,
            paper=_AFTER,
            num_classes=10,
            about=f"resnet{depth}_cifar with SE blocks",
        )
        for depth in DEPTHS
    ),
    *(
        Variant(
            name=f"seresnet{depth}_preact_cifar",
            build=partial(excited, partial(preact, "preact", depth)),
            input=(3, 32, 32),
            year=2017,
            paper=_PAPER,
            num_classes=10,
            about=f"resnet{depth}_preact_cifar with SE blocks",
        )
        for depth in (110, 164)
    ),
)
