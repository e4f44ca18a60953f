from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.folders import flat_folder

from neocog.data.batches import (
    Augmentation,
    TrainingBatches,
    derived_seed,
    in_order,
    to_input,
)
from neocog.data.dataset import Dataset, Split
from neocog.data.loading import load, load_folder, stratified
from neocog.data.preprocess import input_spec, statistics
from neocog.data.spec import InputSpec, to_channels
from neocog.errors import UsageError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def spec(channels: int = 1, size: tuple[int, int] = (8, 8), resize: int = 8) -> InputSpec:
    return InputSpec(
        classes=("a", "b"),
        channels=channels,
        size=size,
        resize=resize,
        placing="resize",
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )


def split(n: int, c: int = 1, h: int = 8, w: int = 8) -> Split:
    images = torch.randint(256, (n, c, h, w), generator=torch.Generator().manual_seed(0))
    return Split(images.to(torch.uint8), torch.arange(n) % 2)


def test_load_gives_three_splits_with_lengths_that_share_no_picture(digits: Dataset) -> None:
    assert len(digits.train) + len(digits.val) + len(digits.test) == 1797
    assert len(digits.test) == pytest.approx(360, abs=10)
    assert len(digits.val) == pytest.approx(144, abs=10)
    image, label = digits.train[0]
    assert image.shape == (1, 8, 8)
    assert 0 <= label < 10


def test_validation_is_stratified_repeatable_and_disjoint() -> None:
    labels = np.repeat(np.arange(5), [10, 20, 30, 40, 500])
    kept, held = stratified(labels, 0.1, seed=3)
    assert np.bincount(labels[held]).tolist() == [1, 2, 3, 4, 50]
    assert sorted([*kept, *held]) == list(range(600))
    again = stratified(labels, 0.1, seed=3)
    assert np.array_equal(held, again[1])
    assert not np.array_equal(held, stratified(labels, 0.1, seed=4)[1])


def test_a_class_is_never_held_out_whole_and_zero_holds_out_nothing() -> None:
    kept, _ = stratified(np.array([0, 1, 1]), 0.9, seed=0)
    assert set(np.array([0, 1, 1])[kept]) == {0, 1}
    assert len(stratified(np.array([0, 1, 1]), 0.0, seed=0)[1]) == 0
    with pytest.raises(UsageError, match="fraction"):
        stratified(np.array([0]), 1.0, seed=0)


def test_where_nothing_would_be_held_out_it_is_one_of_each_class_that_has_two() -> None:
    labels = np.repeat(np.arange(4), [1, 2, 5, 4])
    kept, held = stratified(labels, 0.1, seed=3)
    assert np.bincount(labels[held], minlength=4).tolist() == [0, 1, 1, 1]
    assert sorted([*kept, *held]) == list(range(12))
    assert len(stratified(np.arange(3), 0.1, seed=3)[1]) == 0  # none can spare one
    assert len(stratified(np.empty(0, np.int64), 0.1, seed=3)[1]) == 0


def test_of_three_pictures_a_class_one_is_tested_and_one_validates(tmp_path: Path) -> None:
    made = load_folder(flat_folder(tmp_path / "pictures", 3))
    assert [len(split) for split in made.splits.values()] == [3, 3, 3]


def test_what_is_held_out_where_something_was_stays_as_it_was() -> None:
    labels = np.repeat(np.arange(3), [3, 12, 30])
    rng = np.random.default_rng(5)
    before = [
        rng.permutation(np.flatnonzero(labels == label))[:count]
        for label, count in ((0, 0), (1, 1), (2, 3))
    ]
    held = stratified(labels, 0.1, seed=5)[1]
    assert held.tolist() == sorted(np.concatenate(before).tolist())


def test_statistics_agree_with_numpy() -> None:
    images = split(50, c=3).images
    mean, std = statistics(images)
    values = images.numpy() / 255.0
    np.testing.assert_allclose(mean, values.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, values.std(axis=(0, 2, 3)), rtol=1e-10)


def test_channels_grey_to_colour_and_back_as_pillow_does() -> None:
    from PIL import Image

    colour = split(1, c=3).images
    grey = to_channels(colour, 1)
    peer = np.array(Image.fromarray(colour[0].movedim(0, 2).numpy()).convert("L"))
    assert np.abs(grey[0, 0].numpy().astype(int) - peer).max() <= 1
    assert torch.equal(to_channels(grey, 3)[:, 2], grey[:, 0])
    with pytest.raises(UsageError, match="in_channels=3"):
        to_channels(colour, 2)


def test_input_spec_survives_json(digits: Dataset) -> None:
    made = input_spec(digits, 1, (28, 28))
    assert InputSpec.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_pixels_standard_unit_and_lenet5(digits: Dataset) -> None:
    black, white = torch.zeros(1, 1, 8, 8).byte(), torch.full((1, 1, 8, 8), 255).byte()
    unit = input_spec(digits, 1, (8, 8), pixels="unit")
    assert (float(to_input(black, unit).max()), float(to_input(white, unit).min())) == (0, 1)
    lenet5 = input_spec(digits, 1, (8, 8), pixels="lenet5")
    assert float(to_input(black, lenet5)[0, 0, 0, 0]) == pytest.approx(-0.1, abs=1e-6)
    assert float(to_input(white, lenet5)[0, 0, 0, 0]) == pytest.approx(1.175, abs=1e-6)
    standard = input_spec(digits, 1, (8, 8))
    whole = to_input(digits.train.images, standard)
    assert float(whole.mean()) == pytest.approx(0, abs=0.02)
    assert float(whole.std()) == pytest.approx(1, abs=0.02)


