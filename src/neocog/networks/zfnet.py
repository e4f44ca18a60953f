"""ZFNet: AlexNet after its authors looked at what it had learned.

Paper  Zeiler, Fergus. Visualizing and Understanding Convolutional Networks. arXiv:1311.2901,
       ECCV 2014. Figure 3; training and start in section 3, the reasons in 4.1
Idea   Pictures of AlexNet's first maps show dead filters and aliasing. Smaller kernels (7 for 11)
       and smaller strides (2 for 4) keep what it threw away; one GPU needs no groups.

    layer           kernel     stride  maps                  then
    conv1           7x7x3      2       96 @ 110x110          pool 3/2 -> 55x55, contrast norm
    conv2           5x5x96     2       256 @ 26x26           pool 3/2 -> 13x13, contrast norm
    conv3           3x3x256    1       384 @ 13x13
    conv4           3x3x384    1       384 @ 13x13
    conv5           3x3x384    1       256 @ 13x13           pool 3/2 -> 6x6
    fc6, fc7        dense      -       4096, 4096            dropout 0.5 each

Unlike the paper
  - It prints the maps but no padding. Of 224 px, 110 come out with conv1 padded by one, of which
    only the upper and left edge is read; 55 and 13 come out where pools may hang over the edge.
    225 px without padding would give the same maps.
  - Of contrast normalisation it says "across feature maps" and points to Krizhevsky et al. 2012:
    their constants. It stands after the pool, where theirs stood before.
  - "All weights are initialized to 10^-2" is read as N(0, 0.01): equal weights would stay equal.
  - While training it scales filters whose RMS exceeds 0.1 back to 0.1. That is not the network's.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from neocog.networks import start
from neocog.networks.parts import dense_head
from neocog.networks.variant import Variant


def zfnet(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 224, 224) -> (N, num_classes)."""
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 96, 7, stride=2, padding=1),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            norm1=_contrast_norm(),
            conv2=nn.Conv2d(96, 256, 5, stride=2),
            relu2=nn.ReLU(inplace=True),
            pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
            norm2=_contrast_norm(),
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(384, 384, 3, padding=1),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(384, 256, 3, padding=1),
            relu5=nn.ReLU(inplace=True),
            pool5=nn.MaxPool2d(3, 2, ceil_mode=True),
            head=dense_head(256 * 6 * 6, 4096, num_classes=num_classes),
        )
    )
    start.gaussian(network, std=0.01)
    return network


def _contrast_norm() -> nn.Module:
    """AlexNet's: a / (k + alpha * sum of a^2 over n maps)^beta. Torch takes the mean over n."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)


_ABOUT = "AlexNet with 7x7 and strides of 2, one column; contrast norm after pools"
VARIANTS = (Variant("zfnet", zfnet, (3, 224, 224), 2013, "Zeiler and Fergus 2013", 1000, _ABOUT),)
