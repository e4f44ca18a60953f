"""Checkpoints: sealed, two of them, written beside training; one process to a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Silent

from neocog import api, checkpoints, saving, training
from neocog.cli.main import main
from neocog.data.loading import load
from neocog.errors import NeocogError, UsageError
from neocog.networks import create
from neocog.recipes import find
from neocog.records import Epoch, Step
from neocog.run import RunFolder
from neocog.saving import Saver
from neocog.stopping import Interrupted

STATE = {"a": torch.arange(40.0).reshape(5, 8), "b": [1, {"c": 2.5}], "none": torch.empty(0)}


def written(path: Path, state: dict[str, Any] = STATE) -> Path:
    with path.open("wb") as file:
        checkpoints.write(state, file)
    return path


def test_a_checkpoint_is_read_back_and_torch_reads_it_too(tmp_path: Path) -> None:
    path = written(tmp_path / "x.pt")
    for state in (checkpoints.read(path), torch.load(path, weights_only=True)):
        assert torch.equal(state["a"], STATE["a"])
        assert state["b"] == STATE["b"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_checkpoint_that_is_cut_zeroed_or_flipped_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = written(tmp_path_factory.mktemp("c") / "x.pt")
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    damage = data.draw(st.sampled_from(("cut", "zeros", "bit", "longer")))
    before = bytes(content)
    if damage == "cut":
        del content[place:]
    elif damage == "zeros":
        content[place:] = bytes(len(content) - place)
    elif damage == "bit":
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        content += bytes(place)
    path.write_bytes(content)
    if bytes(content) == before:
        return
    with pytest.raises(ValueError, match="seal"):
        checkpoints.read(path)


def test_a_copy_stays_while_training_goes_on() -> None:
    network = create("lenet_relu", seed=0)
    state = {"network": network.state_dict(), "list": [torch.ones(2)], "pair": (1, torch.ones(1))}
    kept = checkpoints.copied(state)
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(1)
    state["list"][0].add_(1)  # type: ignore[union-attr]
    fresh = create("lenet_relu", seed=0).state_dict()
    assert all(torch.equal(kept["network"][name], fresh[name]) for name in fresh)
    assert kept["list"][0].tolist() == [1, 1]
    assert isinstance(kept["pair"], tuple)


# -- the folder


def begun(out: Path, **changes: Any) -> training.Job:
    recipe = find("quick").changed({"epochs": 2, **changes})
    network = create("lenet_relu", seed=recipe.seed)
    return training.begin(network, load("digits"), recipe=recipe, out=out)


class Waiting(Saver):
    """One whose saves are on the disk when training goes on, however slow the disk is."""

    def save(self, *args: Any, **keywords: Any) -> None:
        super().save(*args, **keywords)
        self.wait()


def stopped(out: Path, at: tuple[int, int], **changes: Any) -> RunFolder:
    """A run left at (epoch, step) by something that lets nothing be said, saved at each step."""
    job = begun(out, **changes)
    job.save_every = 1e-9
    with mock.patch.object(training, "Saver", Waiting):
        facts = training.run(job)
        for fact in facts:
            if isinstance(fact, Step) and (fact.epoch, fact.step) == at:
                break
        facts.close()  # type: ignore[attr-defined]
    return job.folder


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return dict(api.open_run(path).network().state_dict())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    job = begun(tmp_path_factory.mktemp("whole") / "run")
    for _ in training.run(job):
        pass
    return weights_of(job.folder.path)


@pytest.mark.parametrize("damage", ["cut", "zeros", "bit", "gone"])
def test_where_the_last_checkpoint_is_damaged_the_one_before_is_taken_and_said(
    tmp_path: Path, whole: dict[str, torch.Tensor], damage: str
) -> None:
    folder = stopped(tmp_path / "run", (1, 4))
    path = folder.path / "last.pt"
    content = bytearray(path.read_bytes())
    if damage == "gone":  # between two renames
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "zeros":
        path.write_bytes(bytes(len(content)))
    else:
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    said: list[str] = []
    run = api.resume(folder.path, watcher=Silent(), tell=said.append)
    assert "last.pt" in said[0]
    assert "Going on from the one before it, before.pt" in said[0]
    reached = run.network().state_dict()
    assert all(torch.equal(reached[name], whole[name]) for name in whole)
    assert not (folder.path / "before.pt").exists()


def test_a_history_that_was_not_written_any_more_is_made_good(tmp_path: Path) -> None:
    job = begun(tmp_path / "run")
    facts = training.run(job)
    for fact in facts:
        if isinstance(fact, Epoch) and fact.epoch == 1:
            break
    facts.close()  # type: ignore[attr-defined]
    path = job.folder.path / "history.jsonl"
    path.write_text(path.read_text().splitlines()[0] + "\n")  # killed after last.pt was renamed
    assert len(api.resume(job.folder.path, watcher=Silent()).history) == 2


def test_where_both_are_damaged_nothing_is_guessed(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", (0, 9))
    for name in ("last.pt", "before.pt"):
        (folder.path / name).write_bytes(b"PK")
    with pytest.raises(NeocogError, match="There is nothing to go on from"):
        api.resume(folder.path, watcher=Silent())


def test_it_is_saved_in_mid_epoch_every_so_many_seconds(tmp_path: Path) -> None:
    job = begun(tmp_path / "run")
    job.save_every = 1e-9
    seen = []
    with mock.patch.object(training, "Saver", Waiting):
        for fact in training.run(job):
            if isinstance(fact, Step) and fact.step in (5, 9):
                state = job.folder.state()
                seen.append((state["epoch"], state["step"]))
    assert seen == [(0, 5), (0, 9), (1, 5), (1, 9)]
    job = begun(tmp_path / "rarely")  # every minute
    facts = training.run(job)
    for fact in facts:
        if isinstance(fact, Step) and fact.step == 9:
            break
    facts.close()  # type: ignore[attr-defined]
    assert (job.folder.state()["epoch"], job.folder.state()["step"]) == (0, 0)


def test_a_slow_disk_holds_no_step_up_and_what_waits_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "run", name="x")
    started, may, done = threading.Event(), threading.Event(), []

    class Slow:
        def save_weights(self, weights: object, epoch: int) -> None:
            done.append(("weights", epoch))

        def save_state(self, state: dict[str, Any]) -> None:
            started.set()
            assert may.wait(20)
            done.append(("state", state["n"]))

    saver = Saver(folder, 0.0)
    monkeypatch.setattr(saver, "folder", Slow())
    network = create("lenet_relu", seed=0)
    saver.save({"n": 0})
    assert started.wait(20)
    assert not saver.due()  # one is on its way
    saver.save({"n": 1}, network, 7)  # waits, and is replaced: its weights are not lost
    saver.save({"n": 2})
    saver.save({"n": 3})
    may.set()
    saver.wait()
    assert done == [("state", 0), ("weights", 7), ("state", 3)]


class Noting:
    """A folder that notes what it is to write."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.new = threading.Event()

    def save_weights(self, weights: object, epoch: int) -> None:
        self.done.append(("weights", epoch))

    def save_state(self, state: dict[str, Any]) -> None:
        self.done.append(state["n"])
        self.new.set()


