"""TrivialAugment: one change a picture, any of fourteen, of any strength.

Mueller and Hutter 2021, arXiv:2103.10158, section 3, with the wide ranges of its appendix. There is
nothing to tune: that is its point.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from neocog.data import augment, colour
from neocog.data.onto import onto

STRENGTHS = 31  # from none to the most
Operation = Callable[[Tensor, Tensor], Tensor]  # uint8 (N, C, H, W), strength -1 to 1 (N,)


def augmented(images: Tensor, *, generator: Generator) -> Tensor:
    """uint8 (N, C, H, W): each picture by one operation, drawn with its strength and sign."""
    n = len(images)
    which = torch.randint(len(OPERATIONS), (n,), generator=generator)
    strength = torch.randint(STRENGTHS, (n,), generator=generator) / (STRENGTHS - 1)
    strength = strength * (2 * torch.randint(2, (n,), generator=generator) - 1)
    made = images.clone()
    for number, operation in enumerate(OPERATIONS.values()):
        chosen = (which == number).nonzero()[:, 0]
        if len(chosen):
            place = onto(chosen, images)
            made[place] = operation(images[place], onto(strength[chosen], images))
    return made


def _by_colour(change: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    def operation(images: Tensor, strength: Tensor) -> Tensor:
        return _bytes(change(augment.as_float(images), 1 + 0.99 * strength))

    return operation


def _bytes(images: Tensor) -> Tensor:
    return (images * 255).round().clamp(0, 255).to(torch.uint8)


def sharpened(images: Tensor, factors: Tensor) -> Tensor:
    """Away from (or towards) a 3x3 blur, but for the border; float from 0 to 1."""
    channels = images.shape[1]
    kernel = images.new_ones(3, 3)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(channels, 1, 3, 3)
    blurred = images.clone()
    blurred[:, :, 1:-1, 1:-1] = F.conv2d(images, kernel, groups=channels)
    return colour.blended(images, blurred, factors)


def posterized(images: Tensor, strength: Tensor) -> Tensor:
    """The lowest bits of each value cleared: up to six."""
    bits = (6 * strength.abs()).round().to(torch.uint8)
    mask = (256 - 2 ** bits.int()).to(torch.uint8)
    return images & mask.view(-1, 1, 1, 1)


def solarized(images: Tensor, strength: Tensor) -> Tensor:
    """Values from a threshold on inverted; it falls from white to black."""
    threshold = (255 * (1 - strength.abs())).view(-1, 1, 1, 1)
    return torch.where(images >= threshold, 255 - images, images)


def autocontrasted(images: Tensor, strength: Tensor) -> Tensor:
    """Each channel stretched from its darkest to its brightest value."""
    values = images.float()
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    flat = high == low
    scale = torch.where(flat, 1, 255 / torch.where(flat, 1, high - low))
    made = (values - torch.where(flat, 0, low)) * scale
    return made.clamp(0, 255).to(torch.uint8)


def equalized(images: Tensor, strength: Tensor) -> Tensor:
    """Each channel's histogram levelled, as Pillow's `ImageOps.equalize` does."""
    n, channels, height, width = images.shape
    flat = images.reshape(n * channels, -1).long()
    counts = torch.zeros(n * channels, 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    last = counts.gather(1, flat.amax(1, keepdim=True))[:, 0]  # of the brightest value
    step = (height * width - last) // 255
    below = counts.cumsum(1) - counts
    table = (below + (step // 2).unsqueeze(1)) // step.clamp(min=1).unsqueeze(1)
    made = table.clamp(0, 255).gather(1, flat)
    return torch.where((step == 0).unsqueeze(1), flat, made).to(torch.uint8).view(images.shape)


def _moved(kind: str) -> Operation:
    def operation(images: Tensor, strength: Tensor) -> Tensor:
        return augment.warped(images, _matrices(kind, strength, images.shape), nearest=True)

    return operation


def _matrices(kind: str, strength: Tensor, shape: torch.Size) -> Tensor:
    """From where in pixels, counted from the middle, each place takes its value: (N, 2, 3)."""
    made = torch.eye(2, 3, device=strength.device).repeat(len(strength), 1, 1)
    if kind == "rotate":
        return augment.rotations(135 * strength)
    if kind == "shear_x":
        made[:, 0, 1] = 0.99 * strength
    elif kind == "shear_y":
        made[:, 1, 0] = 0.99 * strength
    elif kind == "translate_x":
        made[:, 0, 2] = -(32 * strength).trunc()
    else:
        made[:, 1, 2] = -(32 * strength).trunc()
    return made


OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, strength: images,
    "shear_x": _moved("shear_x"),
    "shear_y": _moved("shear_y"),
    "translate_x": _moved("translate_x"),
    "translate_y": _moved("translate_y"),
    "rotate": _moved("rotate"),
    "brightness": _by_colour(colour.brightened),
    "colour": _by_colour(colour.saturated),
    "contrast": _by_colour(colour.contrasted),
    "sharpness": _by_colour(sharpened),
    "posterize": posterized,
    "solarize": solarized,
    "autocontrast": autocontrasted,
    "equalize": equalized,
}
