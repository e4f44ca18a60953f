"""TensorBoard's event files of a run, in its folder: RUN/tensorboard/epochs and .../steps.

Two folders, since epochs are counted in one and steps in the other, and what is gone on with is
cleared from one number on in all of a folder. Records are written at once: tensorboardX's own
writer leaves them to a thread, and where that thread dies of a full disk, training waits for it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from neocog.data.batches import Augmentation, TrainingBatches
from neocog.errors import UsageError, unknown
from neocog.live import Since
from neocog.progress import Nobody, Watcher
from neocog.records import Epoch, Step
from neocog.training import Job

LOGS = ("tensorboard",)
FOLDER = "tensorboard"
EVERY = 1.0  # seconds between two steps that are written


def check_log(log: str | None) -> None:
    """`UsageError` for a kind of log that there is not, or that cannot be written here."""
    if log is None:
        return
    if log not in LOGS:
        raise unknown("log", log, LOGS)
    if not _there():
        raise UsageError(
            "--log tensorboard: tensorboardX, which writes its files, is not installed: "
            "pip install 'neocog[tensorboard]'"
        )


def _there() -> bool:
    return importlib.util.find_spec("tensorboardX") is not None


@contextmanager
def logged(job: Job, log: str | None, tell: Callable[[str], None]) -> Iterator[Watcher]:
    """A watcher that writes the log that was asked for, in the first of several processes alone.
    A run that has one goes on with it unasked.
    """
    begun = (job.folder.path / FOLDER).is_dir()
    if not job.ranks.first or not (log or begun):
        yield Nobody()
        return
    if not _there():
        tell(f"{job.folder.path / FOLDER}: not gone on with, since tensorboardX is not installed")
        yield Nobody()
        return
    with closing(Events(job, tell)) as events:
        yield events


class Events:
    """Epochs and steps of a job as TensorBoard's scalars, its recipe as text.

    A job that goes on writes the epochs that are known once more, in the place of those in the
    files, and goes on with the steps from where it stands: no epoch and no step is there twice.
    A disk that is full is told once; the run goes on without.
    """

    def __init__(self, job: Job, tell: Callable[[str], None]) -> None:
        self._tell, self._since, self._last = tell, Since(), time.monotonic()
        self._whole = _steps_an_epoch(job)
        self._writers: dict[str, _Writer] = {}
        folder, at = job.folder.path / FOLDER, job.training
        taken = at.epoch * self._whole + at.step
        with self._failing():
            self._writers["epochs"] = _Writer(folder / "epochs", purge=0)
            self._writers["steps"] = _Writer(folder / "steps", purge=taken + 1)
            self._writers["epochs"].text("recipe", _described(job))
            for epoch in at.history:
                self._write_epoch(epoch)

    def see(self, fact: Step | Epoch) -> None:
        with self._failing():
            if isinstance(fact, Epoch):
                self._write_epoch(fact)
            elif time.monotonic() - self._last >= EVERY:
                self._last = time.monotonic()
                self._write_step(fact)

    def close(self) -> None:
        with self._failing():
            while self._writers:
                self._writers.popitem()[1].close()

    def _write_epoch(self, fact: Epoch) -> None:
        values = {
            "loss/train": fact.train_loss,
            "loss/validation": fact.val_loss,
            "accuracy/train": fact.train_accuracy,
            "accuracy/validation": fact.val_accuracy,
            "lr": fact.lr,
            "images_per_second": fact.images_per_second,
        }
        self._write("epochs", fact.epoch + 1, values)

    def _write_step(self, fact: Step) -> None:
        _, loss, accuracy = self._since.stretch(fact, fact.loss, fact.accuracy).point()
        values = {"step/loss": loss, "step/accuracy": accuracy, "step/lr": fact.lr}
        values["step/images_per_second"] = fact.images_per_second
        self._write("steps", fact.epoch * self._whole + fact.step, values)

    def _write(self, where: str, step: int, values: dict[str, Any]) -> None:
        if where in self._writers:
            self._writers[where].scalars(step, values)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            while self._writers:
                with contextlib.suppress(OSError):  # what it still holds has no room either
                    self._writers.popitem()[1].close()
            self._tell(
                f"TensorBoard's files cannot be written: {error.strerror or error}. The run goes "
                "on without them"
            )


class _Writer:
    """One folder of event files, each of one go at the run."""

    def __init__(self, folder: Path, *, purge: int) -> None:
        from tensorboardX.proto import event_pb2
        from tensorboardX.record_writer import RecordWriter

        self._event = event_pb2.Event
        folder.mkdir(parents=True, exist_ok=True)
        before = len(list(folder.iterdir()))
        # files are read in the order of their names, and seconds may be the same: hence the number
        name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{before:04d}"
        # absolute: a path that begins with "s3:" would be one of Amazon's
        self._file = RecordWriter(str(folder.resolve() / name))
        self._add(file_version="brain.Event:2")
        if before:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._add(step=purge, session_log=start)  # a reader forgets all from there on
        self._file.flush()

    def scalars(self, step: int, values: dict[str, Any]) -> None:
        from tensorboardX.summary import scalar

        for name, value in values.items():
            if value is not None:
                self._add(step=step, summary=scalar(name, value))
        self._file.flush()

    def text(self, name: str, text: str) -> None:
        from tensorboardX.summary import text as summary_of

        self._add(step=0, summary=summary_of(name, text))

    def close(self) -> None:
        self._file.close()

    def _add(self, **values: Any) -> None:
        self._file.write(self._event(wall_time=time.time(), **values).SerializeToString())


def _steps_an_epoch(job: Job) -> int:
    recipe = job.recipe
    return len(
        TrainingBatches(job.dataset.train, job.spec, recipe.batch_size, recipe.seed, Augmentation())
    )


def _described(job: Job) -> str:
    """Network, data set and recipe as a table, as Markdown has them."""
    rows = {
        "network": job.folder.network_name,
        "data": job.dataset.name,
        "pictures": f"{len(job.dataset.train)}, {len(job.dataset.val)} to validate",
        "machine": f"{job.hardware.device}, {job.hardware}",
        **job.recipe.to_json(),
    }
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
