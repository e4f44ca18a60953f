"""Which piece of a picture is taken: boxes (top, left, height, width), a row a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    n = len(sizes)
    draws = torch.rand(n, TRIES, 4, generator=generator, dtype=torch.float64)
    high, wide = sizes.double().unbind(1)
    share = area[0] + (area[1] - area[0]) * draws[..., 0]
    low, top = math.log(aspect[0]), math.log(aspect[1])
    ratio = torch.exp(low + (top - low) * draws[..., 1])
    pixels = (high * wide).unsqueeze(1) * share
    width, height = (pixels * ratio).sqrt().round(), (pixels / ratio).sqrt().round()
    fits = (width >= 1) & (height >= 1)
    fits &= (width <= wide.unsqueeze(1)) & (height <= high.unsqueeze(1))
    first = fits.int().argmax(1, keepdim=True)
    height, width = height.gather(1, first)[:, 0], width.gather(1, first)[:, 0]
    none = ~fits.any(1)
    height = torch.where(none, (wide / aspect[0]).round().clamp(min=1).minimum(high), height)
    width = torch.where(none, (high * aspect[1]).round().clamp(min=1).minimum(wide), width)
    place = draws[torch.arange(n), first[:, 0], 2:]
    top_left = (place * torch.stack([high - height + 1, wide - width + 1], 1)).floor()
    middle = torch.stack([(high - height) / 2, (wide - width) / 2], 1).floor()
    top_left = torch.where(none.unsqueeze(1), middle, top_left)
    return torch.cat([top_left, torch.stack([height, width], 1)], 1).long()
