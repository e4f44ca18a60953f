"""The figures of scores: what they show, for how many classes, in which script, in words."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.ttLib.tables._g_l_y_f import Glyph
from matplotlib import font_manager
from matplotlib.figure import Figure
from tests.analysis.made import answering, calibrated

import neocog
from neocog.analysis.answers import answers
from neocog.analysis.calibration import reliability
from neocog.analysis.confusion import confusion
from neocog.errors import NeocogError, UsageError
from neocog.report import confusion as matrix
from neocog.report import fonts
from neocog.report import reliability as diagram
from neocog.report.curves import png
from neocog.report.names import columns, cut


def counts_of(k: int, n: int, *, seed: int = 0) -> np.ndarray:
    """K classes, four in five right, the others taken for the next one mostly."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    wrong = np.where(rng.random(n) < 0.7, (labels + 1) % k, rng.integers(0, k, n))
    given = np.where(rng.random(n) < 0.8, labels, wrong)
    return np.bincount(labels * k + given, minlength=k * k).reshape(k, k)


def ticks(drawn: Figure) -> list[str]:
    return [text.get_text() for text in drawn.axes[0].get_yticklabels()]


@pytest.mark.parametrize("k", [1, 2, 10, 100, 1000])
def test_a_matrix_of_any_size_names_its_classes(k: int) -> None:
    names = [f"kind {number}" for number in range(k)]
    drawn = matrix.figure(counts_of(k, 50 * k), names, title="a network")
    if k <= matrix.WHOLE:
        assert ticks(drawn) == names
    else:
        assert len(ticks(drawn)) == matrix.PART + 1
        assert ticks(drawn)[-1] == "971 others"
    assert max(drawn.get_size_inches()) < 16
    if k == 2:
        assert len(png(drawn)) > 5000


def test_the_most_confused_of_many_are_drawn_and_no_picture_is_lost() -> None:
    counts = counts_of(300, 30_000)
    counts[7, 250] += 500
    names = [str(number) for number in range(300)]
    shown, kept = matrix.shown(counts, names)
    assert {"7", "250"} <= set(kept)
    assert shown.sum() == counts.sum()
    place = kept.index("7")
    assert shown[place, kept.index("250")] == counts[7, 250]
    assert shown[place].sum() == counts[7].sum()
    assert shown[:, place].sum() == counts[:, 7].sum()


def test_each_field_says_its_number_where_there_is_room() -> None:
    counts = np.array([[40, 2], [0, 58]])
    texts = [text.get_text() for text in matrix.figure(counts, ["cat", "dog"]).axes[0].texts]
    assert texts == ["40", "2", "58"]
    assert not matrix.figure(counts_of(31, 400), list(map(str, range(31)))).axes[0].texts


def test_a_class_without_pictures_is_an_empty_row() -> None:
    counts = np.array([[5, 0, 1], [0, 0, 0], [0, 1, 4]])
    drawn = matrix.figure(counts, ["a", "b", "c"])
    right, wrong = (image.get_array().mask for image in drawn.axes[0].images)
    assert (right & wrong).tolist() == [[False] * 3, [True] * 3, [False] * 3]


def test_others_among_themselves_are_not_called_right() -> None:
    """In that field right and wrong ones are counted together."""
    drawn = matrix.figure(counts_of(200, 4000), list(map(str, range(200))))
    right, wrong = (image.get_array().mask for image in drawn.axes[0].images)
    assert np.argwhere(right & wrong).tolist() == [[matrix.PART, matrix.PART]]


def test_the_matrix_in_words() -> None:
    said = matrix.words(np.array([[40, 2], [0, 58]]), ["cat", "dog"])
    assert said == (
        "Confusion matrix of 2 classes, 100 pictures: 98 on the diagonal, 2 beside it. "
        "Most often confused: cat taken for dog, 2 of 42 times."
    )
    assert matrix.words(np.array([[1]]), ["cat"]).endswith(
        "1 on the diagonal, that is all of them."
    )


