"""A split whose pictures are files: decoded by threads when they are asked for, kept decoded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from neocog.data import geometry, threads
from neocog.data.crops import Crop
from neocog.data.drawn import Then, as_tensor, drawn, put
from neocog.data.files import Files
from neocog.data.reader import Reader
from neocog.data.spec import InputSpec, to_channels
from neocog.data.stream import Stream, stream_order
from neocog.errors import DataError

MOST_BAD = 0.01  # of a split's pictures may be unreadable
SHOWN = 20  # of them are listed when there are more


class _Reading:
    """Pictures that are being read; None for what is none."""

    def __init__(self, read: list[np.ndarray | None], begun: threads.Begun[None]) -> None:
        self.read, self.begun = read, begun

    def all(self) -> list[np.ndarray | None]:
        self.begun.answers()
        return self.read


class FileSplit:
    """Pictures in files and their labels int64 (N,); the same to do with as a `Split`."""

    def __init__(self, reader: Reader, files: Files, places: np.ndarray, channels: int) -> None:
        self.reader, self.files, self.places, self.channels = reader, files, places, channels
        self.labels = torch.from_numpy(files.labels)
        self.size = None  # they are of many sizes
        self._stored = torch.arange(len(self.labels))
        # the order that the stream goes along, for which way of decoding, and how far it has come
        self._order: tuple[Tensor, tuple[int, int], int] | None = None
        # what is being decoded already: of which order, for which way of decoding, which rows
        self._next_begun: tuple[Tensor, tuple[int, int], slice, _Reading] | None = None
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
        read_one = functools.partial(self._read, way=_way(spec, crop.decoded))
        read = self._read_in_order(order, rows, spec, crop.decoded)
        for row, picture in enumerate(read):
            if picture is None:
                chosen[row], read[row] = self._next(order, rows.start + row, read_one)
        pictures = [picture for picture in read if picture is not None]
        made = drawn(pictures, spec, crop, generator, then)
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
            (torch.tensor(places), torch.cat([as_tensor(kept[place]) for place in places]))
            for places in alike.values()
        ]
        return [(at, to_channels(pictures, spec.channels)) for at, pictures in groups], labels

    def at(self, chosen: Sequence[int], spec: InputSpec) -> tuple[Tensor, Tensor]:
        """The same of any places; unreadable ones left out."""
        self._expect(torch.tensor(chosen, dtype=torch.int64), slice(0, len(chosen)), spec)
        return self._cut(chosen, spec)

    def finish(self, *, wait: bool = True) -> None:
        """What was decoded so far is kept for the epochs and runs to come; see `PixelStore`."""
        self._leave()
        self.reader.finish(wait=wait)

    def _leave(self) -> None:
        """What was begun for the next batch is not wanted."""
        begun, self._next_begun = self._next_begun, None
        if begun is not None:
            begun[3].begun.stop()

    def _cut(self, chosen: Sequence[int], spec: InputSpec) -> tuple[Tensor, Tensor]:
        kept, labels = self._kept(chosen, spec)
        made = np.empty((len(kept), *spec.size, spec.channels), np.uint8)

        def place(row: int) -> None:
            whole = geometry.scaled(as_tensor(kept[row]), spec)
            put(made, row, geometry.centre(whole, spec.size))

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

    def _read_in_order(
        self, order: Tensor, rows: slice, spec: InputSpec, shorter: int
    ) -> list[np.ndarray | None]:
        """Those of some rows of an epoch's order; the decoding of as many that follow has begun,
        so that no thread waits while these are cut.
        """
        way, before = _way(spec, shorter), self._next_begun
        if before is not None and before[0] is order and before[1:3] == (way, rows):
            begun, self._next_begun = before[3], None
        else:
            self._leave()
            begun = self._begin(order[rows].tolist(), way)
        if self.stream is None and rows.stop < len(order):  # shards are read when it is time to
            after = slice(rows.stop, min(2 * rows.stop - rows.start, len(order)))
            self._next_begun = order, way, after, self._begin(order[after].tolist(), way)
        return begun.all()

    def _all_read(
        self, rows: Sequence[int], spec: InputSpec, shorter: int = 0
    ) -> list[np.ndarray | None]:
        return self._begin(rows, _way(spec, shorter)).all()

    def _begin(self, rows: Sequence[int], way: tuple[int, int]) -> _Reading:
        # what is kept, here: threads would but wait for one another
        read = self.reader.kept(self.places[np.asarray(rows, dtype=np.int64)], *way)
        missing = [number for number, picture in enumerate(read) if picture is None]

        def decode(number: int) -> None:
            read[number] = self._read(rows[number], way)

        return _Reading(read, threads.begin(decode, missing))

    def _read(self, row: int, way: tuple[int, int]) -> np.ndarray | None:
        picture = self.reader.read(int(self.places[row]), *way, stream=self.stream)
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
