"""A run is looked into: every look, bad input, pictures that moved, networks of all kinds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import Silent
from tests.folders import flat_folder, picture
from torch import Tensor, nn

import neocog
from neocog import api
from neocog.data.dataset import Dataset
from neocog.errors import DataError, NeocogError, UsageError
from neocog.run import RunFolder
from neocog.understanding import LOOKS, Asked, Subject, look, ofpictures, open_subject, seen


@pytest.fixture(scope="module")
def run(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> neocog.Run:
    """A copy: nothing is written into the one that all tests share."""
    place = tmp_path_factory.mktemp("looked") / "digits"
    shutil.copytree(finished_run, place)
    return api.open_run(place)


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    data = neocog.load("digits")
    path = tmp_path / "digit.png"
    from PIL import Image

    Image.fromarray(data.test.images[0, 0].numpy()).save(path)
    return path


def quick(data: Dataset | str, out: Path, network: nn.Module | str = "lenet_relu") -> neocog.Run:
    return api.train(
        network, data, recipe="quick", epochs=1, out=out, watcher=Silent(), tell=lambda line: None
    )


@pytest.mark.parametrize("what", LOOKS)
def test_every_look_draws_a_figure_with_words_and_numbers(run: neocog.Run, what: str) -> None:
    channel = 3 if what == "exciting" else None  # eight rows take a second to lay out
    found = run.look(what, sample=120, number=2, channel=channel)
    assert found.what == what
    assert len(found.words) > 20
    said = json.loads(json.dumps(found.numbers, allow_nan=False))
    assert said["what"] == what
    assert found.content("png").startswith(b"\x89PNG")
    if found.arrays:
        assert set(np.load(__import__("io").BytesIO(found.npz())).files) == set(found.arrays)


def test_a_figure_carries_layer_class_and_probability(run: neocog.Run, digit: Path) -> None:
    found = run.look("cam", digit, target="3")
    drawn = found.content("svg").decode()
    fact = found.numbers["pictures"][0]
    assert found.numbers["layer"] == "pool2"
    assert fact["class"] == "3"
    predicted = {each["class"]: each["probability"] for each in run.predict(digit)[0]["ranked"]}
    assert fact["probability"] == pytest.approx(predicted["3"], abs=1e-5)
    assert found.arrays["values"].shape == (1, 5, 5)
    assert "Description" not in found.words
    assert found.words.split(".")[0] in drawn  # the words stand in the file


def test_gradients_say_whether_they_add_up(run: neocog.Run, digit: Path) -> None:
    fact = run.look("gradients", digit).numbers["pictures"][0]
    assert fact["complete"] is (fact["missing"] <= 0.01)
    assert fact["explained"] == pytest.approx(
        fact["difference"], rel=max(fact["missing"], 1e-6) * 2
    )


def test_mistakes_are_those_of_the_recorded_scores(run: neocog.Run) -> None:
    found = run.look("mistakes").numbers
    scores = run.scores["test"]
    assert found["pictures"] == scores["n"]
    assert found["wrong"] == round((1 - scores["top1"]) * scores["n"])


def test_planted_wrong_labels_and_twins_are_found(tmp_path: Path) -> None:
    data = neocog.load("digits")
    places = np.random.default_rng(0).choice(len(data.test), 12, replace=False)
    data.test.labels[places] = (data.test.labels[places] + 3) % 10
    twin = next(place for place in range(100) if place not in places)
    same = int(np.flatnonzero(data.train.labels == data.test.labels[twin])[0])
    data.test.images[twin] = data.train.images[same]
    run = api.train(
        "lenet_relu", data, epochs=6, out=tmp_path / "run", watcher=Silent(), tell=lambda line: None
    )
    found = run.look("suspects", data=data).numbers
    suspected = [each["picture"] for each in found["suspects"]]
    assert len(set(suspected) & set(places.tolist())) >= 11
    assert set(suspected[:9]) <= set(places.tolist())
    twins = run.look("twins", data=data).numbers
    assert twins["exact"] == 1
    assert {"picture": twin, "train": same, "exact": True}.items() <= twins["pairs"][0].items()


def test_wrong_names_are_answered_with_the_nearest(run: neocog.Run) -> None:
    for call, words in (
        (lambda: run.look("camera"), "did you mean cam"),
        (lambda: run.look("cam", layer="pol2"), "did you mean pool2"),
        (lambda: run.look("cam", layer="head.fc4"), "puts out no map; these do: conv1"),
        (lambda: run.look("cam", target="eleven"), "no class is called 'eleven'"),
        (lambda: run.look("filters", layer="conv3"), "did you mean"),
        (lambda: run.look("mistakes", split="tset"), "did you mean test"),
        (lambda: run.look("filters", "a.png"), "name no picture"),
        (lambda: run.look("saliency", layer="conv1"), "takes no --layer"),
        (lambda: run.look("mistakes", target="3"), "takes no --class"),
        (lambda: run.look("mistakes", number=0), "at least 1"),
        (lambda: run.look("exciting", channel=99), "channels 0 to 15"),
        (lambda: run.look("twins", split="train"), "another split"),
    ):
        with pytest.raises(UsageError, match=words):
            call()
    with pytest.raises(DataError, match="no such file"):
        run.look("cam", "gone.png")


def test_a_class_goes_by_name_before_number(run: neocog.Run) -> None:
    subject = open_subject(run.folder)
    # as a run of other classes would have it
    object.__setattr__(subject.spec, "classes", ("1", "0", "Cat", "dog"))
    assert [subject.target(name) for name in ("1", "0", "cat", "3")] == [0, 1, 2, 3]


def test_a_thousand_classes_are_not_all_listed(run: neocog.Run) -> None:
    subject = open_subject(run.folder)
    object.__setattr__(subject.spec, "classes", tuple(f"kind {n}" for n in range(1000)))
    with pytest.raises(UsageError, match="and 980 more"):
        subject.target("zzzzzzzz")


def test_a_run_without_a_test_split_shows_validation_and_says_so(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for part in ("train", "val"):
        flat_folder(photos / part, 6)
    damaged = photos / "val" / "blue" / "003.jpg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    run = quick(str(photos), tmp_path / "run")
    heard: list[str] = []
    found = run.look("mistakes", number=50, tell=heard.append).numbers
    assert found["split"] == "validation"
    assert any("no test split" in line for line in heard)
    shown = {each["picture"]: each["label"] for each in found["highest_loss"]}
    assert len(shown) == found["pictures"] == 17  # the damaged one has no logits
    assert "val/blue/003.jpg" not in shown
    assert all(path.split("/")[1] == label for path, label in shown.items())


def test_pictures_that_moved_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    photos = flat_folder(tmp_path / "photos", 12)
    run = quick(str(photos), tmp_path / "run")
    part = "test" if run.folder.data["pictures"]["test"] else "validation"
    rows = [row for row in run.folder.pictures if row[0] == part]
    (photos / rows[0][2]).unlink()
    heard: list[str] = []
    found = run.look("mistakes", split=part, number=50, tell=heard.append)
    assert any(rows[0][2] in line and "1 pictures" in line for line in heard)
    assert found.numbers["pictures"] == len(rows)  # the scores speak of all
    assert {each["picture"] for each in found.numbers["highest_loss"]} == {row[2] for row in rows}
    assert run.look("cam", split=part, tell=heard.append).numbers["pictures"]
    assert run.look("twins", split=part, tell=heard.append).numbers["pictures"] == len(rows) - 1
    shutil.rmtree(photos)
    with pytest.raises(DataError, match="gone"):
        run.look("mistakes")
    assert run.look("filters").numbers["layer"] == "conv1"  # needs no pictures


def test_an_unfinished_run_is_looked_into_as_far_as_it_went(
    finished_run: Path, tmp_path: Path
) -> None:
    place = tmp_path / "run"
    shutil.copytree(finished_run, place)
    (place / "test.npz").unlink()
    run = api.open_run(place)
    assert run.look("mistakes").numbers["pictures"] > 100  # asked now
    (place / "best.safetensors").unlink()
    with pytest.raises(NeocogError, match="stopped before its first epoch"):
        run.look("filters")


class OwnClass(nn.Module):
    """A user's: functions in forward, no head, a single value each at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True))
        self.out = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.body(x)).mean((2, 3)))