def test_the_diagram_shows_each_bin_and_says_its_error() -> None:
    said = calibrated(2000, scale=3)
    before, after = answers(said), answers(said, temperature=3)
    bins = [reliability(each, binning="equal width") for each in (before, after)]
    drawn = diagram.figure(bins[0], bins[1], title="a network")
    labels = [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    assert labels[0] == "calibrated"
    assert labels[1].startswith("as it is: ECE ")
    assert labels[2].startswith("with a temperature: ECE ")
    heights = [bar.get_height() for bar in drawn.axes[1].patches[: len(bins[0])]]
    assert sum(heights) == pytest.approx(1)
    assert len(png(drawn)) > 10_000
    words = diagram.words(bins[0], bins[1])
    assert "too sure" in words
    assert words.endswith("with a temperature.")
    assert "as sure as it is right" in diagram.words(bins[1])


def test_where_all_are_right_there_is_a_diagram_too() -> None:
    labels = np.arange(20) % 2
    bins = reliability(answers(answering(labels, labels, 2)))
    assert len(png(diagram.figure(bins))) > 5000
    assert "100.0% right" in diagram.words(bins)


# -- names


@pytest.fixture
def without_cjk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which matplotlib has the fonts that it brings, and no other."""
    own = [entry for entry in font_manager.fontManager.ttflist if "mpl-data" in entry.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    font_manager.fontManager._findfont_cached.cache_clear()


def tiny_font(path: Path, family: str, signs: str) -> Path:
    """A font of a few signs, each of them blank."""
    names = [".notdef", *(f"u{ord(sign):04X}" for sign in signs)]
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder(names)
    made.setupCharacterMap({ord(sign): name for sign, name in zip(signs, names[1:], strict=True)})
    made.setupGlyf({name: Glyph() for name in names})
    made.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": family, "styleName": "Regular"})
    made.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    made.setupPost()
    made.save(path)
    return path


@pytest.mark.usefixtures("without_cjk")
def test_chinese_names_are_drawn_with_a_font_that_is_installed(tmp_path: Path) -> None:
    names = ["猫", "dog", "狗和猫"]
    assert (fonts.shown(names), fonts.families()) == (["class 0", "dog", "class 2"], [fonts.LATIN])
    font_manager.fontManager.addfont(tiny_font(tmp_path / "f.ttf", "Noto Sans CJK SC", "猫狗和"))
    assert (fonts.shown(names), fonts.families()) == (names, [fonts.LATIN, "Noto Sans CJK SC"])
    assert fonts.shown(["猫", "鸟"]) == ["猫", "class 1"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png(matrix.figure(np.eye(3, dtype=np.int64), names))


@pytest.mark.usefixtures("without_cjk")
def test_a_font_installed_since_matplotlib_listed_them_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its list from before, so Chinese names would be numbers until it is deleted."""
    damaged = tmp_path / "damaged.ttf"
    damaged.write_bytes(b"no font")
    new = tiny_font(tmp_path / "f.ttf", "Noto Sans CJK SC", "猫")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(damaged), str(new)])
    assert (fonts.shown(["猫", "dog"]), fonts.families()) == (
        ["猫", "dog"],
        [fonts.LATIN, "Noto Sans CJK SC"],
    )


@pytest.mark.usefixtures("without_cjk")
def test_a_font_taken_away_since_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tiny_font(tmp_path / "f.ttf", "Noto Sans CJK SC", "猫")
    font_manager.fontManager.addfont(file)
    file.unlink()
    monkeypatch.setattr(font_manager, "_load_fontmanager", lambda **_: font_manager.fontManager)
    assert (fonts.shown(["猫", "dog"]), fonts.families()) == (["class 0", "dog"], [fonts.LATIN])


@pytest.mark.usefixtures("without_cjk")
def test_no_name_makes_a_warning() -> None:
    names = ["猫", "$x$", "a\nb", "a_{2}$", "\ud800", "x" * 300, "", "🙂"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png(matrix.figure(np.eye(8, dtype=np.int64), names, title="猫 $x$\n_{2}$ \ud800 🙂"))


def test_a_long_title_keeps_within_the_figure() -> None:
    drawn = matrix.figure(np.eye(2, dtype=np.int64), ["a", "b"], title="a long title " * 9)
    drawn.draw_without_rendering()
    box = drawn._suptitle.get_window_extent()  # type: ignore[attr-defined]
    assert box.x0 >= 0
    assert box.x1 <= drawn.bbox.width


@pytest.mark.usefixtures("without_cjk")
def test_classes_that_cannot_be_named_keep_their_number_among_all() -> None:
    counts = np.diag(np.full(200, 5))
    counts[150, 160] = 9
    drawn = matrix.figure(counts, ["猫"] * 200)
    assert {"class 150", "class 160"} <= set(ticks(drawn))


def test_names_are_cut_by_columns_and_not_by_signs() -> None:
    assert columns("猫a") == 3
    assert columns("e\u0301") == 1
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("猫猫猫猫", 6) == "猫猫…"
    assert columns(cut("猫" * 50, 24)) <= 24


# -- a run in hand


def test_a_run_gives_its_confusions_and_figures(finished_run: Path) -> None:
    run = neocog.open(finished_run)
    said = run.folder.predictions("test")
    assert said is not None
    assert np.array_equal(run.confusion(), confusion(answers(said)))
    assert run.confusion("validation").sum() == run.scores["validation"]["n"]
    assert ticks(run.plot_confusion()) == list("0123456789")
    assert len(run.plot_reliability().axes[0].get_legend().get_texts()) == 3
    assert run.all_scores()["test"]["top1"] == run.scores["test"]["top1"]
    with pytest.raises(UsageError, match="did you mean test"):
        run.confusion("tests")


def test_a_run_that_is_not_finished_has_no_confusions(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "half")
    (tmp_path / "half" / "test.npz").unlink()  # validation's is written first
    with pytest.raises(NeocogError, match="no test scores yet: 3 of 3 epochs"):
        neocog.open(tmp_path / "half").plot_confusion()
