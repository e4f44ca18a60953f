"""TensorBoard's event files: read back record by record, and by TensorBoard where it is at hand."""

from __future__ import annotations

import builtins
import importlib.util
import signal
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Silent

from neocog import api, events
from neocog.cli.main import main
from neocog.errors import UsageError
from neocog.records import Step
from neocog.stopping import Interrupted

pytest.importorskip("tensorboardX")

TAGS = {"loss/train", "loss/validation", "accuracy/train", "accuracy/validation", "lr"}
TAGS |= {"images_per_second"}
STEP_TAGS = {"step/loss", "step/accuracy", "step/lr", "step/images_per_second"}


@pytest.fixture(autouse=True)
def _each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVERY", 0.0)


def crc32c(data: bytes) -> int:
    """Castagnoli's, bit by bit (RFC 3720, B.4), masked as records have it."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path: Path) -> Iterator[bytes]:
    """TFRecord: length, its checksum, the bytes, their checksum; nothing after the last."""
    content = path.read_bytes()
    while content:
        (length, of_length), rest = struct.unpack("<QI", content[:12]), content[12:]
        assert of_length == crc32c(content[:8])
        (of_bytes,) = struct.unpack("<I", rest[length : length + 4])
        assert of_bytes == crc32c(rest[:length])
        yield rest[:length]
        content = rest[length + 4 :]


def read(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, str]]:
    """Scalars and texts as a reader shows them, who forgets what a later start takes back."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    scalars: dict[str, list[tuple[int, float]]] = {}
    texts: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        first = True
        for record in records(path):
            event = Event.FromString(record)
            if first:
                assert event.file_version == "brain.Event:2"
                first = False
            if event.session_log.status == SessionLog.START:
                scalars = {k: [p for p in v if p[0] < event.step] for k, v in scalars.items()}
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
                else:
                    texts[value.tag] = value.tensor.string_val[0].decode()
    return scalars, texts


class Watching(Silent):
    """Notes each step, and stops the run after so many."""

    def __init__(self, stop: int | None = None) -> None:
        self.steps: list[Step] = []
        self.stop = stop

    def see(self, fact: Any) -> None:
        if isinstance(fact, Step):
            self.steps.append(fact)
            if len(self.steps) == self.stop:
                signal.raise_signal(signal.SIGINT)


def train(out: Path, watcher: Watching, **more: Any) -> api.Run:
    more = {"log": "tensorboard", "epochs": 3, "tell": lambda line: None, **more}
    return api.train("lenet_relu", "digits", out=out, watcher=watcher, **more)


def test_epochs_and_steps_are_there_as_they_were(tmp_path: Path) -> None:
    watching = Watching()
    run = train(tmp_path / "run", watching)
    by_epoch, texts = read(tmp_path / "run" / "tensorboard" / "epochs")
    assert set(by_epoch) == TAGS
    for tag, field in (("loss/train", "train_loss"), ("accuracy/validation", "val_accuracy")):
        values = [(e.epoch + 1, pytest.approx(getattr(e, field))) for e in run.history]
        assert by_epoch[tag] == values
    assert "| network | lenet_relu |" in texts["recipe/text_summary"]
    assert "| batch_size | 128 |" in texts["recipe/text_summary"]
    by_step, _ = read(tmp_path / "run" / "tensorboard" / "steps")
    assert set(by_step) == STEP_TAGS
    assert [step for step, _ in by_step["step/loss"]] == list(range(1, len(watching.steps) + 1))
    a_whole, first = watching.steps[0].steps, watching.steps[0]
    means = [loss for _, loss in by_step["step/loss"][:a_whole]]
    weights = [128] * (a_whole - 1) + [watching.steps[a_whole - 1].pictures - 128 * (a_whole - 1)]
    mean = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
    assert mean == pytest.approx(run.history[0].train_loss)
    assert by_step["step/lr"][0][1] == pytest.approx(first.lr)


