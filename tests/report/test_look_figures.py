"""The figures of `neocog look`: what is drawn where, and names in any script."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from neocog.analysis.units import Behaviour
from neocog.analysis.weights import weighed
from neocog.networks import create
from neocog.report import fonts, gallery, histograms, kernels, panels, scatter, unitbars
from neocog.report.gallery import Block, Card


def axes_of(drawn: Figure) -> list[np.ndarray]:
    """What is shown as images."""
    return [np.asarray(image.get_array()) for axes in drawn.axes for image in axes.images]


def test_filters_of_colours_stand_beside_each_other_on_one_scale() -> None:
    weights = np.zeros((96, 3, 11, 11))
    weights[[0, 40, 50], 0], weights[17, 2] = (
        1.0,
        -0.5,
    )  # the first is red; the second is in the second row
    (sheet,) = axes_of(kernels.figure(weights, title="conv1"))
    assert sheet.shape == (6 * 12 + 1, 16 * 12 + 1, 3)
    assert sheet[5, 5].tolist() == [1.0, 0.5, 0.5]
    assert sheet[12 + 5, 12 + 5].tolist() == [0.5, 0.5, 0.25]
    assert sheet[5, 12 + 5].tolist() == [0.5, 0.5, 0.5]  # 0 is grey
    assert sheet[0].tolist() == [[1.0, 1.0, 1.0]] * 193  # a line between


def test_filters_of_many_inputs_are_rows_and_1x1s_a_table() -> None:
    (sheet,) = axes_of(kernels.figure(np.random.rand(40, 6, 5, 5), title=""))
    assert sheet.shape == (16 * 6 + 1, 6 * 6 + 1)
    (table,) = axes_of(kernels.figure(np.random.rand(40, 24, 1, 1), title=""))
    assert table.shape == (40, 24)
    assert kernels.figure(np.zeros((2, 1, 3, 3)), title="").axes  # nothing to scale by


def test_heat_lies_where_the_values_are() -> None:
    axes = Figure().subplots()
    panels.heat(axes, torch.zeros(3, 20, 30, dtype=torch.uint8), np.eye(4))
    picture, heat = axes.images
    assert picture.get_array().shape == (20, 30)
    assert heat.get_extent() == [-0.5, 29.5, 19.5, -0.5]
    assert heat.get_array().max() == 1
    panels.heat(axes, torch.zeros(1, 4, 4), np.zeros((4, 4)))  # nothing speaks for it


def test_of_many_classes_those_with_most_pictures_are_coloured() -> None:
    labels = np.array([7] * 5 + list(range(100, 130)) + [3, 3])
    assert scatter.coloured(labels)[:2] == [3, 7]
    assert len(scatter.coloured(labels)) == 10
    assert scatter.coloured(np.array([2, 2, 0])) == [0, 2]
    names = [f"kind {n}" for n in range(1000)]
    drawn = scatter.figure({"PCA": np.random.rand(37, 2)}, labels, names, title="")
    said = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert said[0] == "others"
    assert "kind 7" in said


def test_deep_networks_show_histograms_from_the_first_layer_to_the_last() -> None:
    layers = weighed(create("resnet56_cifar", num_classes=10, in_channels=3, seed=0))
    few = histograms.spread(layers)
    assert len(few) == histograms.MOST
    assert (few[0], few[-1]) == (layers[0], layers[-1])
    assert layers[0].counts.sum() == 16 * 3 * 9
    assert "standard deviations from" in histograms.sentence(layers)


def test_the_bars_of_units_say_what_they_show() -> None:
    dead = Behaviour("relu1", "ReLU", 8, 0.25, 0.5, None, 0.1, 1.0)
    full = Behaviour("unit2", "Sigmoid", 4, 0.0, 0.0, 0.75, 0.5, 0.4)
    drawn = unitbars.figure([dead, full], title="")
    widths = {patch.get_width() for patch in drawn.axes[0].patches}
    assert {0.25, 0.5, 0.75} <= widths
    assert unitbars.sentence([dead, full]) == (
        "Activations of 2 layers. Dead units: relu1 25%. Saturated values: unit2 75%."
    )
    assert "No unit is dead" in unitbars.sentence([full])


def test_a_block_without_cards_is_left_out_unless_there_is_no_other() -> None:
    card = Card(torch.zeros(1, 4, 4, dtype=torch.uint8), "a")
    assert len(axes_of(gallery.figure([Block("x", [card] * 3), Block("y", [])], title=""))) == 3
    assert axes_of(gallery.figure([Block("y", [])], title="")) == []


@pytest.mark.parametrize("name", ["cat", "蓝色", "a $x$ b", "x\n\ty", "", "\udcff", "🐈", "é" * 90])
def test_any_name_is_drawn_without_a_warning(name: str) -> None:
    (shown,) = fonts.shown([name])
    drawn = Figure()
    panels.caption(drawn.subplots(), shown)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn.canvas.draw()
    assert len(shown) <= fonts.LONGEST + name.count("$")
    assert shown != "class 0" or not name.isascii() or not name


def test_signs_that_a_font_at_hand_has_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    known = frozenset(range(256)) | frozenset(map(ord, "蓝色"))
    monkeypatch.setattr(fonts, "_known", lambda: known)
    assert fonts.shown(["蓝色 1", "红"]) == ["蓝色 1", "class 1"]
