"""The same networks written with Keras, channels last, as somebody who knows Keras writes them.

Layer for layer those of `neocog.networks`; a test copies the weights over and compares logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

Size = tuple[int, int, int]  # (H, W, C)
Map = Any  # a KerasTensor


def build(
    name: str, size: Size, classes: int, *, given: tuple[int, int] | None = None
) -> keras.Model:
    """The network `name`: pictures (H, W, C) to logits; pictures `given` otherwise are resized."""
    pictures = keras.Input((*(given or size[:2]), size[2]))
    x = pictures if given in (None, size[:2]) else layers.Resizing(*size[:2])(pictures)
    maps, dropout = NETWORKS[name](x)
    if dropout:
        maps = layers.Dropout(dropout)(maps)
    maps = layers.Dense(classes)(maps)
    logits = layers.Activation("linear", dtype="float32")(maps)  # whatever the policy
    return keras.Model(pictures, logits)


def lenet(x: Map) -> tuple[Map, float]:
    x = layers.Conv2D(6, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(16, 5, activation="relu")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(120, activation="relu")(x)
    return layers.Dense(84, activation="relu")(x), 0.0


def alexnet_book(x: Map) -> tuple[Map, float]:
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(96, 11, strides=4, activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Conv2D(256, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    for channels in (384, 384, 256):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)
    return _dense_twice(x)


def vgg11(x: Map) -> tuple[Map, float]:
    for count, channels in ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)):
        for _ in range(count):
            x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    if x.shape[1:3] != (7, 7):
        raise ValueError("VGG-11 is written for 224 px here")
    return _dense_twice(x)


def _dense_twice(x: Map) -> tuple[Map, float]:
    x = layers.Flatten()(x)
    x = layers.Dense(4096, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return layers.Dense(4096, activation="relu")(x), 0.5


def resnet18(x: Map) -> tuple[Map, float]:
    return _stages(_stem(x), _basic, (2, 2, 2, 2), 64)


def resnet50(x: Map) -> tuple[Map, float]:
    return _stages(_stem(x), _bottleneck, (3, 4, 6, 3), 256)


def resnet18_cifar(x: Map) -> tuple[Map, float]:
    return _stages(_conv_norm(x, 64, 3), _basic, (2, 2, 2, 2), 64)


def _stem(x: Map) -> Map:
    x = _conv_norm(x, 64, 7, stride=2)
    x = layers.ZeroPadding2D(1)(x)  # of what a ReLU made: zeros are as good as minus infinity
    return layers.MaxPooling2D(3, strides=2)(x)


def _stages(
    x: Map, unit: Callable[[Map, int, int], Map], counts: tuple[int, ...], channels: int
) -> tuple[Map, float]:
    for stage, count in enumerate(counts):
        for place in range(count):
            x = unit(x, channels * 2**stage, 2 if stage and not place else 1)
    return layers.GlobalAveragePooling2D()(x), 0.0


def _basic(x: Map, channels: int, stride: int) -> Map:
    y = _conv_norm(x, channels, 3, stride=stride)
    y = _conv_norm(y, channels, 3, relu=None)
    return layers.ReLU()(layers.Add()([y, _shortcut(x, channels, stride)]))


def _bottleneck(x: Map, channels: int, stride: int) -> Map:
    y = _conv_norm(x, channels // 4, 1)
    y = _conv_norm(y, channels // 4, 3, stride=stride)
    y = _conv_norm(y, channels, 1, relu=None)
    return layers.ReLU()(layers.Add()([y, _shortcut(x, channels, stride)]))


def _shortcut(x: Map, channels: int, stride: int) -> Map:
    if stride == 1 and x.shape[-1] == channels:
        return x
    return _conv_norm(x, channels, 1, stride=stride, relu=None)


def densenet121(x: Map) -> tuple[Map, float]:
    x = _stem(x)
    for block, count in enumerate((6, 12, 24, 16)):
        if block:
            x = layers.ReLU()(_norm(x))
            x = layers.Conv2D(x.shape[-1] // 2, 1, use_bias=False)(x)
            x = layers.AveragePooling2D(2)(x)
        for _ in range(count):
            y = layers.ReLU()(_norm(x))
            y = _conv_norm(y, 128, 1)
            y = layers.Conv2D(32, 3, padding="same", use_bias=False)(y)
            x = layers.Concatenate()([x, y])
    x = layers.ReLU()(_norm(x))
    return layers.GlobalAveragePooling2D()(x), 0.0


def mobilenet_v2(x: Map) -> tuple[Map, float]:
    x = _conv_norm(x, 32, 3, stride=2, relu=6.0)
    for t, channels, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for place in range(count):
            x = _inverted(x, t, channels, 1 if place else stride)
    x = _conv_norm(x, 1280, 1, relu=6.0)
    return layers.GlobalAveragePooling2D()(x), 0.2


def _inverted(x: Map, t: int, channels: int, stride: int) -> Map:
    y = _conv_norm(x, t * x.shape[-1], 1, relu=6.0) if t > 1 else x
    if stride == 1:
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
    else:
        y = layers.ZeroPadding2D(1)(y)
        y = layers.DepthwiseConv2D(3, strides=stride, use_bias=False)(y)
    y = layers.ReLU(6.0)(_norm(y))
    y = _norm(layers.Conv2D(channels, 1, use_bias=False)(y))
    return layers.Add()([x, y]) if stride == 1 and x.shape[-1] == channels else y


def _conv_norm(
    x: Map, channels: int, kernel: int, *, stride: int = 1, relu: float | None = 0.0
) -> Map:
    """Without bias, then the norm; `relu` 0 is a ReLU, 6 is one cut off there, None is none."""
    if stride > 1 and kernel > 1:  # "same" would pad below and on the right only
        x = layers.ZeroPadding2D(kernel // 2)(x)
        x = layers.Conv2D(channels, kernel, strides=stride, use_bias=False)(x)
    else:
        x = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False)(x)
    x = _norm(x)
    return x if relu is None else layers.ReLU(relu or None)(x)


def _norm(x: Map) -> Map:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)  # torch's


NETWORKS: dict[str, Callable[[Map], tuple[Map, float]]] = {
    "lenet_relu": lenet,
    "alexnet_book": alexnet_book,
    "vgg11": vgg11,
    "resnet18": resnet18,
    "resnet18_cifar": resnet18_cifar,
    "resnet50": resnet50,
    "densenet121": densenet121,
    "mobilenet_v2": mobilenet_v2,
}
