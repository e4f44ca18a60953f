"""Pictures mixed with one another while training, and their labels likewise."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from neocog.data.onto import onto


def mixed(
    images: Tensor,
    labels: Tensor,
    classes: int,
    *,
    mixup: float,
    cutmix: float,
    generator: Generator,
) -> tuple[Tensor, Tensor]:
    """A batch by mixup or by cutmix, by turns of chance where both have an alpha above 0.

    images (N, C, H, W), labels int64 (N,) -> the same, and shares float32 (N, classes). With
    neither, the batch as it came.
    """
    if not mixup and not cutmix:
        return images, labels
    by_mixup = mixup and (not cutmix or float(torch.rand((), generator=generator)) < 0.5)
    alpha = mixup if by_mixup else cutmix
    # torch's beta distribution takes no generator
    seed = int(torch.randint(2**62, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    other = onto(torch.randperm(len(images), generator=generator), images)
    if by_mixup:
        images = share * images + (1 - share) * images[other]
    else:
        images, share = pasted(images, other, share, generator)
    shares = F.one_hot(labels, classes).float()
    return images, share * shares + (1 - share) * shares[other.to(labels.device)]


def pasted(
    images: Tensor, other: Tensor, share: float, generator: Generator
) -> tuple[Tensor, float]:
    """A box of each other picture, 1 - share of its area, pasted over; and the share that is left,
    since a box may reach beyond the edge. Yun et al. 2019, arXiv:1905.04899, section 3.1.
    """
    height, width = images.shape[2:]
    tall, wide = (round(side * math.sqrt(1 - share)) for side in (height, width))
    middle = torch.rand(2, generator=generator, dtype=torch.float64)
    top, left = int(middle[0] * height) - tall // 2, int(middle[1] * width) - wide // 2
    rows = slice(max(top, 0), max(min(top + tall, height), 0))
    columns = slice(max(left, 0), max(min(left + wide, width), 0))
    made = images.clone()
    made[:, :, rows, columns] = images[other][:, :, rows, columns]
    covered = (rows.stop - rows.start) * (columns.stop - columns.start)
    return made, 1 - covered / (height * width)
