"""What excites a channel, and which patch of a picture that is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neocog.analysis import cost
from neocog.analysis.peaks import field_of, patch, peaks, selective
from neocog.networks import create


def test_the_pictures_with_the_largest_values_are_found_across_batches() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    with torch.no_grad():
        network[0].weight[:] = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    pictures = torch.zeros(5, 1, 3, 4)
    for place, (row, column, value) in enumerate(
        [(0, 1, 5.0), (2, 3, 9.0), (1, 0, 1.0), (1, 2, 7.0), (0, 0, -3.0)]
    ):
        pictures[place, 0, row, column] = value
    places = torch.arange(10, 15)
    batches = [(pictures[:2], places[:2]), (pictures[2:], places[2:])]
    found = peaks(network, batches, "0", 3)
    assert found.places[0].tolist() == [11, 13, 10]
    assert found.values[0].tolist() == [9, 7, 5]
    assert list(zip(found.rows[0].tolist(), found.columns[0].tolist(), strict=True)) == [
        (2, 3),
        (1, 2),
        (0, 1),
    ]
    assert found.places[1, 0] == 14
    assert selective(found, 5) == [0, 1]


def test_the_patch_of_a_unit_is_what_changes_it() -> None:
    """The gradient of one unit reaches the patch and nothing beyond it."""
    network = create("lenet_relu", num_classes=10, in_channels=1, seed=0).eval()
    for name in ("conv1", "pool1", "conv2", "pool2"):
        field = field_of(cost.table(network, (1, 28, 28)), name)
        assert field is not None
        part = network[: list(dict(network.named_children())).index(name) + 1]
        inputs = torch.rand(40, 1, 28, 28, requires_grad=True)
        part(inputs)[:, :, 1, 3].sum().backward()  # type: ignore[no-untyped-call]
        reached = inputs.grad.abs().sum((0, 1)) > 0  # type: ignore[union-attr]
        rows, columns = (torch.nonzero(reached.any(1 - axis)).flatten() for axis in (0, 1))
        top, left, bottom, right = patch(field, 1, 3, (28, 28))
        assert (int(rows[0]), int(rows[-1]) + 1) == (top, bottom)
        assert (int(columns[0]), int(columns[-1]) + 1) == (left, right)


def test_the_field_of_a_stage_is_that_of_what_it_puts_out() -> None:
    network = create("resnet18", num_classes=10, in_channels=3, seed=0)
    table = cost.table(network, (3, 64, 64))
    stage, block = field_of(table, "conv3_x"), field_of(table, "conv2_x")
    assert stage is not None
    assert block is not None
    assert (stage[0].size, block[0].size) == (
        99,
        43,
    )  # Araujo, Norris, Sim 2019: of ResNet's stages
    assert field_of(table, "nothing") is None
    assert patch(None, 0, 0, (64, 48)) == (0, 0, 64, 48)


def test_a_layer_without_positions_has_its_peaks_at_the_origin() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    found = peaks(network, [(torch.rand(6, 1, 2, 2), torch.arange(6))], "1", 2)
    assert found.rows.tolist() == [[0, 0]] * 3
    assert found.values[0, 0] >= found.values[0, 1]
    assert pytest.approx(0) == float(found.columns.sum())
