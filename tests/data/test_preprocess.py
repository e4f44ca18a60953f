"""Pixels to input values, each way beside a formula or a library of somebody else's."""

from __future__ import annotations

import json

import pytest
import torch
from tests.folders import flat_folder
from torch import Tensor

from neocog.data.batches import in_order, to_input
from neocog.data.dataset import Dataset
from neocog.data.loading import load, load_folder
from neocog.data.preprocess import input_spec, mean_picture, normalised, statistics
from neocog.data.spec import InputSpec, packed, unpacked
from neocog.errors import UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_folder(flat_folder(tmp_path_factory.mktemp("p") / "pictures"), cache_size=0)


def whole(dataset: Dataset, spec: InputSpec) -> Tensor:
    return torch.cat([images for images, _ in in_order(dataset.train, spec, 7)])


def spec_of(dataset: Dataset, pixels: str) -> InputSpec:
    return input_spec(dataset, dataset.channels, (16, 16), pixels=pixels)


def test_standard_has_mean_zero_and_deviation_one(folder: Dataset) -> None:
    values = whole(folder, spec_of(folder, "standard"))
    torch.testing.assert_close(values.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        values.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0
    )


def test_mean_pixel_and_mean_picture_leave_nothing_on_average(folder: Dataset) -> None:
    raw = whole(folder, spec_of(folder, "unit"))
    pixel, picture = (
        whole(folder, spec_of(folder, f"mean-{what}")) for what in ("pixel", "picture")
    )
    torch.testing.assert_close(pixel.mean((0, 2, 3)), torch.zeros(3), atol=0.01, rtol=0)
    torch.testing.assert_close(picture.mean(0), torch.zeros(3, 16, 16), atol=0.01, rtol=0)
    torch.testing.assert_close(picture, 255 * (raw - raw.mean(0)), atol=0.01, rtol=0)
    assert pixel.mean(0).abs().max() > 1  # the dark corner: a mean pixel knows no places


def test_caffe_has_blue_first_less_its_means() -> None:
    black = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    red = black.clone()
    red[:, 0] = 255
    data = load("digits")
    spec = input_spec(data, 3, (4, 4), pixels="caffe")
    torch.testing.assert_close(to_input(black, spec)[0, :, 0, 0], -torch.tensor([104.0, 117, 123]))
    torch.testing.assert_close(to_input(red, spec)[0, :, 0, 0], torch.tensor([-104.0, -117, 132]))
    with pytest.raises(UsageError, match="caffe"):
        input_spec(data, 1, (4, 4), pixels="caffe")


def test_by_picture_is_tensorflows_formula(folder: Dataset) -> None:
    raw, values = (whole(folder, spec_of(folder, how)) for how in ("unit", "picture"))
    for one, made in zip(raw, values, strict=True):
        deviation = max(float(one.std(correction=0)), one.numel() ** -0.5)
        torch.testing.assert_close(made, (one - one.mean()) / deviation, atol=1e-4, rtol=1e-4)
    flat = torch.full((1, 3, 16, 16), 90, dtype=torch.uint8)
    assert to_input(flat, spec_of(folder, "picture")).abs().max() < 1e-5


def test_unit_is_between_zero_and_one(folder: Dataset) -> None:
    values = whole(folder, spec_of(folder, "unit"))
    assert 0 <= float(values.min()) < 0.1
    assert 0.8 < float(values.max()) <= 1


@pytest.mark.parametrize("pixels", ["standard", "mean-picture", "caffe", "picture"])
def test_a_spec_survives_json_and_gives_the_same_values(folder: Dataset, pixels: str) -> None:
    spec = spec_of(folder, pixels)
    again = InputSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert torch.equal(whole(folder, again), whole(folder, spec))


def test_a_damaged_mean_picture_is_said(folder: Dataset) -> None:
    values = spec_of(folder, "mean-picture").to_json()
    for text in (values["mean_picture"][:-8], "not base64!", packed(torch.zeros(3, 4, 4))):
        with pytest.raises(UsageError, match="mean picture"):
            InputSpec.from_json({**values, "mean_picture": text})


def test_packing_keeps_what_a_mean_needs() -> None:
    picture = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)).double()
    back = unpacked(packed(picture), (3, 20, 30))
    torch.testing.assert_close(back.double(), picture, atol=1e-5, rtol=0)


def test_means_of_files_and_of_pictures_in_memory_agree(folder: Dataset) -> None:
    spec = spec_of(folder, "unit")
    images = torch.cat([folder.train.in_order(slice(0, len(folder.train)), spec)[0]])
    mean, std = statistics(images)
    made = spec_of(folder, "standard")
    assert made.mean == pytest.approx(mean, abs=1e-9)
    assert made.std == pytest.approx(std, abs=1e-9)
    torch.testing.assert_close(
        mean_picture(folder.train, spec), images.double().mean(0) / 255, atol=1e-9, rtol=0
    )


def test_nobodys_pictures_are_changed() -> None:
    images = torch.randint(256, (4, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(
        torch.uint8
    )
    before = images.clone()
    for changed in ({}, {"bgr": True}, {"by_picture": True}):
        spec = InputSpec(("a", "b"), 3, (8, 8), 8, "resize", (0.5,) * 3, (0.25,) * 3, **changed)  # type: ignore[arg-type]
        normalised(images, spec)
        floats = images / 255
        kept = floats.clone()
        normalised(floats, spec)
        assert torch.equal(images, before)
        assert torch.equal(floats, kept)


@pytest.mark.parametrize("pixels", ["standard", "mean-picture", "caffe", "picture", "unit"])
@pytest.mark.parametrize("channels", [1, 3])
def test_however_pictures_lie_in_memory_the_values_are_the_same(pixels: str, channels: int) -> None:
    if channels == 1 and pixels == "caffe":
        return
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(256, (5, channels, 16, 16), generator=generator).to(torch.uint8)
    data = load("digits")
    spec = input_spec(data, channels, (16, 16), pixels=pixels)
    laid = images.to(memory_format=torch.channels_last)
    with torch.inference_mode():  # what is kept from here is of use elsewhere
        normalised(laid, spec)
    assert torch.equal(normalised(laid, spec), normalised(images, spec))
    assert torch.equal(normalised(laid, spec), normalised(images / 255, spec))


def test_what_is_kept_of_a_spec_may_be_asked_for_first_while_scoring() -> None:
    """What inference mode makes takes part in no gradient afterwards."""
    spec = InputSpec(("a", "b"), 1, (4, 4), 4, "resize", (0.123,), (0.456,))
    with torch.inference_mode():
        normalised(torch.rand(1, 1, 4, 4), spec)
    x = torch.rand(1, 1, 4, 4, requires_grad=True)
    normalised(x, spec).sum().backward()
    torch.testing.assert_close(x.grad, torch.full_like(x, 1 / 0.456))
