"""Initial weights that papers name. Each draws for every convolution and dense layer of a network.

Biases start at zero unless the paper says otherwise; pages set those that differ themselves.
The generator is torch's own: `create(name, seed=...)` sets it for the time of the drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn


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
