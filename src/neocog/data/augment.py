"""Changes to pictures while training: pure functions (images, ..., generator) -> images.

Each takes a whole batch (N, C, H, W), uint8 or float from 0 to 1, and decides picture by picture
from the generator alone, so a batch is the same whenever its generator is. What only moves pixels
is best done to uint8: a quarter of the memory to pass over.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def mirror(images: Tensor, generator: Generator) -> Tensor:
    """Half of the pictures, left to right."""
    return turn(images, torch.rand(len(images), generator=generator) < 0.5)


def turn(images: Tensor, which: Tensor) -> Tensor:
    """Those that `which` (N,), booleans on the CPU, names: left to right."""
    both = torch.cat((images, images.flip(3)))  # whole pictures are then copied, not single pixels
    chosen = torch.arange(len(images)) + len(images) * which
    return both.index_select(0, chosen.to(images.device))


def random_crop(images: Tensor, size: tuple[int, int], *, generator: Generator) -> Tensor:
    """A (H, W) piece of each picture, from anywhere in it."""
    height, width = images.shape[2:]
    top = torch.randint(height - size[0] + 1, (len(images),), generator=generator)
    left = torch.randint(width - size[1] + 1, (len(images),), generator=generator)
    # every row of every piece begins somewhere in memory: rows are copied, not single pixels
    n, channels = images.shape[:2]
    plane = torch.arange(n * channels).view(n, channels, 1) * (height * width)
    row = (top.view(n, 1, 1) + torch.arange(size[0])) * width + left.view(n, 1, 1)
    starts = (plane + row).flatten().to(images.device)
    rows = images.contiguous().flatten().unfold(0, size[1], 1).index_select(0, starts)
    return rows.view(n, channels, *size)


def shift(images: Tensor, pixels: int, *, generator: Generator, border: str = "black") -> Tensor:
    """Each picture moved by up to so many pixels either way; what comes in is black, or with
    `border` "reflect" what lies inside of the edge, mirrored.
    """
    size = (images.shape[2], images.shape[3])
    framed = (reflected if border == "reflect" else blackened)(images, pixels)
    return random_crop(framed, size, generator=generator)


def blackened(images: Tensor, pixels: int) -> Tensor:
    """A black frame, so many pixels wide, around each picture."""
    return F.pad(images, (pixels,) * 4)


def reflected(images: Tensor, pixels: int) -> Tensor:
    """The same as `F.pad(..., mode="reflect")`, which takes uint8 on the CPU only, and its time."""
    framed, p = blackened(images, pixels), pixels
    framed[:, :, :p, p:-p] = images[:, :, 1 : p + 1].flip(2)
    framed[:, :, -p:, p:-p] = images[:, :, -p - 1 : -1].flip(2)
    framed[..., :p] = framed[..., p + 1 : 2 * p + 1].flip(3)
    framed[..., -p:] = framed[..., -2 * p - 1 : -p - 1].flip(3)
    return framed


def cutout(images: Tensor, side: int, *, generator: Generator) -> Tensor:
    """A square of each picture, anywhere inside of it, set to zero: of normalised pictures, to the
    mean colour. DeVries and Taylor, arXiv:1708.04552, but that squares do not reach outside.
    """
    height, width = images.shape[2:]
    top = torch.randint(height - side + 1, (len(images), 1, 1, 1), generator=generator)
    left = torch.randint(width - side + 1, (len(images), 1, 1, 1), generator=generator)
    down, right = torch.arange(height).view(-1, 1) - top, torch.arange(width) - left
    hidden = (down >= 0) & (down < side) & (right >= 0) & (right < side)
    return images.masked_fill(hidden.to(images.device), 0)


def as_float(images: Tensor) -> Tensor:
    """Pictures as float from 0 to 1; those that are float already are given back."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


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
    images = as_float(images)
    return images + colour.to(images.device).view(len(images), -1, 1, 1)
