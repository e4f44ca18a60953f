"""A run compared with itself."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from tests.conftest import Silent
from tests.folders import flat_folder
from torch import nn

import neocog
from neocog import api
from neocog.cli.main import main
from neocog.engine import evaluate
from neocog.errors import UsageError
from neocog.recipe import Recipe
from neocog.verifying import SAME, verify


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def outcomes(path: Path, *, retrain: bool = False) -> dict[str, str]:
    return {each.what: each.outcome for each in verify(path, retrain=retrain).checks}


def test_a_sound_run_agrees_and_is_left_as_it_is(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert main(["verify", str(run)]) == 0
    out = capsys.readouterr().out
    assert "validation logits" in out
    assert "test logits" in out
    assert main(["verify", str(run), "--retrain", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["agrees"]
    assert {check["what"]: check["outcome"] for check in said["checks"]} == {
        "history": SAME,
        "weights": SAME,
        "validation logits": SAME,
        "test logits": SAME,
    }
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_it_is_asked_again_the_way_it_was_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    api.train(
        "fast_mnist",
        "digits",
        epochs=1,
        layout="channels_last",
        out=out,
        tell=lambda line: None,
        watcher=Silent(),
    )
    assert outcomes(out) == {"test logits": SAME}
    asked: list[str] = []
    real = evaluate.as_scored

    def noted(network: nn.Module, layout: str = "contiguous") -> AbstractContextManager[None]:
        asked.append(layout)
        return real(network, layout)

    monkeypatch.setattr("neocog.engine.evaluate.as_scored", noted)
    monkeypatch.setattr("neocog.engine.views.as_scored", noted)
    outcomes(out)
    neocog.evaluate(out, views="single", tell=lambda line: None)
    assert asked == ["channels_last"] * 2
    (out / "environment.json").unlink()
    assert set(outcomes(out).values()) <= {SAME, "within rounding"}
    assert asked[2:] == ["contiguous"]


def test_logits_that_are_not_the_networks_are_found(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(run / "test.npz") as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    logits[3, 2] += 0.5
    np.savez(run / "test.npz", logits=logits, labels=labels)
    assert outcomes(run)["test logits"] == "other"
    assert main(["verify", str(run)]) == 1
    said = capsys.readouterr()
    assert "at most 0.5 apart" in said.out
    assert "does not agree with itself" in said.err
    logits[3, 2] -= 0.5 - 1e-6
    np.savez(run / "test.npz", logits=logits, labels=labels)
    assert outcomes(run)["test logits"] == "within rounding"


def test_weights_and_history_that_training_does_not_give_are_found(run: Path) -> None:
    weights = safetensors.numpy.load_file(run / "best.safetensors")
    name = next(iter(weights))
    weights[name] = weights[name] + np.float32(1e-7)
    safetensors.numpy.save_file(weights, run / "best.safetensors")
    lines = (run / "history.jsonl").read_text().splitlines()
    epoch = json.loads(lines[1])
    lines[1] = json.dumps({**epoch, "train_loss": epoch["train_loss"] + 1e-9})
    (run / "history.jsonl").write_text("\n".join(lines) + "\n")
    checks = {each.what: each for each in verify(run, retrain=True).checks}
    assert checks["weights"].outcome == "other"
    assert name in checks["weights"].detail
    assert checks["history"].detail == "from epoch 2 on"
    assert checks["test logits"].outcome == SAME  # those are the file's, which is untouched


def test_a_run_on_a_folder_is_trained_again_on_the_split_it_recorded(tmp_path: Path) -> None:
    folder = flat_folder(tmp_path / "p", 8)
    recipe = Recipe(epochs=1, batch_size=8, lr=0.02, jitter=0.2, mixup=0.2)
    run = api.train(
        "lenet_relu", str(folder), recipe=recipe, out=tmp_path / "run", watcher=Silent()
    )
    shutil.copy(folder / "red" / "000.jpg", folder / "red" / "later.jpg")
    assert set(outcomes(run.path, retrain=True).values()) == {SAME}


def test_what_cannot_be_verified_is_said(run: Path) -> None:
    (run / "test.npz").unlink()
    with pytest.raises(UsageError, match="not finished"):
        neocog.verify(run)
