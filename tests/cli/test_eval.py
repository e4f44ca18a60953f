"""`neocog eval`: what is printed, for whom, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.analysis.made import answering, calibrated
from tests.analysis.runs import run_with, without_test

from neocog.cli.main import main
from neocog.report.names import columns


@pytest.fixture(scope="module")
def made(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on the same pictures, a and b, of which b is better; and what cannot be scored."""
    out = tmp_path_factory.mktemp("eval")
    for name, scale, seed in (("a", 0.8, 0), ("b", 2.0, 1)):
        said = calibrated(300, spread=2)
        noise = np.random.default_rng(seed).normal(size=said.logits.shape)
        said.logits[:] = said.logits * scale + noise
        run_with(finished_run, out / name, said, recipe={"seed": seed})
    a = out / "a"
    shutil.copytree(a, out / "half")
    (out / "half/test.npz").unlink()
    shutil.copytree(a, out / "torn")
    (out / "torn/test.npz").write_bytes((a / "test.npz").read_bytes()[:500])
    wild = calibrated(20)
    wild.logits[3, 3] = np.inf
    run_with(a, out / "wild", wild)
    run_with(a, out / "other", None, data={"fingerprint": "x", "test_fingerprint": "y"})
    unheld = {"train": 300, "validation": 0, "test": 0}
    for name, share in (("unheld", 0.0), ("single", 0.1)):
        empty = run_with(
            a, out / name, None, data={"pictures": unheld}, recipe={"validation": share}
        )
        for split in ("test", "validation"):
            (empty.path / f"{split}.npz").unlink()
    return out


@pytest.fixture
def runs(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of these runs, gone to. A test may add to it, and changes none of them."""
    monkeypatch.chdir(made)
    return made


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["eval", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def value(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(printed(capsys, *arguments, "--json"))


@pytest.mark.usefixtures("runs")
def test_one_run_says_each_score_with_interval_method_and_n(
    capsys: pytest.CaptureFixture[str],
) -> None:
    test = value(capsys, "a")["test"]
    lines = printed(capsys, "a").splitlines()
    (top1,) = [line for line in lines if line.startswith("  top-1")]
    span = test["intervals"]["top1"]
    assert f"{test['top1']:.2%}" in top1
    assert f"{100 * span['low']:.2f} to {span['high']:.2%}" in top1
    assert top1.endswith("95 %, Wilson, n 300")
    (loss,) = [line for line in lines if line.startswith("  log loss")]
    assert loss.endswith("95 %, bootstrap of pictures, B 2,000, n 300")
    assert "test: 300 pictures of 10 classes, views single" in lines
    assert any("equal mass" in line and "would show about" in line for line in lines)
    assert any(line.startswith("  temperature") and "log loss" in line for line in lines)
    first = test["confused"][0]
    assert any(line.endswith(f"{first['class']} taken for {first['as']}") for line in lines)
    assert sum(each["n"] for each in test["classes"]) == 300


@pytest.mark.usefixtures("runs")
def test_two_runs_are_compared_on_the_same_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    made = value(capsys, "a", "b", "--compare")
    assert list(made) == ["split", "n", "runs", "differences", "seeds"]
    (found,) = made["differences"]
    out = printed(capsys, "a", "b", "--compare")
    (row,) = [line for line in out.splitlines() if line.endswith("  b")]
    assert f"{100 * found['top1']['difference']:+.2f}" in row
    assert f"{found['mcnemar']['only_this']} : {found['mcnemar']['only_first']}" in row
    assert "Holm" not in out
    assert "mean ± sd over 2 seeds (0, 1)" in out
    assert f"± {100 * made['seeds'][0]['top1']['sd']:.2f}" in out


def test_three_runs_have_holms_p_beside(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_with(runs / "a", runs / "c", calibrated(300, spread=2), recipe={"lr": 0.5})
    out = printed(capsys, "a", "b", "c", "--compare")
    assert "same views" not in out
    assert "corrected for 2 comparisons" in out
    assert "Holm p" in out.splitlines()[0]


def test_other_views_are_part_of_a_difference_and_that_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_with(runs / "b", runs / "six", None, recipe={"views": "six"})
    out = printed(capsys, "a", "six", "--compare")
    (row,) = [line for line in out.splitlines() if line.endswith("  six")]
    assert "  six-view  " in row
    assert "The runs were not scored by the same views" in out
    assert "mean ± sd" not in out


@pytest.mark.usefixtures("runs")
def test_several_runs_without_compare_stay_a_list_and_say_their_spread(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [each["run"] for each in value(capsys, "a", "b")] == ["a", "b"]
    assert "mean ± sd over 2 seeds (0, 1)" in printed(capsys, "a", "b")


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a", "--compare"], 2, "two runs or more are needed"),
        (["a", "a", "--compare", "--views", "ten-crop"], 2, "a: this run was given twice"),
        (["a", "a", "--compare"], 2, "a: this run was given twice"),
        (["a", "./a"], 2, "given twice"),
        (["a", "half"], 1, "half: no test scores yet"),
        (["a", "torn"], 1, "torn/test.npz: damaged"),
        (["a", "wild"], 1, "wild/test.npz: the network put out values that are not numbers"),
        (["a", "other", "--compare"], 1, "test pictures are not those of a"),
        (["unheld"], 1, "unheld: no scores: its data have neither test nor validation pictures"),
        (["unheld"], 1, "Hold some out when training, as with: --set validation=0.1"),
        (["single"], 1, "Put two pictures or more into each class, and train anew: one is held"),
        (["a", "none"], 2, "no such folder"),
    ],
)
def test_what_cannot_be_said_is_refused_in_words(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *arguments]) == code
    out, err = capsys.readouterr()
    assert words in err
    assert out == ""


def test_without_a_test_split_validation_is_scored_and_that_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_test(run_with(runs / "a", runs / "v", None))
    out = printed(capsys, "v")
    assert "there is no test split\n  the weights were chosen by these pictures" in out
    assert "\n  top-1 " in out
    assert "temperature" not in out


def test_names_of_any_length_and_script_keep_the_lines_short(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = calibrated(200, classes=4)
    classes = ["猫" * 90, "a\x1b[31mb\nc", "عصفور", "x" * 500]
    run_with(runs / "a", runs / "n", said, classes=classes)
    out = printed(capsys, "n")
    assert "\x1b" not in out
    assert "猫猫…" in out
    assert "عصفور" in out
    assert max(map(columns, out.splitlines())) <= 100
    assert value(capsys, "n")["test"]["classes"][0]["class"] == classes[0]


def test_a_thousand_classes_and_one_print_a_page(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 999, 1500)  # the last has no pictures
    given = np.where(rng.random(1500) < 0.7, labels, rng.integers(0, 1000, 1500))
    many = answering(given, labels, 1000)
    run_with(
        runs / "a", runs / "k", many, classes=[f"a kind of dog, number {k}" for k in range(1000)]
    )
    out = printed(capsys, "k")
    assert len(out.splitlines()) < 35
    assert "without pictures" in out
    assert "no interval" in out  # of balanced: classes of one picture
    one = answering(np.zeros(9, int), np.zeros(9, int), 1)
    run_with(runs / "a", runs / "one", one, validation=one, classes=["all"])
    out = printed(capsys, "one")
    assert "100.00%" in out
    assert "there is one class" in out
