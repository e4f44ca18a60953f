"""Folders as data sets: splits, counts, batches, and pictures that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.folders import flat_folder, picture, tree_digest

from neocog import api
from neocog.data.batches import Augmentation, TrainingBatches, in_order, to_input
from neocog.data.cache import cache_dir
from neocog.data.crops import Crop
from neocog.data.dataset import Dataset
from neocog.data.filesplit import FileSplit
from neocog.data.loading import load_folder
from neocog.data.pictures import read
from neocog.data.preprocess import input_spec
from neocog.data.recorded import from_record, record
from neocog.data.spec import InputSpec
from neocog.errors import DataError, UsageError


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return flat_folder(tmp_path / "pictures")


def spec_of(dataset: Dataset, size: int = 24, **more: object) -> InputSpec:
    return input_spec(dataset, dataset.channels, (size, size), **more)  # type: ignore[arg-type]


def batches(dataset: Dataset, **more: object) -> TrainingBatches:
    values: dict[str, object] = {"augmentation": Augmentation(), "batch_size": 8, "seed": 3}
    return TrainingBatches(dataset.train, spec_of(dataset, 24, resize=28), **{**values, **more})  # type: ignore[arg-type]


def files(split: object) -> set[str]:
    assert isinstance(split, FileSplit)
    return set(split.files.paths)


def test_a_flat_folder_is_cut_by_class_and_seed(flat: Path) -> None:
    before = tree_digest(flat)
    made = load_folder(flat, validation=0.2, test=0.1, seed=1)
    assert made.classes == ("blue", "green", "red")
    assert [len(split) for split in made.splits.values()] == [42, 12, 6]
    for split, each in zip(made.splits.values(), (14, 4, 2), strict=True):
        assert torch.bincount(split.labels).tolist() == [each] * 3
    all_of_them = [files(split) for split in made.splits.values()]
    assert len(set.union(*all_of_them)) == 60
    again = load_folder(flat, validation=0.2, test=0.1, seed=1)
    assert files(again.test) == files(made.test)
    other = load_folder(flat, validation=0.2, test=0.1, seed=2)
    assert files(other.test) != files(made.test)
    assert made.fingerprint() == again.fingerprint() != other.fingerprint()
    list(in_order(made.val, spec_of(made), 5))
    made.finish()
    assert tree_digest(flat) == before


def test_the_users_own_validation_is_kept_and_nothing_is_cut_to_test(tmp_path: Path) -> None:
    flat_folder(tmp_path / "own" / "train", 6)
    flat_folder(tmp_path / "own" / "valid", 2)
    made = load_folder(tmp_path / "own")
    assert [len(split) for split in made.splits.values()] == [18, 6, 0]
    assert all(path.startswith("valid/") for path in files(made.val))


def test_labels_are_those_of_the_folders_in_every_batch(flat: Path) -> None:
    made = load_folder(flat, seed=0)
    spec = spec_of(made, pixels="unit")
    for images, _ in batches(made).epoch(0):
        assert images.shape[1:] == (3, 24, 24)
    for images, labels in in_order(made.train, spec, 7):
        strongest = images.mean((2, 3)).argmax(1)  # red, green or blue, the channels' order
        assert (strongest == torch.tensor([2, 1, 0])[labels]).all()


@pytest.mark.parametrize("area", [(), (0.2, 1.0)])
def test_batches_follow_from_seed_epoch_and_step_alone(flat: Path, area: tuple[float, ...]) -> None:
    made = load_folder(flat, cache_size=0)
    wanted = Augmentation(crop=Crop(area), mirror=True, jitter=0.3, mixup=0.2)
    whole = list(batches(made, augmentation=wanted).epoch(2))
    rest = list(batches(load_folder(flat), augmentation=wanted).epoch(2, start=3))
    assert len(whole) == len(rest) + 3
    for one, other in zip(whole[3:], rest, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert not torch.equal(whole[0][0], next(iter(batches(made).epoch(3)))[0])


def test_kept_pictures_are_the_decoded_ones(flat: Path) -> None:
    fresh = load_folder(flat, cache_size=0)
    kept = load_folder(flat)
    for _ in range(2):
        for one, other in zip(batches(fresh).epoch(0), batches(kept).epoch(0), strict=True):
            assert torch.equal(one[0], other[0])
        kept.finish()
    again = load_folder(flat)
    assert isinstance(again.train, FileSplit)
    seen = list(in_order(again.train, batches(again).spec, 9))
    store = next(iter(again.train.reader.stores.values()))
    assert store is not None
    assert len(store) >= 42 - 1
    plain = list(in_order(fresh.train, batches(fresh).spec, 9))
    for one, other in zip(seen, plain, strict=True):
        assert torch.equal(one[0], other[0])


def test_a_recorded_split_finds_what_was_kept(flat: Path) -> None:
    made = load_folder(flat)
    for split in made.splits.values():
        list(in_order(split, spec_of(made), 9))
    made.finish()
    facts = {"name": "p", "layout": "classes", "classes": list(made.classes), "mirrors": True}
    again = from_record(record(made), flat, {**facts, "validation": 0.1, "seed": 0})
    assert again.fingerprint() == made.fingerprint()
    list(in_order(again.train, spec_of(made), 9))
    assert isinstance(again.train, FileSplit)
    store = next(iter(again.train.reader.stores.values()))
    assert store is not None
    assert len(store) == 60
    assert store.part is None  # nothing had to be decoded


def test_a_changed_picture_is_seen(flat: Path) -> None:
    made = load_folder(flat)
    spec = spec_of(made, pixels="unit")
    list(in_order(made.train, spec, 8))
    made.finish()
    assert isinstance(made.train, FileSplit)
    changed = made.train.files.paths[0]
    picture((0, 0, 0), 1, (50, 50)).save(flat / changed)
    later = load_folder(flat)
    images, _ = next(in_order(later.train, spec, 1))
    assert float(images.mean()) < 0.15


def test_one_way_for_validation_and_for_a_single_file(flat: Path) -> None:
    made = load_folder(flat)
    spec = spec_of(made, 24, resize=28)
    assert isinstance(made.val, FileSplit)
    images, _ = next(in_order(made.val, spec, len(made.val)))
    for image, path in zip(images, made.val.files.paths, strict=True):
        single = to_input(read(flat / path, 3, shorter=spec.resize)[None], spec)[0]
        torch.testing.assert_close(single, image, rtol=0, atol=0)


def test_a_damaged_picture_is_named_once_and_the_next_takes_its_place(tmp_path: Path) -> None:
    root = flat_folder(tmp_path / "p", 60)
    made = load_folder(root, validation=0, test=0.02)
    assert isinstance(made.train, FileSplit)
    bad = made.train.files.paths[10]
    content = (root / bad).read_bytes()
    (root / bad).write_bytes(content[: len(content) // 2])
    lines: list[str] = []
    made = load_folder(root, validation=0, test=0.02, tell=lines.append)
    whole = load_folder(root, validation=0, test=0.02, skip=[bad])
    for epoch in range(2):
        steps = batches(made)
        order = steps.order(epoch).tolist()
        labels = torch.cat([labels for _, labels in steps.epoch(epoch)])
        where = order.index(10)
        follower = order[(where + 1) % len(order)]
        expected = made.train.labels[torch.tensor(order)].clone()
        expected[where] = made.train.labels[follower]
        assert torch.equal(labels, expected[: len(labels)])
    assert len([line for line in lines if bad in line]) == 1
    assert len(whole.train) == len(made.train) - 1
    images = [len(x) for x, _ in in_order(made.train, spec_of(made), 50)]
    assert sum(images) == len(made.train) - 1


def test_above_one_percent_of_damaged_pictures_the_run_stops_with_the_list(flat: Path) -> None:
    made = load_folder(flat, validation=0, test=0, cache_size=0)
    assert isinstance(made.train, FileSplit)
    for path in made.train.files.paths[:2]:
        (flat / path).write_bytes(b"\xff\xd8\xff no more")
    with pytest.raises(DataError, match=r"2 of 60 pictures cannot be read") as error:
        list(batches(made).epoch(0))
    assert all(path in str(error.value) for path in made.train.files.paths[:2])


def test_a_picture_that_is_gone_since_it_was_listed_ends_the_run_at_once(flat: Path) -> None:
    made = load_folder(flat, validation=0, test=0, cache_size=0)
    assert isinstance(made.train, FileSplit)
    gone = flat / made.train.files.paths[7]
    content = gone.read_bytes()
    gone.unlink()
    with pytest.raises(DataError, match=rf"{gone.name}: it was there .* Put it back"):
        list(batches(made).epoch(0))
    gone.write_bytes(content)
    assert len(list(batches(made).epoch(0))) == 8  # nobody remembers it as damaged


def test_grey_pictures_make_a_grey_data_set(tmp_path: Path) -> None:
    for name in ("3", "7"):
        (tmp_path / "grey" / name).mkdir(parents=True)
        for number in range(4):
            values = np.full((9, 9), 60 * number, np.uint8)
            Image.fromarray(values).save(tmp_path / "grey" / name / f"{number}.png")
    made = load_folder(tmp_path / "grey")
    assert made.channels == 1
    assert not made.mirrors  # digits change when they are mirrored
    images, _ = next(in_order(made.train, spec_of(made, 9), 3))
    assert images.shape == (3, 1, 9, 9)


def test_what_is_skipped_is_left_out_and_a_strange_path_is_said(flat: Path) -> None:
    lines: list[str] = []
    made = load_folder(flat, skip=["red/000.jpg", "red/none.jpg"], tell=lines.append)
    assert sum(len(split) for split in made.splits.values()) == 59
    assert not any("red/000.jpg" in files(split) for split in made.splits.values())
    assert any("red/none.jpg" in line for line in lines)


def test_sizes_and_shares_that_cannot_be(flat: Path) -> None:
    with pytest.raises(UsageError, match="size"):
        load_folder(flat, size=0)
    with pytest.raises(UsageError, match="validation"):
        load_folder(flat, validation=1.0)
    with pytest.raises(DataError, match="no such folder"):
        load_folder(flat / "none")


def test_balanced_sampling_shows_each_class_as_often(tmp_path: Path) -> None:
    root = flat_folder(tmp_path / "p", 12)
    for path in sorted((root / "red").iterdir())[2:]:
        path.unlink()
    made = load_folder(root, validation=0, test=0)
    plain = torch.bincount(torch.cat([y for _, y in batches(made).epoch(0)]))
    even = torch.bincount(torch.cat([y for _, y in batches(made, balance="sampling").epoch(0)]))
    assert plain.tolist() == [12, 12, 2]
    assert even.max() - even.min() <= 1
    weights = batches(made, balance="weights").class_weights()
    assert weights is not None
    torch.testing.assert_close(weights * torch.tensor([12, 12, 2]), torch.full((3,), 26 / 3))


def test_the_input_grows_over_the_first_epochs(flat: Path) -> None:
    made = load_folder(flat)
    spec = input_spec(made, 3, (96, 96), resize=96)
    steps = TrainingBatches(made.train, spec, 8, 0, Augmentation(), begin_size=32, grow_epochs=4)
    sides = [next(iter(steps.epoch(epoch)))[0].shape[-1] for epoch in range(6)]
    assert sides[0] == 32
    assert sides == sorted(sides)
    assert sides[4:] == [96, 96]
    assert isinstance(made.train, FileSplit)
    assert len(made.train.reader.stores) == 1  # decoded once for all sizes


def test_the_next_batch_is_decoded_while_one_is_used_and_kept_too(
    flat: Path,
) -> None:
    data = load_folder(flat, validation=0, test=0)
    spec = InputSpec(data.classes, 3, (24, 24), 28, "resize", (0.5,) * 3, (0.2,) * 3)
    made = TrainingBatches(data.train, spec, 8, 3, Augmentation())
    epoch = made.epoch(0)
    next(epoch)
    ((_, store),) = data.train.reader.stores.items()
    assert isinstance(data.train, FileSplit)
    assert data.train._next_begun is not None
    data.train._next_begun[3].all()
    assert len(store) == 16  # of the first batch, and of the next
    others = [images for images, _ in epoch]
    assert len(others) == len(made) - 1
    data.finish()
    assert len(store) == len(data.train)
    whole = [images for images, _ in made.epoch(0)]
    assert all(torch.equal(a, b) for a, b in zip(others, whole[1:], strict=True))


def test_an_epoch_that_is_left_early_leaves_nothing_behind(flat: Path) -> None:
    """What was begun for its next batch is done no further."""
    data = load_folder(flat, validation=0, test=0)
    spec = InputSpec(data.classes, 3, (24, 24), 28, "resize", (0.5,) * 3, (0.2,) * 3)
    made = TrainingBatches(data.train, spec, 16, 3, Augmentation())
    assert isinstance(data.train, FileSplit)
    epoch = made.epoch(0)
    first = next(epoch)
    assert data.train._next_begun is not None
    begun = data.train._next_begun[3].begun
    data.finish()
    assert begun.stopped
    assert data.train._next_begun is None
    assert not list(cache_dir().rglob("*.part"))
    again = list(made.epoch(0))
    assert torch.equal(again[0][0], first[0])
    assert all(torch.equal(a[0], b[0]) for a, b in zip(epoch, again[1:], strict=True))


def test_batches_of_two_epochs_at_once_are_those_of_each(flat: Path) -> None:
    """What was begun for one order is not taken for another."""
    data = load_folder(flat, validation=0, test=0, cache_size=0)
    made = batches(data)
    alone = [[labels.tolist() for _, labels in made.epoch(number)] for number in (0, 1)]
    both = zip(made.epoch(0), made.epoch(1), strict=True)
    turns = [[labels.tolist() for _, labels in each] for each in zip(*both, strict=True)]
    assert turns == alone
    assert alone[0] != alone[1]


def test_a_picture_that_changes_meanwhile_is_said_and_not_kept_for_what_it_was(flat: Path) -> None:
    """Put back as it was, with its old time too, it is not taken for what it was in between."""
    told: list[str] = []
    made = load_folder(flat, validation=0, test=0, tell=told.append)
    assert isinstance(made.train, FileSplit)
    spec, name = spec_of(made, pixels="unit"), made.train.files.paths[0]
    before, facts = (flat / name).read_bytes(), (flat / name).stat()
    picture((0, 0, 0), 1, (50, 50)).save(flat / name)
    black = next(in_order(made.train, spec, 1))[0]
    assert float(black.mean()) < 0.15
    list(in_order(made.train, spec, 9))
    made.finish()
    assert told == [f"{flat / name}: it has changed since it was listed; taken as it is now"]
    (flat / name).write_bytes(before)
    os.utime(flat / name, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    again = load_folder(flat, validation=0, test=0)
    assert float(next(in_order(again.train, spec, 1))[0].mean()) > 0.15
    ((_, store),) = made.train.reader.stores.items()
    assert store is not None
    assert len(store) == len(made.train) - 1


def test_few_of_many_changed_pictures_are_named(flat: Path) -> None:
    told: list[str] = []
    made = load_folder(flat, validation=0, test=0, tell=told.append)
    for path in flat.rglob("*.jpg"):
        os.utime(path)
    list(in_order(made.train, spec_of(made), 9))
    assert len(told) == 3
    assert told[-1].endswith("others are not named")


@pytest.mark.parametrize("what", ["runs", "cache"])
def test_nothing_is_added_to_the_folder_of_the_pictures(
    what: str, flat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree_digest(flat)
    if what == "runs":
        monkeypatch.chdir(flat)
    else:
        monkeypatch.setenv("NEOCOG_CACHE", str(flat / "cache"))
    with pytest.raises(UsageError, match=f"{what}: lies in the folder of the pictures"):
        api.train("lenet_relu", str(flat), epochs=1)
    assert tree_digest(flat) == before
