from __future__ import annotations

import dataclasses
import io

import nbformat
import pytest
import torch
from nbclient import NotebookClient

from neocog.progress import Clock, Terminal, duration
from neocog.records import Epoch, Step


def step(number: int) -> Step:
    return Step(
        epoch=0,
        step=number,
        steps=10,
        done=number / 20,
        pictures=number * 4,
        lr=0.1,
        seconds=number * 0.5,
        loss_sum=torch.tensor(number * 4 * 1.5),
        correct=torch.tensor(number * 2),
    )


EPOCH = Epoch(
    epoch=0,
    lr=0.1,
    train_loss=1.5,
    train_accuracy=0.5,
    val_loss=1.2,
    val_accuracy=0.625,
    seconds=2.0,
    images_per_second=1234.5,
    best=True,
)


class Screen(io.StringIO):
    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test moves."""
    now = [100.0]
    monkeypatch.setattr("neocog.progress.time.monotonic", lambda: now[0])
    return now


def test_a_terminal_has_a_live_line_with_all_there_is_to_know(clock: list[float]) -> None:
    screen = Screen(tty=True)
    terminal = Terminal(screen, Clock(epochs=2))
    terminal.see(step(1))
    clock[0] += 1
    terminal.see(step(2))
    line = screen.getvalue().split("\r\x1b[K")[-1]
    assert line == "epoch 1/2   20%  loss 1.5000  acc 50.00%  8 images/s  18 s left"
    assert "\n" not in screen.getvalue()
    terminal.see(EPOCH)
    assert screen.getvalue().endswith("\n")
    assert "val loss 1.2000  acc 62.50%" in screen.getvalue()


def test_elsewhere_there_are_plain_lines_and_no_control_characters(clock: list[float]) -> None:
    screen = Screen(tty=False)
    terminal = Terminal(screen, Clock(epochs=2))
    for number in range(1, 11):
        clock[0] += 1
        terminal.see(step(number))
    terminal.see(EPOCH)
    terminal.close()
    assert screen.getvalue().count("\n") == 1  # nothing is said of steps that take no time
    assert "\r" not in screen.getvalue()
    assert "\x1b" not in screen.getvalue()
    clock[0] += 60
    terminal.see(step(1))
    assert "10%" in screen.getvalue().splitlines()[-1]


def test_time_left_counts_from_the_first_step(clock: list[float]) -> None:
    watch = Clock(epochs=2)
    assert watch.step(step(1)) is None
    clock[0] += 9
    assert watch.step(step(10)) == pytest.approx(10)  # 9 steps took 9 s, 10 of 20 are left


def test_time_left_counts_evaluations_before_and_after_the_first(clock: list[float]) -> None:
    watch = Clock(epochs=2, check=0.05, final=0.1)
    watch.step(step(1))
    clock[0] += 1
    # 18 steps of a second, two validations of a twentieth of 20 s, and the scoring at the end
    assert watch.step(step(2)) == pytest.approx(18 + 2 * 1 + 2)
    clock[0] += 8
    watch.step(step(10))
    clock[0] += 3  # the validation took three times as long
    assert watch.epoch(EPOCH) == pytest.approx(10 + 3 + 6)


def test_time_left_has_the_scoring_as_it_was_measured(clock: list[float]) -> None:
    watch = Clock(epochs=2, check=0.05, final=0.1, scoring=30.0)
    watch.step(step(1))
    clock[0] += 1
    assert watch.step(step(2)) == pytest.approx(18 + 2 * 1 + 30)
    clock[0] += 8
    watch.step(step(10))
    clock[0] += 3
    assert watch.epoch(EPOCH) == pytest.approx(10 + 3 + 30)


def test_time_left_knows_of_a_last_epoch_that_is_a_part_of_one(clock: list[float]) -> None:
    watch = Clock(epochs=2)  # 12 steps, as `--minutes` may have it, shown as 2 epochs
    watch.step(dataclasses.replace(step(1), done=1 / 12))
    clock[0] += 9
    watch.step(dataclasses.replace(step(10), done=10 / 12))
    assert watch.epoch(EPOCH) == pytest.approx(2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.2, "8 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (59.7, "1 min 00 s")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*zmq.*")
def test_a_notebook_shows_curves_that_grow() -> None:
    code = (
        "import neocog\n"
        "run = neocog.train('lenet_relu', 'digits', epochs=2, out='nb-run')\n"
        "run.plot()"
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}})
        client.execute()
    outputs = notebook.cells[0].outputs
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    lines = [o["data"]["text/plain"] for o in outputs if "text/plain" in o.get("data", {})]
    assert len(pictures) >= 2  # the curves that grew, and what plot() gives
    assert any("epoch 2/2" in line for line in lines)
