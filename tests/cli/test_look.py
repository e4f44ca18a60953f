"""`neocog look`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from neocog.cli.look import Passing
from neocog.cli.main import main


@pytest.fixture(scope="module")
def run(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("looked") / "digits"
    shutil.copytree(finished_run, place)
    return place


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    made = []
    for number in range(2):
        made.append(str(tmp_path / f"{number}.png"))
        Image.effect_noise((20, 24), 80).save(made[-1])
    return made


def test_a_run_alone_gives_an_overview_in_its_folder(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["look", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = [f"look-{what}.png" for what in ("filters", "units", "mistakes")]
    assert [each["file"] for each in found] == [str(run / name) for name in names]
    for each in found:
        with Image.open(each["file"]) as drawn:
            assert drawn.width > 300
            assert drawn.text["Description"] == each["words"]  # type: ignore[attr-defined]


def test_pictures_are_seen_one_figure_each(
    run: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["look", str(run), *pictures, "--number", "2"]) == 0
    assert (run / "look-sees.png").is_file()
    assert (run / "look-sees-2.png").is_file()
    assert "0.png: " in capsys.readouterr().out


def test_json_is_one_value_with_the_numbers_and_the_arrays_beside(
    run: Path, pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cam.svg"
    command = ["look", str(run), *pictures, "--what", "cam", "--out", str(out), "--json"]
    assert main([*command, "--class", "7", "--layer", "conv2"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["file"] == str(out)
    assert [each["class"] for each in value["pictures"]] == ["7", "7"]
    assert value["arrays"] == str(tmp_path / "cam.npz")
    assert Path(value["arrays"]).is_file()
    assert out.read_text(encoding="utf-8").startswith("<?xml")


def test_options_may_stand_before_between_and_behind_pictures(
    run: Path, pictures: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/look.md has it, which argparse by itself refuses."""
    out = ["--out", str(tmp_path / "o.svg"), "--json"]
    cam = ["--what", "cam", "--layer", "conv2"]
    assert main(["look", str(run), *cam, pictures[0], *out, pictures[1]]) == 0
    assert len(json.loads(capsys.readouterr().out)["pictures"]) == 2


@pytest.mark.parametrize("ending", [".png", ".npz"])
def test_nothing_is_written_over_that_is_not_a_looks_own(
    run: Path, pictures: list[str], tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "seen.png"
    command = ["look", str(run), pictures[0], "--what", "cam", "--out", str(out), "--json"]
    assert main(command) == 0  # and again, over what the first wrote
    assert main(command) == 0
    mine = out.with_suffix(ending)
    for content in (Path(pictures[1]).read_bytes(), (run / "test.npz").read_bytes(), b""):
        mine.write_bytes(content)
        capsys.readouterr()
        assert main(command) == 2
        assert "none of neocog look's" in capsys.readouterr().err
        assert mine.read_bytes() == content


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--what", "filter"], 2, "did you mean filters"),
        (["--layer", "conv1"], 2, "say with --what"),
        (["--what", "cam", "--layer", "con2"], 2, "did you mean conv2"),
        (["--what", "cam", "--class", "cat"], 2, "no class is called"),
        (["--out", "look.gif"], 2, ".png or .svg"),
        (["--out", "nowhere/look.png"], 2, "there is no folder"),
        (["gone.png"], 1, "no such file"),
    ],
)
def test_what_is_wrong_is_said(
    run: Path,
    options: list[str],
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["look", str(run), *options]) == code
    assert words in capsys.readouterr().err


def test_a_table_is_printed_of_the_look_that_was_asked_for(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["look", str(run), "--what", "units"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["layer", "kind", "units"]
    assert [line.split()[0] for line in lines[3:7]] == [
        "unit1",
        "unit2",
        "head.unit3",
        "head.unit4",
    ]


class Stream:
    def __init__(self, live: bool) -> None:
        self.live, self.text = live, ""

    def isatty(self) -> bool:
        return self.live

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_progress_is_said_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 7.0, 8.0])
    monkeypatch.setattr("neocog.cli.look.time.monotonic", lambda: next(clock))
    stream = Stream(live=False)
    counting = Passing(stream)  # type: ignore[arg-type]
    for done in (10, 20, 70, 80):
        counting("pictures", done, 100)
    assert stream.text == "pictures: 70 of 100, 3 s left\n"
