"""A folder of pictures from the command to the prediction, stopped and gone on with."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from tests.conftest import Silent
from tests.folders import flat_folder, tree_digest

import neocog
from neocog import api, training
from neocog.analysis.scores import scores
from neocog.asked import is_path, recipe_for
from neocog.cli.main import main
from neocog.data.dataset import class_weights
from neocog.data.loading import load_folder
from neocog.data.packing import pack
from neocog.data.preprocess import input_spec
from neocog.engine.evaluate import predictions
from neocog.engine.losses import loss_of
from neocog.errors import DataError
from neocog.networks import create
from neocog.planning import batches_of
from neocog.recipe import Recipe
from neocog.records import Predictions, Step
from neocog.run import RunFolder
from neocog.rundata import dataset_of

RECIPE = Recipe(
    epochs=2, batch_size=8, lr=0.02, momentum=0.9, area=(0.5, 1.0), mirror=True, jitter=0.2,
    mixup=0.2, validation=0.2, test=0.1, resize=36, seed=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flat_folder(tmp_path_factory.mktemp("p") / "my pictures")


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> api.Run:
    out = tmp_path_factory.mktemp("runs") / "colours"
    recipe = RECIPE.changed({"epochs": 6})
    return neocog.train("lenet_relu", str(folder), recipe=recipe, out=out, watcher=Silent())


def test_a_folder_is_learnt_scored_and_predicted(run: api.Run, folder: Path) -> None:
    scores = run.scores
    assert scores["data"] == "my_pictures"
    assert scores["test"]["n"] == 6
    assert scores["validation"]["n"] == 12
    assert scores["validation"]["top1"] > 0.9
    assert scores["validation"]["balanced"] == pytest.approx(scores["validation"]["top1"])
    ranked = run.predict(folder / "red" / "003.jpg")[0]["ranked"]
    assert ranked[0]["class"] == "red"


def test_the_split_is_recorded_and_predictions_are_those_of_the_scores(
    run: api.Run, folder: Path
) -> None:
    with (run.path / "pictures.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    tested = [row for row in rows if row["split"] == "test"]
    said = run.folder.predictions("test")
    assert said is not None
    for row, logits in zip(tested, said.logits, strict=True):
        assert row["path"].startswith(row["class"] + "/")
        chances = torch.from_numpy(logits).softmax(0)
        ranked = run.predict(folder / row["path"])[0]["ranked"]
        assert ranked[0]["probability"] == pytest.approx(float(chances.max()), abs=1e-5)


def test_stopped_in_mid_epoch_it_goes_on_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    whole = api.train(
        "lenet_relu", str(folder), recipe=RECIPE, out=tmp_path / "whole", watcher=Silent()
    )
    dataset = load_folder(folder, validation=0.2, test=0.1, seed=4)
    network = create("lenet_relu", num_classes=3, in_channels=3, seed=4)
    job = training.begin(network, dataset, recipe=RECIPE, out=tmp_path / "part")
    facts = training.run(job)
    for fact in facts:
        if isinstance(fact, Step) and (fact.epoch, fact.step) == (1, 3):
            break
    facts.close()
    job.folder.save_state(training.state_of(job))
    (folder / "red" / "new.jpg").write_bytes((folder / "red" / "000.jpg").read_bytes())
    try:  # a picture that came since is not the run's
        resumed = api.resume(tmp_path / "part", watcher=Silent())
    finally:
        (folder / "red" / "new.jpg").unlink()
    for name, weights in whole.network().state_dict().items():
        assert torch.equal(weights, resumed.network().state_dict()[name]), name


def test_a_run_on_shards_goes_on_to_the_same_weights_wherever_they_are(
    folder: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    pack(load_folder(folder, validation=0.2, test=0.1), here, shard_size=15_000)
    whole = api.train(
        "lenet_relu", str(here), recipe=RECIPE, out=tmp_path / "whole", watcher=Silent()
    )
    assert (whole.path / "pictures.csv").read_text().count("train-000001.tar/") > 5
    dataset = load_folder(here, cache_size=0)
    network = create("lenet_relu", num_classes=3, in_channels=3, seed=4)
    job = training.begin(network, dataset, recipe=RECIPE, out=tmp_path / "part")
    facts = training.run(job)
    for fact in facts:
        if isinstance(fact, Step) and (fact.epoch, fact.step) == (1, 3):
            break
    facts.close()
    job.folder.save_state(training.state_of(job))
    here.rename(there)
    with pytest.raises(DataError, match="no such"):
        api.resume(tmp_path / "part", watcher=Silent())
    resumed = api.resume(tmp_path / "part", from_dir=there, watcher=Silent())
    for name, weights in whole.network().state_dict().items():
        assert torch.equal(weights, resumed.network().state_dict()[name]), name


def test_a_run_whose_pictures_are_gone_says_which(folder: Path, tmp_path: Path) -> None:
    root = shutil.copytree(folder, tmp_path / "copy")
    dataset = load_folder(root, validation=0.2, test=0.1)
    network = create("lenet_relu", num_classes=3, in_channels=3)
    job = training.begin(network, dataset, recipe=RECIPE, out=tmp_path / "run")
    facts = training.run(job)
    next(facts)
    facts.close()
    other = root / "green" / "002.jpg"
    before = other.read_bytes()
    other.write_bytes(before + b"more")
    with pytest.raises(DataError, match=r"green/002.jpg: .* bytes, .* then"):
        api.resume(tmp_path / "run", watcher=Silent())
    other.write_bytes(before)
    gone = root / "blue" / "004.jpg"
    kept = gone.read_bytes()
    gone.unlink()
    with pytest.raises(DataError, match=r"1 of the run's 60 pictures .*(.|\n)*blue/004.jpg"):
        api.resume(tmp_path / "run", watcher=Silent())
    gone.write_bytes(kept)
    moved = root.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="--from"):
        api.resume(tmp_path / "run", watcher=Silent())
    resumed = api.resume(tmp_path / "run", from_dir=moved, watcher=Silent())
    assert resumed.folder.finished


def test_pictures_of_the_same_size_that_were_written_to_are_said_on_resuming(
    folder: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(folder, tmp_path / "copy")
    dataset = load_folder(root, validation=0.2, test=0.1)
    network = create("lenet_relu", num_classes=3, in_channels=3)
    job = training.begin(network, dataset, recipe=RECIPE, out=tmp_path / "run")
    facts = training.run(job)
    next(facts)
    facts.close()
    told: list[str] = []
    list(dataset_of(RunFolder(tmp_path / "run"), tell=told.append).train.facts())
    assert not told
    later = (tmp_path / "run" / "pictures.csv").stat().st_mtime_ns + 10**9
    os.utime(root / "green" / "002.jpg", ns=(later, later))
    dataset_of(RunFolder(tmp_path / "run"), tell=told.append)
    assert len(told) == 1
    assert "1 of the run's pictures were written to since it began, green/002.jpg" in told[0]
    moved = root.rename(tmp_path / "moved")  # a copy has times of its own
    dataset_of(RunFolder(tmp_path / "run"), from_dir=moved, tell=told.append)
    assert len(told) == 1


def test_a_sheet_is_written_over_nothing_and_nowhere_into_the_folder(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = tree_digest(folder)
    picture = next(folder.rglob("*.jpg"))
    assert main(["data", "look", str(folder), "--out", str(picture)]) == 2
    monkeypatch.chdir(folder)
    assert main(["data", "look", "."]) == 2
    assert capsys.readouterr().err.count("to which nothing is added") == 2
    assert tree_digest(folder) == before
    mine = tmp_path / "mine.png"
    mine.write_bytes(b"mine")
    assert main(["data", "look", ".", "--out", str(mine)]) == 2
    assert "nothing is written over it" in capsys.readouterr().err
    assert mine.read_bytes() == b"mine"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    assert main(["data", "look", ".", "--out", str(tmp_path / "sheet.png")]) == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["mine.png"]


def test_without_a_test_split_the_validation_scores_are_said_to_have_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat_folder(tmp_path / "own" / "train", 8)
    flat_folder(tmp_path / "own" / "val", 4)
    before = tree_digest(tmp_path / "own")
    out = tmp_path / "run"
    assert (
        main(["train", "lenet_relu", str(tmp_path / "own"), "--epochs", "1", "--out", str(out)])
        == 0
    )
    printed = capsys.readouterr()
    assert "test        none: the weights were chosen by these" in printed.out
    assert "3 classes" in printed.err
    assert RunFolder.open(out).finished
    assert main(["eval", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"] is None
    assert main(["resume", str(out)]) == 2
    assert tree_digest(tmp_path / "own") == before


def test_lists_and_splits_are_written_beside_and_read_again(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tree_digest(folder)
    assert main(["data", "manifest", str(folder), "--test", "0", "--seed", "7"]) == 0
    assert (tmp_path / "my_pictures-lists" / "classes.txt").read_text() == "blue\ngreen\nred\n"
    assert main(["data", "split", str(folder), "--test", "0", "--seed", "7"]) == 0
    plain = load_folder(folder, test=0, seed=7)
    for place in ("my_pictures-lists", "my_pictures-split.csv"):
        with pytest.raises(DataError, match="leads out of"):
            load_folder(tmp_path / place)
        read = load_folder(tmp_path / place, allowed=folder)
        assert read.classes == plain.classes
        for name, split in plain.splits.items():
            expected = {(Path(folder, p).resolve(), c) for p, c, _ in split.facts()}  # type: ignore[misc]
            made = {
                (
                    Path(tmp_path, place, "..", p)
                    if place.endswith("csv")
                    else Path(tmp_path, place, p),
                    c,
                )
                for p, c, _ in read.splits[name].facts()
            }  # type: ignore[misc]
            assert {(path.resolve(), label) for path, label in made} == expected
    capsys.readouterr()
    assert main(["data", "split", str(folder)]) == 2  # it is there already
    assert "nothing is written over" in capsys.readouterr().err
    assert main(["data", "manifest", str(folder), "--out", str(folder / "lists")]) == 2
    assert main(["data", "manifest", "digits"]) == 2
    assert tree_digest(folder) == before


def test_stats_and_sheets(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "stats", str(folder), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pictures"] == {"train": 48, "validation": 6, "test": 6}
    assert facts["classes"]["red"] == {"train": 16, "validation": 2, "test": 2}
    assert facts["channels"] == 3
    assert main(["data", "stats", "digits"]) == 0
    assert "1 channels, 8x8" in capsys.readouterr().out
    assert main(["data", "look", str(folder)]) == 0
    assert main(["data", "look", str(folder), "--augment", "alexnet_2012"]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "my_pictures-2.png",
        "my_pictures.png",
    ]


def test_a_name_is_a_set_and_a_path_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mnist", "Fashion_MNIST", "flowers"):
        (tmp_path / name).mkdir()
    assert not is_path("mnist")
    assert not is_path("Fashion_MNIST")
    assert not is_path("nowhere")
    assert all(is_path(name) for name in ("flowers", "./mnist", "a/b", "list.csv", "~/x"))


def test_a_folder_takes_the_recipe_for_photographs_where_it_suits(folder: Path) -> None:
    def name(network: str, data: str) -> str:
        return recipe_for(network, data, None).name

    assert name("resnet18", str(folder)) == "photos"
    assert name("alexnet", str(folder)) == "alexnet_2012"  # without batch norm
    assert name("lenet_relu", str(folder)) == "quick"
    assert name("resnet18", "cifar10") == "alexnet_2012"


def test_what_the_recipe_says_of_pictures_reaches_the_batches(folder: Path) -> None:
    dataset = load_folder(folder)
    changes = {"balance": "sampling", "begin_size": 32, "grow_epochs": 2.0, "trivial": True}
    changes |= {"rotate": 5.0, "hue": 0.1, "erase": 0.2, "cutmix": 0.5, "pca_noise": 0.1}
    recipe = RECIPE.changed({**changes, "size": 64, "resize": 64})
    spec = input_spec(dataset, 3, (64, 64))
    batches = batches_of(dataset, recipe, spec, "cpu")
    assert (batches.balance, batches.begin_size, batches.grow_epochs) == ("sampling", 32, 2.0)
    wanted = batches.augmentation
    for name in ("trivial", "rotate", "jitter", "hue", "erase", "mixup", "cutmix", "pca_noise"):
        assert getattr(wanted, name) == getattr(recipe, name), name
    assert wanted.crop.area == recipe.area
    assert wanted.components is not None
    inputs, labels = next(iter(batches.epoch(0)))
    assert inputs.shape == (8, 3, 32, 32)
    assert labels.shape == (8, 3)


def test_classes_count_alike_in_the_loss_where_that_is_asked() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 0, 0, 1, 2])
    weights = class_weights(labels, 3)
    made = loss_of(Recipe(), weights)(logits, labels)
    each = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(made, (each[:4].mean() + each[4] + each[5]) / 3)


def test_unreadable_pictures_are_left_out_of_scores_with_their_labels(tmp_path: Path) -> None:
    root = flat_folder(tmp_path / "p", 10)
    dataset = load_folder(root, validation=0, test=0, cache_size=0)
    network = create("lenet_relu", num_classes=3, in_channels=3, seed=0)
    spec = input_spec(dataset, 3, (28, 28))
    whole = predictions(network, dataset.train, spec, batch_size=4)
    (root / "blue" / "003.jpg").write_bytes(b"\xff\xd8\xff")
    again = load_folder(root, validation=0, test=0, cache_size=0, tell=lambda line: None)
    part = predictions(network, again.train, spec, batch_size=4)
    assert np.array_equal(part.labels, np.delete(whole.labels, 3))
    np.testing.assert_allclose(part.logits, np.delete(whole.logits, 3, axis=0), atol=1e-5)


@pytest.mark.filterwarnings("ignore:y_pred contains")
def test_balanced_accuracy_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, 4, 50) ** 2 // 3)
    logits = rng.normal(size=(50, 5)).astype(np.float32)
    logits[:, 0] += 1  # the largest class is favoured
    made = scores(Predictions(logits=logits, labels=labels))
    assert made["balanced"] == pytest.approx(
        balanced_accuracy_score(labels, logits.argmax(1)), abs=1e-12
    )
    assert made["balanced"] != pytest.approx(made["top1"], abs=1e-3)


def test_bad_options_of_folders(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["train", "lenet_relu", str(folder), "--out", str(tmp_path / "run")]
    for more, code, words in (
        (["--cache-size", "-1"], 2, "cache-size"),
        (["--skip", str(tmp_path / "none.txt")], 1, "none.txt"),
        (["--set", "area=0.5,2"], 2, "area"),
        (["--set", "begin_size=64"], 2, "begin_size"),
        (["--set", "aspect="], 2, "aspect"),
    ):
        assert main([*base, *more]) == code, more
        assert words in capsys.readouterr().err
        assert not (tmp_path / "run").exists()
