"""GoogLeNet: at every depth, filters of several sizes side by side.

Paper  Szegedy et al. Going Deeper with Convolutions. arXiv:1409.4842, CVPR 2015. Table 1 and
       Figures 2b and 3; auxiliary heads, their weight and dropout in section 5
Idea   Things come in sizes, so 1x1, 3x3, 5x5 and a pool read the same maps. 1x1s that thin the
       maps before the dear ones pay for it: 22 layers for a ninth of AlexNet's weights.

    stage        map      1x1  1x1, 3x3  1x1, 5x5  pool, 1x1   weights/1024   million multiply-adds
                                                               (the paper's where it differs)
    conv1        112x112  64 of 7x7/2, pool, LRN                  9.2 (2.7)   118.0 (34)
    conv2        56x56         64, 192, LRN, pool               112           359.7
    inception3a  28x28     64   96, 128   16,  32    32         159.5 (159)   128.0
    inception3b           128  128, 192   32,  96    64         379.0 (380)   304.3
    inception4a  14x14    192   96, 208   16,  48    64         366.8 (364)    73.6
    inception4b           160  112, 224   24,  64    64         438.0 (437)    87.9
    inception4c           128  128, 256   24,  64    64         497.5 (463)    99.9
    inception4d           112  144, 288   32,  64    64         590.5 (580)   118.5
    inception4e           256  160, 320   32, 128   128         847.0 (840)   170.0
    inception5a  7x7      256  160, 320   32, 128   128        1018.0 (1072)   51.1 (54)
    inception5b           384  192, 384   48, 128   128        1409.0 (1388)   70.7
    head                  mean of 7x7, dropout 0.4, dense      1000             1.0

Unlike the paper
  - Its weights disagree with its own widths, as above; its operations mostly agree. conv1's 2.7K
    and 34M are those of a 7x1 after a 1x7 (14 x 3 x 64). With biases we count 6,998,552. While it
    trains two heads read 4a and 4d: average pool 5/3, 1x1 of 128, dense 1024; 6,379,728 more.
  - Figure 3 shows where LRN stands, nothing says how strong. That, the start (uniform within
    sqrt(3 / fan_in), biases 0.2, those of classifiers 0) and pools that round up, so that the maps
    are Table 1's, are of Caffe's bvlc_googlenet, which Szegedy helped to make.
  - Other sizes than 224 px: the head takes the mean of what is left, the auxiliary heads first
    bring the map to the 14x14 that they know.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from neocog.networks.auxiliary import WithAuxiliary
from neocog.networks.variant import Variant

TABLE_1 = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
Conv = Callable[..., nn.Module]  # conv(c_in, c_out, kernel, stride=1), with all that follows it


class Inception(nn.Module):
    """Figure 2b, its widths a line of Table 1: (N, c_in, H, W) -> (N, all four branches, H, W)."""

    def __init__(self, c_in: int, widths: tuple[int, ...], *, conv: Conv, large: int) -> None:
        super().__init__()
        one, before_three, three, before_five, five, pooled = widths
        self.one = conv(c_in, one, 1)
        self.three = nn.Sequential(conv(c_in, before_three, 1), conv(before_three, three, 3))
        self.five = nn.Sequential(conv(c_in, before_five, 1), conv(before_five, five, large))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv(c_in, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


def googlenet(*, num_classes: int = 1000, in_channels: int = 3) -> WithAuxiliary:
    """(N, 3, 224, 224) -> (N, num_classes)."""
    stages = OrderedDict[str, nn.Module](
        conv1=_conv(in_channels, 64, 7, stride=2),
        pool1=halve(3),
        norm1=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1),  # of the mean, as Caffe's is
        reduce2=_conv(64, 64, 1),
        conv2=_conv(64, 192, 3),
        norm2=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1),
        pool2=halve(3),
        **inceptions(_conv, large=5, last_pool=3),
        head=head(num_classes, dropout=0.4),
    )
    heads = {
        name: auxiliary(c_in, num_classes, conv=_conv, pool=_to_4x4())
        for name, c_in in (("inception4a", 512), ("inception4d", 528))
    }
    network = WithAuxiliary(stages, auxiliary=heads, auxiliary_weight=0.3)
    for name, tensor in network.named_parameters():
        if name.endswith("weight"):
            bound = (3 / tensor[0].numel()) ** 0.5
            nn.init.uniform_(tensor, -bound, bound)
        else:
            nn.init.constant_(tensor, 0.0 if name.endswith("classifier.bias") else 0.2)
    return network


def _to_4x4() -> nn.Sequential:
    """The average pool 5/3 of 14x14. Maps of other sizes are brought to that first."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(14), nn.AvgPool2d(5, 3))


def _conv(c_in: int, c_out: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU(inplace=True)))


def inceptions(conv: Conv, *, large: int, last_pool: int) -> dict[str, nn.Module]:
    """Table 1 from inception3a to inception5b, with a pool before 4a and before 5a."""
    stages: dict[str, nn.Module] = {}
    pools = {"inception4a": ("pool3", 3), "inception5a": ("pool4", last_pool)}
    c_in = 192
    for name, widths in TABLE_1.items():
        if name in pools:
            pool, kernel = pools[name]
            stages[pool] = halve(kernel)
        stages[name] = Inception(c_in, widths, conv=conv, large=large)
        c_in = sum(widths) - widths[1] - widths[3]
    return stages


def halve(kernel: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)


def head(num_classes: int, *, dropout: float) -> nn.Sequential:
    layers = OrderedDict[str, nn.Module](pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    layers.update(dropout=nn.Dropout(dropout), classifier=nn.Linear(1024, num_classes))
    return nn.Sequential(layers)


def auxiliary(c_in: int, num_classes: int, *, conv: Conv, pool: nn.Module) -> nn.Sequential:
    """Section 5: (N, c_in, 14, 14) -> (N, num_classes)."""
    layers = OrderedDict[str, nn.Module](pool=pool, conv=conv(c_in, 128, 1), flatten=nn.Flatten())
    layers.update(fc=nn.Linear(128 * 4 * 4, 1024))
    layers.update(relu=nn.ReLU(inplace=True), dropout=nn.Dropout(0.7))
    layers.update(classifier=nn.Linear(1024, num_classes))
    return nn.Sequential(layers)


_ABOUT = "5x5s, LRN, two auxiliary heads"
VARIANTS = (
    Variant("googlenet", googlenet, (3, 224, 224), 2014, "Szegedy et al. 2014", 1000, _ABOUT),
)
