"""Colours of pictures changed while training; and what the changes are made of.

Pictures are (N, 1 or 3, H, W), float from 0 to 1; factors are (N,).
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from neocog.data.augment import as_float
from neocog.data.onto import onto
from neocog.data.spec import LUMA


def jitter(images: Tensor, strength: float, *, hue: float, generator: Generator) -> Tensor:
    """Brightness, contrast and saturation each times a draw from 1 - strength to 1 + strength, then
    hue turned by up to `hue` (1 is the whole circle) either way.
    """
    images = as_float(images)
    draws = onto(torch.rand(4, len(images), generator=generator), images)
    factors = (1 - strength + 2 * strength * draws[:3]).clamp(min=0)
    if strength:
        images = brightened(images, factors[0])
        images = contrasted(images, factors[1])
        images = saturated(images, factors[2])
    return hue_turned(images, (2 * draws[3] - 1) * hue) if hue else images


def blended(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    """`factors` of the images and the rest of the others, kept from 0 to 1."""
    share = factors.view(-1, 1, 1, 1)
    return (share * images + (1 - share) * others).clamp_(0, 1)


def brightened(images: Tensor, factors: Tensor) -> Tensor:
    return (images * factors.view(-1, 1, 1, 1)).clamp_(0, 1)


def contrasted(images: Tensor, factors: Tensor) -> Tensor:
    """Away from (or towards) the mean grey of each picture."""
    return blended(images, grey(images).mean((1, 2, 3), keepdim=True), factors)


def saturated(images: Tensor, factors: Tensor) -> Tensor:
    """Away from (or towards) the grey picture."""
    return blended(images, grey(images), factors)


def grey(images: Tensor) -> Tensor:
    """(N, 1, H, W): red, green and blue as bright as they seem."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(LUMA, device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def hue_turned(images: Tensor, turns: Tensor) -> Tensor:
    """Each hue moved on around the circle by so many turns; grey pictures have none."""
    if images.shape[1] == 1:
        return images
    most, where = images.max(1)
    chroma = most - images.min(1).values
    red, green, blue = images.unbind(1)
    safe = torch.where(chroma > 0, chroma, 1)
    sixths = torch.stack(
        [(green - blue) / safe % 6, (blue - red) / safe + 2, (red - green) / safe + 4]
    )
    sixth = sixths.gather(0, where.unsqueeze(0))[0] + 6 * turns.view(-1, 1, 1)
    # a channel is bright in four sixths of the circle around its own colour, and fades at the ends
    made = []
    for offset in (5, 3, 1):
        place = (sixth + offset) % 6
        made.append(most - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(made, 1)
