"""AlexNet: the network that made vision turn to learned features.

Paper  Krizhevsky, Sutskever, Hinton. ImageNet Classification with Deep Convolutional Neural
       Networks. NIPS 2012. Section 3; starts and dropout in sections 4.2 and 5
Idea   Depth pays once it trains: ReLU, dropout, and two GPUs, hence the groups (Figure 2).

    alexnet         kernel     stride  maps                           then
    conv1           11x11x3    4       96 @ 55x55                     LRN, pool 3/2 -> 27x27
    conv2           5x5x48     1       256 @ 27x27, two groups        LRN, pool 3/2 -> 13x13
    conv3           3x3x256    1       384 @ 13x13, reads both
    conv4           3x3x192    1       384 @ 13x13, two groups
    conv5           3x3x192    1       256 @ 13x13, two groups        pool 3/2 -> 6x6
    fc6, fc7        dense      -       4096, 4096                     dropout 0.5 each

Unlike the paper
  - It prints 224 px, but its 55x55 maps need 227.
  - `alexnet_owt` is the one column of Krizhevsky 2014 (arXiv:1404.5997) as torchvision ships it,
    with torch's own start. `alexnet_book` and `alexnet_cifar` are what courses make of 2012: one
    column, no LRN, Xavier start; the first for one channel, the second shrunk to 32 px.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from neocog.networks import start
from neocog.networks.parts import dense_head
from neocog.networks.variant import Variant


def alexnet(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 227, 227) -> (N, num_classes)."""
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 96, 11, stride=4),
            relu1=nn.ReLU(inplace=True),
            norm1=_response_norm(),
            pool1=nn.MaxPool2d(3, 2),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
            relu2=nn.ReLU(inplace=True),
            norm2=_response_norm(),
            pool2=nn.MaxPool2d(3, 2),
            **_last_three(256, (384, 384, 256), groups=2),
            head=dense_head(256 * 6 * 6, 4096, num_classes=num_classes),
        )
    )
    start.gaussian(network, std=0.01)
    for name in ("conv2", "conv4", "conv5", "head.fc6", "head.fc7"):
        nn.init.ones_(network.get_parameter(f"{name}.bias"))  # gives the ReLUs something to pass on
    return network


def _response_norm() -> nn.Module:
    """Section 3.3: a / (k + alpha * sum of a^2 over n maps)^beta. Torch takes the mean over n."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)


def alexnet_owt(*, num_classes: int = 1000, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 224, 224) -> (N, num_classes); the last maps of other sizes are pooled to 6x6."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 64, 11, stride=4, padding=2),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(3, 2),
            conv2=nn.Conv2d(64, 192, 5, padding=2),
            relu2=nn.ReLU(inplace=True),
            pool2=nn.MaxPool2d(3, 2),
            **_last_three(192, (384, 256, 256)),
            head=nn.Sequential(
                OrderedDict(
                    pool=nn.AdaptiveAvgPool2d(6),
                    flatten=nn.Flatten(),
                    dropout6=nn.Dropout(0.5),
                    fc6=nn.Linear(256 * 6 * 6, 4096),
                    relu6=nn.ReLU(inplace=True),
                    dropout7=nn.Dropout(0.5),
                    fc7=nn.Linear(4096, 4096),
                    relu7=nn.ReLU(inplace=True),
                    fc8=nn.Linear(4096, num_classes),
                )
            ),
        )
    )


def alexnet_book(*, num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """(N, 1, 224, 224) -> (N, num_classes)."""
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 96, 11, stride=4, padding=1),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(3, 2),
            conv2=nn.Conv2d(96, 256, 5, padding=2),
            relu2=nn.ReLU(inplace=True),
            pool2=nn.MaxPool2d(3, 2),
            **_last_three(256, (384, 384, 256)),
            head=dense_head(256 * 5 * 5, 4096, num_classes=num_classes),
        )
    )
    start.xavier(network)
    return network


def alexnet_cifar(*, num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 32, 32) -> (N, num_classes)."""
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, 96, 3),
            norm1=nn.BatchNorm2d(96),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(3, 2),
            conv2=nn.Conv2d(96, 256, 3),
            norm2=nn.BatchNorm2d(256),
            relu2=nn.ReLU(inplace=True),
            pool2=nn.MaxPool2d(3, 2),
            **_last_three(256, (384, 384, 256)),
            head=dense_head(256 * 2 * 2, 2048, num_classes=num_classes),
        )
    )
    start.xavier(network)
    return network


def _last_three(c_in: int, maps: tuple[int, int, int], *, groups: int = 1) -> dict[str, nn.Module]:
    """conv3, conv4, conv5 of 3x3, the last two in groups, then the last pooling."""
    third, fourth, fifth = maps
    return {
        "conv3": nn.Conv2d(c_in, third, 3, padding=1),
        "relu3": nn.ReLU(inplace=True),
        "conv4": nn.Conv2d(third, fourth, 3, padding=1, groups=groups),
        "relu4": nn.ReLU(inplace=True),
        "conv5": nn.Conv2d(fourth, fifth, 3, padding=1, groups=groups),
        "relu5": nn.ReLU(inplace=True),
        "pool5": nn.MaxPool2d(3, 2),
    }


_PAPER, _AFTER = "Krizhevsky et al. 2012", "after Krizhevsky et al. 2012"
_OWT = "one column, no LRN: what torchvision calls alexnet"
_BOOK = "one column, no LRN, grey: Dive into Deep Learning"
_CIFAR = "eight layers for 32 px, batch norm, dense 2048"
VARIANTS = (
    Variant("alexnet", alexnet, (3, 227, 227), 2012, _PAPER, 1000, "two groups, LRN, 227 px"),
    Variant("alexnet_owt", alexnet_owt, (3, 224, 224), 2014, "Krizhevsky 2014", 1000, _OWT),
    Variant("alexnet_book", alexnet_book, (1, 224, 224), 2012, _AFTER, 10, _BOOK),
    Variant("alexnet_cifar", alexnet_cifar, (3, 32, 32), 2012, _AFTER, 10, _CIFAR),
)
