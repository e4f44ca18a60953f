"""Pooling that remembers less gives what torch's gives, to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neocog
from neocog.networks import frugal

WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": (2, 3), "stride": (1, 2), "dilation": (1, 2)},
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("laid", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_torchs_to_the_bit(
    window: dict[str, Any], kind: torch.dtype, laid: torch.memory_format
) -> None:
    maps = torch.randint(-3, 4, (4, 5, 31, 29)).to(kind).contiguous(memory_format=laid)  # ties
    slope = torch.randn_like(nn.MaxPool2d(**window)(maps))
    found = []
    for layer in (nn.MaxPool2d(**window), frugal.MaxPool2d(**window)):
        given = maps.clone(memory_format=torch.preserve_format).requires_grad_()
        made = layer(given)
        made.backward(slope)
        assert given.grad is not None
        found.append((made, given.grad))
    for torchs, ours in zip(*found, strict=True):
        assert torch.equal(torchs, ours)
        assert torchs.stride() == ours.stride()


def test_large_maps_are_counted_in_full() -> None:
    maps = torch.zeros(1, 1, 256, 256)
    maps[0, 0, 201, 200] = 1  # place 51,656: more than an int16 counts
    given = maps.clone().requires_grad_()
    frugal.MaxPool2d(2)(given).sum().backward()
    assert given.grad is not None
    assert given.grad[0, 0, 201, 200] == 1


def kept(layer: nn.Module, given: Tensor) -> int:
    """Bytes that are kept for the way back."""
    held: dict[int, int] = {}

    def keep(saved: Tensor) -> Tensor:
        held[saved.data_ptr()] = saved.numel() * saved.element_size()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        layer(given)
    return sum(held.values())


def test_an_eighth_of_a_map_is_kept_where_torch_keeps_one_and_a_half() -> None:
    given = torch.randn(2, 8, 32, 32, requires_grad=True)
    size = given.numel() * 4
    assert kept(nn.MaxPool2d(2), given) == 1.5 * size  # the map, and 8 bytes for each fourth value
    assert kept(frugal.MaxPool2d(2), given) == size / 8


def test_it_is_torchs_own_where_nothing_is_learnt() -> None:
    layer, given = frugal.MaxPool2d(2), torch.randn(1, 3, 8, 8)
    assert isinstance(layer, nn.MaxPool2d)
    assert "MaxPool2d(kernel_size=2" in repr(layer)
    for learns in (given, given.clone().requires_grad_()):
        assert torch.equal(layer.eval()(learns), nn.functional.max_pool2d(given, 2))


def test_the_fast_networks_pool_so() -> None:
    for name in ("fast_cifar", "fast_cifar_96"):
        network = neocog.create(name, num_classes=10)
        pools = [each for each in network.modules() if isinstance(each, nn.MaxPool2d)]
        assert len(pools) == 3
        assert all(isinstance(each, frugal.MaxPool2d) for each in pools)
