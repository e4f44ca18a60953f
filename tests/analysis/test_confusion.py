"""Class by class, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_recall_fscore_support
from tests.analysis.made import answering, calibrated

from neocog.analysis.answers import answers
from neocog.analysis.confusion import by_class, confused, confusion, macro_f1
from neocog.errors import NeocogError
from neocog.records import Predictions

SEVEN = [f"c{k}" for k in range(7)]


def uneven() -> Predictions:
    """Seven classes: one has no pictures, one is never answered, one is neither."""
    rng = np.random.default_rng(1)
    labels = rng.choice([0, 1, 2, 3, 5], p=[0.5, 0.2, 0.15, 0.1, 0.05], size=400)
    noise = rng.choice([0, 1, 2, 3, 4], size=400)
    given = np.where(rng.random(400) < 0.6, labels, noise)
    given[given == 5] = 0
    return answering(given, labels, 7)


def test_confusions_and_class_scores_are_scikit_learns() -> None:
    of = answers(uneven())
    counts = confusion(of)
    assert np.array_equal(counts, confusion_matrix(of.labels, of.given, labels=range(7)))
    ours = by_class(counts, SEVEN)
    theirs = precision_recall_fscore_support(
        of.labels, of.given, labels=range(7), zero_division=np.nan
    )
    for k, each in enumerate(ours):
        said = (each.precision, each.recall, each.f1, each.n)
        for mine, other in zip(said, (column[k] for column in theirs), strict=True):
            assert (np.nan if mine is None else mine) == pytest.approx(other, nan_ok=True)
    assert [each.name for each in ours if each.recall is None] == ["c4", "c6"]
    assert [each.name for each in ours if each.precision is None] == ["c5", "c6"]
    present = np.unique(of.labels)
    assert macro_f1(ours) == pytest.approx(
        f1_score(of.labels, of.given, labels=present, average="macro")
    )


def test_pairs_are_sorted_by_pictures_and_hold_every_mistake() -> None:
    of = answers(uneven())
    pairs = confused(confusion(of), SEVEN)
    assert sum(pair.count for pair in pairs) == int((~of.right).sum())
    assert [pair.count for pair in pairs] == sorted((p.count for p in pairs), reverse=True)
    assert all(pair.label != pair.answer for pair in pairs)
    first = pairs[0]
    label, answer = SEVEN.index(first.label), SEVEN.index(first.answer)
    assert first.count == int(((of.labels == label) & (of.given == answer)).sum())
    assert first.share == pytest.approx(first.count / int((of.labels == label).sum()))


def test_losses_confidences_and_answers_are_the_softmaxs(monkeypatch: pytest.MonkeyPatch) -> None:
    said = calibrated(500)
    monkeypatch.setattr("neocog.analysis.answers.ROWS", 64)  # in parts, too
    of = answers(said, temperature=1.7)
    chances = np.exp(said.logits.astype(np.float64) / 1.7)
    chances /= chances.sum(1, keepdims=True)
    assert of.losses.mean() == pytest.approx(log_loss(said.labels, chances))
    np.testing.assert_allclose(of.confidence, chances.max(1))
    assert np.array_equal(of.given, chances.argmax(1))


def test_where_answers_are_equal_the_label_is_not_the_one_given() -> None:
    logits = np.array([[1, 1, 0], [2, 2, 2], [0, 1, 1]], np.float32)
    of = answers(Predictions(logits=logits, labels=np.array([0, 1, 2])))
    assert of.given.tolist() == [1, 0, 1]
    assert not of.right.any()


def test_a_temperature_makes_no_ties_and_huge_logits_stay_numbers() -> None:
    logits = np.array([[3e38, -3e38], [1.0, np.nextafter(np.float32(1), np.float32(2))]])
    of = answers(Predictions(logits=logits.astype(np.float32), labels=np.array([1, 1])))
    assert np.isfinite(of.losses).all()
    assert of.right.tolist() == [False, True]
    assert answers(
        Predictions(logits=logits.astype(np.float32), labels=np.array([1, 1])), temperature=7
    ).right.tolist() == [False, True]


@pytest.mark.parametrize("logits", [np.full((2, 3), np.inf), np.zeros((0, 3))])
def test_nothing_to_score_is_said(logits: np.ndarray) -> None:
    labels = np.zeros(len(logits), np.int64)
    with pytest.raises(NeocogError, match=r"not numbers|no pictures"):
        answers(Predictions(logits=logits.astype(np.float32), labels=labels))
