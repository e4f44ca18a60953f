"""The fast network: 94 % on CIFAR-10 within seconds of one GPU.

Paper  Jordan. 94% on CIFAR-10 in 3.29 Seconds on a Single GPU. arXiv:2404.00498. Section 3; the
       numbers are those of github.com/KellerJordan/cifar10-airbench, airbench94.py
Idea   Spend nothing on learning what is known beforehand. The first layer decorrelates 2x2 patches
       and is computed from the pictures; the others begin as the identity.

    layer     kernel             maps of 32 px    then
    whiten    2x2, not trained    24 @ 31x31      its bias, which is; GELU
    group1    3x3, 3x3            64 @ 15x15      within: conv, pool 2, norm, GELU, conv, norm, GELU
    group2    3x3, 3x3           256 @ 7x7
    group3    3x3, 3x3           256 @ 3x3
    head      pool 3, dense      classes          divided by 9
    weights   1.97 million

Unlike the paper
  - `whiten(network, images)` sets the first layer. Until then its filters take one pixel each, or
    minus one: what it would compute for pictures of independent pixels.
  - The last pool takes the maximum of all that is left, which is 3x3 of 28 or 32 px; larger
    pictures therefore fit, too. Filters of the first layer: 2 x 4 x in_channels.
  - Batch norm has a bias but no scale; the ones in `weight` are a buffer, not trained. Its momentum
    of 0.6 is what is kept, where torch's is what is taken: 0.4.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.errors import UsageError
from neocog.networks import start
from neocog.networks.variant import Variant


class ShiftNorm(nn.BatchNorm2d):
    """Batch norm whose scale is one for good."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, eps=1e-12, momentum=1 - 0.6)
        del self.weight
        self.register_buffer("weight", torch.ones(num_features))


class Scale(nn.Module):
    """Times a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def fast_cifar(*, num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """(N, 3, H, W) -> (N, num_classes), of 9 px or more."""
    maps = 2 * 4 * in_channels
    head = OrderedDict[str, nn.Module](
        pool=nn.AdaptiveMaxPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(256, num_classes, bias=False),
        scale=Scale(1 / 9),
    )
    network = nn.Sequential(
        OrderedDict(
            whiten=nn.Conv2d(in_channels, maps, 2),
            gelu=nn.GELU(),
            group1=_group(maps, 64),
            group2=_group(64, 256),
            group3=_group(256, 256),
            head=nn.Sequential(head),
        )
    )
    _start(network)
    return network


def _group(c_in: int, c_out: int) -> nn.Sequential:
    """(N, c_in, H, W) -> (N, c_out, H/2, W/2)."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
            pool=nn.MaxPool2d(2),
            norm1=ShiftNorm(c_out),
            gelu1=nn.GELU(),
            conv2=nn.Conv2d(c_out, c_out, 3, padding=1, bias=False),
            norm2=ShiftNorm(c_out),
            gelu2=nn.GELU(),
        )
    )


@torch.no_grad()
def _start(network: nn.Sequential) -> None:
    """Torch's own start, but for the first layer and the first c_in filters of each other one."""
    first, *convs, _ = start.weighted(network)
    for conv in convs:
        nn.init.dirac_(conv.weight[: conv.weight.shape[1]])
    _set_filters(first, torch.eye(first.weight[0].numel(), device=first.weight.device))


def whiten(network: nn.Sequential, images: Tensor, *, eps: float = 5e-4) -> None:
    """Let the first layer decorrelate the 2x2 patches of `images`, a sample of the training set.

    `images` are (N, C, H, W) as the network gets them: floats, of mean zero. The filters are the
    eigenvectors of the patches' covariance over sqrt(eigenvalue + eps), then their negatives.
    """
    layer = getattr(network, "whiten", None)
    if not isinstance(layer, nn.Conv2d):
        raise UsageError(f"{type(network).__name__} has no layer `whiten`; fast_cifar has one")
    channels = layer.in_channels
    if images.dim() != 4 or images.shape[1] != channels or not images.is_floating_point():
        raise UsageError(
            f"images to whiten by must be floats of (N, {channels}, H, W), as the network gets "
            f"them; {str(images.dtype).removeprefix('torch.')} of {tuple(images.shape)} was given"
        )
    if len(images) == 0 or min(images.shape[2:]) < 2:
        raise UsageError(
            f"one picture of 2x2 is the least to whiten by; {tuple(images.shape)} was given"
        )
    covariance = torch.zeros(4 * channels, 4 * channels, dtype=torch.float64)
    for some in images.split(500):
        patches = F.unfold(some.float(), 2)  # (n, 4 C, places)
        covariance += torch.einsum("nip,njp->ij", patches, patches).cpu().double()
    covariance /= len(images) * (images.shape[2] - 1) * (images.shape[3] - 1)
    values, vectors = torch.linalg.eigh(covariance)
    filters = (vectors / (values.clamp(min=0) + eps).sqrt()).T.flip(0)  # the strongest first
    _set_filters(layer, filters)


@torch.no_grad()
def _set_filters(layer: nn.Conv2d | nn.Linear, filters: Tensor) -> None:
    layer.weight.copy_(torch.cat((filters, -filters)).view_as(layer.weight))
    layer.weight.requires_grad_(False)
    if layer.bias is not None:
        layer.bias.zero_()


_ABOUT = "whitening first layer, identity starts, norms without scale: seconds on a GPU"
VARIANTS = (Variant("fast_cifar", fast_cifar, (3, 32, 32), 2024, "Jordan 2024", 10, _ABOUT),)
