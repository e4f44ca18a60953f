"""Initial weights that papers name. Most draw for every convolution and dense layer of a network;
`dirac_` draws nothing, and `whiten` computes the first layer from pictures.

Biases start at zero unless the paper says otherwise; pages set those that differ themselves.
The generator is torch's own: `create(name, seed=...)` sets it for the time of the drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from neocog.errors import UsageError


class Undrawn(TorchFunctionMode):
    """For networks on the meta device: nothing is drawn where no number can be kept.

    Normal draws would make torch import its compilers: two seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.normal_ or getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@contextmanager
def drawing(seed: int | None) -> Iterator[None]:
    """Initial weights follow from the seed, and torch's generator is put back; None: from it."""
    nowhere = torch.get_default_device().type == "meta"
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        with Undrawn() if nowhere else nullcontext():
            yield


def gaussian(network: nn.Module, *, std: float = 0.01) -> None:
    """N(0, std): AlexNet, section 5."""
    _draw(network, lambda weight: nn.init.normal_(weight, std=std))


def xavier(network: nn.Module) -> None:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)): Glorot and Bengio 2010, equation 16."""
    _draw(network, lambda weight: nn.init.xavier_uniform_(weight))


def he(network: nn.Module) -> None:
    """N(0, sqrt(2 / fan_in)): He et al. 2015, equation 10. Made for ReLU."""
    _draw(network, lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"))


def lecun(network: nn.Module) -> None:
    """Uniform in +-2.4 / fan_in, biases too: LeCun et al. 1998, appendix A."""
    for layer in weighted(network):
        for tensor in layer.parameters():
            lecun_(tensor, layer.weight[0].numel())


def dirac_(weight: Tensor) -> Tensor:
    """The first filters of a convolution give its input maps back, as far as there are filters; the
    others stay as they are: Jordan 2024, section 3.3.
    """
    nn.init.dirac_(weight[: weight.shape[1]])
    return weight


def lecun_(tensor: Tensor, fan_in: int | Tensor) -> Tensor:
    """`lecun` for one tensor; `fan_in` may be a tensor where it differs within."""
    with torch.no_grad():
        return tensor.uniform_(-2.4, 2.4).div_(fan_in)


def _draw(network: nn.Module, draw: Callable[[Tensor], object]) -> None:
    for layer in weighted(network):
        draw(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def weighted(network: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    """The convolutions and dense layers of a network, in the order in which it holds them."""
    return (m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear))


def whiten(network: nn.Module, images: Tensor, *, eps: float = 5e-4) -> None:
    """Let the first layer decorrelate the 2x2 patches of `images`, a sample of the training set.

    `images` are (N, C, H, W) as the network gets them: floats, of mean zero. The filters are the
    eigenvectors of the patches' covariance over sqrt(eigenvalue + eps), then their negatives.
    Jordan 2024, section 3.2.
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
    paired(layer, filters)


@torch.no_grad()
def paired(layer: nn.Conv2d | nn.Linear, filters: Tensor) -> None:
    """Set a layer to these filters and their negatives; they are not trained, its bias is."""
    layer.weight.copy_(torch.cat((filters, -filters)).view_as(layer.weight))
    layer.weight.requires_grad_(False)
    if layer.bias is not None:
        layer.bias.zero_()
