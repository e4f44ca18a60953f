"""Saving beside training: the step waits for a copy, not for the disk."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neocog import checkpoints
from neocog.errors import NeocogError
from neocog.records import Epoch
from neocog.room import need_room, size_of
from neocog.run import RunFolder

EVERY = 60.0  # seconds
# Seconds of a processor that a save may take before there are pauses between them, and how many
# times as long these are: beside the saving of a large network its steps take twice as long.
LITTLE, REST = 0.25, 20.0
NO_ROOM = (
    "the next checkpoint",
    "What was saved before is untouched: free some, and `neocog resume` goes on from there",
)


@dataclass
class _Wanted:
    """What is to be written next: the weights that would be scored first, then the state that
    knows of them.
    """

    state: dict[str, Any]
    weights: tuple[dict[str, Tensor], int] | None


class Saver:
    """Writes a run's states into its folder, in a thread, one after the other.

    A state that comes while one is written takes the place of any that waits: it holds all that
    the other did. What took long to write is followed by a pause, so that no more than a twentieth
    of the time goes into saving; `wait` and `end` cut it short. What goes wrong is raised by the
    next call.
    """

    def __init__(self, folder: RunFolder, every: float = EVERY) -> None:
        self.folder, self.every, self.place = folder, every, folder.path
        self._changed = threading.Condition()
        self._next: _Wanted | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._last = time.monotonic()
        self._free = -math.inf  # when the pause after what was written is over
        self._hurried = False

    def due(self) -> bool:
        """Whether it is time to save, and nothing is being saved."""
        now = time.monotonic()
        return now - self._last >= self.every and now >= self._free and self._thread is None

    def save(self, state: dict[str, Any], network: nn.Module | None = None, epoch: int = 0) -> None:
        """Write a copy of the state, and of the network's weights after that epoch."""
        self._raise()
        made = checkpoints.copied(state)
        weights = None if network is None else (_weights(network), epoch)
        with self._changed:
            waiting = self._next
            if waiting is not None and weights is None:
                weights = waiting.weights
            self._next = _Wanted(made, weights)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="neocog-saving")
                self._thread.start()
        self._last = time.monotonic()

    def wait(self) -> None:
        """Until all is written."""
        self.end()
        self._raise()

    def end(self) -> None:
        """Let what is being written come to its end. Raises nothing."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            while self._thread is not None:
                self._changed.wait()
            self._hurried = False

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _write(self) -> None:
        while True:
            with self._changed:
                self._pause()
                wanted, self._next = self._next, None
                if wanted is None or self._error is not None:
                    self._thread = None
                    self._changed.notify_all()
                    return
            begin = time.thread_time()
            try:
                need_room(self.place, size_of((wanted.state, wanted.weights)), *NO_ROOM)
                if wanted.weights is not None:
                    self.folder.save_weights(*wanted.weights)
                self.folder.save_state(wanted.state)
            except BaseException as error:  # raised again where it is waited for
                self._error = error
            took = time.thread_time() - begin
            self._free = time.monotonic() + (REST * took if took > LITTLE else 0.0)

    def _pause(self) -> None:
        while self._next is not None and not self._hurried:
            left = self._free - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)


def made_good(
    folder: RunFolder,
    network: nn.Module,
    history: Sequence[Epoch],
    *,
    at_end: bool,
    last: bool,
    tell: Callable[[str], None] | None = None,
) -> None:
    """The weights that would be scored, where they were lost or damaged since: written again if the
    network stands at the end of their epoch (`at_end` of one), else it is told what comes of it.
    `last`: each epoch's take the place of those before, not the best one's alone.
    """
    chosen = [epoch.epoch for epoch in history if last or epoch.best]
    if not chosen:
        return
    try:
        folder.weights()
    except NeocogError as error:
        if at_end and chosen[-1] == history[-1].epoch:
            folder.save_weights(_weights(network), chosen[-1])
            comes = "Written again from the checkpoint: nothing is lost"
        elif last:
            comes = "The next epoch's take their place: nothing is lost"
        else:
            comes = (
                f"They were those of epoch {chosen[-1] + 1}, the best so far: unless a later one "
                "is better, there will be none to score, and the run must be trained again"
            )
        if tell:
            tell(f"{error}. {comes}")


def _weights(network: nn.Module) -> dict[str, Tensor]:
    # cloned, for safetensors refuses tensors that share their memory, as tied weights do
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