def test_what_takes_long_to_write_is_followed_by_a_pause_that_waiting_cuts_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LITTLE", -1.0)
    monkeypatch.setattr(saving, "REST", 1e8)
    saver, folder = Saver(RunFolder.create(tmp_path / "run", name="x"), 0.0), Noting()
    monkeypatch.setattr(saver, "folder", folder)
    network = create("lenet_relu", seed=0)
    saver.save({"n": 0})
    saver.wait()
    assert not saver.due()
    saver.save({"n": 1}, network, 4)
    saver.save({"n": 2})
    time.sleep(0.2)
    assert folder.done == [0]
    assert not saver.due()
    saver.wait()
    assert folder.done == [0, ("weights", 4), 2]
    saver.save({"n": 3})
    saver.end()  # as where something else went wrong
    assert folder.done[-1] == 3


def test_after_the_pause_it_is_written_without_anybody_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver, folder = Saver(RunFolder.create(tmp_path / "run", name="x"), 0.0), Noting()
    monkeypatch.setattr(saver, "folder", folder)
    monkeypatch.setattr(saver, "_free", time.monotonic() + 1.0)
    saver.save({"n": 0})
    assert not folder.done
    assert folder.new.wait(20)
    saver.end()
    assert folder.done == [0]
    assert saver.due()  # so little is written without a pause


