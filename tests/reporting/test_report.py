"""A report as a file: what stands in it, what is missing and said, what it may be written over."""

from __future__ import annotations

import io
import itertools
import json
import re
import shutil
import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix
from tests.analysis.made import answering, calibrated
from tests.analysis.runs import run_with, without_test
from tests.conftest import Silent
from tests.reporting.reading import Page

import neocog
from neocog.cli.main import main
from neocog.data.dataset import Dataset, Split
from neocog.data.geometry import centre, scaled
from neocog.errors import NeocogError, UsageError
from neocog.report import thumbs
from neocog.reporting import looked
from neocog.reporting.choice import IN_ALL, Choice
from neocog.reporting.sentences import SENTENCES
from neocog.reporting.words import WORDS
from neocog.run import RunFolder

EVERYTHING = [
    *("result", "setup", "curves", "scores", "confusion", "reliability", "inside"),
    *("attention", "mistakes", "layers", "again"),
]


@pytest.fixture(scope="module")
def made(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its report."""
    path = tmp_path_factory.mktemp("reported") / "digits"
    shutil.copytree(finished_run, path)
    assert neocog.write_report(path) == path / "report.html"
    return path


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The same, to be spoiled."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def page(path: Path, **options: str) -> Page:
    return Page(neocog.write_report(path, **options).read_text(encoding="utf-8"))  # type: ignore[arg-type]


# -- what stands in it


def test_it_is_one_sound_page_with_all_its_sections(made: Path) -> None:
    content = (made / "report.html").read_text(encoding="utf-8")
    read = Page(content)
    assert read.left == []
    assert read.sections() == EVERYTHING
    ids = read.ids()
    assert len(ids) == len(set(ids))
    assert [each["href"] for each in read.of("a")] == ["#main", *(f"#{s}" for s in EVERYTHING)]
    targets = {each["popovertarget"] for each in read.of("button")}
    assert targets <= set(ids)
    levels = [level for level, _ in read.headings]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(content) < 5e6


def test_nothing_is_loaded_and_no_path_of_this_machine_is_in_it(made: Path) -> None:
    content = (made / "report.html").read_text(encoding="utf-8")
    read = Page(content)
    assert all(str(each["src"]).startswith("data:image/") for each in read.of("img"))
    assert not read.of("script")
    assert all("style" not in each for _, each in read.elements)
    assert str(made) not in content
    assert str(made.parent) not in content
    policies = [each["content"] for each in read.of("meta") if "content" in each]
    assert any("default-src 'none'" in str(policy) for policy in policies)


def test_figures_and_tables_have_their_words(made: Path) -> None:
    read = Page((made / "report.html").read_text(encoding="utf-8"))
    assert all(each.get("alt") for each in read.of("img"))
    svgs = [each for each in read.of("svg") if each.get("aria-hidden") is None]
    assert svgs
    assert all(each["role"] == "img" and each["aria-labelledby"] for each in svgs)
    assert len(read.of("table")) == len(read.of("caption"))
    assert all(each.get("scope") in ("col", "row") for each in read.of("th"))
    regions = [each for each in read.of("div") if each.get("class") == "wide"]
    assert all(each["aria-label"] and each["tabindex"] == "0" for each in regions)


def test_the_matrix_is_scikit_learns_and_each_wrong_cell_opens(made: Path) -> None:
    said = RunFolder.open(made).predictions("test")
    assert said is not None
    expected = confusion_matrix(said.labels, said.logits.argmax(1), labels=range(10))
    content = (made / "report.html").read_text(encoding="utf-8")
    matrix = (
        content[content.index("<table class=matrix>") :].split("<tbody>")[1].split("</table>")[0]
    )
    rows = [row.split("<td")[1:] for row in matrix.split("<tr>")[1:]]
    told = [[re.sub(r"^[^>]*>|<[^>]+>", "", cell).strip() for cell in row] for row in rows]
    shown = [[int(number or 0) for number in row] for row in told]
    assert np.array_equal(shown, expected)
    wrong = expected - np.diag(expected.diagonal())
    assert content.count("<div popover ") == np.count_nonzero(wrong)
    assert all("<button" in rows[k][j] for k, j in zip(*np.nonzero(wrong), strict=True))


def test_pictures_shown_are_those_of_the_data(made: Path) -> None:
    """Each to the pixel, under the number that it has in the test split."""
    kept, spec = looked.read(RunFolder.open(made)), RunFolder.open(made).spec
    assert kept is not None
    test = neocog.load("digits").test
    names = [name for name in kept.files if name.startswith("picture ")]
    assert len(names) >= 12
    for name in names[:5]:
        shown = np.asarray(Image.open(io.BytesIO(kept.files[name])).convert("L"))
        image = test.images[[int(name.split()[1])]]
        assert np.array_equal(shown, centre(scaled(image, spec), spec.size)[0, 0].numpy())


def test_scores_are_those_of_eval(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(made), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["test"]
    text = Page((made / "report.html").read_text(encoding="utf-8")).text
    span = told["intervals"]["top1"]
    for value in (told["top1"], span["low"], span["high"], told["balanced"]):
        assert f"{100 * value:.2f}" in text
    assert f"{told['loss']:.4f}" in text
    assert f"{told['n']:,} test pictures" in text


def test_chinese_says_all_in_chinese(made: Path, tmp_path: Path) -> None:
    read = page(made, out=str(tmp_path / "zh.html"), lang="zh")
    assert read.sections() == EVERYTHING
    assert read.of("html")[0]["lang"] == "zh-Hans"
    assert [title for level, title in read.headings if level == 2][1] == "结果"
    english = {en for en, zh in (*WORDS.values(), *SENTENCES.values()) if len(en) > 12 and en != zh}
    assert not [words for words in english if "{" not in words and words in read.text]


def test_words_have_the_same_places_in_both_languages() -> None:
    def fields(words: str) -> set[str]:
        return {field for _, field, _, _ in string.Formatter().parse(words) if field}

    for name, (english, chinese) in (WORDS | SENTENCES).items():
        assert english, name
        assert chinese, name
        assert fields(english) == fields(chinese), name
    assert not WORDS.keys() & SENTENCES.keys()


# -- gathered once


def test_it_is_drawn_from_the_folder_alone_where_the_pictures_moved(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = neocog.write_report(copy).read_bytes()
    monkeypatch.setattr("neocog.reporting.gathering.open_subject", _refused)
    neocog.write_report(copy)
    assert (copy / "report.html").read_bytes() == before


def _refused(*_: object, **__: object) -> None:
    raise AssertionError("nothing is opened")


def test_other_weights_are_looked_at_anew(copy: Path) -> None:
    folder = RunFolder.open(copy)
    before = looked.read(folder)
    weights = {name: tensor * 0.9 for name, tensor in folder.weights().items()}
    folder.save_weights(weights, 1)
    neocog.write_report(copy)
    after = looked.read(folder)
    assert before is not None
    assert after is not None
    assert before.facts["of"]["weights"] != after.facts["of"]["weights"]
    assert before.files["filters"] != after.files["filters"] or before.facts != after.facts


def _moved(copy: Path) -> None:
    about = json.loads((copy / "recipe.json").read_text())
    about["data"] |= {"name": "mnist", "from": None}
    (copy / "recipe.json").write_text(json.dumps(about))
    (copy / "looked.npz").unlink()


def _others(copy: Path) -> None:
    about = json.loads((copy / "recipe.json").read_text())
    about["data"]["fingerprint"] = "0" * 64
    (copy / "recipe.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_moved, "could not be had when the report was made"), (_others, "another fingerprint")],
)
def test_without_its_pictures_it_says_so_and_shows_the_rest(
    copy: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(copy)
    if spoil is _moved:
        monkeypatch.setattr("neocog.rundata.load", _nowhere)
    said: list[str] = []
    neocog.write_report(copy, tell=said.append)
    read = Page((copy / "report.html").read_text(encoding="utf-8"))
    assert said
    assert words in read.text
    assert "neocog report copy --from DIR" in read.text
    assert not [each for each in read.of("img") if "labelled" in str(each["alt"])]
    assert set(EVERYTHING) - set(read.sections()) == {"attention"}
    assert "#" in read.text.split("Highest loss")[1]


def _nowhere(*_: object, **__: object) -> None:
    raise neocog.DataError("mnist: it is at hand nowhere")


# -- what may be wrong with a run


def test_a_run_that_is_not_finished_says_how_to_go_on(copy: Path) -> None:
    (copy / "test.npz").unlink()
    (copy / "validation.npz").unlink()
    read = page(copy)
    assert "neocog resume copy" in read.text
    assert "not finished: 3 of 3 epochs are done" in read.text
    assert {"result", "setup", "curves", "layers", "again"} <= set(read.sections())
    assert "scores" not in read.sections()


@pytest.mark.parametrize(
    ("file", "gone"),
    [
        ("test.npz", "confusion"),
        ("history.jsonl", "curves"),
        ("environment.json", ""),
        ("validation.npz", ""),
        ("norms.jsonl", ""),
        ("best.safetensors", "layers"),
        ("input.json", "scores"),
    ],
)
def test_a_damaged_file_spoils_only_its_own_part(copy: Path, file: str, gone: str) -> None:
    (copy / file).write_bytes(b"not this\n")
    read = page(copy)
    assert f"{file}: " in read.text
    assert str(copy) not in read.text
    assert gone not in read.sections()
    assert {"result", "setup", "again"} <= set(read.sections())


def test_a_damaged_gathering_is_made_again(copy: Path) -> None:
    whole = (copy / "looked.npz").read_bytes()
    (copy / "looked.npz").write_bytes(whole[: len(whole) // 2])
    said: list[str] = []
    neocog.write_report(copy, tell=said.append)
    assert "looked.npz: damaged" in said[0]
    assert (copy / "looked.npz").read_bytes() == whole


def test_without_a_test_split_validation_is_shown_and_said(copy: Path) -> None:
    folder = without_test(RunFolder.open(copy))
    read = page(folder.path)
    assert "The data have no test split" in read.text
    assert "validation pictures" in read.text
    assert "confusion" in read.sections()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_is_no_number_spoils_only_its_own_split(
    finished_run: Path, tmp_path: Path, split: str
) -> None:
    sound, wild = calibrated(300), calibrated(100)
    wild.logits[3] = np.nan
    test, validation = (wild, sound) if split == "test" else (sound, wild)
    read = page(run_with(finished_run, tmp_path / "run", test, validation=validation).path)
    assert f"{split}.npz: the network put out values that are not numbers" in read.text
    assert ("scores" in read.sections()) == (split == "validation")
    assert "with temperature" not in read.text


def test_no_temperature_is_fitted_to_what_is_of_other_classes(
    finished_run: Path, tmp_path: Path
) -> None:
    test = calibrated(300)
    folder = run_with(finished_run, tmp_path / "run", test, validation=calibrated(200, spread=3))
    folder.write_predictions("validation", calibrated(200, classes=5))
    read = page(folder.path)
    assert "validation.npz: logits of 5 classes, but input.json names" in read.text
    assert "ECE" in read.text
    assert "with temperature" not in read.text


@pytest.mark.parametrize(
    "edited",
    [
        {"hardware": "EPYC"}, {"hardware": 3}, {"hardware": None}, {"versions": "3.11"},
        {"versions": [1]}, {"started": "0001-01-01T00:00:00+14:00"}, {"started": 7},
        {"command": {"a": 1}}, {"system": ["x"]},
    ],
)  # fmt: skip
def test_an_edited_environment_is_shown_as_far_as_it_goes(
    copy: Path, edited: dict[str, object]
) -> None:
    path = copy / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | edited))
    assert page(copy).sections() == EVERYTHING


@pytest.mark.parametrize("key", ["network", "units", "filters", "explained", "names"])
def test_what_was_gathered_and_is_of_another_kind_is_gathered_anew(copy: Path, key: str) -> None:
    folder = RunFolder.open(copy)
    found = looked.read(folder)
    assert found is not None
    whole = (copy / "looked.npz").read_bytes()
    for odd in (7, "x", [1], {"layers": 3}):
        spoiled = looked.to_bytes(looked.Looked({**found.facts, key: odd}, found.files))
        (copy / "looked.npz").write_bytes(spoiled)
        assert page(copy).sections() == EVERYTHING
    (copy / "looked.npz").write_bytes(whole)


def test_a_run_that_diverged_is_not_to_be_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    how = ["--lr", "1e6", "--precision", "fp32"]  # or fp32 would be advised
    assert main(["train", "lenet_relu", "digits", *how, "--out", str(out)]) == 1
    assert main(["eval", str(out)]) == 1
    said = capsys.readouterr().err
    assert "no scores, for training diverged: " in said, said[-800:]
    assert "neocog resume" not in said.splitlines()[-1]
    assert main(["report", str(out)]) == 0
    assert "not finished; the report says how it diverged" in capsys.readouterr().err
    read = page(out)
    assert "Training diverged, and nothing is scored" in read.text
    assert "neocog resume" not in read.text
    assert str(tmp_path) not in read.text


def test_runs_that_have_no_colour_left_are_said(finished_run: Path, tmp_path: Path) -> None:
    runs = [run_with(finished_run, tmp_path / f"{n}/x/r", calibrated(60)).path for n in range(10)]
    (runs[0] / "history.jsonl").unlink()
    read = Page(neocog.write_report(runs, out=tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "Drawn are 8 of 10 runs" in read.text
    assert all(f"{n}/x/r" in read.text for n in range(10))  # and told apart


def test_nearly_all_is_not_all(finished_run: Path, tmp_path: Path) -> None:
    labels = np.arange(30_000) % 3
    given = labels.copy()
    given[0] = 1
    folder = run_with(finished_run, tmp_path / "run", answering(labels, given, 3))
    read = page(folder.path)
    assert "≥99.99" in read.text
    assert "100.00 %" not in read.text  # a bootstrap's upper end alone may be
    assert "c1 is taken for c0: 1 of its 10,001 pictures, ≤0.1 %" in read.text
    assert read.left == []


def test_a_run_that_diverged_is_shown_without_its_scores(
    finished_run: Path, tmp_path: Path
) -> None:
    said = calibrated(100)
    said.logits[3] = np.nan
    read = page(run_with(finished_run, tmp_path / "nan", said).path)
    assert "test.npz: the network put out values that are not numbers" in read.text
    assert "curves" in read.sections()
    assert "confusion" not in read.sections()


def test_one_class_has_no_confusions(finished_run: Path, tmp_path: Path) -> None:
    said = answering(np.zeros(40, int), np.zeros(40, int), 1)
    read = page(run_with(finished_run, tmp_path / "one", said).path)
    assert "There is one class only" in read.text
    assert "confusion" not in read.sections()
    assert "mistakes" not in read.sections()


def test_a_thousand_classes_are_folded_and_bounded(finished_run: Path, tmp_path: Path) -> None:
    said, few = (calibrated(n, classes=1000, spread=3) for n in (1000, 50))
    path = run_with(finished_run, tmp_path / "many", said, validation=few).path
    read = page(path)
    assert (path / "report.html").stat().st_size < 4e6
    assert len([each for each in read.of("div") if "popover" in each]) == 30
    assert any(each.get("class") == "small-matrix" for each in read.of("img"))
    assert "The 12 worst classes" in read.text
    assert "class have no pictures" in read.text or "are left out" in read.text


def test_names_are_shown_as_they_are_and_nothing_else(finished_run: Path, tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "蓝色", "x" * 300, 'a"b', "\u202eevil", "", "&amp;"]
    names += ["{n}", "%s", "\x1b[31m"]
    said = calibrated(200, classes=10)
    path = run_with(finished_run, tmp_path / "na<m>e", said, classes=names).path
    read = page(path)
    assert read.left == []
    assert not read.of("script")
    assert "<script>alert(1)</script>" in read.text
    assert "\x1b" not in read.text
    assert "\u202e" not in read.text
    assert "蓝色" in read.text
    assert "&amp;" in read.text


def test_norms_of_layers_are_drawn(copy: Path) -> None:
    lines = [
        {"epoch": n, "layers": {f"conv{k}": {"weights": 1 + k, "gradient": 0.1} for k in range(9)}}
        for n in range(3)
    ]
    lines[1]["layers"]["conv0"] = {"weights": 2.0, "gradient": None}  # type: ignore[index]
    (copy / "norms.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    read = page(copy)
    assert "norm of weights by epoch" in read.text
    assert "norm of gradients by epoch" in read.text
    assert "8 of 9 layers" in read.text


def test_other_protocols_stand_beside_the_score(copy: Path) -> None:
    folder = RunFolder.open(copy)
    said = folder.predictions("test")
    assert said is not None
    folder.write_predictions("test.ten-crop", said, facts={"views": "ten-crop", "passes": 10})
    folder.write_predictions("test.dense", said, facts={"views": "dense", "weights": "other"})
    read = page(copy)
    assert "ten-crop" in read.text
    assert "dense *" in read.text
    assert "made with other weights" in read.text


# -- several runs


def test_several_runs_are_compared_on_the_same_pictures(copy: Path, tmp_path: Path) -> None:
    twin = Path(shutil.copytree(copy, tmp_path / "twin"))
    about = json.loads((twin / "recipe.json").read_text())
    about["recipe"]["seed"] = 7
    (twin / "recipe.json").write_text(json.dumps(about))
    other = Path(shutil.copytree(copy, tmp_path / "other"))
    about["data"] |= {"test_fingerprint": "1" * 64, "fingerprint": "2" * 64}
    (other / "recipe.json").write_text(json.dumps(about))
    out = neocog.write_report([copy, twin, other, copy], out=tmp_path / "all.html")
    read = Page(out.read_text(encoding="utf-8"))
    assert len(set(read.ids())) == len(read.ids())
    assert [s for s in read.sections() if s.count("-") < 2][:2] == ["beside", "curves"]
    assert {"run-1", "run-2", "run-3"} <= set(read.sections())
    assert "Given more than once and counted once: copy." in read.text
    assert "not scored on the same pictures as copy: other" in read.text
    assert "Holm p" in read.text
    assert "1.0000" in read.text  # no picture differs
    assert "2 seeds (0, 7)" in read.text


# -- where it is written


def test_an_older_report_is_written_over_and_nothing_else(copy: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine")
    with pytest.raises(UsageError, match="no report of neocog's"):
        neocog.write_report(copy, out=mine)
    assert mine.read_text() == "<p>mine"
    for out, words in (("a.txt", "written as .html"), ("no/a.html", "a folder that exists")):
        with pytest.raises(UsageError, match=words):
            neocog.write_report(copy, out=tmp_path / out)
    neocog.write_report(copy)
    assert not list(copy.glob("*.part"))


def test_a_full_disk_leaves_what_was_there(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (copy / "report.html").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neocog.writing.os.fsync", full)
    with pytest.raises(NeocogError, match="No space left"):
        neocog.write_report(copy)
    assert (copy / "report.html").read_bytes() == before
    assert not list(copy.glob(".*.part"))


def test_the_command_line(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(copy)]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(copy / "report.html")
    assert "MB" in told.err
    assert main(["report", str(copy), "--lang", "zh", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["file"] == str(copy / "report.zh.html")
    assert value["bytes"] == (copy / "report.zh.html").stat().st_size
    assert value["runs"][0]["lacking"] is None
    for wrong in (["no-such"], [str(copy), "--lang", "fr"], [str(copy), "--sample", "0"]):
        assert main(["report", *wrong]) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_in_python_a_run_writes_its_own(copy: Path) -> None:
    assert neocog.open(copy).report(lang="zh") == copy / "report.zh.html"  # type: ignore[attr-defined]


def test_a_users_own_network_and_pictures_are_reported(tmp_path: Path) -> None:
    class Own(torch.nn.Sequential):
        def __init__(self) -> None:
            super().__init__(
                torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(),
                torch.nn.Linear(4 * 26 * 26, 3),
            )  # fmt: skip

    pixels = torch.randint(256, (90, 1, 28, 28), dtype=torch.uint8)
    labels = torch.arange(90) % 3
    pixels[labels == 1, :, :14] = 255
    parts = [
        Split(pixels[rows], labels[rows]) for rows in (slice(60), slice(60, 75), slice(75, 90))
    ]
    data = Dataset("mine", *parts, ("a", "b", "c"), (0.5,), (0.3,), True, (28, 28), "made up")
    neocog.train(
        Own(), data, recipe="quick", epochs=1, out=tmp_path / "run", watcher=Silent(),
        tell=lambda line: None,
    )  # fmt: skip
    run = neocog.open(tmp_path / "run", network=Own())  # type: ignore[attr-defined]
    told: list[str] = []
    read = Page(run.report(data=data, tell=told.append).read_text(encoding="utf-8"))
    assert read.sections() == EVERYTHING
    assert told == []
    # without them the rest is shown, and what is lacking is said
    (tmp_path / "run/looked.npz").unlink()
    read = Page(neocog.write_report(tmp_path / "run", tell=told.append).read_text(encoding="utf-8"))
    assert "scores" in read.sections()
    assert "layers" not in read.sections()
    assert "a class that is not neocog's" in told[0]


# -- pictures


def test_which_pictures_are_shown() -> None:
    said = calibrated(5000, classes=10, seed=3)
    choice = Choice(said)
    given = said.logits.argmax(1)
    shown = [place for places in choice.cells.values() for place in places]
    assert len(shown) == len(set(shown)) <= IN_ALL
    for (label, answer), places in choice.cells.items():
        assert all(said.labels[p] == label and given[p] == answer for p in places)
    right, wrong = choice.explained
    assert all(said.labels[p] == given[p] for p in right)
    assert all(said.labels[p] != given[p] for p in wrong)


def test_small_pictures_are_kept_to_the_pixel_and_large_ones_shrunk() -> None:
    rng = np.random.default_rng(0)
    tiny = rng.integers(0, 256, (28, 28, 3), np.uint8)
    back = np.asarray(Image.open(io.BytesIO(thumbs.small(tiny))).convert("RGB"))
    assert np.array_equal(back, tiny)
    large = thumbs.small(np.full((500, 300, 3), 200, np.uint8))
    assert thumbs.size(large)[1] == thumbs.SIDE
    assert len(large) < 2000


def test_heat_is_brightest_where_the_values_are_largest() -> None:
    values = np.zeros((8, 8))
    values[2, 5] = 1
    content = thumbs.heated(np.zeros((32, 32), np.uint8), values)
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(float)
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert abs(row / shown.shape[0] - 2.5 / 8) < 0.1
    assert abs(column / shown.shape[1] - 5.5 / 8) < 0.1
