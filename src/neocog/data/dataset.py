"""Splits of pictures, and what must be known to turn a picture into a network's input."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neocog.data import sources
from neocog.data.formats import Arrays
from neocog.errors import UsageError

MOST_RESIZE = 8  # times the input: what is larger is a slip of the hand, and fills the memory
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's conversion to grey


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures in memory: images uint8 (N, C, H, W), labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One picture (C, H, W) and its label."""
        return self.images[index], int(self.labels[index])

    def to(self, device: str) -> Split:
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class InputSpec:
    """How pixels become input and what outputs mean. It travels with the run.

    A picture is turned to `channels`; with `placing` "resize" its shorter side is scaled to
    `resize` and `size` is cut from it, with "pad" it is centred in `size` on black (a picture too
    large for that is resized). A value x from 0 to 1 then becomes (x - mean) / std.
    """

    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int]  # (H, W)
    resize: int  # pixels
    placing: str  # "resize" or "pad"
    mean: tuple[float, ...]  # a channel each
    std: tuple[float, ...]
    interpolation: str = "bilinear"  # antialiased where it shrinks

    def __post_init__(self) -> None:
        numbers = [*self.mean, *self.std, *self.size, self.resize]
        sound = (
            self.channels >= 1
            and len(self.mean) == len(self.std) == self.channels
            and len(self.size) == 2
            and all(isinstance(n, int | float) and math.isfinite(n) for n in numbers)
            and min(*self.size, self.resize) >= 1
            and all(std > 0 for std in self.std)
            and self.placing in ("resize", "pad")
            and self.interpolation in ("bilinear", "bicubic")
        )
        if not sound or not self.classes:
            raise UsageError(f"this is no sound description of an input: {self}")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> InputSpec:
        read: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**read)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set cut into three: `val` comes out of the training pictures, `test` is untouched."""

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # of the training pictures, from 0 to 1, a channel each
    std: tuple[float, ...]
    mirrors: bool  # whether a mirrored picture keeps its label
    size: tuple[int, int] | None  # input size asked for; None: whatever the network takes
    origin: str  # where it came from, for people
    seed: int = 0  # of the split
    validation: float = 0.1  # fraction held out
    from_dir: str | None = None  # the folder that was named for it, if one was

    @property
    def channels(self) -> int:
        return int(self.train.images.shape[1])

    def fingerprint(self) -> str:
        """SHA-256 of the pictures and labels of all three splits, as they stand in memory."""
        seen = hashlib.sha256()
        for split in (self.train, self.val, self.test):
            for tensor in (split.images, split.labels):
                seen.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
                seen.update(tensor.cpu().contiguous().numpy().data)
        return seen.hexdigest()


def load(
    name: str,
    *,
    size: int | tuple[int, int] | None = None,
    validation: float = 0.1,
    seed: int = 0,
    from_dir: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Dataset:
    """A data set by name, from the nearest place that has it.

    `size` in pixels is what pictures are resized to when they are used (the pictures themselves
    stay as they are). `validation` is the fraction of the training pictures held out, stratified
    by class, the same pictures for the same seed. Raises `DataError` naming every place tried.
    """
    loaded = sources.load(
        name,
        from_dir=None if from_dir is None else Path(from_dir),
        tell=tell,
        progress=progress,
    )
    source = loaded.source
    kept, held = stratified(loaded.train.labels, validation, seed=seed)
    return Dataset(
        name=source.name,
        train=_split(loaded.train, kept),
        val=_split(loaded.train, held),
        test=_split(loaded.test, None),
        classes=source.classes,
        mean=source.mean,
        std=source.std,
        mirrors=source.mirrors,
        size=_square(size),
        origin=loaded.origin,
        seed=seed,
        validation=validation,
        from_dir=None if from_dir is None else str(Path(from_dir).expanduser().resolve()),
    )


def stratified(labels: np.ndarray, fraction: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions to keep and positions to hold out, both rising.

    From each class `fraction` of its pictures is held out, rounded, but never all of them.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"validation: {fraction!r} was given; it takes a fraction from 0 below 1")
    if not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed: {seed!r} was given; it takes a whole number, 0 or more")
    rng = np.random.default_rng(seed)
    held = [np.empty(0, dtype=np.int64)]
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        count = min(round(fraction * len(places)), len(places) - 1)
        held.append(rng.permutation(places)[:count])
    held_out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, from 0 to 1, of uint8 (N, C, H, W).

    Counted exactly: a histogram of the 256 values a channel, so no rounding builds up.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for channel in range(images.shape[1]):
        count = torch.bincount(images[:, channel].flatten(), minlength=256).double()
        share = count / count.sum()
        centre = (share * values).sum()
        mean.append(float(centre))
        std.append(float((share * (values - centre) ** 2).sum().sqrt()))
    return tuple(mean), tuple(std)


def to_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 (N, C, H, W) with that many channels: grey repeated, or colour weighed to grey."""
    have = images.shape[1]
    if have == channels:
        return images
    if have == 1:
        return images.expand(-1, channels, -1, -1)
    if channels == 1 and have == 3:
        weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
        return (images * weights).sum(1, keepdim=True).round().to(torch.uint8)
    raise UsageError(
        f"pictures of {have} channels cannot become {channels}; build the network with "
        f"in_channels={have}"
    )