def test_a_network_of_a_users_own_is_given_again(tmp_path: Path) -> None:
    quick("digits", tmp_path / "run", OwnClass())
    with pytest.raises(NeocogError, match="a class that is not neocog's"):
        api.open_run(tmp_path / "run").look("cam")
    own = api.open_run(tmp_path / "run", network=OwnClass())
    assert own.look("cam", number=1).numbers["layer"] == "body"
    for what in ("units", "embedding", "filters"):
        assert own.look(what, sample=16).numbers


def test_a_network_without_a_map_says_so(run: neocog.Run) -> None:
    dense = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))
    for what, words in (("cam", "no layer of this network puts out a map"), ("filters", "convol")):
        with pytest.raises(UsageError, match=words):
            look(run.folder, what, network=dense)
    assert "gradients" in look(run.folder, "sees", network=dense).numbers
    assert look(run.folder, "saliency", network=dense).numbers["layer"] is None
    assert look(run.folder, "weights", network=dense).numbers["layers"][0]["name"] == "1"


def test_colour_pictures_and_names_in_other_scripts(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    photos = flat_folder(tmp_path / "照片 $x^{", 8)
    (photos / "blue").rename(photos / "蓝色")
    (photos / "green").rename(photos / "a $ and $ a\x1b[31m\n")
    run = quick(str(photos), tmp_path / "run", "lenet_cifar")
    shown = tmp_path / "图.png"
    picture((40, 60, 220), 1).convert("CMYK").convert("L").save(shown)
    assert run.look("sees", shown, number=2).content("svg")
    mistakes = run.look("mistakes", split="train", number=30)
    assert mistakes.content("png")
    assert any("\x1b" in each["label"] for each in mistakes.numbers["highest_loss"])
    assert all(cell.isprintable() for row in mistakes.table for cell in row)
    assert all(line.isprintable() for line in mistakes.words.split("\n"))
    assert run.look("embedding", split="train", sample=12).content("png")
    assert run.look("units", split="train", sample=12).content("svg")
    assert run.look("filters").content("svg")
    assert not [each for each in recwarn if "Glyph" in str(each.message)]
    shape = run.look("filters").numbers["shape"]
    assert shape == [6, 3, 5, 5]


def test_of_many_stages_the_last_of_each_group_is_shown() -> None:
    class Fake:
        network = neocog.create("alexnet_cifar", num_classes=10)
        shapes = dict.fromkeys([name for name, _ in network.named_children()][:-1], (1, 5, 5))

    names = ofpictures.chosen(Fake())  # type: ignore[arg-type]
    assert names == ["conv1", "pool1", "conv2", "pool2", "relu3", "relu4", "pool5"]


def test_one_subject_serves_several_looks_and_reads_its_data_once(
    run: neocog.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject: Subject = open_subject(RunFolder.open(run.path))
    seen(subject, "units", Asked(sample=20))
    monkeypatch.setattr("neocog.understanding.subject.dataset_of", None)
    assert seen(subject, "mistakes", Asked()).numbers["pictures"] > 100


def test_by_the_module_it_is_the_same(run: neocog.Run) -> None:
    one, other = look(run.folder, "filters"), run.look("filters")
    assert one.numbers == other.numbers


def test_one_picture_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    photos = flat_folder(tmp_path / "photos" / "train", 12).parent
    flat_folder(photos / "test", 4)
    run = quick(str(photos), tmp_path / "run", "lenet_cifar")
    (chosen,) = run.look("cam", number=1).numbers["pictures"]
    first = photos / "test" / chosen["label"] / chosen["picture"]
    first.write_bytes(bytes(first.stat().st_size))
    for what in ("sees", "maps", "cam"):
        assert run.look(what, number=1).words
    for path in (photos / "test").rglob("*.jpg"):
        path.write_bytes(bytes(path.stat().st_size))
    for what in LOOKS:
        if what not in ("filters", "weights", "mistakes", "suspects"):  # the first need none of it
            with pytest.raises(DataError, match="cannot be read"):
                run.look(what)
