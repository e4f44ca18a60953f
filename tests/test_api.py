from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import Silent
from torch import nn

import neocog
from neocog import training
from neocog.data.dataset import load
from neocog.errors import UsageError
from neocog.recipe import Recipe
from neocog.records import Epoch


def test_the_design_pages_example(tmp_path: Path) -> None:
    net = neocog.create("lenet_sigmoid", num_classes=10)
    data = neocog.load("digits", size=28)
    run = neocog.train(net, data, recipe="book", epochs=1, out=tmp_path / "r", watcher=Silent())
    figure = run.plot()
    labels = [text.get_text() for axes in figure.axes for text in axes.get_legend().get_texts()]
    assert {"train loss", "train accuracy", "validation accuracy"} <= set(labels)
    assert neocog.open(run.path).scores == run.scores


def test_a_network_of_the_users_own(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    run = neocog.train(
        net, "digits", recipe=Recipe(epochs=3, lr=0.05), out=tmp_path / "r", watcher=Silent()
    )
    assert run.scores["network"] == "Sequential"
    assert run.scores["test"]["top1"] > 0.8
    with pytest.raises(neocog.NeocogError, match="Sequential"):
        run.network()


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    runs = [
        neocog.train("lenet_relu", "digits", epochs=1, out=tmp_path / name, watcher=Silent())
        for name in "ab"
    ]
    one, two = (run.folder.predictions("test") for run in runs)
    assert one is not None
    assert two is not None
    assert np.array_equal(one.logits, two.logits)


def test_a_picture_size_that_the_network_cannot_take() -> None:
    with pytest.raises(UsageError, match=r"cannot take .* 1x8x8.*smallest that it can is 32x32"):
        neocog.train("vgg11", load("digits", size=8), watcher=Silent())


def test_classes_that_do_not_fit() -> None:
    net = neocog.create("lenet_relu", num_classes=7)
    with pytest.raises(UsageError, match="num_classes=10"):
        neocog.train(net, "digits", watcher=Silent())


def test_names_are_checked_before_anything_is_fetched(tmp_path: Path) -> None:
    def nobody_asks(line: str) -> None:
        raise AssertionError(line)

    for network, data, recipe in [
        ("lenet_rely", "mnist", None),
        ("lenet5", ["mnist", "digitz"], None),
        ("lenet5", "mnist", "quik"),
    ]:
        with pytest.raises(UsageError, match="did you mean"):
            neocog.train(network, data, recipe=recipe, out=tmp_path / "r", tell=nobody_asks)
    assert not (tmp_path / "r").exists()


def test_grey_pictures_in_a_colour_network(tmp_path: Path) -> None:
    net = neocog.create("lenet_cifar")
    run = neocog.train(net, "digits", epochs=1, out=tmp_path / "r", watcher=Silent())
    assert run.folder.spec.channels == 3


def epoch(loss: float, accuracy: float) -> Epoch:
    return Epoch(
        epoch=0,
        lr=0.1,
        train_loss=loss,
        train_accuracy=accuracy,
        val_loss=None,
        val_accuracy=None,
        seconds=1,
        images_per_second=1,
        best=True,
    )


def test_a_network_that_does_not_start_is_named() -> None:
    assert "ln(10) = 2.303" in str(training.not_started(epoch(2.303, 0.10), 10))
    assert training.not_started(epoch(2.29, 0.4), 10) is None
    assert training.not_started(epoch(0.5, 0.8), 10) is None
    assert training.not_started(epoch(float(np.log(2)), 0.5), 2) is not None


def test_a_network_that_does_not_start_is_named_while_it_trains(tmp_path: Path) -> None:
    told: list[str] = []
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(net[1].weight)
    recipe = Recipe(epochs=2, lr=1e-7)
    neocog.train(
        net, "digits", recipe=recipe, out=tmp_path / "r", watcher=Silent(), tell=told.append
    )
    assert sum("has not started to learn" in line for line in told) == 1


def test_predict_ranks_every_class_and_agrees_with_the_test_logits(
    finished_run: Path, tmp_path: Path
) -> None:
    data, run = load("digits"), neocog.open(finished_run)
    files = []
    for i in range(3):
        path = tmp_path / f"{i}.png"
        Image.fromarray(data.test.images[i, 0].numpy()).save(path)
        files.append(path)
    answers = run.predict(*files)
    said = run.folder.predictions("test")
    assert said is not None
    chances = torch.from_numpy(said.logits[:3]).softmax(1)
    for answer, expected in zip(answers, chances, strict=True):
        probabilities = [rank["probability"] for rank in answer["ranked"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert answer["ranked"][0]["class"] == str(int(expected.argmax()))
        assert probabilities[0] == pytest.approx(float(expected.max()), abs=1e-4)
