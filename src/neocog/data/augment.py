"""Changes to pictures while training: pure functions (images, ..., generator) -> images.

Each takes a whole batch, float (N, C, H, W) with values from 0 to 1, and decides picture by
picture from the generator alone, so a batch is the same whenever its generator is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def mirror(images: Tensor, generator: Generator) -> Tensor:
    """Half of the pictures, left to right."""
    turned = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(turned.to(images.device).view(-1, 1, 1, 1), images.flip(3), images)


def random_crop(images: Tensor, size: tuple[int, int], *, generator: Generator) -> Tensor:
    """A (H, W) piece of each picture, from anywhere in it."""
    height, width = images.shape[2:]
    top = torch.randint(height - size[0] + 1, (len(images),), generator=generator)
    left = torch.randint(width - size[1] + 1, (len(images),), generator=generator)
    # every piece there is, as a view; then the chosen one of each picture is copied out
    pieces = images.unfold(2, size[0], 1).unfold(3, size[1], 1)
    each = torch.arange(len(images), device=images.device)
    return pieces[each, :, top.to(images.device), left.to(images.device)]


def shift(images: Tensor, pixels: int, *, generator: Generator) -> Tensor:
    """Each picture moved by up to so many pixels either way; black comes in."""
    size = (images.shape[2], images.shape[3])
    return random_crop(F.pad(images, (pixels,) * 4), size, generator=generator)


def principal_components(images: Tensor) -> Tensor:
    """The (C, C) matrix whose columns are the principal components of the colours of uint8
    (N, C, H, W), from 0 to 1, each as long as its eigenvalue.
    """
    channels = images.shape[1]
    total, products = torch.zeros(channels).double(), torch.zeros(channels, channels).double()
    for part in images.split(1000):  # float64 colours of all at once would be 8 times the set
        colours = part.movedim(1, 0).flatten(1).double() / 255
        total += colours.sum(1)
        products += colours @ colours.T
    count = images.numel() // channels
    mean = total / count
    values, vectors = torch.linalg.eigh(products / count - torch.outer(mean, mean))
    components: Tensor = vectors * values
    return components.float()


def pca_noise(images: Tensor, components: Tensor, *, sigma: float, generator: Generator) -> Tensor:
    """Add to each picture the principal components, each times a draw from N(0, sigma).

    Krizhevsky et al. 2012, section 4.1, with `components` from `principal_components`.
    """
    draws = torch.randn(len(images), components.shape[1], generator=generator) * sigma
    colour = draws @ components.T
    return images + colour.to(images.device).view(len(images), -1, 1, 1)
