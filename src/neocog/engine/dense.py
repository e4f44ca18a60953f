"""A network that slides: its dense layers read as convolutions, so that it takes larger pictures.

Sermanet et al. 2013 (OverFeat), section 3.5; Simonyan and Zisserman 2014 (VGG), section 3.2.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.errors import UsageError

ROUNDING = 1e-4  # of the largest logit: what another order of the same sums comes to
COARSE = (
    1e-2  # the same on a GPU, whose convolutions multiply ten bits (TF32) where dense layers do 24
)
ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.Identity, nn.Dropout)
Shape = tuple[int, int, int]  # (C, H, W)


class EachPlace(nn.Module):
    """A layer that takes rows, at each place of a map: (N, C, H, W) -> (N, K, H, W)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        rows: Tensor = self.layer(x.movedim(1, 3).flatten(0, 2))
        maps: Tensor = rows.unflatten(0, (n, height, width)).movedim(3, 1)
        return maps


@torch.no_grad()
def slid(network: nn.Module, shape: Shape) -> nn.Sequential:
    """`convolutional`, compared with the network on a picture of its own input (C, H, W).

    Raises `UsageError` for a network that is of another build, or would not answer alike.
    """
    made = convolutional(network, shape)
    of_its_own = torch.Generator().manual_seed(0)
    picture = torch.randn(1, *shape, generator=of_its_own).to(_device(network))
    wanted = network(picture)
    try:
        said = made(picture)
    except RuntimeError as error:
        raise _refused(network, str(error).splitlines()[0]) from error
    if said.shape[2:] != (1, 1):
        raise _refused(network, f"of its own input it makes {said.shape[2]}x{said.shape[3]} scores")
    apart = float((said[:, :, 0, 0] - wanted).abs().max())
    least = ROUNDING if picture.device.type == "cpu" else COARSE
    if not apart <= least * float(wanted.abs().max()):
        raise _refused(network, f"the answers of the two are {apart:.2g} apart")
    return made


@torch.no_grad()
def convolutional(network: nn.Module, shape: Shape) -> nn.Sequential:
    """A network that ends in `head`, to slide: pictures (N, C, H, W) -> class scores (N, K, h, w).

    Of pictures of its own input, `shape` (C, H, W), there is one place. The first dense layer
    becomes a convolution as large as the map that it reads, with a pool that fits other maps to it
    folded in; those after it become 1x1. A pool over all places stays, and so there is one place of
    pictures of any size; one that takes their maximum slides, too. It is in eval mode, as the
    network then is, and has the network's own weights: not a copy.
    """
    head = getattr(network, "head", None)
    if not isinstance(network, nn.Sequential) or not isinstance(head, nn.Sequential):
        raise _refused(network, "it is no nn.Sequential of stages of which the last is `head`")
    if network[-1] is not head:
        raise _refused(network, "`head` is not its last stage")
    body = network.eval()[:-1]
    try:
        maps = body(torch.zeros(1, *shape, device=_device(network)))
        sliding = _sliding(head, maps)
    except (RuntimeError, IndexError) as error:
        raise _refused(network, str(error).splitlines()[0]) from error
    made = OrderedDict[str, nn.Module](body=body, head=sliding)
    return nn.Sequential(made).eval()


def _sliding(head: nn.Sequential, x: Tensor) -> nn.Sequential:
    """`x`: the last map of one picture of the network's own input."""
    made = nn.Sequential()
    read = tuple(x.shape[1:])  # what the next dense layer reads as one row
    pooled: tuple[int, int] | None = None  # the map that a pool fitted to that
    for name, layer in head.named_children():
        if isinstance(layer, nn.AdaptiveAvgPool2d) and tuple(layer(x).shape[2:]) != (1, 1):
            pooled = x.shape[2], x.shape[3]
        elif isinstance(layer, nn.AdaptiveMaxPool2d) and tuple(layer(x).shape[2:]) == (1, 1):
            made.add_module(name, nn.MaxPool2d((x.shape[2], x.shape[3]), stride=1))
        elif isinstance(layer, nn.Flatten):
            read = tuple(x.shape[1:])
        elif isinstance(layer, nn.Linear):
            made.add_module(name, _convolution(layer, read, pooled))
            read, pooled = (layer.out_features, 1, 1), None
        else:
            each = x.ndim == 4 or isinstance(layer, ELEMENTWISE)
            made.add_module(name, layer if each else EachPlace(layer))
        x = layer(x)
    if pooled:
        raise RuntimeError("its head pools, and no dense layer follows")
    return made


def _convolution(
    layer: nn.Linear, read: tuple[int, ...], pooled: tuple[int, int] | None
) -> nn.Conv2d:
    """A dense layer of rows that were maps of the shape `read`, by a pool from larger ones."""
    weight = layer.weight.view(layer.out_features, *read)
    if pooled and pooled != read[1:]:
        down, right = (
            F.adaptive_avg_pool1d(torch.eye(whole, device=weight.device)[None], part)[0]
            for whole, part in zip(pooled, read[1:], strict=True)
        )
        weight = torch.einsum("kcij,yi,xj->kcyx", weight, down, right)
    size = (weight.shape[2], weight.shape[3])
    with torch.device("meta"):  # no weights are drawn that would be replaced
        made = nn.Conv2d(read[0], layer.out_features, size, bias=layer.bias is not None)
    made.weight = nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        made.bias = layer.bias
    return made


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _refused(network: nn.Module, why: str) -> UsageError:
    return UsageError(
        f"this {type(network).__name__} cannot be slid over a picture: {why}. Of the protocols "
        "single, mirror, six-view, ten-crop and 144-crop take any network"
    )
