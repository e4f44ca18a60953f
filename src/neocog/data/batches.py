"""Order and batches: a split in memory becomes a network's input, batch by batch.

What comes out follows from (seed, epoch, step) and nothing else, so a run can go on in the
middle of an epoch as if it had never stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from neocog.data import augment
from neocog.data.dataset import InputSpec, Split, to_channels
from neocog.errors import DataError

LONGEST = 100  # times the shorter side: beyond, scaling a picture to the input fills the memory


@dataclass(frozen=True, eq=False)
class Augmentation:
    """What is done to training pictures, in this order; see `augment`."""

    mirror: bool = False
    alternate: bool = False  # mirror: each picture by turns, from epoch to epoch
    shift: int = 0  # pixels
    border: str = "black"  # what `shift` brings in
    cutout: int = 0  # pixels
    pca_noise: float = 0.0  # sigma
    components: Tensor | None = None  # (C, C), needed by pca_noise


def derived_seed(*place: int | str) -> int:
    """A seed for a place in a run, such as (seed, "order", epoch): equal places, equal seeds."""
    digest = hashlib.blake2b(repr(place).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True, eq=False)
class TrainingBatches:
    """The training split in batches, shuffled anew each epoch."""

    split: Split
    spec: InputSpec
    batch_size: int
    seed: int
    augmentation: Augmentation

    def __len__(self) -> int:
        """Steps in an epoch. A last batch of one picture is left out: batch norm has no
        statistics of one value.
        """
        whole, rest = divmod(len(self.split), self.batch_size)
        return whole + (rest > 1 or (rest == 1 and whole == 0))

    def epoch(
        self, epoch: int, *, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs float32 (N, C, H, W) and labels int64 (N,), from step `start` to before `stop`."""
        order, turned = self._order(epoch), self._turned(epoch)
        for step in range(start, len(self) if stop is None else stop):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            index = chosen.to(self.split.labels.device)
            generator = Generator().manual_seed(derived_seed(self.seed, "pictures", epoch, step))
            # index_select copies whole pictures; indexing by a tensor goes pixel by pixel
            pixels = self.split.images.index_select(0, index)
            which = None if turned is None else turned[chosen]
            inputs = self._inputs(pixels, generator, which)
            yield inputs, self.split.labels.index_select(0, index)

    def sample(self, count: int, *, seed: int) -> Tensor:
        """Up to `count` pictures as inputs, drawn by `seed`, not augmented."""
        chosen = np.random.default_rng(seed).permutation(len(self.split))[:count]
        index = torch.from_numpy(chosen).to(self.split.labels.device)
        return to_input(self.split.images[index], self.spec)

    def _order(self, epoch: int) -> Tensor:
        rng = np.random.default_rng(derived_seed(self.seed, "order", epoch))
        return torch.from_numpy(rng.permutation(len(self.split)))

    def _turned(self, epoch: int) -> Tensor | None:
        """Which pictures are mirrored in this epoch, where each is by turns: half of them, and the
        other half in the next. Jordan 2024, arXiv:2404.00498, section 3.6.
        """
        if not (self.augmentation.mirror and self.augmentation.alternate):
            return None
        rng = np.random.default_rng(derived_seed(self.seed, "alternate"))
        return torch.from_numpy(rng.integers(2, size=len(self.split)) != epoch % 2)

    def _inputs(self, pixels: Tensor, generator: Generator, turned: Tensor | None) -> Tensor:
        spec, wanted = self.spec, self.augmentation
        images = scaled(pixels, spec)
        if tuple(images.shape[2:]) != spec.size:
            images = augment.random_crop(images, spec.size, generator=generator)
        if wanted.shift:
            images = augment.shift(images, wanted.shift, generator=generator, border=wanted.border)
        if turned is not None:
            images = augment.turn(images, turned)
        elif wanted.mirror:
            images = augment.mirror(images, generator)
        if wanted.pca_noise and wanted.components is not None:
            images = augment.pca_noise(
                images, wanted.components, sigma=wanted.pca_noise, generator=generator
            )
        images = normalised(images, spec)
        if wanted.cutout:
            images = augment.cutout(images, wanted.cutout, generator=generator)
        return images


def in_order(split: Split, spec: InputSpec, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """A split as it stands, unchanged by chance: inputs (N, C, H, W) and labels (N,)."""
    for first in range(0, len(split), batch_size):
        rows = slice(first, first + batch_size)
        yield to_input(split.images[rows], spec), split.labels[rows]


def to_input(pixels: Tensor, spec: InputSpec) -> Tensor:
    """uint8 (N, C, H, W) of any size as a network's input: float32 (N, channels, *size).

    The one way for validation, test and prediction; training differs only by its augmentation.
    """
    images = scaled(pixels, spec)
    top = (images.shape[2] - spec.size[0]) // 2
    left = (images.shape[3] - spec.size[1]) // 2
    cut = images[:, :, top : top + spec.size[0], left : left + spec.size[1]]
    return normalised(cut, spec)


def scaled(pixels: Tensor, spec: InputSpec) -> Tensor:
    """uint8 pictures brought to at least the input's size: float from 0 to 1 where that mixes
    pixels, else uint8 as they were.
    """
    images = to_channels(pixels, spec.channels)
    height, width = images.shape[2:]
    if spec.placing == "pad":
        down, right = spec.size[0] - height, spec.size[1] - width
        if down >= 0 and right >= 0:
            return F.pad(images, (right // 2, right - right // 2, down // 2, down - down // 2))
    target = _resized(height, width, spec)
    if target == (height, width):
        return images
    shrinks = target[0] < height
    return F.interpolate(
        augment.as_float(images), target, mode=spec.interpolation, antialias=shrinks
    )


def _resized(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """The shorter side becomes `spec.resize`; neither side ends below the input's."""
    scale = spec.resize / min(height, width)
    sides = max(round(height * scale), spec.size[0]), max(round(width * scale), spec.size[1])
    if max(sides) > LONGEST * min(sides):
        raise DataError(
            f"a picture of {height}x{width} pixels is too long and thin to be cut to "
            f"{spec.size[0]}x{spec.size[1]}"
        )
    return sides


def normalised(images: Tensor, spec: InputSpec) -> Tensor:
    """(x - mean) / std, channel by channel, of pictures uint8 or float from 0 to 1."""
    mean = torch.tensor(spec.mean, device=images.device).view(1, -1, 1, 1)
    std = torch.tensor(spec.std, device=images.device).view(1, -1, 1, 1)
    if images.dtype == torch.uint8:  # its float is a copy, so nobody's pictures are changed
        return augment.as_float(images).sub_(mean).div_(std)
    return (images - mean).div_(std)
