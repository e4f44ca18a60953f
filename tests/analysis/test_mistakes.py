"""Mistakes, suspects and twins that were planted are found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier

from neocog.analysis import embedding, mistakes, pairs
from neocog.analysis.scores import scores
from neocog.records import Predictions


def predictions(n: int = 600, classes: int = 5, seed: int = 0) -> Predictions:
    """A good network's: it doubts a little."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)
    logits = rng.normal(0, 1, (n, classes)).astype(np.float32)
    logits[np.arange(n), truth] += 6
    return Predictions(logits, truth)


def planted(said: Predictions, count: int, seed: int = 1) -> tuple[Predictions, set[int]]:
    """The same with so many wrong labels."""
    rng = np.random.default_rng(seed)
    places = rng.choice(len(said.labels), count, replace=False)
    labels = said.labels.copy()
    classes = said.logits.shape[1]
    labels[places] = (labels[places] + rng.integers(1, classes, count)) % classes
    return Predictions(said.logits, labels), set(places.tolist())


def test_losses_are_those_of_scikit_learn() -> None:
    said = predictions(50)
    worst = mistakes.by_loss(said, count=50)
    assert [each.loss for each in worst] == sorted((each.loss for each in worst), reverse=True)
    expected = log_loss(said.labels, mistakes.probabilities(said.logits))
    assert np.mean([each.loss for each in worst]) == pytest.approx(expected)
    for each in worst:
        assert each.label_chance == pytest.approx(np.exp(-each.loss))


def test_the_surest_of_the_wrong_come_first_and_the_right_do_not_come() -> None:
    logits = np.array([[5, 0, 0], [0, 5, 0], [0, 1, 0], [0, 0, 3]], dtype=np.float32)
    said = Predictions(logits, np.array([0, 0, 0, 1]))
    found = mistakes.surest(said, count=9)
    assert [each.place for each in found] == [1, 3, 2]
    assert [(each.label, each.answer) for each in found] == [(0, 1), (1, 2), (0, 1)]
    assert mistakes.wrong(said) == 3


def test_what_is_equal_is_a_mistake_as_it_is_for_scores() -> None:
    said = Predictions(np.zeros((4, 3), np.float32), np.array([0, 1, 2, 0]))
    assert mistakes.wrong(said) == 4 == round(4 * (1 - scores(said)["top1"]))
    assert [(each.label, each.answer) for each in mistakes.surest(said, count=9)] == [
        (0, 1), (1, 0), (2, 0), (0, 1)
    ]  # fmt: skip
    assert all(each.label != each.answer for each in mistakes.by_loss(said, count=9))


def test_planted_wrong_labels_are_found() -> None:
    said, places = planted(predictions(), 40)
    found = mistakes.suspects(said)
    suspected = {each.place for each in found.found}
    assert len(suspected & places) == 35  # as cleanlab 2.9 finds, by "confident_learning"
    assert not suspected - places
    assert {each.place for each in found.found[:30]} <= places  # the clearest first
    assert found.noise == pytest.approx(40 / 600, abs=0.015)
    clean = mistakes.suspects(predictions())
    assert len(clean.found) <= 3


def test_the_confident_joint_of_the_papers_rule_counted_by_hand() -> None:
    chances = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.6, 0.4]])
    said = Predictions(np.log(chances).astype(np.float32), np.array([0, 0, 0, 1, 1]))
    # thresholds: class 0 (0.9 + 0.7 + 0.2) / 3 = 0.6, class 1 (0.9 + 0.4) / 2 = 0.65
    found = mistakes.suspects(said)
    assert found.joint.tolist() == [[2, 1], [1, 1]]
    assert [(each.place, each.answer) for each in found.found] == [(2, 1), (4, 0)]
    assert found.noise == pytest.approx((3 * 1 / 3 + 2 * 1 / 2) / 5)


def test_a_class_without_pictures_is_suggested_for_none() -> None:
    said = predictions(100, 4)
    logits = np.concatenate([said.logits, np.full((100, 1), 50, np.float32)], axis=1)
    found = mistakes.suspects(Predictions(logits, said.labels))
    assert 4 not in {each.answer for each in found.found}


def test_one_class_is_no_error() -> None:
    said = Predictions(np.ones((3, 1), np.float32), np.zeros(3, np.int64))
    assert mistakes.suspects(said).found == []
    assert mistakes.surest(said, count=2) == []
    assert mistakes.by_loss(said, count=2)[0].loss == 0


def test_neighbours_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(80, 7)), rng.integers(3, size=80)
    oracle = KNeighborsClassifier(2, metric="cosine").fit(points, labels)
    expected = oracle.kneighbors(points, return_distance=False)[:, 1]
    assert embedding.nearest(points, points, itself=True).tolist() == expected.tolist()
    assert embedding.neighbours_agree(points, labels) == pytest.approx(
        float((labels[expected] == labels).mean())
    )


def test_planes_of_few_or_equal_points_are_no_error() -> None:
    for points in (np.ones((1, 5)), np.ones((10, 5)), np.random.default_rng(0).normal(size=(3, 1))):
        assert embedding.pca(points)[0].shape == (len(points), 2)
        assert embedding.tsne(points).shape == (len(points), 2)


def test_twins_are_found_exact_mirrored_and_brighter_and_others_are_not() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 200, (30, 3, 6, 6), generator=generator).float()
    images = torch.nn.functional.interpolate(coarse, (48, 48), mode="bicubic").clamp(0, 200).byte()
    asked = torch.stack([images[4], images[7].flip(2), (images[9] + 30), images[29]])
    train = images[:20]
    vectors = images.float().mean((2, 3)).numpy()
    ours = asked.float().mean((2, 3)).numpy()
    one = pairs.album(np.arange(4), asked, ours)
    other = pairs.together(
        [
            pairs.album(np.arange(12), train[:12], vectors[:12] + 0),
            pairs.album(np.arange(12, 20), train[12:], vectors[12:20]),
        ]
    )
    other.vectors[9] = ours[2]  # a network that does not care for brightness
    found = {pair.place: pair for pair in pairs.pairs(one, other)}
    assert (found[0].other, found[0].exact, found[0].likeness) == (4, True, pytest.approx(1))
    assert (found[1].other, found[1].exact, found[1].twins) == (7, False, True)
    assert (found[2].other, found[2].exact, found[2].twins) == (9, False, True)
    assert not found[3].twins
    assert pairs.pairs(one, other)[0].place == 0  # exact ones first
