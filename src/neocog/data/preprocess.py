"""Pixels to input values: the ways of papers and courses, and what they are computed from."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch
from torch import Tensor

from neocog.data import augment, threads
from neocog.data.dataset import Dataset, Pictures, Split
from neocog.data.spec import InputSpec, packed, to_channels
from neocog.data.values import Values
from neocog.errors import UsageError

MOST_RESIZE = 8  # times the input: what is larger is a slip of the hand, and fills the memory
CAFFE_BGR = (104 / 255, 117 / 255, 123 / 255)  # the mean of ImageNet as Caffe subtracts it
LOOKED_AT = 10_000  # training pictures, at most, that a mean is computed from where they are files
TOLD = 1000  # pictures: decoding more takes a while
AT_ONCE = 100


def normalised(images: Tensor, spec: InputSpec) -> Tensor:
    """Pictures (N, C, H, W), uint8 or float from 0 to 1, as the input's values: float32."""
    if spec.bgr:
        images = images.flip(1)
    if spec.by_picture:
        return _by_picture(augment.as_float(images))
    last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    if last and images.device.type == "cpu" and images.dtype == torch.uint8:
        work = Values(images, spec)
        threads.each(work, threads.parts(len(images), work.some))
        return work.made
    return _standardised(images, *_values_of(spec, images.device))


@functools.lru_cache(maxsize=4)
@torch.inference_mode(False)  # whoever asks first: somebody may ask for gradients later
def _values_of(spec: InputSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """What is subtracted and divided by, where pictures are: made once, for two small tensors take
    as long as a pass over a batch of MNIST, and a GPU is waited for.
    """
    return spec.subtracted().to(device), spec.divided_by().to(device)


def _standardised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    if images.dtype == torch.uint8:  # its float is a copy, so nobody's pictures are changed
        return augment.as_float(images).sub_(mean).div_(std)
    return (images - mean).div_(std)


def _by_picture(images: Tensor) -> Tensor:
    """(x - mean) / deviation of each picture's own values; of a flat one, 0.

    The deviation is taken as 1 / sqrt(values) at least, as TensorFlow's
    `per_image_standardization` does.
    """
    flat = images.flatten(1)
    least = flat.shape[1] ** -0.5
    deviation = flat.std(1, correction=0).clamp(min=least)
    return (images - flat.mean(1).view(-1, 1, 1, 1)) / deviation.view(-1, 1, 1, 1)


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

    `pixels`: "standard" (x - mean) / std by channel; "unit" from 0 to 1; "picture" each by its own
    mean and deviation; with values from 0 to 255 "mean-pixel" less the mean colour, "mean-picture"
    less the mean picture, "caffe" less BGR (104, 117, 123); "lenet5" from -0.1 to 1.175 (LeCun et
    al. 1998, section II.B). `resize` 0 means the shorter side of `size`.
    """
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
        _check_fits(dataset.train, size)
    if pixels == "caffe" and channels != 3:
        raise UsageError(
            f"recipe field pixels: caffe is of three colours, and the network takes {channels}; "
            "use mean-pixel"
        )
    plain = InputSpec(
        classes=dataset.classes,
        channels=channels,
        size=size,
        resize=resize or min(size),
        placing=placing,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    return _with_values(plain, dataset, pixels)


def _with_values(plain: InputSpec, dataset: Dataset, pixels: str) -> InputSpec:
    channels, values = plain.channels, plain.to_json()
    if pixels == "picture":
        values["by_picture"] = True
    elif pixels == "lenet5":  # 0 -> -0.1 and 1 -> 1.175
        values["mean"], values["std"] = (0.1 / 1.275,) * channels, (1 / 1.275,) * channels
    elif pixels == "caffe":
        values |= {"mean": CAFFE_BGR, "std": (1 / 255,) * channels, "bgr": True}
    elif pixels == "mean-picture":
        values["mean_picture"] = packed(mean_picture(dataset.train, plain))
        values["std"] = (1 / 255,) * channels
    elif pixels == "mean-pixel":
        values["mean"] = _mean_and_std(dataset, plain)[0]
        values["std"] = (1 / 255,) * channels
    elif pixels == "standard":
        mean, std = _mean_and_std(dataset, plain)
        # one flat colour: nothing to divide
        values["mean"], values["std"] = mean, tuple(s if s > 0 else 1.0 for s in std)
    return InputSpec.from_json(values)


def _mean_and_std(dataset: Dataset, spec: InputSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if dataset.mean and spec.channels == dataset.channels:
        return dataset.mean, dataset.std
    if isinstance(dataset.train, Split):
        return statistics(to_channels(dataset.train.images, spec.channels))
    count = _Counted(spec.channels)
    for images in looked_at(dataset.train, spec):
        count.add(images)
    return count.mean_and_std()


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, from 0 to 1, of uint8 (N, C, H, W)."""
    count = _Counted(images.shape[1])
    count.add(images)
    return count.mean_and_std()


class _Counted:
    """A histogram of the 256 values a channel: exact, so no rounding builds up."""

    def __init__(self, channels: int) -> None:
        self.counts = torch.zeros(channels, 256, dtype=torch.float64)

    def add(self, images: Tensor) -> None:
        for channel, counts in enumerate(self.counts):
            counts += torch.bincount(images[:, channel].flatten(), minlength=256).cpu()

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        values = torch.arange(256, dtype=torch.float64) / 255
        share = self.counts / self.counts.sum(1, keepdim=True)
        mean = (share * values).sum(1)
        variance = (share * (values - mean.unsqueeze(1)) ** 2).sum(1)
        return tuple(mean.tolist()), tuple(variance.sqrt().tolist())


def mean_picture(split: Pictures, spec: InputSpec) -> Tensor:
    """The mean of the training pictures, each cut from the centre: (C, *size), from 0 to 1."""
    total = torch.zeros(spec.channels, *spec.size, dtype=torch.float64)
    count = 0
    for images in looked_at(split, spec):
        total += images.sum(0, dtype=torch.int64).cpu()
        count += len(images)
    return total / (255 * max(count, 1))


def colour_components(split: Pictures, spec: InputSpec) -> Tensor:
    """`augment.principal_components` of the training pictures."""
    if isinstance(split, Split):
        return augment.principal_components(to_channels(split.images, spec.channels))
    return augment.principal_components(looked_at(split, spec))


def looked_at(split: Pictures, spec: InputSpec) -> Iterator[Tensor]:
    """uint8 (n, C, *size), batch by batch: all of a split in memory; of files at most LOOKED_AT of
    them, spread over the whole; of shards, out of a few of these.
    """
    if not isinstance(split, Split) and len(split) > TOLD:
        split.reader.tell(f"computing means of {min(len(split), LOOKED_AT):,} training pictures")
    if not isinstance(split, Split) and len(split) > LOOKED_AT:
        split = split.only(split.sample_of(LOOKED_AT))
    for first in range(0, len(split), AT_ONCE):
        yield split.in_order(slice(first, first + AT_ONCE), spec)[0]


def _check_fits(split: Pictures, size: tuple[int, int]) -> None:
    if split.size is None:
        return
    height, width = split.size
    if height > size[0] or width > size[1]:
        raise UsageError(
            f"recipe field placing: 'pad' cannot put {height}x{width} pictures into "
            f"{size[0]}x{size[1]}; use 'resize'"
        )
