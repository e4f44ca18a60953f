"""Sheets of sample pictures."""

from __future__ import annotations

import pytest
import torch

from neocog.report import curves, sheet


def test_each_row_is_a_class_with_its_name_and_its_pictures() -> None:
    """Names in any script, or that matplotlib would set as formulas."""
    classes = ("向日葵", "$x", "none of it", "a_b")
    labels = torch.tensor([0] * 3 + [1] * 12 + [3])
    images = torch.arange(16, dtype=torch.uint8).view(16, 1, 1, 1).expand(16, 3, 4, 6).contiguous()
    drawn = sheet.figure(images, labels, classes)
    curves.png(drawn)
    (axes,) = drawn.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] in ("向日葵", "class 0")
    assert names[1:] == [r"\$x", "a_b"]
    rows: dict[float, list[int]] = {}
    for image in axes.images:
        left, right, bottom, top = image.get_extent()
        assert (right - left, bottom - top) == pytest.approx((6, 4))
        rows.setdefault(round(top, 6), []).append(int(labels[int(image.get_array()[0, 0, 0])]))
    assert [rows[top] for top in sorted(rows)] == [[0] * 3, [1] * 10, [3]]
    middles = [top + 2 for top in sorted(rows)]
    assert list(axes.get_yticks()) == pytest.approx(middles)


def test_below_each_picture_stands_what_became_of_it() -> None:
    before = torch.rand(5, 1, 8, 8)
    drawn = sheet.before_and_after(before, [before * 0, before / 2], ["epoch 1", "epoch 2"])
    curves.png(drawn)
    (axes,) = drawn.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "as it is",
        "epoch 1",
        "epoch 2",
    ]
    assert len(axes.images) == 15
    lefts = {image.get_extent()[0] for image in axes.images}
    assert len(lefts) == 5


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_pictures_of_a_pixel_or_a_line_are_shown(channels: int, size: tuple[int, int]) -> None:
    images = torch.zeros(2, channels, *size, dtype=torch.uint8)
    (axes,) = sheet.figure(images, torch.tensor([0, 1]), ("a", "b")).axes
    assert [image.get_array().shape[:2] for image in axes.images] == [size, size]
