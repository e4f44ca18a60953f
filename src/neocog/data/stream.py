"""Pictures out of shards, read from the beginning of each shard to its end.

An epoch's order is drawn so that this can be done (`stream_order`): shards come by chance, several
at a time, and a picture is taken by chance out of the next few hundred of its shard. It is known
before anything is read, so it is the same however fast shards come, and a run that goes on in
mid-epoch reads on from the shards that are not used up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from neocog.data import members
from neocog.data.opening import is_url, reading
from neocog.data.shards import member_of
from neocog.errors import DataError

LANES = 8  # shards read at a time; of as many processes each can have its own
BUFFER = 2048  # pictures, of all lanes, out of which the next is taken
LEAD = 256  # pictures that are fetched before they are asked for
AGAIN = (1.0, 5.0)  # seconds to wait before a shard that failed to come is asked for again

Tell = Callable[[str], None]


def stream_order(shard_of: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rows of a split in the order of an epoch, int64 (N,). `shard_of`: each row's shard.

    Shards are dealt by chance to lanes, each to the one that has the fewest pictures; a lane goes
    through its shards as they were dealt, and gives a picture by chance out of its next
    BUFFER / LANES. Lanes take turns: row i of the order is of lane i % LANES for as long as all of
    them last. So of W processes (LANES a multiple of W) that take rows r, r + W, r + 2W, ... each
    reads shards of its own, up to the end, where lanes that are left over are shared.
    """
    counts = np.unique(shard_of, return_counts=True)[1]
    by_shard = np.split(np.argsort(shard_of, kind="stable"), np.cumsum(counts)[:-1])
    dealt: list[list[np.ndarray]] = [[] for _ in range(min(LANES, len(counts)))]
    lengths = [0] * len(dealt)
    for number in rng.permutation(len(counts)).tolist():
        lane = lengths.index(min(lengths))
        lengths[lane] += int(counts[number])
        dealt[lane].append(by_shard[number])
    lanes = [_from_buffer(np.concatenate(rows), BUFFER // len(dealt), rng) for rows in dealt]
    # by turns: the k-th of each lane, then the next of each
    turn = np.concatenate([np.arange(len(lane)) for lane in lanes] or [np.empty(0, np.int64)])
    which = np.repeat(np.arange(len(lanes)), lengths)
    every = np.concatenate(lanes or [np.empty(0, np.int64)])
    return every[np.lexsort((which, turn))].astype(np.int64)


def _from_buffer(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """The rows, each taken by chance out of the next `size` that are not taken yet."""
    size = max(size, 1)
    buffer, rest = rows[:size].tolist(), rows[size:].tolist()
    taken = []
    draws = rng.random(len(rows)).tolist()
    for draw, new in zip(draws, rest, strict=False):
        place = int(draw * len(buffer))
        taken.append(buffer[place])
        buffer[place] = new
    for draw in draws[len(rest) :]:
        place = int(draw * len(buffer))
        buffer[place], buffer[-1] = buffer[-1], buffer[place]
        taken.append(buffer.pop())
    return np.array(taken, dtype=np.int64)


def shards_of(paths: Sequence[str], sources: Mapping[str, str]) -> np.ndarray:
    """The number of the shard that each path is in, int32 (N,); nothing of pictures in files."""
    number = {name: place for place, name in enumerate(sources)}
    numbers = (number[member_of(path)[0]] for path in paths) if number else ()
    return np.fromiter(numbers, dtype=np.int32)


class Stream:
    """The bytes of pictures in shards by their place among `paths`. Any thread may ask."""

    def __init__(
        self, sources: Mapping[str, str], paths: Sequence[str], shard_of: np.ndarray, tell: Tell
    ) -> None:
        self.sources, self.paths, self.shard_of, self.tell = sources, paths, shard_of, tell
        self._pass: _Pass | None = None

    def __del__(self) -> None:
        self.close()

    def expect(self, places: np.ndarray) -> None:
        """From here on these are asked for, about in this order."""
        self.close()
        self._pass = _Pass(self, places)

    def go_on(self, places: np.ndarray) -> None:
        """These are asked for next, and those before them not any more."""
        if self._pass:
            self._pass.go_on(places)

    def content(self, place: int) -> bytes:
        """The bytes of a picture. Raises `DataError` if its shard cannot be read."""
        found = self._pass.content(place) if self._pass else None
        return self._alone(place) if found is None else found

    def close(self) -> None:
        if self._pass:
            self._pass.close()
            self._pass = None

    def _alone(self, place: int) -> bytes:
        """One that nobody expected: its shard from the beginning."""
        name, member = member_of(self.paths[place])
        source = self.sources[name]
        with reading(source) as file:
            seeks = members.can_seek(file)
            for _, content in members.contents(file, {member}, source, seeks=seeks):
                return content
        raise _gone(source, member)


class _Pass:
    """One way through shards: a thread for each that is needed now, which waits when it is so far
    ahead that nothing of its shard is asked for.
    """

    def __init__(self, stream: Stream, places: np.ndarray) -> None:
        self.places, self.tell = places, stream.tell
        self.position = np.full(len(stream.paths), -1, dtype=np.int64)
        self.position[places] = np.arange(len(places))
        shards = stream.shard_of[places]
        self.waiting: dict[int, deque[int]] = {}  # of each shard, positions not read yet
        for position, shard in enumerate(shards.tolist()):
            self.waiting.setdefault(shard, deque()).append(position)
        self.begin = deque(self.waiting)  # shards in the order in which they are needed
        self.source = list(stream.sources.values())
        self.paths, self.shard_of = stream.paths, stream.shard_of
        self.held: dict[int, bytes] = {}
        self.failed: dict[int, Exception] = {}
        self.done = self.until = 0
        self.closed = False
        self.lock = threading.RLock()
        self.came = threading.Condition(self.lock)  # a picture that somebody waits for, or an error
        # more of a shard is wanted: one each, so that only those wake that have something to do
        self.wanted = {shard: threading.Condition(self.lock) for shard in self.waiting}
        self.asked: set[int] = set()  # places that somebody waits for

    def go_on(self, places: np.ndarray) -> None:
        positions = self.position[places]
        positions = positions[positions >= 0]
        if not len(positions):
            return
        done = int(positions.min())
        with self.lock:
            for place in self.places[self.done : done].tolist():
                self.held.pop(place, None)
            self.done = max(self.done, done)
            self._reach(int(positions.max()) + 1 + LEAD)

    def content(self, place: int) -> bytes | None:
        """None for a picture that is not expected, or not any more."""
        position, shard = int(self.position[place]), int(self.shard_of[place])
        with self.lock:
            if position < self.done:
                return None
            self._reach(position + 1)
            self.asked.add(place)
            while place not in self.held:
                if shard in self.failed:
                    raise self.failed[shard]
                self.came.wait()
            self.asked.discard(place)
            return self.held[place]

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self.held.clear()
            for wanted in self.wanted.values():
                wanted.notify()

    def _reach(self, until: int) -> None:
        """What comes before `until` in the order is wanted now."""
        if until <= self.until:
            return
        self.until = until
        while self.begin and self.waiting[self.begin[0]][0] < until:
            shard = self.begin.popleft()
            threading.Thread(
                target=self._read, args=(shard,), name=f"neocog-shard-{shard}", daemon=True
            ).start()
        for shard, positions in self.waiting.items():
            if positions and positions[0] < until:
                self.wanted[shard].notify()

    def _read(self, shard: int) -> None:
        """A shard, in a thread of its own."""
        wanted = {}
        for position in list(self.waiting[shard]):
            place = int(self.places[position])
            wanted[member_of(self.paths[place])[1]] = place
        try:
            for wait in (*AGAIN, None):
                try:
                    self._through(shard, wanted)
                    return
                except DataError as error:
                    if wait is None or not is_url(self.source[shard]) or self.closed:
                        raise
                    self.tell(f"{str(error).splitlines()[0]}; trying again")
                    time.sleep(wait)
        except Exception as error:  # raised again where it is waited for
            with self.lock:
                self.failed[shard] = error
                self.came.notify_all()

    def _through(self, shard: int, wanted: dict[str, int]) -> None:
        source = self.source[shard]
        with reading(source) as file:
            seeks = members.can_seek(file)
            for member, content in members.contents(file, wanted, source, seeks=seeks):
                if not self._keep(shard, wanted.pop(member), content):
                    return
        if wanted and not self.closed:
            raise _gone(source, min(wanted))

    def _keep(self, shard: int, place: int, content: bytes) -> bool:
        """Hold a picture until it was used, and wait for the next to be wanted. False at the end:
        the rest of the shard is not needed.
        """
        with self.lock:
            if int(self.position[place]) >= self.done:
                self.held[place] = content
                if place in self.asked:
                    self.came.notify_all()
            waiting = self.waiting[shard]
            while not self.closed:
                while waiting and self._is_read(waiting[0]):
                    waiting.popleft()
                if not waiting:
                    return False
                if waiting[0] < self.until:
                    return True
                self.wanted[shard].wait()
            return False

    def _is_read(self, position: int) -> bool:
        return position < self.done or int(self.places[position]) in self.held


def _gone(source: str, member: str) -> DataError:
    return DataError(
        f"{source}: {member} is not in this shard any more: it is cut off, or has changed since it "
        "was listed. Get it again, or pack anew"
    )
