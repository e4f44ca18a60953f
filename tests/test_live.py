"""What a run says of itself while it trains: now.json, and history.csv."""

from __future__ import annotations

import csv
import errno
import itertools
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from tests.conftest import Silent

from neocog import api, live, now
from neocog.errors import DivergedError
from neocog.live import Live, Trail, told
from neocog.now import Now, Process, gone, now_in, this_process
from neocog.progress import Clock
from neocog.records import Epoch, Step
from neocog.run import RunFolder
from neocog.stopping import Interrupted


class Asking(Silent):
    """A watcher that calls a function with each fact."""

    def __init__(self, call: Callable[[Step | Epoch], None]) -> None:
        self.see = call  # type: ignore[method-assign, assignment]


def train(out: Path, call: Callable[[Step | Epoch], None], **more: Any) -> api.Run:
    more = {"epochs": 2, **more}
    return api.train("lenet_relu", "digits", out=out, watcher=Asking(call), **more)


def step(number: int, steps: int = 10, *, epoch: int = 0, loss: float = 1.0) -> Step:
    """A step whose sums are those of `number` batches of four with that loss."""
    return Step(
        epoch=epoch,
        step=number,
        steps=steps,
        done=number / steps / 2,
        pictures=4 * number,
        lr=0.1,
        seconds=0.5 * number,
        loss_sum=torch.tensor(4.0 * number * loss, dtype=torch.float64),
        correct=torch.tensor(2 * number),
    )


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is said."""
    monkeypatch.setattr(live, "EVERY", 0.0)
    monkeypatch.setattr(live, "SHARE", 1e9)


# -- while it trains, and after


@pytest.mark.usefixtures("eager")
def test_a_run_says_where_it_stands_and_takes_that_back_at_the_end(tmp_path: Path) -> None:
    said: list[tuple[Step, Now]] = []

    def see(fact: Step | Epoch) -> None:
        if isinstance(fact, Step):
            said.append((fact, now_in(tmp_path / "run" / "now.json")))

    train(tmp_path / "run", see)
    assert (said[0][1].step, said[0][1].loss, said[0][1].steps) == (0, None, 0)
    for (fact, _), (_, then) in itertools.pairwise(said):
        assert (then.epoch, then.step, then.steps) == (fact.epoch, fact.step, fact.steps)
        assert then.loss == pytest.approx(fact.loss)
        assert then.accuracy == pytest.approx(fact.accuracy)
        assert (then.epochs, then.lr, then.state) == (2, fact.lr, "running")
        assert gone(then.process) is False
    assert said[-1][1].seconds_left is not None
    assert not (tmp_path / "run" / "now.json").exists()


def test_a_run_that_is_stopped_says_so_and_takes_it_back_when_it_goes_on(tmp_path: Path) -> None:
    def stop(fact: Step | Epoch) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        train(tmp_path / "run", stop)
    assert now_in(tmp_path / "run" / "now.json").state == "stopped"
    api.resume(tmp_path / "run", watcher=Silent())
    assert not (tmp_path / "run" / "now.json").exists()


def test_a_run_that_diverges_says_why(tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        train(tmp_path / "run", lambda fact: None, changes={"lr": 1e6})
    said = now_in(tmp_path / "run" / "now.json")
    assert said.state == "diverged"
    assert "gradient" in (said.why or "")


def test_what_else_ends_a_run_is_said_too(tmp_path: Path) -> None:
    def fail(fact: Step | Epoch) -> None:
        raise RuntimeError("the watcher broke")

    with pytest.raises(RuntimeError):
        train(tmp_path / "run", fail)
    said = now_in(tmp_path / "run" / "now.json")
    assert (said.state, said.why) == ("stopped", "the watcher broke")


def test_a_full_disk_ends_no_run_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: RunFolder, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunFolder, "write_now", full)
    assert train(tmp_path / "run", lambda fact: None).folder.finished


def test_a_file_that_cannot_be_written_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "now.json").mkdir()  # nothing can be renamed over it
    with pytest.raises(OSError, match="directory"):
        RunFolder(tmp_path).write_now("{}")
    assert [path.name for path in tmp_path.iterdir()] == ["now.json"]


def test_only_the_first_of_several_processes_says_it(tmp_path: Path) -> None:
    job = cast(Any, SimpleNamespace(ranks=SimpleNamespace(first=False)))
    with told(job, Clock(epochs=1)) as watcher:
        watcher.see(step(1))
    assert not list(tmp_path.iterdir())


def test_a_run_that_another_process_has_gone_on_with_is_not_called_stopped(tmp_path: Path) -> None:
    job = begun(tmp_path)
    saying = Live(job, Clock(epochs=2))
    theirs = json.loads((tmp_path / "now.json").read_text())
    theirs["process"]["began"] = "later"
    (tmp_path / "now.json").write_text(json.dumps(theirs))
    saying.end("stopped")
    assert now_in(tmp_path / "now.json").state == "running"


def begun(folder: Path) -> Any:
    return SimpleNamespace(
        folder=RunFolder(folder),
        training=SimpleNamespace(epoch=0, step=0),
        ranks=SimpleNamespace(first=True),
    )


@pytest.mark.parametrize(("cost", "most"), [(0.0002, 201), (0.01, 21), (0.5, 1)])
def test_it_takes_a_thousandth_of_the_time_however_slow_the_disk(
    cost: float, most: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock, writes = [0.0], [0]

    def write(self: RunFolder, text: str) -> None:
        clock[0] += cost
        writes[0] += 1

    monkeypatch.setattr(RunFolder, "write_now", write)
    for name in ("monotonic", "perf_counter"):
        monkeypatch.setattr(live.time, name, lambda: clock[0])
    saying = Live(begun(tmp_path), Clock(epochs=2))
    for number in range(1, 2001):  # two hundred seconds
        clock[0] += 0.1
        saying.see(step(number, 20_000))
    assert most * 0.9 <= writes[0] <= most
    assert cost * writes[0] <= 0.001 * clock[0] + cost


# -- the trail


def test_a_trail_is_short_even_and_has_the_mean_of_the_epoch() -> None:
    trail, total = Trail(), 0.0
    for number in range(1, 1501):
        total += 3.0 / number  # the loss of this step
        points = trail.after(step(number, 2000), total / number, 0.5)
        assert len(points) <= live.MOST
    ends = [0.0, *(end for end, _, _ in points)]
    widths = [b - a for a, b in itertools.pairwise(ends)]
    assert ends[-1] == pytest.approx(0.75)
    assert max(widths[:-1]) == pytest.approx(min(widths[:-1]))  # the last is not full yet
    means = [loss for _, loss, _ in points]
    mean = sum(w * m for w, m in zip(widths, means, strict=True)) / 0.75
    assert mean == pytest.approx(total / 1500)
    assert means == sorted(means, reverse=True)
    assert {round(accuracy, 6) for _, _, accuracy in points} == {0.5}
    (begins_anew,) = trail.after(step(1, 2000, epoch=1), 7.0, 0.25)
    assert begins_anew == pytest.approx((1 + 1 / 2000, 7.0, 0.25))


def test_a_loss_that_is_no_number_is_left_out(tmp_path: Path, eager: None) -> None:
    saying = Live(begun(tmp_path), Clock(epochs=2))
    saying.see(step(1, loss=float("nan")))
    said = now_in(tmp_path / "now.json")
    assert (said.step, said.loss, said.trail) == (1, None, ())


# -- whether a process is gone


def test_a_process_that_ended_is_gone_and_its_number_may_be_anothers() -> None:
    own = this_process()
    assert gone(own) is False
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert gone(Process(child.pid, own.host, own.began)) is True
    if own.began:  # Linux
        assert gone(Process(own.pid, own.host, str(int(own.began) - 1))) is True
    assert gone(Process(own.pid, "elsewhere", own.began)) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_a_process_that_ended_and_is_still_listed_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    began = now._began(child.pid)
    assert child.stdout is not None
    child.stdout.read()  # until it ends
    end = time.monotonic() + 5
    while now._began(child.pid) and time.monotonic() < end:
        time.sleep(0.001)
    assert gone(Process(child.pid, this_process().host, began)) is True
    child.stdout.close()
    child.wait()


def test_containers_with_one_name_are_told_apart() -> None:
    assert this_process().host.startswith(socket.gethostname())
    if Path("/proc/self/ns/pid").exists():
        assert "pid:[" in this_process().host


# -- what is refused


WRONG: list[tuple[str, Any]] = [
    ("state", "asleep"),
    ("epoch", -1),
    ("step", 1.5),
    ("steps", True),
    ("epochs", 10**20),
    ("loss", float("nan")),
    ("lr", "0.1"),
    ("seconds_left", 1e301),
    ("trail", [[1, 2]]),
    ("trail", [[0.5, 1.0, "x"]]),
    ("why", 3),
    ("process", {"pid": 0, "host": "a", "began": ""}),
    ("process", {"pid": 1, "host": "a"}),
    ("more", 1),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_file_with_other_values_is_refused(name: str, value: Any, tmp_path: Path) -> None:
    Live(begun(tmp_path), Clock(epochs=2))
    path = tmp_path / "now.json"
    good = json.loads(path.read_text())
    assert now_in(path).process == this_process()
    path.write_text(json.dumps({**good, name: value}))
    with pytest.raises((ValueError, TypeError, KeyError)):
        now_in(path)


@pytest.mark.parametrize("content", ["", "[]", "3", "{", "[" * 90_000, " " * 200_000])
def test_a_file_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "now.json"
    path.write_text(content)
    with pytest.raises((ValueError, KeyError, RecursionError)):
        now_in(path)


# -- history.csv


def test_the_history_is_there_as_a_table(finished_run: Path) -> None:
    content = (finished_run / "history.csv").read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") == 4
    with (finished_run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    history = RunFolder.open(finished_run).history
    assert [list(row) for row in rows] == [list(epoch.to_json()) for epoch in history]
    for row, epoch in zip(rows, history, strict=True):
        assert {name: float(value) for name, value in row.items()} == epoch.to_json()


def test_without_validation_its_cells_are_empty(tmp_path: Path) -> None:
    lines = {"epoch": 0, "lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5, "val_loss": None}
    lines |= {"val_accuracy": None, "seconds": 1.0, "images_per_second": 2.0, "best": True}
    RunFolder(tmp_path).write_history({"history": [lines]})
    said = (tmp_path / "history.csv").read_text().splitlines()
    assert said[1] == "0,0.1,1.0,0.5,,,1.0,2.0,1"
