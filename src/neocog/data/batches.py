"""Order and batches: a split becomes a network's input, batch by batch.

What comes out follows from (seed, epoch, step) and nothing else, so a run can go on in the
middle of an epoch as if it had never stopped.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Generator, Tensor

from neocog.data import augment, colour, cutting, gathered, mixing, trivial, values
from neocog.data.ahead import ahead
from neocog.data.crops import Crop
from neocog.data.dataset import Pictures, balanced_order, class_weights
from neocog.data.filesplit import FileSplit
from neocog.data.geometry import centre, scaled
from neocog.data.part import WHOLE, Part
from neocog.data.preprocess import normalised
from neocog.data.spec import InputSpec

SIZES_IN_STEPS_OF = 32  # pixels; every size has kernels of its own to be chosen


@dataclass(frozen=True, eq=False)
class Augmentation:
    """What is done to training pictures, in this order; see `augment` and its neighbours."""

    crop: Crop = field(default_factory=Crop)
    mirror: bool = False
    alternate: bool = False  # mirror: each picture by turns, from epoch to epoch
    shift: int = 0  # pixels
    border: str = "black"  # what `shift` brings in
    trivial: bool = False
    rotate: float = 0.0  # degrees
    jitter: float = 0.0  # brightness, contrast, saturation
    hue: float = 0.0  # turns
    pca_noise: float = 0.0  # sigma
    components: Tensor | None = None  # (C, C), needed by pca_noise
    cutout: int = 0  # pixels
    erase: float = 0.0  # probability
    mixup: float = 0.0  # alpha of the beta distribution
    cutmix: float = 0.0  # likewise


def derived_seed(*place: int | str) -> int:
    """A seed for a place in a run, such as (seed, "order", epoch): equal places, equal seeds."""
    digest = hashlib.blake2b(repr(place).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True, eq=False)
class TrainingBatches:
    """The training split in batches, shuffled anew each epoch."""

    split: Pictures
    spec: InputSpec
    batch_size: int
    seed: int
    augmentation: Augmentation
    balance: str = "none"  # "sampling": each class as often as any other; "weights": counts as much
    begin_size: int = 0  # pixels: the input grows from it, 0: it does not
    grow_epochs: float = 0.0  # over so many epochs
    ahead: int = 0  # batches made while the step before them runs
    part: Part = WHOLE  # of each batch, where several processes share it

    def __post_init__(self) -> None:
        many = self.batch_size * self.spec.channels * math.prod(self.spec.size)
        if isinstance(self.split, FileSplit) and many >= values.LEAST:
            cutting.library.now()  # made in threads, in time for the first batch
            values.library.now()

    def __len__(self) -> int:
        """Steps in an epoch. A last batch of one picture is left out: batch norm has no
        statistics of one value.
        """
        whole, rest = divmod(len(self.split), self.batch_size)
        return whole + (rest > 1 or (rest == 1 and whole == 0))

    def epoch(
        self, epoch: int, *, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs float32 (N, C, H, W) and labels int64 (N,), from step `start` to before `stop`:
        of each batch the `part`, which is augmented by a chance of its own.

        Where pictures are mixed, labels are the shares of the classes: float32 (N, K).
        """
        made = self._made(epoch, start, len(self) if stop is None else stop)
        return ahead(made, self.ahead) if self.ahead else made

    def _made(self, epoch: int, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        order, turned = self._mine(self.order(epoch)), self._turned(epoch)
        crop, spec = self.augmentation.crop, self.spec_in(epoch)
        crop = dataclasses.replace(crop, decoded=self.spec.resize)
        gather = self._in_one_pass(spec, crop)
        each, own = len(self.part.rows(self.batch_size)), self.place()
        for step in range(start, stop):
            rows = slice(step * each, step * each + len(self.part.rows(self.count(step))))
            seed = derived_seed(self.seed, "pictures", epoch, step, *own)
            generator = Generator().manual_seed(seed)
            which = None if turned is None else turned[order[rows]]
            if gather is not None and gather.is_ready():
                inputs, labels = self._gathered(gather, order[rows], generator, which)
            else:
                inputs, labels = self._batch(order, rows, spec, crop, generator, which)
            yield mixing.mixed(
                inputs,
                labels,
                len(spec.classes),
                mixup=self.augmentation.mixup,
                cutmix=self.augmentation.cutmix,
                generator=generator,
            )

    def _gathered(
        self, gather: gathered.Gather, index: Tensor, generator: Generator, turned: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What `_batch` gives."""
        drawn = gather.drawn(len(index), generator)
        turned = self._drawn_to_turn(turned, len(index), generator)
        images = self._hidden(gather(index, drawn, turned), generator)
        return images, self.split.labels.index_select(0, index)

    def _batch(
        self,
        order: Tensor,
        rows: slice,
        spec: InputSpec,
        crop: Crop,
        generator: Generator,
        turned: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Inputs and labels of some rows of an epoch's order, not mixed yet."""
        if not (isinstance(self.split, FileSplit) and self._only_turned(spec)):
            images, labels = self.split.batch(order, rows, spec, crop=crop, generator=generator)
            return self._inputs(images, spec, generator, turned), labels
        made: list[Tensor] = []
        then = functools.partial(self._turned_and_normalised, made, spec, generator, turned)
        _, labels = self.split.batch(order, rows, spec, crop=crop, generator=generator, then=then)
        return self._hidden(made[0], generator), labels

    def count(self, step: int) -> int:
        """Pictures in the batch of a step, of all its parts."""
        return min(self.batch_size, len(self.split) - step * self.batch_size)

    def place(self) -> tuple[int, ...]:
        """What beside (epoch, step) chance follows from: which part it is, if not the first."""
        return self.part.place()

    def _mine(self, order: Tensor) -> Tensor:
        """Its part of each batch of an epoch's order, one after the other."""
        if self.part == WHOLE:
            return order
        whole = len(order) // self.batch_size
        rows = list(self.part.rows(self.batch_size))
        full, rest = order[: whole * self.batch_size], order[whole * self.batch_size :]
        last = rest[list(self.part.rows(len(rest)))] if len(rest) else rest
        return torch.cat((full.view(whole, self.batch_size)[:, rows].flatten(), last))

    def spec_in(self, epoch: int) -> InputSpec:
        """The input in an epoch: smaller in the first ones, where it grows."""
        whole = min(self.spec.size)
        if not self.begin_size or epoch >= self.grow_epochs:
            return self.spec
        side = self.begin_size + (whole - self.begin_size) * epoch / self.grow_epochs
        side = max(round(side / SIZES_IN_STEPS_OF) * SIZES_IN_STEPS_OF, self.begin_size)
        share = side / whole
        size = (round(self.spec.size[0] * share), round(self.spec.size[1] * share))
        return dataclasses.replace(self.spec, size=size, resize=round(self.spec.resize * share))

    def class_weights(self) -> Tensor | None:
        """What a picture of each class counts in the loss, (K,); None: all the same."""
        if self.balance != "weights":
            return None
        return class_weights(self.split.labels, len(self.spec.classes))

    def sample(self, count: int, *, seed: int) -> Tensor:
        """Up to `count` pictures as inputs, drawn by `seed`, not augmented."""
        chosen = self.split.shuffled(np.random.default_rng(seed))[:count]
        if isinstance(self.split, FileSplit):
            images, _ = self.split.at(chosen.tolist(), self.spec)
            return normalised(images, self.spec)
        index = torch.from_numpy(chosen).to(self.split.labels.device)
        return to_input(self.split.images[index], self.spec)

    def order(self, epoch: int) -> Tensor:
        """The places of the split in the order of an epoch, int64 (N,)."""
        rng = np.random.default_rng(derived_seed(self.seed, "order", epoch))
        places = torch.from_numpy(self.split.shuffled(rng))
        if self.balance != "sampling":
            return places
        labels = self.split.labels.cpu()[places]
        by_class = [places[labels == label] for label in range(len(self.spec.classes))]
        even = balanced_order(by_class, len(places))
        return even[torch.from_numpy(rng.permutation(len(even)))]

    def _turned(self, epoch: int) -> Tensor | None:
        """Which pictures are mirrored in this epoch, where each is by turns: half of them, and the
        other half in the next. Jordan 2024, arXiv:2404.00498, section 3.6.
        """
        if not (self.augmentation.mirror and self.augmentation.alternate):
            return None
        rng = np.random.default_rng(derived_seed(self.seed, "alternate"))
        return torch.from_numpy(rng.integers(2, size=len(self.split)) != epoch % 2)

    def _inputs(
        self, images: Tensor, spec: InputSpec, generator: Generator, turned: Tensor | None
    ) -> Tensor:
        wanted = self.augmentation
        if wanted.shift:
            images = augment.shift(images, wanted.shift, generator=generator, border=wanted.border)
        if turned is not None:
            images = augment.turn(images, turned, ours=True)
        elif wanted.mirror:
            images = augment.mirror(images, generator, ours=True)
        if wanted.trivial:
            images = trivial.augmented(images, generator=generator)
        if wanted.rotate:
            images = augment.rotate(images, wanted.rotate, generator=generator)
        if wanted.jitter or wanted.hue:
            images = colour.jitter(images, wanted.jitter, hue=wanted.hue, generator=generator)
        if wanted.pca_noise and wanted.components is not None:
            images = augment.pca_noise(
                images, wanted.components, sigma=wanted.pca_noise, generator=generator
            )
        return self._hidden(normalised(images, spec), generator)

    def _in_one_pass(self, spec: InputSpec, crop: Crop) -> gathered.Gather | None:
        """What makes inputs of pictures in memory, where they are moved and mirrored at most."""
        wanted = self.augmentation
        if isinstance(self.split, FileSplit) or crop.area or self._recoloured_or_warped():
            return None
        if len(self.split.images) != len(self.split.labels):  # torch says so
            return None
        return gathered.way(self.split.images, spec, shift=wanted.shift, border=wanted.border)

    def _only_turned(self, spec: InputSpec) -> bool:
        """Whether pictures are mirrored at most between being cut and being normalised."""
        more = self.augmentation.shift or self._recoloured_or_warped()
        lies_last = spec.channels > 1  # and nothing is asked that is not done in one go
        return lies_last and not (spec.bgr or spec.by_picture or more)

    def _recoloured_or_warped(self) -> bool:
        wanted = self.augmentation
        colours = wanted.jitter or wanted.hue or wanted.pca_noise
        return bool(wanted.trivial or wanted.rotate or colours)

    def _drawn_to_turn(
        self, turned: Tensor | None, count: int, generator: Generator
    ) -> Tensor | None:
        """Which of so many pictures are mirrored: those of their turn, or by chance, or none."""
        if turned is None and self.augmentation.mirror:
            return augment.half(count, generator)
        return turned

    def _turned_and_normalised(
        self,
        made: list[Tensor],
        spec: InputSpec,
        generator: Generator,
        turned: Tensor | None,
        images: Tensor,
    ) -> Callable[[slice], None]:
        """What `_inputs` does then, for some of uint8 pictures (N, C, H, W) at a time; the inputs
        are added to `made`.
        """
        turned = self._drawn_to_turn(turned, len(images), generator)
        work = values.Values(images, spec, [] if turned is None else turned.tolist())
        made.append(work.made)
        return work

    def _hidden(self, images: Tensor, generator: Generator) -> Tensor:
        """Normalised pictures, parts of which are hidden where that is wanted."""
        wanted = self.augmentation
        if wanted.cutout:
            images = augment.cutout(images, wanted.cutout, generator=generator)
        if wanted.erase:
            images = augment.erase(images, wanted.erase, generator=generator)
        return images


def in_order(
    split: Pictures, spec: InputSpec, batch_size: int, part: Part = WHOLE
) -> Iterator[tuple[Tensor, Tensor]]:
    """A split as it stands, unchanged by chance: inputs (N, C, H, W) and labels (N,). Of several
    processes each has batches that lie together.
    """
    starts = range(0, len(split), batch_size)
    since, until = (len(starts) * rank // part.of for rank in (part.rank, part.rank + 1))
    for first in starts[since:until]:
        images, labels = split.in_order(slice(first, first + batch_size), spec)
        yield normalised(images, spec), labels


def to_input(pixels: Tensor, spec: InputSpec) -> Tensor:
    """uint8 (N, C, H, W) of any size as a network's input: float32 (N, channels, *size).

    The one way for validation, test and prediction; training differs only by its augmentation.
    """
    return normalised(centre(scaled(pixels, spec), spec.size), spec)
