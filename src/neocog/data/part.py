"""What one of several processes takes of a batch."""

from __future__ import annotations

from dataclasses import dataclass

LEAST = 2  # pictures: batch norm has no statistics of one value


@dataclass(frozen=True)
class Part:
    """Every `of`-th picture of a batch, from `rank` on: of shards each process then reads its own.

    Where a batch (the last of an epoch) is too small to give each process two pictures, fewer
    processes share it; the others take pictures of it as well, so as not to be missing where all
    meet, and count nothing.
    """

    rank: int = 0
    of: int = 1

    def rows(self, count: int) -> range:
        """The rows it takes of a batch of `count` pictures."""
        if self.idle(count):
            return range(min(LEAST, count))
        return range(self.rank, count, self._sharing(count))

    def idle(self, count: int) -> bool:
        """Whether there is nothing for it in a batch of `count`."""
        return self.rank >= self._sharing(count)

    def weight(self, count: int) -> float:
        """What its mean is to be multiplied by, so that the mean over the processes is the mean
        over the batch.
        """
        return 0.0 if self.idle(count) else self.of * len(self.rows(count)) / count

    def place(self) -> tuple[int, ...]:
        """What beside (seed, epoch, step) its chance follows from: which part it is, if not the
        first.
        """
        return (self.rank,) if self.rank else ()

    def least(self, count: int) -> int:
        """The pictures that the process with the fewest has, of those that share the batch."""
        return count // self._sharing(count)

    def _sharing(self, count: int) -> int:
        return min(self.of, max(count // LEAST, 1))


WHOLE = Part()