@pytest.mark.parametrize("logged_before", [True, False])
def test_resumed_it_goes_on_in_the_same_curves(tmp_path: Path, logged_before: bool) -> None:
    out, first = tmp_path / "run", Watching(stop=20)  # in the second epoch
    with pytest.raises(Interrupted):
        train(out, first, log="tensorboard" if logged_before else None)
    epochs, steps = out / "tensorboard" / "epochs", out / "tensorboard" / "steps"
    if logged_before:  # as after a kill: more was logged than was saved
        lost = events._Writer(steps, purge=21)
        lost.scalars(21, {"step/loss": 99.0})
        lost.close()
    asked = None if logged_before else "tensorboard"  # a log that was begun is gone on with
    run = api.resume(out, log=asked, watcher=Silent(), tell=lambda line: None)
    by_epoch, texts = read(epochs)
    by_step, _ = read(steps)
    assert [at for at, _ in by_epoch["loss/train"]] == [1, 2, 3]
    assert by_epoch["loss/train"] == [
        (e.epoch + 1, pytest.approx(e.train_loss)) for e in run.history
    ]
    total = 3 * first.steps[0].steps
    begun = 1 if logged_before else 21
    assert [at for at, _ in by_step["step/loss"]] == list(range(begun, total + 1))
    assert max(loss for _, loss in by_step["step/loss"]) < 99
    assert texts
    assert _as_tensorboard_has_it(epochs, "loss/train") in (None, by_epoch["loss/train"])
    assert _as_tensorboard_has_it(steps, "step/loss") in (None, by_step["step/loss"])


def _as_tensorboard_has_it(folder: Path, tag: str) -> list[tuple[int, float]] | None:
    """What TensorBoard's own reader makes of a folder, where it is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    with warnings.catch_warnings(action="ignore"):  # of what it imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return [(event.step, event.value) for event in found.Scalars(tag)]


def test_a_full_disk_is_told_once_and_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboardX.record_writer import RecordWriter

    count, honest, lines = [0], RecordWriter.write, list[str]()

    def write(self: RecordWriter, content: bytes) -> None:
        count[0] += 1
        if count[0] > 8:
            raise OSError(28, "No space left on device")
        honest(self, content)

    monkeypatch.setattr(RecordWriter, "write", write)
    run = train(tmp_path / "run", Watching(), epochs=2, tell=lines.append)
    assert run.folder.finished
    (said,) = [line for line in lines if "TensorBoard" in line]
    assert "No space left on device. The run goes on without them" in said


def test_what_is_asked_for_is_checked_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    assert main(["train", "lenet_relu", "digits", "--log", "tensorbord", "--out", out]) == 2
    assert "did you mean tensorboard" in capsys.readouterr().err
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    assert main(["train", "lenet_relu", "digits", "--log", "tensorboard", "--out", out]) == 2
    assert "pip install 'neocog[tensorboard]'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="not installed"):
        api.resume(out, log="tensorboard")
    assert not (tmp_path / "run").exists()


def test_a_log_that_cannot_be_gone_on_with_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, said = tmp_path / "run", list[str]()
    with pytest.raises(Interrupted):
        train(out, Watching(stop=20), log="tensorboard")
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    api.resume(out, watcher=Silent(), tell=said.append)
    assert sum("tensorboard: not gone on with" in line for line in said) == 1


def test_without_it_nothing_of_it_is_imported_or_written(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (finished_run / "tensorboard").exists()
    honest = builtins.__import__

    def strict(name: str, *rest: Any) -> Any:
        assert not name.startswith("tensorboard")
        return honest(name, *rest)

    monkeypatch.setattr(builtins, "__import__", strict)
    train(tmp_path / "run", Watching(), epochs=1, log=None)


def test_an_epoch_without_validation_has_no_such_point(tmp_path: Path) -> None:
    writer = events._Writer(tmp_path, purge=0)
    writer.scalars(1, {"loss/train": 1.0, "loss/validation": None})
    writer.close()
    assert read(tmp_path)[0] == {"loss/train": [(1, 1.0)]}
