"""The pictures of a listing, in files or in shards, one by one: decoded once, kept decoded."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from neocog.data.files import SHOWN, Listing
from neocog.data.pictures import content_and_facts_of, pixels
from neocog.data.store import PixelStore, Tell, key_of
from neocog.data.stream import Stream, shards_of
from neocog.errors import DataError


class Reader:
    """Reads the pictures of a listing, by their place in it, for all of its splits."""

    def __init__(self, listing: Listing, *, cache_size: int | None, tell: Tell) -> None:
        self.root, self.where = listing.root, listing.place
        self.begin = os.path.join(self.root, "")  # noqa: PTH118
        self.tell, self.cache_size = tell, cache_size
        # in one order, however they were listed: so a resumed run finds what was kept
        self.rows = sorted(
            (path, int(size), int(time))
            for each in listing.splits.values()
            for path, size, time in zip(each.paths, each.sizes, each.times, strict=True)
        )
        self.paths = [path for path, _, _ in self.rows]
        self.sources = listing.shards.sources if listing.shards else None
        self.shard_of = shards_of(self.paths, self.sources or {})
        self.bad: dict[int, str] = {}
        self.changed: set[int] = set()  # since they were listed
        self.lock = threading.Lock()
        self.stores: dict[tuple[int, int], PixelStore | None] = {}

    def read(
        self, place: int, channels: int, shorter: int, stream: Stream | None = None
    ) -> np.ndarray | None:
        """uint8 (H, W, channels) of a picture; None if it cannot be read, which is said once.

        Of pictures in shards the bytes come from `stream`. Raises `DataError` for a file that is
        gone since it was listed: with another in its place a run would be another run.
        """
        if place in self.bad:
            return None
        store = self._store(channels, shorter)
        kept = None if store is None else store.get(place)
        if kept is not None:
            return kept
        path = self._path(place)
        content = stream.content(place) if stream else None  # a shard that fails ends the run
        try:
            as_listed = True
            if content is None:
                content, facts = content_and_facts_of(path)
                as_listed = facts == self.rows[place][1:]
            decoded = pixels(content, channels, shorter, self.paths[place] if stream else path)
        except DataError as error:
            if stream is None and not os.path.lexists(path):
                raise DataError(
                    f"{path}: it was there when the pictures were listed, and is gone. Put it "
                    "back; a run that was saved goes on with `neocog resume`"
                ) from error
            with self.lock:
                if place not in self.bad:
                    self.bad[place] = str(error)
                    self.tell(f"left out: {error}")
            return None
        if not as_listed:
            self._say_changed(place, path)
        elif store is not None:
            store.put(place, decoded)
        return decoded

    def _path(self, place: int) -> str:
        # not by pathlib: it takes as long over a name as the system over the file
        path = f"{self.begin}{self.paths[place]}"
        return path if os.sep == "/" else path.replace("/", os.sep)

    def _say_changed(self, place: int, path: str) -> None:
        with self.lock:
            new = place not in self.changed
            self.changed.add(place)
        if new and len(self.changed) <= SHOWN:
            more = "; others are not named" if len(self.changed) == SHOWN else ""
            self.tell(f"{path}: it has changed since it was listed; taken as it is now{more}")

    def kept(self, places: np.ndarray, channels: int, shorter: int) -> list[np.ndarray | None]:
        """The same of some pictures that were decoded before; None of others."""
        store = self._store(channels, shorter)
        if store is None or bool((store.where[places] < 0).all()):
            return [None] * len(places)
        return [store.get(place) for place in places.tolist()]

    def finish(self, *, wait: bool = True) -> None:
        """What was decoded so far is kept for the epochs and runs to come; see `PixelStore`."""
        for store in self.stores.values():
            if store is not None:
                store.finish(wait=wait)

    def look_again(self) -> None:
        """What other processes have kept is taken as well."""
        for store in self.stores.values():
            if store is not None:
                store.look()

    def beginnings(self, count: int) -> Iterator[Path | IO[bytes]]:
        """Some of the pictures, as Pillow opens them: spread over all, or the first of a shard."""
        if self.sources is None:
            count = min(count, len(self.paths))
            for place in np.linspace(0, len(self.paths) - 1, count).astype(int).tolist():
                yield self.root / self.paths[place]
        else:
            stream = Stream(self.sources, self.paths, self.shard_of, self.tell)
            places = np.flatnonzero(self.shard_of == self.shard_of[0])[:count]
            stream.expect(places)
            for place in places.tolist():
                yield io.BytesIO(stream.content(place))

    def missing(self, places: np.ndarray, channels: int, shorter: int) -> np.ndarray:
        """Those of them that are not kept decoded."""
        store = self._store(channels, shorter)
        return places if store is None else places[store.where[places] < 0]

    def _store(self, channels: int, shorter: int) -> PixelStore | None:
        key = (channels, shorter)
        if key not in self.stores:
            with self.lock:
                if key not in self.stores:
                    self.stores[key] = self._opened(channels, shorter)
        return self.stores[key]

    def _opened(self, channels: int, shorter: int) -> PixelStore | None:
        if self.cache_size == 0:
            return None
        where = self.where if self.sources else os.path.realpath(self.root)
        key = key_of([where, channels, shorter, self.rows])
        return PixelStore(
            key, len(self.rows), channels=channels, limit=self.cache_size, tell=self.tell
        )
