"""Inception v3: large filters factored into small and flat ones.

Paper  Szegedy, Vanhoucke, Ioffe, Shlens, Wojna. Rethinking the Inception Architecture for Computer
       Vision. arXiv:1512.00567, CVPR 2016. Table 1, Figures 5 to 8 and 10, section 4
Idea   A 5x5 is two 3x3s, a 7x7 a 1x7 and a 7x1. Halve the map by a stride and a pool side by side,
       and widen before it gets small.

    stage                  input        made of
    conv1a, conv2a         3 @ 299x299  3x3/2 to 32, 3x3 to 32, neither padded
    conv2b, pool3a         32 @ 147     3x3 to 64, pool 3/2
    conv3b, conv4a, pool5a 64 @ 73      1x1 to 80, 3x3 to 192 not padded, pool 3/2
    mixed5b, 5c, 5d        192 @ 35     Figure 5: 256, 288, 288 out
    mixed6a                288 @ 35     Figure 10: halves
    mixed6b, 6c, 6d, 6e    768 @ 17     Figure 6 with n = 7, inner widths 128, 160, 160, 192
    mixed7a                768 @ 17     halves, after a 7x7 in two
    mixed7b, 7c            1280 @ 8     Figure 7: 2048 out
    head                   2048 @ 8     mean, dropout, dense

Unlike the paper
  - Table 1 is not quite the network. It has a 3x3 for conv3b, a 3x3/2 for conv4a and pool5a, and
    one 3x3 more before mixed5b. This is what its authors released, with their names, as torchvision
    has it: 23,834,568 weights ("less than 25 million"), 5.713 G multiply-adds ("5 billion").
  - Figure 5 has only 3x3s; the release keeps a branch of one 5x5 (48 to 64).
  - From torchvision, not the release: dropout 0.5 for 0.2, mean pools that count the padding, and
    the start: N(0, 0.1), in the auxiliary head 0.01 for its 5x5 and 0.001 for its dense layer,
    which the release cuts at two deviations and torchvision at +-2, where nothing is to be cut.
  - What the auxiliary head weighs section 4 does not say; the release says 0.4. It reads mixed6e
    (Figure 8, with batch norm): 3,326,696 weights more, 27,161,264 while training. Other maps
    than the 17x17 of 299 px are brought to that first; torchvision's takes none smaller.
  - torchvision's `transform_input` renormalises pictures: no part of a network, and left out.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from neocog.networks import start
from neocog.networks.auxiliary import WithAuxiliary
from neocog.networks.inception_blocks import conv, figure5, figure6, figure7, figure10, to_8x8
from neocog.networks.variant import Variant


def inception_v3(*, num_classes: int = 1000, in_channels: int = 3) -> WithAuxiliary:
    """(N, 3, 299, 299) -> (N, num_classes)."""
    stages = OrderedDict[str, nn.Module](
        conv1a=conv(in_channels, 32, 3, stride=2, padding=0),
        conv2a=conv(32, 32, 3, padding=0),
        conv2b=conv(32, 64, 3),
        pool3a=nn.MaxPool2d(3, 2),
        conv3b=conv(64, 80, 1),
        conv4a=conv(80, 192, 3, padding=0),
        pool5a=nn.MaxPool2d(3, 2),
        mixed5b=figure5(192, pooled=32),
        mixed5c=figure5(256, pooled=64),
        mixed5d=figure5(288, pooled=64),
        mixed6a=figure10(288),
        mixed6b=figure6(768, inner=128),
        mixed6c=figure6(768, inner=160),
        mixed6d=figure6(768, inner=160),
        mixed6e=figure6(768, inner=192),
        mixed7a=to_8x8(768),
        mixed7b=figure7(1280),
        mixed7c=figure7(2048),
        head=nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(0.5),
                classifier=nn.Linear(2048, num_classes),
            )
        ),
    )
    heads = {"mixed6e": _auxiliary(num_classes)}
    network = WithAuxiliary(stages, auxiliary=heads, auxiliary_weight=0.4)
    for layer in start.weighted(network):
        nn.init.trunc_normal_(layer.weight, std=0.1)
    nn.init.trunc_normal_(network.get_parameter("auxiliary.mixed6e.conv2.conv.weight"), std=0.01)
    nn.init.trunc_normal_(network.get_parameter("auxiliary.mixed6e.classifier.weight"), std=0.001)
    return network


def _auxiliary(num_classes: int) -> nn.Sequential:
    """Figure 8: (N, 768, 17, 17) -> (N, num_classes)."""
    return nn.Sequential(
        OrderedDict(
            pool=nn.Sequential(nn.AdaptiveAvgPool2d(17), nn.AvgPool2d(5, 3)),
            conv1=conv(768, 128, 1),
            conv2=conv(128, 768, 5, padding=0),
            flatten=nn.Flatten(),
            classifier=nn.Linear(768, num_classes),
        )
    )


_PAPER, _ABOUT = "Szegedy et al. 2015", "factored filters, 299 px, an auxiliary head"
VARIANTS = (Variant("inception_v3", inception_v3, (3, 299, 299), 2015, _PAPER, 1000, _ABOUT),)
