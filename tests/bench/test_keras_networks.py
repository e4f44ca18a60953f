"""The networks written with Keras give the logits of ours, once they have our weights."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
pytest.importorskip("tensorflow")
pytest.importorskip("keras")

import numpy as np
import torch
from torch import nn

from neocog.bench import keras_networks
from neocog.bench.plan import TRAINED, Workload
from neocog.networks import create

WITH_WEIGHTS = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)


def in_order(network: nn.Module, pictures: torch.Tensor) -> tuple[list[nn.Module], torch.Tensor]:
    """Layers with weights in the order in which they run, and the logits."""
    ran: list[nn.Module] = []
    for layer in network.modules():
        if isinstance(layer, WITH_WEIGHTS):
            layer.register_forward_hook(lambda layer, given, made: ran.append(layer))
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.8, 1.2)
    with torch.no_grad():
        return ran, network(pictures)


def weights(layer: nn.Module, maps: tuple[int, ...] | None) -> list[np.ndarray]:
    """As Keras orders them; `maps` (C, H, W) where a dense layer reads flattened maps."""
    found = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    bias = [found["bias"]] if "bias" in found else []
    if isinstance(layer, nn.BatchNorm2d):
        return [found["weight"], *bias, layer.running_mean.numpy(), layer.running_var.numpy()]
    if isinstance(layer, nn.Conv2d):
        order = (2, 3, 0, 1) if layer.groups > 1 else (2, 3, 1, 0)
        return [found["weight"].transpose(order), *bias]
    weight = found["weight"]
    if maps:
        weight = weight.reshape(-1, *maps).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return [weight.T, *bias]


def number(name: str) -> int:
    """Keras counts the layers of a kind: "conv2d", "conv2d_1", ..."""
    last = name.rpartition("_")[2]
    return int(last) if last.isdecimal() else 0


def pairs(ours: list[nn.Module], theirs: object) -> list[tuple[nn.Module, object]]:
    """Layers of ours with those of Keras, each kind in the order in which it was made."""
    found = []
    for kind, mine in {
        "DepthwiseConv2D": [m for m in ours if isinstance(m, nn.Conv2d) and m.groups > 1],
        "Conv2D": [m for m in ours if isinstance(m, nn.Conv2d) and m.groups == 1],
        "BatchNormalization": [m for m in ours if isinstance(m, nn.BatchNorm2d)],
        "Dense": [m for m in ours if isinstance(m, nn.Linear)],
    }.items():
        twins = [layer for layer in theirs.layers if type(layer).__name__ == kind]
        twins.sort(key=lambda layer: number(layer.name))
        found += zip(mine, twins, strict=True)
    return found


@pytest.mark.parametrize("work", TRAINED, ids=lambda work: work.network)
def test_with_the_same_weights_the_logits_are_the_same(work: Workload) -> None:
    channels, height, width = work.size
    ours = create(work.network, num_classes=work.classes, in_channels=channels, seed=0).eval()
    theirs = keras_networks.build(work.network, (height, width, channels), work.classes)
    pictures = torch.rand(2, *work.size)
    layers, wanted = in_order(ours, pictures)
    for layer, twin in pairs(layers, theirs):
        flattened = None
        before = twin.input._keras_history.operation
        if type(before).__name__ == "Flatten":
            h, w, c = before.input.shape[1:]
            flattened = (c, h, w)
        twin.set_weights(weights(layer, flattened))
    said = np.asarray(theirs(pictures.numpy().transpose(0, 2, 3, 1), training=False))
    scale = float(wanted.abs().max())
    np.testing.assert_allclose(said / scale, wanted.numpy() / scale, atol=1e-4)


def test_pictures_of_another_size_are_resized_by_the_network() -> None:
    model = keras_networks.build("alexnet_book", (224, 224, 1), 10, given=(28, 28))
    assert model.input_shape == (None, 28, 28, 1)
    assert model.output_shape == (None, 10)
