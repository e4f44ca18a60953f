"""SqueezeNet: AlexNet's accuracy with a fiftieth of its weights.

Paper  Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer. SqueezeNet: AlexNet-level accuracy with 50x
       fewer parameters and <0.5MB model size. arXiv:1602.07360. Sections 3.1 to 3.3, table 1.
       1.1 and the start are the authors': github.com/forresti/SqueezeNet
Idea   Most kernels 1x1; few channels into each 3x3 (squeeze); pool late, so that maps stay large.

    layer       1.0: squeeze, expand   maps of 227 px     1.1: squeeze, expand    maps of 224 px
    conv1       7x7/2                   96 @ 111x111      3x3/2                    64 @ 111x111
    pool1       3/2                        -> 55x55       3/2                         -> 55x55
    fire2, 3    16, 64 + 64            128                16, 64 + 64             128
    pool3                                                 3/2                         -> 27x27
    fire4       32, 128 + 128          256                32, 128 + 128           256
    pool4       3/2                        -> 27x27
    fire5       32, 128 + 128          256                32, 128 + 128           256
    pool5                                                 3/2                         -> 13x13
    fire6, 7    48, 192 + 192          384                48, 192 + 192           384
    fire8       64, 256 + 256          512                64, 256 + 256           512
    pool8       3/2                        -> 13x13
    fire9       64, 256 + 256          512                64, 256 + 256           512
    conv10      1x1, dropout before    classes @ 13x13    1x1, dropout before     classes @ 13x13

Unlike the paper
  - It prints 224 px, of which 1.0 makes 109x109 and 54x54; its 111x111 and 55x55 need the 227 px
    of the authors' Caffe model. From pool4 on the maps are the same. 224 stays, as in torchvision.
  - Caffe's 1.0 pads conv10 by one (15x15 maps); table 1 and torchvision do not.
  - Start: theirs. Uniform in +-sqrt(3 / fan_in), N(0, 0.01) for conv10, biases zero. torchvision's
    is sqrt(2) wider. Pools may hang over the edge, as Caffe's do.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from neocog.networks import start
from neocog.networks.variant import Variant

# (squeeze, expand) of fire2 to fire9; half of what expand makes is 1x1, half 3x3.
FIRES = ((16, 128), (16, 128), (32, 256), (32, 256), (48, 384), (48, 384), (64, 512), (64, 512))


class Fire(nn.Module):
    """Squeeze to few channels, expand by 1x1 and 3x3: (N, c_in, H, W) -> (N, c_out, H, W)."""

    def __init__(self, c_in: int, squeeze: int, c_out: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(c_in, squeeze, 1)
        self.relu_squeeze = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, c_out // 2, 1)
        self.expand3x3 = nn.Conv2d(squeeze, c_out // 2, 3, padding=1)
        self.relu_expand = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu_squeeze(self.squeeze(x))
        both = torch.cat((self.expand1x1(x), self.expand3x3(x)), dim=1)
        out: Tensor = self.relu_expand(both)
        return out


def _squeezenet(
    width: int,
    kernel: int,
    pool_after: tuple[int, ...],
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
) -> nn.Sequential:
    """(N, in_channels, H, W) -> (N, num_classes); `pool_after` numbers fires."""
    network = nn.Sequential()
    network.add_module("conv1", nn.Conv2d(in_channels, width, kernel, stride=2))
    network.add_module("relu1", nn.ReLU(inplace=True))
    network.add_module("pool1", _pool())
    c_in = width
    for number, (squeeze, c_out) in enumerate(FIRES, start=2):
        network.add_module(f"fire{number}", Fire(c_in, squeeze, c_out))
        if number in pool_after:
            network.add_module(f"pool{number}", _pool())
        c_in = c_out
    network.add_module("head", _head(c_in, num_classes))
    _start(network)
    return network


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _head(c_in: int, num_classes: int) -> nn.Sequential:
    head = nn.Sequential()
    head.add_module("dropout9", nn.Dropout(0.5))
    head.add_module("conv10", nn.Conv2d(c_in, num_classes, 1))
    head.add_module("relu10", nn.ReLU(inplace=True))
    head.add_module("pool10", nn.AdaptiveAvgPool2d(1))
    head.add_module("flatten", nn.Flatten())
    return head


def _start(network: nn.Module) -> None:
    start.gaussian(network, std=0.01)  # biases, too: zero
    *others, _ = start.weighted(network)
    for conv in others:  # what Caffe calls xavier: it looks at fan_in alone
        bound = (3 / conv.weight[0].numel()) ** 0.5
        nn.init.uniform_(conv.weight, -bound, bound)


squeezenet1_0 = partial(_squeezenet, 96, 7, (4, 8))
squeezenet1_1 = partial(_squeezenet, 64, 3, (3, 5))

_PAPER = "Iandola et al. 2016"
_1_0, _1_1 = "as in the paper: 7x7 first, pools late", "the authors' second: 3x3 first, pools early"
VARIANTS = (
    Variant("squeezenet1_0", squeezenet1_0, (3, 224, 224), 2016, _PAPER, 1000, _1_0),
    Variant("squeezenet1_1", squeezenet1_1, (3, 224, 224), 2016, _PAPER, 1000, _1_1),
)