def test_a_disk_that_fails_ends_the_run_and_what_was_saved_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, torch.Tensor]
) -> None:
    job = begun(tmp_path / "run")
    facts = training.run(job)
    real = os.fsync
    with pytest.raises(NeocogError, match=r"cannot be written: No space left"):
        for fact in facts:
            if isinstance(fact, Epoch):
                monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(os, "fsync", real)
    assert not list(job.folder.path.glob(".*.part"))
    run = api.resume(job.folder.path, watcher=Silent())
    assert all(torch.equal(run.network().state_dict()[name], whole[name]) for name in whole)


def full(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("schedule", ["constant", "step", "plateau"])
def test_epochs_may_be_raised_where_the_schedule_does_not_follow_from_them(
    tmp_path: Path, schedule: str
) -> None:
    changes = {"schedule": schedule, "epochs": 4, "every": 2} if schedule == "step" else {}
    changes = changes or {"schedule": schedule, "epochs": 4}
    job = begun(tmp_path / "whole", **changes)
    for _ in training.run(job):
        pass
    reached = weights_of(job.folder.path)
    job = begun(tmp_path / "run", **{**changes, "epochs": 2})
    facts = training.run(job)
    for fact in facts:
        if isinstance(fact, Step) and (fact.epoch, fact.step) == (1, 3):
            break
    facts.close()  # type: ignore[attr-defined]
    said: list[str] = []
    run = api.resume(job.folder.path, epochs=4, watcher=Silent(), tell=said.append)
    assert any("epochs 2 then, 4 now" in line for line in said)
    assert run.recipe.epochs == 4
    assert len(run.history) == 4
    assert all(torch.equal(run.network().state_dict()[name], reached[name]) for name in reached)


def test_raised_epochs_survive_a_kill_before_the_next_save(tmp_path: Path) -> None:
    job = begun(tmp_path / "run", schedule="constant")
    facts = training.run(job)
    next(facts)
    facts.close()  # type: ignore[attr-defined]
    more = training.resume(RunFolder.open(job.folder.path), epochs=3)  # and nothing is trained
    more.folder.let_go()
    run = api.resume(job.folder.path, watcher=Silent())
    assert len(run.history) == 3


def test_epochs_that_change_what_was_done_are_refused(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", (0, 3))  # its schedule is linear
    before = (folder.path / "recipe.json").read_bytes()
    with pytest.raises(UsageError, match="linear follows from their number"):
        api.resume(folder.path, epochs=5, watcher=Silent())
    with pytest.raises(UsageError, match="name more"):
        api.resume(folder.path, epochs=1, watcher=Silent())
    assert (folder.path / "recipe.json").read_bytes() == before


# -- one process, and signals

PROGRAM = """
import sys, time
from neocog.run import RunFolder
from neocog.stopping import Interrupted
folder = RunFolder.open(sys.argv[1])
folder.hold()
print("held", flush=True)
time.sleep(60)
"""


def test_two_processes_are_kept_from_one_folder_and_a_dead_one_is_forgotten(
    tmp_path: Path,
) -> None:
    folder = stopped(tmp_path / "run", (0, 3))
    command = [sys.executable, "-c", PROGRAM, str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another process is training in this run folder"):
            api.resume(folder.path, watcher=Silent())
        process.kill()
        process.wait()
    (folder.path / ".last.pt.123.part").write_bytes(b"half")
    api.resume(folder.path, watcher=Silent())
    assert not list(folder.path.glob(".*.part"))


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM ends a process there without asking")
@pytest.mark.usefixtures("kept_c")
def test_sigterm_saves_and_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "run"
    train = ["train", "lenet_relu", "digits", "--recipe", "quick", "--epochs", "200"]
    command = [sys.executable, "-m", "neocog", *train, "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
        end = time.monotonic() + 60
        while not (out / "history.jsonl").exists() and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 75, said
    assert "stopped and saved. Go on with:" in said
    assert RunFolder.open(out).saved


def test_sigterm_within_the_loop_is_said_by_the_exception(tmp_path: Path) -> None:
    job = begun(tmp_path / "run")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        for fact in training.run(job):
            if isinstance(fact, Step) and fact.step == 4:
                signal.raise_signal(signal.SIGTERM)
    assert caught.value.terminated
    assert job.folder.state()["step"] == 4
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("given_", ["0", "-1", "nan"])
def test_seconds_between_checkpoints_are_above_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given_: str
) -> None:
    command = ["train", "lenet_relu", "digits", "--save-every", given_]
    assert main([*command, "--out", str(tmp_path / "r")]) == 2
    assert "--save-every" in capsys.readouterr().err.replace("save-every:", "--save-every")


# -- what a stop between two writes, or something later, did to the files


def test_a_damaged_checkpoint_never_takes_the_place_of_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two renames of the first save, the run still has one to go on from."""
    folder = stopped(tmp_path / "run", (1, 4))
    (folder.path / "last.pt").write_bytes(b"torn")
    whole = (folder.path / "before.pt").read_bytes()
    resumed = RunFolder.open(folder.path)
    state = resumed.state()
    seen = []
    real = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if target.name in ("last.pt", "before.pt"):
            seen.append((target.name, (folder.path / "before.pt").read_bytes() == whole))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    resumed.save_state(state)
    assert seen == [("last.pt", True)]
    assert (folder.path / "before.pt").read_bytes() == whole
    resumed.save_state(state)  # and from then on as ever
    assert [name for name, _ in seen] == ["last.pt", "before.pt", "last.pt"]


@pytest.mark.parametrize("damage", ["gone", "cut", "bit"])
def test_weights_that_were_lost_are_said_and_written_again_where_that_can_be(
    tmp_path: Path, damage: str
) -> None:
    job = begun(tmp_path / "run", epochs=3)
    facts = training.run(job)
    for fact in facts:
        if isinstance(fact, Epoch):
            assert fact.best
            break
    facts.close()  # type: ignore[attr-defined]
    path = job.folder.path / "best.safetensors"
    content, before = path.read_bytes(), job.folder.weights()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    said: list[str] = []
    resumed = training.resume(RunFolder.open(job.folder.path), tell=said.append)
    resumed.folder.let_go()
    assert "best.safetensors" in said[0]
    assert "Written again from the checkpoint" in said[0]
    after = resumed.folder.weights()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_weights_that_were_lost_for_good_are_said_at_once_and_missed_at_the_end(
    tmp_path: Path,
) -> None:
    folder = stopped(tmp_path / "run", (1, 4))
    (folder.path / "best.safetensors").unlink()
    state = folder.state()
    state["history"][0]["val_accuracy"] = 1.0  # nothing that comes is better
    folder.save_state(state)
    said: list[str] = []
    with pytest.raises(NeocogError, match=r"no best\.safetensors"):
        api.resume(folder.path, watcher=Silent(), tell=said.append)
    assert "They were those of epoch 1, the best so far" in said[0]


def test_where_every_epoch_writes_them_lost_weights_cost_nothing(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", (1, 4), select="last")
    (folder.path / "best.safetensors").unlink()
    said: list[str] = []
    api.resume(folder.path, watcher=Silent(), tell=said.append)
    assert "The next epoch's take their place" in said[0]
