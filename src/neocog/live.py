"""What a run says of itself while it trains, for `neocog watch`: now.json, about once a second.

It costs a thousandth of the time at most, whatever the disk, and ends no run: where it cannot be
written, less is seen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from neocog.errors import DivergedError
from neocog.now import Now, now_in, this_process
from neocog.progress import Clock, Nobody, Watcher
from neocog.records import Epoch, Step
from neocog.run import NOW
from neocog.training import Job

EVERY = 1.0  # seconds
SHARE = 0.001  # of the time that has passed, for all that was written
MOST = 100  # stretches of an epoch that are kept; an even number
LONGEST = 2000  # letters of what ended a run


@contextmanager
def told(job: Job, clock: Clock) -> Iterator[Watcher]:
    """A watcher that keeps the now.json of a job. At the end it goes, or says how the run ended."""
    if not job.ranks.first:
        yield Nobody()
        return
    live = Live(job, clock)
    try:
        yield live
    except DivergedError as error:
        live.end("diverged", str(error))
        raise
    except KeyboardInterrupt:
        live.end("stopped")
        raise
    except BaseException as error:
        live.end("stopped", str(error) or type(error).__name__)
        raise
    with contextlib.suppress(OSError):
        job.folder.remove_now()


class Live:
    """Writes where a run stands into its folder."""

    def __init__(self, job: Job, clock: Clock) -> None:
        self._folder, self._clock = job.folder, clock
        self._process, self._trail = this_process(), Trail()
        self._began, self._last, self._spent = time.monotonic(), -math.inf, 0.0
        self._now = Now(
            state="running",
            epoch=job.training.epoch,
            epochs=clock.epochs,
            step=job.training.step,
            steps=0,  # not known yet
            loss=None,
            accuracy=None,
            lr=None,
            images_per_second=None,
            seconds_left=None,
            trail=(),
            process=self._process,
        )
        self._write(self._now)

    def see(self, fact: Step | Epoch) -> None:
        if isinstance(fact, Epoch):
            self._clock.epoch(fact)
            return
        left = self._clock.step(fact)
        if self._due(fact):
            self._now = self._after(fact, left)
            self._write(self._now)

    def close(self) -> None:
        pass

    def end(self, state: str, why: str | None = None) -> None:
        """Say how it ended, unless another process has gone on with the run by now."""
        with contextlib.suppress(Exception):  # whatever is in the file
            if now_in(self._folder.path / NOW).process != self._process:
                return
        why = why if why is None else why[:LONGEST]
        self._write(dataclasses.replace(self._now, state=state, why=why))

    def _due(self, fact: Step) -> bool:
        """The last step of an epoch is said sooner: a validation may follow that takes long."""
        now = time.monotonic()
        wait = 0.0 if fact.step == fact.steps else EVERY
        return now - self._last >= wait and self._spent <= SHARE * (now - self._began)

    def _after(self, fact: Step, left: float | None) -> Now:
        loss, accuracy = fact.loss, fact.accuracy  # a GPU is waited for here
        return Now(
            state="running",
            epoch=fact.epoch,
            epochs=self._now.epochs,
            step=fact.step,
            steps=fact.steps,
            loss=_number(loss),
            accuracy=_number(accuracy),
            lr=_number(fact.lr),
            images_per_second=_number(fact.images_per_second),
            seconds_left=None if left is None else _number(left),
            trail=self._trail.after(fact, loss, accuracy),
            process=self._process,
        )

    def _write(self, now: Now) -> None:
        began = time.perf_counter()
        with contextlib.suppress(OSError):  # a full disk: the checkpoints will say so
            self._folder.write_now(now.to_json())
        self._spent += time.perf_counter() - began
        self._last = time.monotonic()


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Stretch:
    """Steps one after the other: their pictures, and the sums over them."""

    end: float  # in epochs
    pictures: int
    loss: float  # summed
    correct: float
    parts: int = 1

    def point(self) -> tuple[float, float, float]:
        """Where it ends, and the mean loss and accuracy of its pictures."""
        count = max(self.pictures, 1)  # the first of several processes may have had none
        return self.end, self.loss / count, max(self.correct / count, 0.0)

    def joined(self, later: Stretch) -> Stretch:
        return Stretch(
            later.end,
            self.pictures + later.pictures,
            self.loss + later.loss,
            self.correct + later.correct,
            self.parts + later.parts,
        )


class Since:
    """What came since it was last asked, from facts that speak of the epoch so far."""

    def __init__(self) -> None:
        self._epoch, self._pictures, self._loss, self._correct = -1, 0, 0.0, 0.0

    def stretch(self, fact: Step, loss: float, accuracy: float) -> Stretch:
        if fact.epoch != self._epoch:
            self._epoch, self._pictures, self._loss, self._correct = fact.epoch, 0, 0.0, 0.0
        sums = (fact.pictures, loss * fact.pictures, accuracy * fact.pictures)
        before = (self._pictures, self._loss, self._correct)
        self._pictures, self._loss, self._correct = sums
        pictures, lost, correct = (a - b for a, b in zip(sums, before, strict=True))
        return Stretch(fact.epoch + fact.step / fact.steps, int(pictures), lost, correct)


class Trail:
    """The stretches of the epoch under way: as many as a picture can show, however long it is."""

    def __init__(self) -> None:
        self._since, self._epoch, self._parts = Since(), -1, 1
        self._stretches: list[Stretch] = []

    def after(
        self, fact: Step, loss: float, accuracy: float
    ) -> tuple[tuple[float, float, float], ...]:
        """(end in epochs, loss, accuracy) of each, up to this step."""
        new = self._since.stretch(fact, loss, accuracy)
        if fact.epoch != self._epoch:
            self._epoch, self._parts, self._stretches = fact.epoch, 1, []
        if self._stretches and self._stretches[-1].parts < self._parts:
            self._stretches[-1] = self._stretches[-1].joined(new)
        else:
            self._stretches.append(new)
        shown = [stretch.point() for stretch in self._stretches]
        if len(self._stretches) == MOST:
            pairs = zip(self._stretches[::2], self._stretches[1::2], strict=True)
            self._stretches = [first.joined(second) for first, second in pairs]
            self._parts *= 2
        return tuple(point for point in shown if all(map(math.isfinite, point)))
