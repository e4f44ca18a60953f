"""The fast networks: 94 % on CIFAR-10 within seconds of one GPU, and two wider for 95 and 96 %.

Paper  Jordan. 94% on CIFAR-10 in 3.29 Seconds on a Single GPU. arXiv:2404.00498. Section 3; the
       numbers are those of github.com/KellerJordan/cifar10-airbench, airbench94.py, 95.py, 96.py
Idea   Spend nothing on learning what is known beforehand. The first layer decorrelates 2x2 patches
       and is computed from the pictures; the others begin as the identity.

    layer     kernel             maps of 32 px    then
    whiten    2x2, not trained    24 @ 31x31      its bias, which is; GELU
    group1    3x3, 3x3            64 @ 15x15      within: conv, pool 2, norm, GELU, conv, norm, GELU
    group2    3x3, 3x3           256 @ 7x7
    group3    3x3, 3x3           256 @ 3x3
    head      pool 3, dense      classes          divided by 9
    weights   1.97 million

    wider           maps            weights   within a group, after its first norm and GELU
    fast_cifar_95   128, 384, 384    4.60 M   the same
    fast_cifar_96   128, 512, 512   12.72 M   conv, norm, GELU, conv, norm, plus what came in, GELU

Unlike the paper
  - `start.whiten` sets the first layer, and a recipe with `whiten` calls it. Until then its filters
    take one pixel each, or minus one: what it would compute for pictures of independent pixels.
  - The last pool takes the maximum of all that is left, so that larger pictures fit, too.
  - Batch norm has a bias but no scale; the ones in `weight` are a buffer, not trained. Its momentum
    of 0.6 is what is kept, where torch's is what is taken: 0.4; fast_cifar_96 has torch's 0.1.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from neocog.networks import frugal, start
from neocog.networks.residual import Residual
from neocog.networks.variant import Variant


class ShiftNorm(nn.BatchNorm2d):
    """Batch norm whose scale is one for good."""

    def __init__(self, num_features: int, momentum: float = 1 - 0.6) -> None:
        super().__init__(num_features, eps=1e-12, momentum=momentum)
        del self.weight
        self.register_buffer("weight", torch.ones(num_features))


class Scale(nn.Module):
    """Times a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def fast(
    maps: tuple[int, int, int],
    *,
    residual: bool = False,
    num_classes: int = 10,
    in_channels: int = 3,
) -> nn.Sequential:
    """(N, in_channels, H, W) -> (N, num_classes), of 9 px or more."""
    first, group = 2 * 4 * in_channels, _residual_group if residual else _group
    head = OrderedDict[str, nn.Module](
        pool=nn.AdaptiveMaxPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(maps[-1], num_classes, bias=False),
        scale=Scale(1 / 9),
    )
    network = nn.Sequential(
        OrderedDict(
            whiten=nn.Conv2d(in_channels, first, 2),
            gelu=nn.GELU(),
            group1=group(first, maps[0]),
            group2=group(maps[0], maps[1]),
            group3=group(maps[1], maps[2]),
            head=nn.Sequential(head),
        )
    )
    _start(network)
    return network


fast_cifar = partial(fast, (64, 256, 256))
fast_cifar_95 = partial(fast, (128, 384, 384))
fast_cifar_96 = partial(fast, (128, 512, 512), residual=True)


def _conv(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)


def _group(c_in: int, c_out: int) -> nn.Sequential:
    """(N, c_in, H, W) -> (N, c_out, H/2, W/2)."""
    return nn.Sequential(
        OrderedDict(
            conv1=_conv(c_in, c_out),
            pool=frugal.MaxPool2d(2),
            norm1=ShiftNorm(c_out),
            gelu1=nn.GELU(),
            conv2=_conv(c_out, c_out),
            norm2=ShiftNorm(c_out),
            gelu2=nn.GELU(),
        )
    )


def _residual_group(c_in: int, c_out: int) -> nn.Sequential:
    """The same with one convolution more, and the last two skipped by what comes into them."""
    norm = partial(ShiftNorm, c_out, momentum=0.1)
    two = [_conv(c_out, c_out), norm(), nn.GELU(), _conv(c_out, c_out), norm()]
    names = ("conv2", "norm2", "gelu2", "conv3", "norm3")
    branch = nn.Sequential(OrderedDict(zip(names, two, strict=True)))
    return nn.Sequential(
        OrderedDict(
            conv1=_conv(c_in, c_out),
            pool=frugal.MaxPool2d(2),
            norm1=norm(),
            gelu1=nn.GELU(),
            rest=Residual(branch, nn.Identity(), nn.GELU()),
        )
    )


@torch.no_grad()
def _start(network: nn.Sequential) -> None:
    """Torch's own start, but for the first layer and the first c_in filters of each other one."""
    first, *convs, _ = start.weighted(network)
    for conv in convs:
        start.dirac_(conv.weight)
    if not first.weight.is_meta:
        start.paired(first, torch.eye(first.weight[0].numel(), device=first.weight.device))


_ABOUT = "whitening first layer, identity starts, norms without scale: {}"
VARIANTS = tuple(
    Variant(name, build, (3, 32, 32), 2024, "Jordan 2024", 10, _ABOUT.format(how))
    for name, build, how in (
        ("fast_cifar", fast_cifar, "seconds on a GPU"),
        ("fast_cifar_95", fast_cifar_95, "wider"),
        ("fast_cifar_96", fast_cifar_96, "wider and deeper"),
    )
)
