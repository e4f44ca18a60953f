"""DenseNet: every layer reads what all the layers before it made.

Paper  Huang, Liu, van der Maaten, Weinberger. Densely Connected Convolutional Networks.
       arXiv:1608.06993, CVPR 2017. Section 3, Tables 1 and 2; start in section 4.2
Idea   Concatenate maps instead of adding them: features are used again, not made again, and each
       layer need only add k maps of its own, the growth rate. Gradients reach every layer at once.

    stage         map        121 (k=32)   169 (k=32)   201 (k=32)   161 (k=48)    CIFAR, map
    conv0         112x112    7x7, stride 2, of 2k channels                        3x3, 32x32
    pool0         56x56      3x3 max, stride 2                                    -
    denseblock1   56x56          6            6            6            6         (L-4)/3, 32x32
    transition1   28x28      1x1 to theta times the channels; 2x2 mean            the same
    denseblock2   28x28         12           12           12           12         (L-4)/3, 16x16
    transition2   14x14                                                           the same
    denseblock3   14x14         24           32           48           36         (L-4)/3, 8x8
    transition3   7x7                                                             -
    denseblock4   7x7           16           32           32           24         -
    head          1x1        7x7 mean, then the classes                           8x8 mean
    A layer: norm, ReLU, 3x3 to k. In DenseNet-BC (all but `densenet40_12_cifar`) norm, ReLU, 1x1 to
    4k go before it (the bottleneck; so (L-4)/6 layers a block), and theta is 0.5; else it is 1.

Unlike the paper
  - 161 stood in the paper's first versions and in the authors' code; Table 1 has now a 264.
  - The norm and ReLU before the 1x1 of a transition and before the last mean are the authors' code
    and torchvision's; section 3 prints the norm of a transition only.
  - CIFAR without augmentation was trained with dropout of 0.2 after each convolution but the first
    (section 4.2). That is a way to train; these are the networks with augmentation, without it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.networks import start
from neocog.networks.parts import whole
from neocog.networks.variant import Variant

COUNTS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32), 161: (6, 12, 36, 24)}


class DenseLayer(nn.Sequential):
    """What it reads, and behind it the k maps that it makes: (N, C, H, W) -> (N, C + k, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        made = x
        for layer in self:
            made = layer(made)
        return torch.cat((x, made), dim=1)


def dense_layer(c_in: int, k: int, *, bc: bool = True) -> DenseLayer:
    """One layer of a block, behind its bottleneck unless `bc` is false."""
    layers = OrderedDict[str, nn.Module](norm1=nn.BatchNorm2d(c_in), relu1=nn.ReLU(inplace=True))
    if not bc:
        return DenseLayer(OrderedDict(layers, conv1=nn.Conv2d(c_in, k, 3, padding=1, bias=False)))
    layers["conv1"] = nn.Conv2d(c_in, 4 * k, 1, bias=False)
    layers["norm2"] = nn.BatchNorm2d(4 * k)
    layers["relu2"] = nn.ReLU(inplace=True)
    layers["conv2"] = nn.Conv2d(4 * k, k, 3, padding=1, bias=False)
    return DenseLayer(layers)


def transition(c_in: int, c_out: int) -> nn.Sequential:
    """Fewer channels, half the map: (N, c_in, H, W) -> (N, c_out, H/2, W/2)."""
    conv = nn.Conv2d(c_in, c_out, 1, bias=False)
    layers = OrderedDict(norm=nn.BatchNorm2d(c_in), relu=nn.ReLU(inplace=True), conv=conv)
    return nn.Sequential(OrderedDict(layers, pool=nn.AvgPool2d(2, 2)))


def densenet(
    counts: Sequence[int], *, k: int = 32, num_classes: int = 1000, in_channels: int = 3
) -> nn.Sequential:
    """DenseNet-BC for large pictures, with `counts` layers in the blocks, of which any number."""
    whole("k", k)
    network = nn.Sequential(
        OrderedDict(
            conv0=nn.Conv2d(in_channels, 2 * k, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(2 * k),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, 2, padding=1),
        )
    )
    return _grown(network, counts, 2 * k, k, num_classes, bc=True)


def densenet_cifar(
    depth: int, *, k: int = 12, bc: bool = True, num_classes: int = 10, in_channels: int = 3
) -> nn.Sequential:
    """(N, 3, 32, 32) -> (N, num_classes): three blocks alike, `depth` layers (L) in all."""
    whole("depth", depth)
    whole("k", k)
    unit = 6 if bc else 3  # layers with weights that one more in each block adds
    if depth < 4 + unit or (depth - 4) % unit:
        right = max(1, (depth - 4) // unit) * unit + 4
        raise UsageError(f"depth must be {unit}n + 4, such as {right}; {depth} was given")
    channels = 2 * k if bc else 16
    conv0 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    network = nn.Sequential(OrderedDict(conv0=conv0))
    return _grown(network, ((depth - 4) // unit,) * 3, channels, k, num_classes, bc=bc)


def _grown(
    network: nn.Sequential, counts: Sequence[int], channels: int, k: int, num_classes: int, bc: bool
) -> nn.Sequential:
    """Blocks with transitions between them, then the head, behind what makes `channels` maps."""
    if not counts:
        raise UsageError(f"counts must be layers a block, such as (6, 12); {counts!r} was given")
    for number, count in enumerate(counts, start=1):
        whole(f"the layers of block {number}", count)
        if number > 1:
            kept = channels // 2 if bc else channels  # theta
            network.add_module(f"transition{number - 1}", transition(channels, kept))
            channels = kept
        block = nn.Sequential()
        for layer in range(count):
            block.add_module(f"layer{layer + 1}", dense_layer(channels + layer * k, k, bc=bc))
        network.add_module(f"denseblock{number}", block)
        channels += count * k
    network.add_module(f"norm{len(counts) + 1}", nn.BatchNorm2d(channels))
    network.add_module(f"relu{len(counts) + 1}", nn.ReLU(inplace=True))
    head = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    head = OrderedDict(head, fc=nn.Linear(channels, num_classes))
    network.add_module("head", nn.Sequential(head))
    start.he(network)
    return network


_FORMS = [
    *((f"densenet{n}", partial(densenet, COUNTS[n]), 224, "BC, k=32") for n in (121, 169, 201)),
    ("densenet161", partial(densenet, COUNTS[161], k=48), 224, "BC, k=48"),
    ("densenet40_12_cifar", partial(densenet_cifar, 40, bc=False), 32, "40 layers, k=12"),
    ("densenet_bc100_12_cifar", partial(densenet_cifar, 100), 32, "BC, 100 layers, k=12"),
]
VARIANTS = tuple(
    Variant(
        name, build, (3, side, side), 2016, "Huang et al. 2016", 1000 if side > 32 else 10, about
    )
    for name, build, side, about in _FORMS
)
