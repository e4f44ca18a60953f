"""A split whose pictures are files: decoded by threads when they are asked for, kept decoded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from neocog.data import crops, geometry, threads
from neocog.data.crops import Crop
from neocog.data.files import Files
from neocog.data.reader import Reader
from neocog.data.spec import InputSpec, to_channels
from neocog.data.stream import Stream, stream_order
from neocog.errors import DataError

MOST_BAD = 0.01  # of a split's pictures may be unreadable
SHOWN = 20  # of them are listed when there are more
AT_A_TIME = 16  # pictures, at most, that a thread does everything to before it takes more

# given the uint8 pictures of a batch, not cut yet: what is done to some as soon as they are
Then = Callable[[Tensor], Callable[[slice], None]]


class FileSplit:
    """Pictures in files and their labels int64 (N,); the same to do with as a `Split`."""

    def __init__(self, reader: Reader, files: Files, places: np.ndarray, channels: int) -> None:
        self.reader, self.files, self.places, self.channels = reader, files, places, channels
        self.labels = torch.from_numpy(files.labels)
        self.size = None  # they are of many sizes
        self._stored = torch.arange(len(self.labels))
        # the order that the stream goes along, for which way of decoding, and how far it has come
        self._order: tuple[Tensor, tuple[int, int], int] | None = None
        self.stream: Stream | None = None
        if reader.sources is not None:
            self.stream = Stream(reader.sources, reader.paths, reader.shard_of, reader.tell)

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> FileSplit:
        """Itself: pictures go to the device batch by batch."""
        return self

    def first(self, count: int) -> FileSplit:
        return self.only(np.arange(min(count, len(self))))

    def only(self, places: np.ndarray) -> FileSplit:
        """The split of those places alone."""
        return FileSplit(self.reader, self.files.at(places), self.places[places], self.channels)

    def facts(self) -> list[tuple[str, int, int]]:
        """Path, label and bytes of each picture: what the split is known by."""
        files = self.files
        return list(zip(files.paths, files.labels.tolist(), files.sizes.tolist(), strict=True))

    def shuffled(self, rng: np.random.Generator) -> np.ndarray:
        """Its places by chance, int64 (N,): of pictures in shards, as these can be streamed."""
        if self.stream is None:
            return rng.permutation(len(self))
        return stream_order(self.reader.shard_of[self.places], rng)

    def sample_of(self, count: int) -> np.ndarray:
        """So many of its places, rising: spread evenly, or by chance out of a few shards."""
        if self.stream is None:
            return np.linspace(0, len(self) - 1, count).astype(np.int64)
        return np.sort(self.shuffled(np.random.default_rng(0))[:count])

    def batch(
        self,
        order: Tensor,
        rows: slice,
        spec: InputSpec,
        *,
        crop: Crop,
        generator: Generator,
        then: Then | None = None,
    ) -> tuple[Tensor, Tensor]:
        """uint8 (n, C, *size) and labels of the pictures in those rows of an epoch's order.

        The place of one that cannot be read is taken by the next of the order that can. `then` is
        asked what is to be done next as soon as all of the cuts' chance is drawn, and it is done by
        the thread that has cut: the pictures are in its cache, and nobody waits for the slowest
        twice.
        """
        self._expect(order, rows, spec, crop.decoded)
        chosen = order[rows].tolist()
        read_one = functools.partial(self._read, spec=spec, shorter=crop.decoded)
        read = self._all_read(chosen, spec, crop.decoded)
        for row, picture in enumerate(read):
            if picture is None:
                chosen[row], read[row] = self._next(order, rows.start + row, read_one)
        pictures = [picture for picture in read if picture is not None]
        made = _drawn(pictures, spec, crop, generator, then)
        return made, self.labels[torch.tensor(chosen)]

    def in_order(self, rows: slice, spec: InputSpec) -> tuple[Tensor, Tensor]:
        """The same of those rows as they stand, cut from the centre; unreadable ones left out."""
        self._expect(self._stored, rows, spec)
        return self._cut(range(len(self))[rows], spec)

    def whole(self, rows: slice, spec: InputSpec) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """The same uncut, decoded no smaller than `spec.resize`: of each size their places among
        those that can be read, int64 (n,), and the pictures, uint8 (n, C, H, W).
        """
        self._expect(self._stored, rows, spec)
        kept, labels = self._kept(range(len(self))[rows], spec)
        alike: dict[tuple[int, ...], list[int]] = {}
        for place, picture in enumerate(kept):
            alike.setdefault(picture.shape, []).append(place)
        groups = [
            (torch.tensor(places), torch.cat([_as_tensor(kept[place]) for place in places]))
            for places in alike.values()
        ]
        return [(at, to_channels(pictures, spec.channels)) for at, pictures in groups], labels

    def at(self, chosen: Sequence[int], spec: InputSpec) -> tuple[Tensor, Tensor]:
        """The same of any places; unreadable ones left out."""
        self._expect(torch.tensor(chosen, dtype=torch.int64), slice(0, len(chosen)), spec)
        return self._cut(chosen, spec)

    def _cut(self, chosen: Sequence[int], spec: InputSpec) -> tuple[Tensor, Tensor]:
        kept, labels = self._kept(chosen, spec)
        made = np.empty((len(kept), *spec.size, spec.channels), np.uint8)

        def place(row: int) -> None:
            whole = geometry.scaled(_as_tensor(kept[row]), spec)
            _put(made, row, geometry.centre(whole, spec.size))

        threads.each(place, range(len(kept)))
        return torch.from_numpy(made).movedim(3, 1), labels

    def _kept(self, chosen: Sequence[int], spec: InputSpec) -> tuple[list[np.ndarray], Tensor]:
        """Those of some places that can be read, and their labels."""
        read = zip(chosen, self._all_read(chosen, spec), strict=True)
        kept = [(place, picture) for place, picture in read if picture is not None]
        labels = self.labels[torch.tensor([place for place, _ in kept], dtype=torch.int64)]
        return [picture for _, picture in kept], labels

    def _expect(self, order: Tensor, rows: slice, spec: InputSpec, shorter: int = 0) -> None:
        """Let shards be read along an order, from some rows on."""
        if self.stream is None:
            return
        way, before = _way(spec, shorter), self._order
        if before is None or before[0] is not order or before[1:] != (way, rows.start):
            ahead = self.places[order[rows.start :].numpy()]
            self.stream.expect(self.reader.missing(ahead, *way))
        self.stream.go_on(self.places[order[rows].numpy()])
        self._order = order, way, min(rows.stop, len(order))

    def _all_read(
        self, rows: Sequence[int], spec: InputSpec, shorter: int = 0
    ) -> list[np.ndarray | None]:
        way = _way(spec, shorter)
        # what is kept, here: threads would but wait for one another
        read = [self.reader.kept(int(self.places[row]), *way) for row in rows]
        missing = [number for number, picture in enumerate(read) if picture is None]

        def decode(number: int) -> None:
            read[number] = self._read(rows[number], spec=spec, shorter=shorter)

        threads.each(decode, missing)
        return read

    def _read(self, row: int, *, spec: InputSpec, shorter: int = 0) -> np.ndarray | None:
        picture = self.reader.read(int(self.places[row]), *_way(spec, shorter), stream=self.stream)
        if picture is None:
            self._check_bad()
        return picture

    def _next(
        self, order: Tensor, row: int, read: Callable[[int], np.ndarray | None]
    ) -> tuple[int, np.ndarray]:
        for step in range(1, len(order)):
            place = int(order[(row + step) % len(order)])
            picture = read(place)
            if picture is not None:
                return place, picture
        raise DataError(f"{self.reader.where}: none of its pictures can be read")

    def _check_bad(self) -> None:
        mine = set(self.places.tolist())
        bad = [why for place, why in list(self.reader.bad.items()) if place in mine]
        if len(bad) > max(1, MOST_BAD * len(self)):
            more = f"\n  ... and {len(bad) - SHOWN:,} more" if len(bad) > SHOWN else ""
            lines = "".join(f"\n  - {why}" for why in bad[:SHOWN])
            raise DataError(
                f"{self.reader.where}: {len(bad):,} of {len(self):,} pictures cannot be read, more "
                f"than {MOST_BAD:.0%}:{lines}{more}\n`neocog data doctor` finds them all"
            )


def _way(spec: InputSpec, shorter: int) -> tuple[int, int]:
    """How pictures are decoded: in how many channels, and to which shorter side at least."""
    return 1 if spec.channels == 1 else 3, (shorter or spec.resize) * (spec.placing == "resize")


def _drawn(
    pictures: Sequence[np.ndarray],
    spec: InputSpec,
    crop: Crop,
    generator: Generator,
    then: Then | None,
) -> Tensor:
    """Pictures of any size cut at random to the input's: uint8 (N, C, *size), channels last."""
    made = np.empty((len(pictures), *spec.size, spec.channels), np.uint8)
    images = torch.from_numpy(made).movedim(3, 1)
    if crop.area:
        places = images.split(1)
        sizes = torch.tensor([picture.shape[:2] for picture in pictures])
        boxes = crops.area_boxes(sizes, crop.area, crop.aspect, generator).tolist()

        def place(row: int) -> None:
            top, left, height, width = boxes[row]
            piece = pictures[row][top : top + height, left : left + width]
            if piece.shape[:2] == spec.size:
                made[row] = piece
            else:
                geometry.resize_into(places[row], _as_tensor(piece), spec.interpolation)
    else:
        draws = torch.rand(len(pictures), 2, generator=generator, dtype=torch.float64).tolist()

        def place(row: int) -> None:
            whole = geometry.scaled(_as_tensor(pictures[row]), spec)
            room = whole.shape[2] - spec.size[0], whole.shape[3] - spec.size[1]
            top, left = (
                int(draw * (most + 1)) for draw, most in zip(draws[row], room, strict=True)
            )
            _put(made, row, whole[:, :, top : top + spec.size[0], left : left + spec.size[1]])

    finish = None if then is None else then(images)

    def do(rows: slice) -> None:
        for row in range(rows.start, rows.stop):
            place(row)
        if finish is not None:
            finish(rows)

    # at least two parts for each thread, so that none waits long for the last
    some = min(AT_A_TIME, len(pictures) // (2 * threads.count()))
    threads.each(do, threads.parts(len(pictures), max(some, 1)))
    return images


def _as_tensor(picture: np.ndarray) -> Tensor:
    """uint8 (H, W, C) as (1, C, H, W), channels last; nobody writes to it."""
    picture = np.ascontiguousarray(picture)
    if not picture.flags.writeable:  # torch warns of such
        picture = picture.copy()
    # turned by numpy: whatever torch does, it lets go of Python's lock and has to wait for it again
    return torch.from_numpy(picture.reshape(1, *picture.shape).transpose(0, 3, 1, 2))


def _put(made: np.ndarray, row: int, image: Tensor) -> None:
    """By numpy: a copy of torch's would be shared out to threads of its own."""
    made[row] = image.numpy()[0].transpose(1, 2, 0)
