"""VGG: depth from one block, repeated.

Paper  Simonyan, Zisserman. Very Deep Convolutional Networks for Large-Scale Image Recognition.
       arXiv:1409.1556, ICLR 2015. Table 1; start in section 3.1
Idea   Two 3x3 convolutions see as far as one 5x5, with fewer weights and one more ReLU
       (section 2.3). So: nothing but 3x3, maps halved and channels doubled, as deep as will train.

    stage        map        channels   3x3 convolutions in   11 (A)  13 (B)  16 (D)  19 (E)
    stage1       224x224          64                              1       2       2       2
    stage2       112x112         128                              1       2       2       2
    stage3       56x56           256                              2       2       3       4
    stage4       28x28           512                              2       2       3       4
    stage5       14x14           512                              2       2       3       4
    head         7x7        dense 4096, 4096 with dropout 0.5; then the classes
    weights (millions; the table rounds them)                   133     133     138     144

Unlike the paper
  - Start: Xavier (Glorot and Bengio 2010), biases zero. The paper trained A first and grew the
    others from it, then notes in section 3.1 that this start makes that unnecessary.
  - Other sizes than 224 are pooled to 7x7 before the dense layers, as torchvision does; the paper
    turns those layers into convolutions. At 224 px both are the identity.
  - `_bn` has batch norm after each convolution, which came a year later; the biases stay, as
    torchvision's do. `vgg_book` and `vgg_cifar` are what courses make of 11 and 16.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial

from torch import nn

from neocog.errors import UsageError
from neocog.networks import start
from neocog.networks.parts import dense_head, whole
from neocog.networks.variant import Variant

COUNTS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
Stages = tuple[tuple[int, int], ...]  # (convolutions, channels) of each


def vgg(
    stages: Iterable[Sequence[int]],
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    batch_norm: bool = False,
    hidden: int = 4096,
    map_size: int = 7,
) -> nn.Sequential:
    """A VGG of any stages, as `vgg(((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)))` is VGG-11.

    (N, in_channels, H, W) -> (N, num_classes). Each stage halves the map; what is left is pooled to
    `map_size` squared for two dense layers of `hidden`.
    """
    plan = _checked(stages)
    whole("num_classes", num_classes)
    whole("in_channels", in_channels)
    whole("hidden", hidden)
    whole("map_size", map_size)
    network = nn.Sequential()
    c_in = in_channels
    for number, (num_convs, c_out) in enumerate(plan, start=1):
        network.add_module(f"stage{number}", stage(num_convs, c_in, c_out, batch_norm=batch_norm))
        c_in = c_out
    head = OrderedDict[str, nn.Module](pool=nn.AdaptiveAvgPool2d(map_size))
    head.update(dense_head(c_in * map_size**2, hidden, num_classes=num_classes).named_children())
    network.add_module("head", nn.Sequential(head))
    start.xavier(network)
    return network


def stage(num_convs: int, c_in: int, c_out: int, *, batch_norm: bool = False) -> nn.Sequential:
    """`num_convs` 3x3 convolutions, then halve the map: (N, c_in, H, W) -> (N, c_out, H/2, W/2)."""
    block = nn.Sequential()
    for number in range(num_convs):
        block.append(nn.Conv2d(c_in if number == 0 else c_out, c_out, 3, padding=1))
        if batch_norm:
            block.append(nn.BatchNorm2d(c_out))
        block.append(nn.ReLU(inplace=True))
    return block.append(nn.MaxPool2d(2, 2))


def vgg_cifar(*, num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, 32, 32) -> (N, num_classes): 16 with batch norm, dropout 0.2 after each stage."""
    network = nn.Sequential()
    c_in = in_channels
    for number, (num_convs, c_out) in enumerate(_stages(16), start=1):
        network.add_module(f"stage{number}", stage(num_convs, c_in, c_out, batch_norm=True))
        network.add_module(f"dropout{number}", nn.Dropout(0.2))
        c_in = c_out
    head = dense_head(c_in, 512, num_classes=num_classes, dropout=0.2)
    network.add_module("head", head)
    start.xavier(network)
    return network


def _stages(depth: int) -> Stages:
    return tuple(zip(COUNTS[depth], WIDTHS, strict=True))


def _checked(stages: Iterable[Sequence[int]]) -> Stages:
    try:
        plan = tuple((num_convs, c_out) for num_convs, c_out in stages)
        for number, (num_convs, c_out) in enumerate(plan, start=1):
            whole(f"the convolutions of stage {number}", num_convs)
            whole(f"the channels of stage {number}", c_out)
        reason = "" if plan else "there is none"
    except UsageError as error:
        reason = str(error)
    except (TypeError, ValueError):
        reason = "not every stage is a pair"
    if not reason:
        return plan
    raise UsageError(
        "stages must be pairs of (convolutions, channels), such as ((1, 64), (2, 128)); "
        f"{stages!r} was given: {reason}"
    )


_PAPER, _AFTER = "Simonyan and Zisserman 2014", "after Simonyan and Zisserman 2014"
_SMALL = "16 for 32 px: batch norm, dropout 0.2, dense 512"
_GREY = "11 with a quarter of the channels, grey: Dive into Deep Learning"
_BOOK = partial(vgg, tuple((num_convs, width // 4) for num_convs, width in _stages(11)))
VARIANTS = (
    *(
        Variant(
            name=f"vgg{depth}{'_bn' if batch_norm else ''}",
            build=partial(vgg, _stages(depth), batch_norm=batch_norm),
            input=(3, 224, 224),
            year=2014,
            paper=_PAPER,
            num_classes=1000,
            about=f"configuration {letter}{' with batch norm' if batch_norm else ''}",
        )
        for batch_norm in (False, True)
        for depth, letter in zip(COUNTS, "ABDE", strict=True)
    ),
    Variant("vgg_cifar", vgg_cifar, (3, 32, 32), 2014, _AFTER, 10, _SMALL),
    Variant("vgg_book", _BOOK, (1, 224, 224), 2014, _AFTER, 10, _GREY),
)
