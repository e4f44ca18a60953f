from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import Silent
from torch import nn

import neocog
from neocog.announced import not_started
from neocog.data.loading import load
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
    torch.manual_seed(0)  # its weights are the user's affair
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    run = neocog.train(
        net, "digits", recipe=Recipe(epochs=3, lr=0.05), out=tmp_path / "r", watcher=Silent()
    )
    assert run.scores["network"] == "Sequential"
    assert run.scores["test"]["top1"] > 0.8
    picture = tmp_path / "digit.png"
    Image.fromarray(load("digits").test.images[0, 0].numpy()).save(picture)
    (answer,) = run.predict(picture)
    with pytest.raises(neocog.NeocogError, match="Sequential"):
        neocog.open(run.path).network()
    again = neocog.open(run.path, network=nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    assert again.predict(picture) == [answer]


def test_a_network_of_ours_with_another_head_is_a_foreign_one(tmp_path: Path) -> None:
    net = neocog.create("lenet_relu", num_classes=1000)
    net.head[-1] = nn.Linear(84, 10, bias=False)
    run = neocog.train(net, "digits", epochs=1, out=tmp_path / "r", watcher=Silent())
    assert run.scores["network"] == "Sequential"
    assert not run.network().training
    with pytest.raises(neocog.NeocogError, match="not neocog's"):
        neocog.open(run.path).network()


class Branching(nn.Module):
    """Decides by its data, which no pass without data can follow, and has tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.same = nn.Linear(64, 10), nn.Linear(64, 10)
        self.same.weight = self.dense.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(1)
        return self.dense(flat) if float(x.mean()) > -100 else self.same(flat)


def test_a_network_that_decides_by_its_data_and_ties_its_weights(tmp_path: Path) -> None:
    run = neocog.train(
        Branching(), "digits", recipe=Recipe(epochs=1), out=tmp_path / "r", watcher=Silent()
    )
    assert run.scores["network"] == "Branching"


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.dense(x.flatten(1)), x


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), "has 7 outputs, digits has 10 classes"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 12)), "has 12 outputs"),
        (nn.Sequential(nn.Conv2d(1, 10, 3)), r"puts out \(1, 10, 6, 6\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double(), r"call \.float\(\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(99, 10)), "cannot take pictures of 1x8x8"),
        (Pair(), "puts out a tuple"),
        (nn.Sequential(nn.Flatten()), "no weights to train"),
        (nn.Linear, "not an nn.Module instance"),
    ],
)
def test_a_network_that_does_not_fit_is_told_before_a_folder_is_made(
    network: nn.Module, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        neocog.train(network, "digits", recipe=Recipe(), out=tmp_path / "r", watcher=Silent())
    assert not (tmp_path / "r").exists()


def test_a_recipe_that_does_not_fit_is_told_before_a_folder_is_made(tmp_path: Path) -> None:
    for changes, message in [
        ({"optimizer": "diagonal-lm"}, "squared distances"),
        ({"shift": 40}, "moved by at most 27"),
        ({"resize": 9000}, "at most 224"),
    ]:
        with pytest.raises(UsageError, match=message):
            neocog.train(
                "lenet_relu", "digits", changes=changes, out=tmp_path / "r", watcher=Silent()
            )
    assert not (tmp_path / "r").exists()


def test_a_picture_too_large_is_answered_with_the_range() -> None:
    with pytest.raises(UsageError, match="it takes 28x28 to 31x31"):
        neocog.train("lenet_relu", load("digits", size=40), watcher=Silent())


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
    assert "ln(10) = 2.303" in str(not_started(epoch(2.303, 0.10), 10))
    assert not_started(epoch(2.29, 0.4), 10) is None
    assert not_started(epoch(0.5, 0.8), 10) is None
    assert not_started(epoch(float(np.log(2)), 0.5), 2) is not None


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
