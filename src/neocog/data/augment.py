"""Changes to pictures while training: pure functions (images, ..., generator) -> images.

Each takes a whole batch (N, C, H, W), uint8 or float from 0 to 1, and decides picture by picture
from the generator alone, so a batch is the same whenever its generator is. What only moves pixels
is best done to uint8: a quarter of the memory to pass over.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from neocog.data import threads
from neocog.data.onto import onto


def mirror(images: Tensor, generator: Generator, *, ours: bool = False) -> Tensor:
    """Half of the pictures, left to right; see `turn`."""
    return turn(images, half(len(images), generator), ours=ours)


def half(count: int, generator: Generator) -> Tensor:
    """Which of so many pictures are mirrored, by chance: booleans (N,)."""
    return torch.rand(count, generator=generator) < 0.5


def turn(images: Tensor, which: Tensor, *, ours: bool = False) -> Tensor:
    """Those that `which` (N,), booleans on the CPU, names: left to right. `ours`: the pictures may
    be changed in place.
    """
    if images.device.type == "cpu" and not images.is_contiguous():  # channels last
        made = images if ours else images.clone()
        threads.each(functools.partial(turn_one, made), which.nonzero()[:, 0].tolist())
        return made
    both = torch.cat((images, images.flip(3)))  # whole pictures are then copied, not single pixels
    chosen = torch.arange(len(images), device=images.device) + len(images) * onto(which, images)
    return both.index_select(0, chosen)


def turn_one(images: Tensor, place: int) -> None:
    """One of pictures (N, C, H, W) that lie channels last, in place: left to right."""
    rows = images[place].movedim(0, 2)
    rows.copy_(rows.flip(1))


def random_crop(images: Tensor, size: tuple[int, int], *, generator: Generator) -> Tensor:
    """A (H, W) piece of each picture, from anywhere in it."""
    height, width = images.shape[2:]
    top = torch.randint(height - size[0] + 1, (len(images),), generator=generator)
    left = torch.randint(width - size[1] + 1, (len(images),), generator=generator)
    # every row of every piece begins somewhere in memory: rows are copied, not single pixels
    n, channels = images.shape[:2]
    top, left = (onto(drawn, images).view(n, 1, 1) for drawn in (top, left))
    plane = torch.arange(n * channels, device=images.device).view(n, channels, 1)
    row = (top + torch.arange(size[0], device=images.device)) * width + left
    starts = (plane * (height * width) + row).flatten()
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
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    down, right = rows.view(-1, 1) - onto(top, images), columns - onto(left, images)
    hidden = (down >= 0) & (down < side) & (right >= 0) & (right < side)
    return images.masked_fill(hidden, 0)


def as_float(images: Tensor) -> Tensor:
    """Pictures as float from 0 to 1; those that are float already are given back."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def principal_components(images: Tensor | Iterable[Tensor]) -> Tensor:
    """The (C, C) matrix whose columns are the principal components of the colours of uint8
    (N, C, H, W), whole or in parts, from 0 to 1, each as long as its eigenvalue.
    """
    # float64 colours of all at once would be 8 times the set
    parts = images.split(1000) if isinstance(images, Tensor) else images
    total, products, count = torch.zeros(()), torch.zeros(()), 0
    for part in parts:
        colours = part.movedim(1, 0).flatten(1).double() / 255
        total, products = total + colours.sum(1), products + colours @ colours.T
        count += colours.shape[1]
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
    return images + onto(colour, images).view(len(images), -1, 1, 1)


def rotate(images: Tensor, degrees: float, *, generator: Generator) -> Tensor:
    """Each picture turned by up to so many degrees either way; what comes in is black."""
    angles = (2 * torch.rand(len(images), generator=generator) - 1) * degrees
    return warped(images, rotations(onto(angles, images)))


def rotations(degrees: Tensor) -> Tensor:
    """The (N, 2, 3) matrices for `warped` that turn by so many degrees, clockwise."""
    turn = degrees.deg2rad()
    rows = torch.stack([turn.cos(), turn.sin(), -turn.sin(), turn.cos()], 1).view(-1, 2, 2)
    return F.pad(rows, (0, 1))


def warped(images: Tensor, matrices: Tensor, *, nearest: bool = False) -> Tensor:
    """Every place of a picture from where its matrix (N, 2, 3) says: (x, y, 1) in pixels from the
    middle, to the right and down. What comes from outside is black. uint8 stays uint8.
    """
    height, width = images.shape[2:]
    size = images.new_tensor([width, height], dtype=torch.float32)
    # grid_sample counts from -1 to 1 across each side
    scaled = matrices / size.view(1, 2, 1)
    scaled = torch.cat([scaled[:, :, :2] * size, 2 * scaled[:, :, 2:]], 2)
    shape = [len(images), images.shape[1], height, width]
    grid = F.affine_grid(scaled, shape, align_corners=False)
    values = images.float()
    mode = "nearest" if nearest else "bilinear"
    made = F.grid_sample(values, grid, mode=mode, padding_mode="zeros", align_corners=False)
    return made.round_().to(torch.uint8) if images.dtype == torch.uint8 else made


def erase(images: Tensor, probability: float, *, generator: Generator) -> Tensor:
    """A box of some pictures set to zero: of normalised pictures, to the mean colour. It has 2 to
    33 % of the area and an aspect from 0.3 to 3.3. Zhong et al. 2017, arXiv:1708.04896.
    """
    n, _, height, width = images.shape
    draws = torch.rand(n, 5, generator=generator, dtype=torch.float64)
    area = (0.02 + 0.31 * draws[:, 0]) * height * width
    aspect = torch.exp((2 * draws[:, 1] - 1) * math.log(3.3))
    tall = (area * aspect).sqrt().round().clamp(1, height)
    wide = (area / aspect).sqrt().round().clamp(1, width)
    top, left = (
        ((height - tall + 1) * draws[:, 2]).floor(),
        ((width - wide + 1) * draws[:, 3]).floor(),
    )
    chosen = draws[:, 4] < probability
    boxes = onto(torch.stack([top, left, tall, wide, chosen.double()]), images)
    top, left, tall, wide, chosen = boxes.view(5, -1, 1, 1).unbind()
    down = torch.arange(height, device=images.device).view(1, -1, 1) - top
    right = torch.arange(width, device=images.device).view(1, 1, -1) - left
    hidden = (down >= 0) & (down < tall) & (right >= 0) & (right < wide) & (chosen > 0)
    return images.masked_fill(hidden.unsqueeze(1), 0)
