"""Facts to people while a network trains: a live line, plain lines, or curves that grow."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import IO, Any, Protocol

from neocog.records import Epoch, Step

REFRESH = 0.2  # seconds between two live lines
SLOW = 20.0  # seconds without a word before plain output says where it is


class Watcher(Protocol):
    """Whoever shows a run as it goes."""

    def see(self, fact: Step | Epoch) -> None: ...
    def close(self) -> None: ...


class Several:
    """Watchers that are shown the same, one after the other."""

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers

    def see(self, fact: Step | Epoch) -> None:
        for watcher in self.watchers:
            watcher.see(fact)

    def close(self) -> None:
        for watcher in self.watchers:
            watcher.close()


class Nobody:
    """Watches a run, and shows nothing of it."""

    def see(self, fact: Step | Epoch) -> None:
        """Shows nothing."""

    def close(self) -> None:
        """Has nothing to close."""


def watched(facts: Iterable[Step | Epoch], watcher: Watcher) -> Iterator[Step | Epoch]:
    """The same facts, each shown before it is passed on."""
    try:
        for fact in facts:
            watcher.see(fact)
            yield fact
    finally:
        watcher.close()


def duration(seconds: float) -> str:
    """Time as people say it: 8 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def epoch_line(fact: Epoch, epochs: int, left: float | None) -> str:
    """One epoch in one line."""
    val = ""
    if fact.val_loss is not None and fact.val_accuracy is not None:
        val = f"  val loss {fact.val_loss:.4f}  acc {fact.val_accuracy:6.2%}"
    ending = "" if not left else f"  {duration(left)} left"
    return (
        f"epoch {fact.epoch + 1:>{len(str(epochs))}}/{epochs}"
        f"  train loss {fact.train_loss:.4f}  acc {fact.train_accuracy:6.2%}{val}"
        f"  {fact.images_per_second:,.0f} images/s  {fact.seconds:.1f} s{ending}"
    )


def step_line(fact: Step, epochs: int, left: float | None) -> str:
    """Where an epoch stands, in one line."""
    ending = "" if left is None else f"  {duration(left)} left"
    return (
        f"epoch {fact.epoch + 1}/{epochs}  {fact.step / fact.steps:4.0%}"
        f"  loss {fact.loss:.4f}  acc {fact.accuracy:6.2%}"
        f"  {fact.images_per_second:,.0f} images/s{ending}"
    )


class Clock:
    """How long a run still takes, from how long its steps and evaluations took.

    `check` and `final` are what the validation after an epoch and the scoring at the end cost, as
    shares of the training in all: a guess that holds until the first of them was measured.
    `scoring` is what that takes in seconds, where it was measured.
    """

    def __init__(
        self,
        epochs: int,
        *,
        check: float = 0.0,
        final: float = 0.0,
        scoring: float | None = None,
    ) -> None:
        self.epochs, self._check, self._final, self._scoring = epochs, check, final, scoring
        self._first: float | None = None  # share done when this clock saw its first step
        self._now = self._trained = self._checked = self._done = 0.0
        self._checks = 0

    def step(self, fact: Step) -> float | None:
        """Seconds left; None while it cannot be known."""
        now, before = time.monotonic(), self._now
        self._now, self._done = now, fact.done
        if self._first is None:  # the first step warms up, and a resumed run begins midway
            self._first = fact.done
            return None
        self._trained += now - before
        return self._left(fact.done, self.epochs - fact.epoch)

    def epoch(self, fact: Epoch) -> float | None:
        """Seconds left after an epoch and its validation."""
        now, before = time.monotonic(), self._now
        self._now = now
        if self._first is None:
            return None
        self._checked += now - before
        self._checks += 1
        # not (epoch + 1) / epochs: the last epoch may be a part of one
        return self._left(self._done, self.epochs - fact.epoch - 1)

    def _left(self, done: float, checks: int) -> float | None:
        assert self._first is not None
        if done <= self._first:
            return None
        whole = self._trained / (done - self._first)  # seconds that all the training takes
        check = self._checked / self._checks if self._checks else self._check * whole
        final = self._final / self._check * check if self._check else self._final * whole
        final = final if self._scoring is None else self._scoring
        return (1 - done) * whole + checks * check + final


class Terminal:
    """A line that lives while an epoch runs, and one that stays for each epoch."""

    def __init__(self, stream: IO[str], clock: Clock) -> None:
        self.stream, self.epochs = stream, clock.epochs
        self.live = stream.isatty()
        self._clock, self._last = clock, time.monotonic()

    def see(self, fact: Step | Epoch) -> None:
        if isinstance(fact, Epoch):
            self._say(epoch_line(fact, self.epochs, self._clock.epoch(fact)))
            return
        left = self._clock.step(fact)
        if time.monotonic() - self._last >= (REFRESH if self.live else SLOW):
            self._say_step(fact, left)

    def close(self) -> None:
        if self.live:
            self._write("\r\x1b[K")

    def _say_step(self, fact: Step, left: float | None) -> None:
        self._last = time.monotonic()
        text = step_line(fact, self.epochs, left)
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self._write("\r\x1b[K" + text[:width])
        else:
            self._write(text + "\n")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        self._write(("\r\x1b[K" if self.live else "") + text + "\n")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


class Notebook:
    """Curves that grow, an epoch at a time, in a Jupyter cell."""

    def __init__(self, clock: Clock, *, title: str) -> None:
        from IPython.display import Pretty, display

        self.epochs, self.title = clock.epochs, title
        self.history: list[Epoch] = []
        self._clock, self._last = clock, 0.0
        self._picture = display(self._drawn(), display_id=True)
        self._line = display(Pretty("the first step is under way"), display_id=True)

    def see(self, fact: Step | Epoch) -> None:
        if isinstance(fact, Epoch):
            self.history.append(fact)
            self._picture.update(self._drawn())
            self._tell(epoch_line(fact, self.epochs, self._clock.epoch(fact)))
            return
        left = self._clock.step(fact)
        if time.monotonic() - self._last >= 1:
            self._tell(step_line(fact, self.epochs, left))

    def close(self) -> None:
        pass

    def _tell(self, text: str) -> None:
        from IPython.display import Pretty

        self._last = time.monotonic()
        self._line.update(Pretty(text))

    def _drawn(self) -> Any:
        from IPython.display import Image

        from neocog.report import curves  # matplotlib, which only a notebook needs

        return Image(data=curves.png(curves.figure(self.history, title=self.title)))


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive else None
    return shell is not None and hasattr(shell, "kernel")
