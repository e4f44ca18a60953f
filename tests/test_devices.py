"""`--devices N` and torchrun as one types them; what the processes compute is engine/test_ranks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neocog.cli import devices
from neocog.cli.main import main
from neocog.engine.meeting import device_of
from neocog.errors import UsageError
from neocog.run import RunFolder

TRAIN = ["train", "lenet_relu", "digits", "--epochs", "2", "--save-every", "0.2"]


def started(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.usefixtures("kept_c")
def test_two_processes_make_one_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = started("-m", "neocog", *TRAIN, "--out", str(out), "--devices", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"]["n"] == 359  # one value, and each picture once
    assert done.stderr.count("recipe ") == 1
    assert "2 processes" in done.stderr
    folder = RunFolder(out)
    assert folder.environment["hardware"]["processes"] == 2
    assert [epoch.epoch for epoch in folder.history] == [0, 1]
    assert not list(tmp_path.glob("neocog-*"))


@pytest.mark.slow
def test_two_processes_say_once_what_is_wrong(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes.txt").touch()
    again = started("-m", "neocog", *TRAIN, "--out", str(out), "--devices", "2")
    assert again.returncode == 2
    assert again.stderr.count("not empty") == 1
    assert "Traceback" not in again.stderr


@pytest.mark.slow
def test_torchrun_starts_again_what_was_killed(tmp_path: Path) -> None:
    """A process that kills itself once, in a script of a user's own."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, sys\n"
        "import neocog\n"
        "class Watcher:\n"
        "    def see(self, fact):\n"
        "        first = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'\n"
        "        if first and vars(fact).get('step') == 4:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "    def close(self): pass\n"
        "run = neocog.train('lenet_relu', 'digits', epochs=2, out=sys.argv[1], save_every=1e-3,\n"
        "                   watcher=Watcher())\n"
        "with open(sys.argv[1] + os.environ['RANK'], 'x') as file: file.write(str(run.path))\n",
        encoding="utf-8",
    )  # fmt: skip
    out = tmp_path / "run"
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = started(*launch, "--max-restarts", "1", str(script), str(out))
    assert done.returncode == 0, done.stderr
    assert f"started again: going on with {out}" in done.stderr
    assert (tmp_path / "run0").read_text(encoding="utf-8") == str(out)
    assert (tmp_path / "run1").exists()
    assert len(RunFolder(out).history) == 2
    assert RunFolder(out).finished


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--devices", "0"], "whole number from 1"),
        (["--devices", "5000"], "whole number from 1"),
        (["--devices", "2", "--plan"], "leave out --devices"),
        (["--accumulate", "0"], "whole number from 1"),
    ],
)
def test_wrong_numbers(capsys: pytest.CaptureFixture[str], more: list[str], words: str) -> None:
    assert main([*TRAIN, *more]) == 2
    assert words in capsys.readouterr().err


def test_under_torchrun_devices_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*TRAIN, "--devices", "2"]) == 2
    assert "leave out --devices" in capsys.readouterr().err


def test_one_device_is_this_process(tmp_path: Path) -> None:
    assert main([*TRAIN, "--devices", "1", "--out", str(tmp_path / "run")]) == 0
    assert RunFolder(tmp_path / "run").environment["hardware"]["processes"] == 1


def test_a_batch_in_pieces_is_recorded_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*TRAIN, "--accumulate", "4", "--out", str(out)]) == 0
    assert RunFolder(out).environment["hardware"]["accumulate"] == 4


@pytest.mark.parametrize("given", [["--devices", "2"], ["--devices=2"]])
def test_processes_are_given_the_other_arguments(given: list[str]) -> None:
    around = ["train", "a", "b", *given, "--device", "cpu"]
    assert devices.without(around) == ["train", "a", "b", "--device", "cpu"]


def test_how_to_go_on_names_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.again("neocog resume r") == "neocog resume r"
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert devices.again("neocog resume r") == "neocog resume r, started by torchrun as before"
    monkeypatch.setenv("NEOCOG_DEVICES", "2")
    assert devices.again("neocog resume r") == "neocog resume r --devices 2"


def test_a_signal_that_ended_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    codes = {0: 1, 1: -signal.SIGKILL, 2: -signal.SIGTERM}
    assert devices._said(codes, 3) == 1
    assert "process 2 of 3 was ended by SIGKILL" in capsys.readouterr().err
    assert devices._said({0: 75, 1: -signal.SIGTERM}, 2) == 75
    assert devices._said({0: 2, 1: -signal.SIGTERM}, 2) == 2


def test_processes_take_the_processor_or_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device_of("auto") == device_of("cpu") == "cpu"
    with pytest.raises(UsageError, match="take cpu or cuda"):
        device_of("cuda:0")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert device_of("auto") == device_of("cuda") == "cuda:1"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UsageError, match="it has 1 GPU"):
        device_of("auto")
