from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from neocog.cli.main import main
from neocog.networks import NETWORKS


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(capsys: pytest.CaptureFixture[str]) -> object:
    """The one JSON value on stdout."""
    return json.loads(capsys.readouterr().out)


def test_nets_lists_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2 : 2 + len(NETWORKS)]] == list(NETWORKS)
    assert f"{len(NETWORKS)} networks" in lines[-2]
    assert main(["nets", "--json"]) == 0
    assert {fact["name"] for fact in said(capsys)} == set(NETWORKS)  # type: ignore[attr-defined]


def test_nets_name_gives_the_documented_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets", "alexnet", "--json"]) == 0
    value = said(capsys)
    assert isinstance(value, dict)
    assert list(value) == ["name", "input", "parameters", "multiply_adds", "layers"]
    assert value["input"] == [3, 227, 227]
    first = value["layers"][0]
    assert first == {
        "name": "conv1",
        "kind": "Conv2d",
        "output": [96, 55, 55],
        "parameters": 34944,
        "multiply_adds": 105415200,
        "receptive_field": {"size": [11, 11], "stride": [4, 4], "offset": [5.0, 5.0]},
    }
    assert sum(layer["parameters"] for layer in value["layers"]) == value["parameters"]


def test_nets_name_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets", "AlexNet-Book"]) == 0
    out = capsys.readouterr().out
    assert "96x54x54" in out
    assert "938.146 M multiply-adds = 1.876 G FLOPs" in out


def test_nets_name_for_another_input_and_by_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets", "resnet18", "--input", "1,64,96", "--stages", "--json"]) == 0
    value = said(capsys)
    assert isinstance(value, dict)
    assert value["input"] == [1, 64, 96]
    outputs = {layer["name"]: layer["output"] for layer in value["layers"]}
    assert outputs["conv1"] == [64, 32, 48]
    assert list(outputs.values())[-2] == [512, 2, 3]


def test_auxiliary_heads_are_counted_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets", "googlenet_bn", "--json"]) == 0
    value = said(capsys)
    assert isinstance(value, dict)
    assert value["parameters"] == 6_624_904  # torchvision without aux_logits
    assert value["parameters"] + value["auxiliary_parameters"] == 13_004_888  # and with


def test_nets_compare_is_the_courses_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets", "--compare", "lenet_sigmoid", "alexnet-book", "--json"]) == 0
    value = said(capsys)
    assert isinstance(value, dict)
    assert [row["layer"] for row in value["rows"]][:3] == ["conv 1", "conv 2", "conv 3"]
    assert value["rows"][2]["costs"][0] is None
    assert value["totals"][0]["parameters"] == 61_706
    assert value["factors"][1]["parameters"] == pytest.approx(46_764_746 / 61_706)
    assert main(["nets", "--compare", "lenet5", "resnet50", "vgg16"]) == 0
    out = capsys.readouterr().out
    assert "stage 1" in out
    assert "against lenet5" in out


def test_nets_draw_writes_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets", "lenet5", "--draw", "lenet5.svg"]) == 0
    assert "lenet5.svg" in capsys.readouterr().out
    assert ElementTree.parse("lenet5.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nets", "alexnte"], "did you mean alexnet"),
        (["nets", "vgg16", "--input", "3,20,20"], "the smallest it takes 32x32"),
        (["nets", "vgg16", "--input", "3x20"], "channels, height and width"),
        (["nets", "--stages"], "need a network"),
        (["nets", "vgg16", "--draw", "vgg.doc"], ".svg"),
        (["nets", "--compare", "vgg16", "vgg61"], "did you mean"),
        (["train", "lenet", "mnits"], "did you mean"),
        (["train", "lenet_relu", "mnits"], "did you mean mnist"),
        (["train", "lenet_relu", "digits", "--recipe", "quik"], "did you mean quick"),
        (["train", "lenet_relu", "digits", "--set", "lrr=1"], "did you mean lr"),
        (["train", "lenet_relu", "digits", "--set", "lr"], "FIELD=VALUE"),
        (["train", "lenet_relu", "digits", "--epochs", "0"], "epochs"),
        (["train", "vgg11", "digits", "--size", "16"], "the smallest that it can is 32x32"),
        (["train", "lenet_relu", "digits", "--device", "gpu"], "no device is called 'gpu'"),
        (["train", "lenet_relu", "digits", "--from", "nowhere"], "nowhere"),
        (["eval", "nowhere"], "no such folder"),
        (["predict", "nowhere", "x.png"], "no such folder"),
        (["resume", "nowhere"], "no such folder"),
        (["data", "look", "digits", "--out", "x.doc"], ".png"),
    ],
)
def test_wrong_usage_is_code_2_with_advice_and_leaves_nothing(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if "--from" in arguments:  # digits come with scikit-learn: ask for a set that has files
        arguments = ["mnist" if a == "digits" else a for a in arguments]
    assert main(arguments) in (1, 2)
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_argparse_refuses_with_code_2() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "lenet_relu"])
    assert stop.value.code == 2


