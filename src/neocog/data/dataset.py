"""Splits of pictures, and the data set that is made of three of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from neocog.data import augment, crops, geometry
from neocog.data.crops import Crop
from neocog.data.filesplit import FileSplit
from neocog.data.listing import Listing
from neocog.data.onto import onto
from neocog.data.spec import InputSpec, to_channels
from neocog.errors import UsageError


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures in memory, all of one size: images uint8 (N, C, H, W), labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One picture (C, H, W) and its label."""
        return self.images[index], int(self.labels[index])

    @property
    def channels(self) -> int:
        return int(self.images.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of every picture."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    def to(self, device: str) -> Split:
        return Split(self.images.to(device), self.labels.to(device))

    def first(self, count: int) -> Split:
        return Split(self.images[:count], self.labels[:count])

    def shuffled(self, rng: np.random.Generator) -> np.ndarray:
        """Its places by chance, int64 (N,)."""
        return rng.permutation(len(self))

    def batch(
        self, order: Tensor, rows: slice, spec: InputSpec, *, crop: Crop, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """uint8 (n, C, *size) and labels of the pictures in those rows of an epoch's order."""
        index = onto(order[rows], self.labels)
        # index_select copies whole pictures; indexing by a tensor goes pixel by pixel
        pixels, labels = self.images.index_select(0, index), self.labels.index_select(0, index)
        if crop.area:
            return _cut(to_channels(pixels, spec.channels), spec, crop, generator), labels
        images = geometry.scaled(pixels, spec)
        if tuple(images.shape[2:]) != spec.size:
            images = augment.random_crop(images, spec.size, generator=generator)
        return images, labels

    def in_order(self, rows: slice, spec: InputSpec) -> tuple[Tensor, Tensor]:
        """The same of those rows as they stand, cut from the centre."""
        whole = geometry.scaled(self.images[rows], spec)
        return geometry.centre(whole, spec.size), self.labels[rows]

    def whole(self, rows: slice, spec: InputSpec) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """Those of the same rows uncut, in the input's channels, and their labels: of each size
        their places among them, int64 (n,), and the pictures, uint8 (n, C, H, W).
        """
        images = to_channels(self.images[rows], spec.channels)
        return [(torch.arange(len(images)), images)], self.labels[rows]

    def facts(self) -> list[str]:
        """What the split is known by: its pictures and labels, as they stand in memory."""
        seen = hashlib.sha256()
        for tensor in (self.images, self.labels):
            seen.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
            seen.update(tensor.cpu().contiguous().numpy().data)
        return [seen.hexdigest()]


def _cut(images: Tensor, spec: InputSpec, crop: Crop, generator: Generator) -> Tensor:
    sizes = torch.tensor([images.shape[2:]]).expand(len(images), 2)
    boxes = crops.area_boxes(sizes, crop.area, crop.aspect, generator).tolist()
    pieces = [
        geometry.resized(image[None, :, top : top + height, left : left + width], spec.size)
        for image, (top, left, height, width) in zip(images, boxes, strict=True)
    ]
    return torch.cat(pieces)


Pictures = Split | FileSplit


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set cut into three: `val` comes out of the training pictures, `test` is untouched.

    Of a folder that has a split of its own for it, `val` is that, and `test` may be empty.
    """

    name: str
    train: Pictures
    val: Pictures
    test: Pictures
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # of the training pictures, from 0 to 1, a channel each; (): unknown
    std: tuple[float, ...]
    mirrors: bool  # whether a mirrored picture keeps its label
    size: tuple[int, int] | None  # input size asked for; None: whatever the network takes
    origin: str  # where it came from, for people
    seed: int = 0  # of the split
    validation: float = 0.1  # fraction held out
    from_dir: str | None = None  # the folder that was named for it, if one was
    listing: Listing | None = None  # of pictures in files

    @property
    def channels(self) -> int:
        return self.train.channels

    @property
    def splits(self) -> dict[str, Pictures]:
        return {"train": self.train, "validation": self.val, "test": self.test}

    def fingerprint(self, *splits: str) -> str:
        """SHA-256 of the pictures and labels of these splits, or of all three; of files, of their
        paths, labels and sizes.
        """
        seen = hashlib.sha256()
        for name in splits or self.splits:
            for fact in self.splits[name].facts():
                seen.update(repr(fact).encode("utf-8", "surrogatepass"))
        return seen.hexdigest()

    def check_outside(self, path: Path, advice: str) -> None:
        """`UsageError` for a place in the folders of the pictures: to those nothing is added, and
        it would be taken for a class the next time. Lists and shards say themselves what counts,
        and what is hidden does not.
        """
        if self.listing is None or self.listing.layout not in ("classes", "splits"):
            return
        root, place = self.listing.root.resolve(), path.resolve()
        if not place.is_relative_to(root):
            return
        if not any(part.startswith(".") for part in place.relative_to(root).parts):
            raise UsageError(
                f"{path}: lies in the folder of the pictures, {root}, to which nothing is added. "
                f"{advice}"
            )

    def finish(self, *, wait: bool = True) -> None:
        """What was decoded so far is kept for the epochs and runs to come. Without `wait` it is on
        its way to the disk, and goes on while other things are done.
        """
        if isinstance(self.train, FileSplit):
            self.train.finish(wait=wait)

    def look_again(self) -> None:
        """What other processes have decoded since is taken as well."""
        if isinstance(self.train, FileSplit):
            self.train.reader.look_again()


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """What each class counts so that all count alike: N / (K * its pictures), (K,)."""
    counts = torch.bincount(labels.cpu(), minlength=classes)
    return len(labels) / (int((counts > 0).sum()) * counts.clamp(min=1).float())


def balanced_order(shuffled: Sequence[Tensor], count: int) -> Tensor:
    """`count` places, each class as often: `shuffled` are the places of each class, gone through
    again and again.
    """
    some = [places for places in shuffled if len(places)]
    each = math.ceil(count / len(some))
    turns = [places.repeat(math.ceil(each / len(places)))[:each] for places in some]
    return torch.stack(turns, 1).flatten()[:count]