def input_spec(
    dataset: Dataset,
    channels: int,
    size: tuple[int, int],
    *,
    pixels: str = "standard",
    placing: str = "resize",
    resize: int = 0,
) -> InputSpec:
    """The InputSpec of a network's input (channels, *size) for the pictures of a data set.

    `pixels`: "standard" (x - mean) / std, "unit" from 0 to 1, "lenet5" from -0.1 to 1.175
    (LeCun et al. 1998, section II.B). `resize` 0 means the shorter side of `size`.
    """
    mean, std = _normalisation(dataset, channels, pixels)
    if resize > MOST_RESIZE * min(size):
        raise UsageError(
            f"recipe field resize: {resize} was given for an input of {size[0]}x{size[1]}; give at "
            f"most {MOST_RESIZE * min(size)}"
        )
    if resize and resize < min(size):
        raise UsageError(
            f"recipe field resize: {resize} was given, but the network takes "
            f"{size[0]}x{size[1]}; give at least {min(size)}, or 0"
        )
    if placing == "pad":
        _check_fits(dataset.train.images, size)
    return InputSpec(
        classes=dataset.classes,
        channels=channels,
        size=size,
        resize=resize or min(size),
        placing=placing,
        mean=mean,
        std=std,
    )


def _normalisation(
    dataset: Dataset, channels: int, pixels: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if pixels == "unit":
        return (0.0,) * channels, (1.0,) * channels
    if pixels == "lenet5":  # 0 -> -0.1 and 1 -> 1.175
        return (0.1 / 1.275,) * channels, (1 / 1.275,) * channels
    if channels == dataset.channels:
        mean, std = dataset.mean, dataset.std
    else:
        mean, std = statistics(to_channels(dataset.train.images, channels))
    return mean, tuple(s if s > 0 else 1.0 for s in std)  # one flat colour: nothing to divide


def _check_fits(images: Tensor, size: tuple[int, int]) -> None:
    height, width = images.shape[2:]
    if height > size[0] or width > size[1]:
        raise UsageError(
            f"recipe field placing: 'pad' cannot put {height}x{width} pictures into "
            f"{size[0]}x{size[1]}; use 'resize'"
        )


def _square(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size) if _is_pair(size) else (0, 0)
    if min(pair) < 1:
        raise UsageError(f"size: {size!r} was given; it takes pixels, such as 28 or (28, 28)")
    return pair[0], pair[1]


def _is_pair(size: object) -> bool:
    pair = isinstance(size, list | tuple) and len(size) == 2
    return pair and all(isinstance(side, int) for side in size)  # type: ignore[attr-defined]


def _split(arrays: Arrays, places: np.ndarray | None) -> Split:
    images, labels = arrays.images, arrays.labels
    if places is not None:
        images, labels = images[places], labels[places]
    return Split(
        torch.from_numpy(np.ascontiguousarray(images)),
        torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64)),
    )