def test_train_eval_predict(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["train", "lenet_relu", "digits", "--epochs", "2", "--set", "lr=0.03", "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    trained = json.loads(captured.out)
    assert list(trained) == [
        "run",
        "network",
        "data",
        "epochs",
        "seconds",
        "images_per_second",
        "views",
        "test",
        "validation",
    ]
    assert trained["run"] == "runs/lenet_relu-digits"
    assert trained["epochs"] == 2
    assert list(trained["test"]) == ["top1", "balanced", "top5", "loss", "n"]
    assert "epoch 2/2" in captured.err
    assert (tmp_path / "runs/lenet_relu-digits/curves.png").stat().st_size > 5000

    assert main(["eval", "runs/lenet_relu-digits", "--json"]) == 0
    scored = said(capsys)
    assert isinstance(scored, dict)
    for split in ("test", "validation"):
        assert trained.pop(split).items() <= scored[split].items()
    assert trained.items() <= scored.items()
    trained = scored
    assert main(["eval", "runs/lenet_relu-digits"]) == 0
    assert f"{trained['test']['top1']:.2%}" in capsys.readouterr().out

    Image.new("L", (9, 30), 80).save("grey.png")
    assert main(["predict", "runs/lenet_relu-digits", "grey.png", "--json"]) == 0
    (answer,) = said(capsys)  # type: ignore[misc]
    assert answer["file"] == "grey.png"
    assert len(answer["ranked"]) == 10
    assert set(answer["ranked"][0]) == {"class", "probability"}
    assert main(["predict", "runs/lenet_relu-digits", "grey.png"]) == 0
    assert capsys.readouterr().out.startswith("grey.png\n")
    assert main(["predict", "runs/lenet_relu-digits", "missing.png"]) == 1
    assert "missing.png" in capsys.readouterr().err


def test_an_out_that_is_not_empty_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("precious")
    assert main(["train", "lenet_relu", "digits", "--out", "mine"]) == 2
    assert "mine: this folder is not empty" in capsys.readouterr().err
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.tex"]


def test_a_diverging_run_ends_with_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "lenet_relu", "digits", "--lr", "100000"]) == 1
    assert "training has diverged" in capsys.readouterr().err


def test_data_list_get_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("mnist", "fashion-mnist", "cifar10", "cifar100", "digits"))
    assert main(["data", "list", "--json"]) == 0
    facts = said(capsys)
    assert isinstance(facts, list)
    assert {fact["name"] for fact in facts} >= {"mnist", "digits"}
    assert main(["data", "get", "digits"]) == 0
    assert "digits: 1," in capsys.readouterr().out
    for expected in ("digits.png", "digits-2.png"):
        assert main(["data", "look", "digits"]) == 0
        with Image.open(expected) as sheet:
            assert sheet.width > 600
    assert main(["data", "look", "digits", "--out", "no/such/folder.png"]) == 2


def test_the_second_name_is_taken_where_the_first_cannot_be_had(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neocog import asked
    from neocog.errors import DataError

    real = asked.load

    def only_digits(name: str, **options: object) -> object:
        if name != "digits":
            raise DataError(f"{name}: no route is open")
        return real(name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(asked, "load", only_digits)
    command = ["train", "lenet_relu", "mnist", "--or", "digits", "--epochs", "1", "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "taking digits instead" in captured.err
    assert json.loads(captured.out)["data"] == "digits"


def neocog(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "neocog", *arguments]


@pytest.mark.usefixtures("kept_c")
def test_ctrl_c_saves_says_how_to_go_on_and_resume_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = neocog("train", "lenet_relu", "digits", "--epochs", "5", "--out", "my run")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 2/5"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert "resume 'my run'" in rest
    assert main(["resume", "my run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_result_that_cannot_be_written_is_a_clear_end(tmp_path: Path) -> None:
    command = f"{sys.executable} -m neocog nets > /dev/full"
    out = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert out.returncode == 1
    assert out.stderr.strip() == "neocog: [Errno 28] No space left on device"


def test_what_the_system_refuses_is_said_with_its_path(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # stdout is the tests'
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(3):
            picture = Image.new("RGB", (8, 8), (number, 0, 0))
            picture.save(tmp_path / "pictures" / name / f"{number}.png")
    out = "x" * 300 + ".png"
    assert main(["data", "look", "pictures", "--out", out]) == 1
    assert capfd.readouterr().err.splitlines()[-1] == f"neocog: {out}: File name too long"


@pytest.mark.skipif(os.name != "posix", reason="needs /bin/sh")
def test_a_pipe_that_closes_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m neocog nets | head -1"
    out = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert out.stderr == ""
    assert out.stdout.startswith("network")


def test_help_is_instant_and_lists_the_commands() -> None:
    """No time is asserted: that nothing heavy is imported is (test_imports.py)."""
    start = time.perf_counter()
    out = subprocess.run(neocog("--help"), capture_output=True, text=True, check=True).stdout
    print(f"neocog --help took {time.perf_counter() - start:.3f} s")
    assert all(name in out for name in ("nets", "data", "train", "resume", "eval", "predict"))
    assert "130 interrupted" in out


def test_no_name_steers_the_terminal(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(finished_run), "red\x1b[31m\u202e.png"]) == 1
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert r"red\x1b[31m\u202e.png: there is no such file" in said


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_where_nobody_listens_it_is_done_all_the_same(finished_run: Path, closed: str) -> None:
    watch = shlex.join([sys.executable, "-m", "neocog", "watch", "--json", str(finished_run)])
    command = f"{watch} {closed}"
    ended = subprocess.run(["/bin/sh", "-c", command], check=False, capture_output=True, text=True)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