def test_padding_centres_a_picture_on_black(digits: Dataset) -> None:
    made = input_spec(digits, 1, (12, 12), pixels="unit", placing="pad")
    out = to_input(digits.train.images[:4], made)
    assert out.shape == (4, 1, 12, 12)
    torch.testing.assert_close(out[:, :, 2:10, 2:10], digits.train.images[:4].float() / 255)
    assert float(out[:, :, :2].abs().sum() + out[:, :, :, 10:].abs().sum()) == 0
    with pytest.raises(UsageError, match="pad"):
        input_spec(digits, 1, (6, 6), placing="pad")


def test_resizing_agrees_with_pillow() -> None:
    from PIL import Image

    pixels = split(1, h=64, w=48).images
    made = spec(size=(32, 24), resize=24)
    ours = to_input(pixels, made)[0, 0] * 0.25 + 0.5
    peer = Image.fromarray(pixels[0, 0].numpy()).resize((24, 32), Image.Resampling.BILINEAR)
    assert np.abs(ours.numpy() * 255 - np.array(peer).astype(float)).max() <= 1.0


def test_a_larger_resize_is_cut_in_the_centre_and_at_random_while_training() -> None:
    pixels, made = split(6, h=12, w=12), spec(size=(8, 8), resize=12)
    plain = (pixels.images.float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(to_input(pixels.images, made), plain[:, :, 2:10, 2:10])
    batches = TrainingBatches(pixels, made, 6, 0, Augmentation())
    images, _ = next(batches.epoch(0))
    pieces = plain.unfold(2, 8, 1).unfold(3, 8, 1).reshape(-1, 8, 8)
    assert all(bool((pieces - image[0]).abs().amax((1, 2)).min() < 1e-5) for image in images)
    with pytest.raises(UsageError, match="resize"):
        input_spec(load("digits"), 1, (28, 28), resize=20)


def test_an_epoch_shows_every_picture_once_in_another_order_each_time() -> None:
    pixels = Split(torch.arange(50).byte().view(50, 1, 1, 1), torch.arange(50))
    made = spec(size=(1, 1), resize=1)
    batches = TrainingBatches(pixels, made, 16, 0, Augmentation())
    first = torch.cat([labels for _, labels in batches.epoch(0)])
    second = torch.cat([labels for _, labels in batches.epoch(1)])
    assert sorted(first.tolist()) == list(range(50)) == sorted(second.tolist())
    assert first.tolist() != second.tolist()
    assert first.tolist() == torch.cat([y for _, y in batches.epoch(0)]).tolist()
    assert len(batches) == 4


def test_starting_inside_an_epoch_gives_the_rest_of_it_to_the_bit() -> None:
    batches = TrainingBatches(split(40, c=3), spec(3), 8, 5, Augmentation(mirror=True, shift=2))
    whole = list(batches.epoch(3))
    rest = list(batches.epoch(3, start=2))
    assert len(rest) == len(whole) - 2
    for (a, x), (b, y) in zip(whole[2:], rest, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(x, y)


def test_mirrored_by_turns_each_picture_is_turned_every_other_epoch() -> None:
    """Half of them in the first epoch, by the seed; then the others. Jordan 2024, section 3.6."""
    pixels = Split(torch.tensor([[[[0, 255]]]]).byte().expand(200, 1, 1, 2), torch.arange(200))
    turned = []
    for seed in (0, 1):
        by_turns = Augmentation(mirror=True, alternate=True)
        batches = TrainingBatches(pixels, spec(size=(1, 2), resize=1), 16, seed, by_turns)
        for epoch in range(4):
            shown = list(batches.epoch(epoch))
            order = torch.cat([labels for _, labels in shown])
            first_pixels = torch.cat([images[:, 0, 0, 0] for images, _ in shown])
            turned.append((first_pixels > 0)[order.argsort()])
    first, second, third, fourth, other, *_ = turned
    assert 70 < int(first.sum()) < 130
    assert torch.equal(first, third)
    assert torch.equal(second, fourth)
    assert torch.equal(first, ~second)
    assert not torch.equal(first, other)


def test_what_is_hidden_is_the_mean_colour_of_the_input() -> None:
    made = spec(3)
    batches = TrainingBatches(split(8, c=3), made, 8, 0, Augmentation(cutout=4))
    (images, _), *_ = batches.epoch(0)
    assert bool(((images == 0).all(1).sum((1, 2)) >= 16).all())


def test_a_last_batch_of_one_is_left_out_unless_it_is_all() -> None:
    assert len(TrainingBatches(split(17), spec(), 8, 0, Augmentation())) == 2
    assert len(TrainingBatches(split(18), spec(), 8, 0, Augmentation())) == 3
    assert len(TrainingBatches(split(1), spec(), 8, 0, Augmentation())) == 1
    assert len(TrainingBatches(split(5), spec(), 1, 0, Augmentation())) == 5


def test_in_order_is_the_split_as_it_stands() -> None:
    pixels = split(10)
    parts = list(in_order(pixels, spec(), 4))
    assert [len(y) for _, y in parts] == [4, 4, 2]
    assert torch.equal(torch.cat([y for _, y in parts]), pixels.labels)


def test_derived_seeds_differ_by_place_and_last_for_ever() -> None:
    assert derived_seed(0, "order", 1) != derived_seed(0, "order", 2) != derived_seed(0, "x", 2)
    # recorded once: another value here would change every run that was ever resumed
    assert derived_seed(0, "order", 0) == 2094333682667709378


def test_size_must_be_a_number_of_pixels() -> None:
    assert load("digits", size=16).size == (16, 16)
    with pytest.raises(UsageError, match="size"):
        load("digits", size=0)
