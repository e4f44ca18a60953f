"""Where activation belongs in a residual unit: five orders, side by side.

Paper  He, Zhang, Ren, Sun. Identity Mappings in Deep Residual Networks. arXiv:1603.05027,
       ECCV 2016. Figure 4, Table 2; the appendix for the first and the last unit, and for 164
Idea   Leave the shortcut alone, after the sum too, and the signal goes from any unit to any other
       unchanged: x_L = x_l + all that lies between (equation 4). So activate before, not after.

    order (Figure 4)            the branch                               the sum    110    164
    (a) original                conv BN ReLU conv BN                     ReLU       6.61   5.93
    (b) BN after addition       conv BN ReLU conv                        BN ReLU    8.17   6.50
    (c) ReLU before addition    conv BN ReLU conv BN ReLU                           7.84   6.14
    (d) ReLU-only pre-act.      ReLU conv BN ReLU conv BN                           6.71   5.91
    (e) full pre-activation     BN ReLU conv BN ReLU conv                           6.37   5.46
                                                                         error on CIFAR-10, %

    stage     map      110, n = 18           164, n = 18
    conv1     32x32    16, 3x3               16, 3x3                     then BN, ReLU
    stage1    32x32    n x (16, 16)          n x (16, 16, 64)            1x1, 3x3, 1x1
    stage2    16x16    n x (32, 32)          n x (32, 32, 128)
    stage3    8x8      n x (64, 64)          n x (64, 64, 256)           then, in (d) and (e), what
    head      1x1      average pool, dense 10                            each unit begins with

Unlike the paper
  - It prints, for 164, projections which in (d) and (e) read the activated input; not whether a
    batch norm follows them. Here one does where the branch ends in one, and none in (b) and (e):
    in (e) that is what the authors' code has.
  - 164 halves a map in the first 1x1, as that code does. 110 pads with zeros (option A) as in 2015,
    so that (a) is `resnet110_cifar`.
  - Start: He with fan_in, the dense layer too. The code draws with fan_out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from torch import nn

from neocog.errors import UsageError, unknown
from neocog.networks import start
from neocog.networks.residual import Residual, conv, head, padding, stages
from neocog.networks.variant import Variant


class Order(NamedTuple):
    """What stands before the branch's first convolution, after its last, and after the sum."""

    begin: str
    end: str
    sum: str
    about: str


ORDERS = {
    "original": Order("", "norm", "relu", "the original order"),
    "bn_after": Order("", "", "norm relu", "batch norm after addition"),
    "relu_before": Order("", "norm relu", "", "ReLU before addition"),
    "relu_pre": Order("relu", "norm", "", "ReLU-only pre-activation"),
    "preact": Order("norm relu", "", "", "full pre-activation"),
}
STAGES = {110: ((18, 16), (18, 32), (18, 64)), 164: ((18, 64), (18, 128), (18, 256))}


def chain(operations: str, c_in: int, convs: Sequence[nn.Conv2d] = ()) -> nn.Sequential:
    """`chain("conv norm relu", 3, [conv(3, 16, 3)])` holds conv1, norm1, relu1."""
    made, ahead = nn.Sequential(), iter(convs)
    words = operations.split()
    for at, word in enumerate(words):
        module: nn.Module
        if word == "conv":
            module = step = next(ahead)
            c_in = step.out_channels
        elif word == "norm":
            module = nn.BatchNorm2d(c_in)
        else:  # in place only where nobody else reads: the shortcut may
            module = nn.ReLU(inplace="norm" in words[:at])
        made.add_module(f"{word}{words[: at + 1].count(word)}", module)
    return made


def basic(order: Order, c_in: int, c_out: int, stride: int) -> nn.Module:
    """Two 3x3, of ResNet-110. The shortcut has no weights, and nothing stands in it."""
    convs = [conv(c_in, c_out, 3, stride), conv(c_out, c_out, 3)]
    branch = chain(f"{order.begin} conv norm relu conv {order.end}", c_in, convs)
    return Residual(branch, padding(c_in, c_out, stride), chain(order.sum, c_out))


def bottleneck(order: Order, c_in: int, c_out: int, stride: int) -> nn.Module:
    """1x1, 3x3, 1x1, of ResNet-164. Where it projects, branch and projection share `begin`."""
    width = c_out // 4
    convs = [conv(c_in, width, 1, stride), conv(width, width, 3), conv(width, c_out, 1)]
    rest = f"conv norm relu conv norm relu conv {order.end}"
    after = chain(order.sum, c_out)
    if (c_in, stride) == (c_out, 1):
        return Residual(chain(f"{order.begin} {rest}", c_in, convs), nn.Identity(), after)
    project = "conv norm" if "norm" in order.end else "conv"
    shortcut = chain(project, c_in, [conv(c_in, c_out, 1, stride)])
    unit = Residual(chain(rest, c_in, convs), shortcut, after)
    return nn.Sequential(OrderedDict(begin=chain(order.begin, c_in), unit=unit))


def preact(order: str, depth: int, *, num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """(N, in_channels, 32, 32) -> (N, num_classes): a depth of `STAGES`, an order of `ORDERS`."""
    if order not in ORDERS:
        raise unknown("order", order, ORDERS)
    if depth not in STAGES:
        raise UsageError(f"depth must be 110 or 164; {depth!r} was given")
    chosen, unit, plan = ORDERS[order], basic if depth == 110 else bottleneck, STAGES[depth]
    body = stages(partial(unit, chosen), 16, plan, name="stage{}")
    # The first unit finds its input activated; after the last one stands what a next would begin.
    body["stage1"][0] = unit(chosen._replace(begin=""), 16, plan[0][1], 1)
    network = chain("conv norm relu", in_channels, [conv(in_channels, 16, 3)])
    for name, stage in body.items():
        network.add_module(name, stage)
    if chosen.begin:
        network.add_module("last", chain(chosen.begin, plan[-1][1]))
    network.add_module("head", head(plan[-1][1], num_classes))
    start.he(network)
    return network


VARIANTS = (
    *(
        Variant(
            name=f"resnet{depth}_{name}_cifar",
            build=partial(preact, name, depth),
            input=(3, 32, 32),
            year=2016,
            paper="He et al. 2016",
            num_classes=10,
            about=f"{order.about}, {'units of two 3x3' if depth == 110 else 'bottleneck units'}",
        )
        for depth in STAGES
        for name, order in ORDERS.items()
    ),
)
