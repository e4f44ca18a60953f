"""GoogLeNet with batch norm and no 5x5: what torchvision calls googlenet.

Paper  after Szegedy et al. 2014, as `googlenet`; batch norm of Ioffe, Szegedy. Batch Normalization:
       Accelerating Deep Network Training by Reducing Internal Covariate Shift. arXiv:1502.03167
Idea   GoogLeNet, each convolution followed by batch norm, which makes biases and LRN needless.

    stage                       map       differs from the paper's in
    conv1, pool1                56x56     batch norm (epsilon 0.001), no LRN
    reduce2, conv2, pool2       28x28     the same
    inception3a to inception5b  as there  batch norm; 3x3 where the paper has 5x5
    pool4                       7x7       2x2 for 3x3
    head                                  dropout 0.2 for 0.4
    weights 6,624,904, and 6,379,984 of the auxiliary heads while it trains: 13,004,888

Unlike the paper
  - That the 5x5s are 3x3 is a slip that torchvision keeps for the sake of its weights (vision#906).
  - Its auxiliary heads pool to 4x4 by overlapping windows of 4, where the paper's are 5 wide. They
    weigh 0.3 as in the paper.
  - Start: N(0, 0.01), and torch's own for the biases of dense layers.
  - torchvision's `transform_input`, set for its published weights, renormalises pictures from
    ImageNet's mean and deviation to +-1. It is no part of a network, and left out.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from neocog.networks import start
from neocog.networks.auxiliary import WithAuxiliary
from neocog.networks.googlenet import auxiliary, halve, head, inceptions
from neocog.networks.variant import Variant


def googlenet_bn(*, num_classes: int = 1000, in_channels: int = 3) -> WithAuxiliary:
    """(N, 3, 224, 224) -> (N, num_classes)."""
    stages = OrderedDict[str, nn.Module](
        conv1=_conv(in_channels, 64, 7, stride=2),
        pool1=halve(3),
        reduce2=_conv(64, 64, 1),
        conv2=_conv(64, 192, 3),
        pool2=halve(3),
        **inceptions(_conv, large=3, last_pool=2),
        head=head(num_classes, dropout=0.2),
    )
    heads = {
        name: auxiliary(c_in, num_classes, conv=_conv, pool=nn.AdaptiveAvgPool2d(4))
        for name, c_in in (("inception4a", 512), ("inception4d", 528))
    }
    network = WithAuxiliary(stages, auxiliary=heads, auxiliary_weight=0.3)
    for layer in start.weighted(network):
        nn.init.trunc_normal_(layer.weight, std=0.01)  # torchvision's bounds, +-2, cut nothing
    return network


def _conv(c_in: int, c_out: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
    norm = nn.BatchNorm2d(c_out, eps=0.001)
    return nn.Sequential(OrderedDict(conv=conv, norm=norm, relu=nn.ReLU(inplace=True)))


_PAPER, _ABOUT = "after Szegedy et al. 2014", "batch norm, no 5x5: what torchvision calls googlenet"
VARIANTS = (Variant("googlenet_bn", googlenet_bn, (3, 224, 224), 2014, _PAPER, 1000, _ABOUT),)
