"""Which piece of a picture is taken: boxes (top, left, height, width), a row a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

TRIES = 10  # draws of an area and an aspect before the centre is taken instead


@dataclass(frozen=True)
class Crop:
    """How training pictures are cut: at random in place, or in area and aspect too."""

    area: tuple[float, ...] = ()  # from, to: shares of the picture's area; (): no such cuts
    aspect: tuple[float, ...] = (3 / 4, 4 / 3)  # from, to: width / height
    decoded: int = 0  # pixels of the shorter side of decoded files, at least; 0: the input's


def area_boxes(
    sizes: Tensor, area: tuple[float, ...], aspect: tuple[float, ...], generator: Generator
) -> Tensor:
    """Boxes int64 (N, 4) of a random share of the area and a random aspect (width / height) in
    pictures of `sizes` (N, 2): (H, W). Where none of ten draws fits, the largest centred one.

    Szegedy et al. 2014, arXiv:1409.4842, section 6: an area of 8 to 100 %, an aspect of 3/4 to 4/3.
    """
    # by numpy: square roots of a few hundred values wake torch's other threads, which then spin for
    # milliseconds on the processors that pictures are decoded by
    n = len(sizes)
    draws = torch.rand(n, TRIES, 4, generator=generator, dtype=torch.float64).numpy()
    high, wide = sizes.double().numpy().T
    share = area[0] + (area[1] - area[0]) * draws[..., 0]
    low, top = math.log(aspect[0]), math.log(aspect[1])
    ratio = np.exp(low + (top - low) * draws[..., 1])
    pixels = (high * wide)[:, None] * share
    width, height = np.sqrt(pixels * ratio).round(), np.sqrt(pixels / ratio).round()
    fits = (width >= 1) & (height >= 1) & (width <= wide[:, None]) & (height <= high[:, None])
    each, first = np.arange(n), fits.argmax(1)
    height, width, place = height[each, first], width[each, first], draws[each, first, 2:]
    none = ~fits.any(1)
    height = np.where(none, (wide / aspect[0]).round().clip(1).clip(max=high), height)
    width = np.where(none, (high * aspect[1]).round().clip(1).clip(max=wide), width)
    room = np.stack([high - height, wide - width], 1)
    top_left = np.where(none[:, None], np.floor(room / 2), np.floor(place * (room + 1)))
    return torch.from_numpy(np.column_stack([top_left, height, width]).astype(np.int64))
