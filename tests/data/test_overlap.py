"""Pictures that two splits share: in memory, in files and in archives, and what looks like it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tests.folders import flat_folder

from neocog.data import overlap, packing
from neocog.data.dataset import Pictures, Split
from neocog.data.loading import load_folder


def all_of(folder: Path) -> Pictures:
    """Of a folder of one class; telling pictures apart takes another."""
    (folder / "other").mkdir(exist_ok=True)
    Image.new("RGB", (9, len(folder.name))).save(folder / "other" / f"{folder.name}.png")
    return load_folder(folder, validation=0, test=0, cache_size=0).train


def noise(count: int, channels: int = 3) -> Split:
    generator = torch.Generator().manual_seed(channels)
    shape = (count, channels, 8, 8)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return Split(images, torch.zeros(count, dtype=torch.int64))


def test_pixels_are_compared_whatever_the_labels_and_the_order() -> None:
    known = noise(6)
    one_off = known.images[[5, 2]].clone()
    one_off[0, 0, 0, 0] += 1
    others = Split(torch.cat([known.images[[4, 1]], one_off]), torch.arange(4))
    assert overlap.shared(known, others) == 3
    assert overlap.shared(known, noise(6, channels=1)) == 0


def test_files_are_compared_with_pictures_in_memory_in_as_many_channels(tmp_path: Path) -> None:
    known = noise(5, channels=1)
    (tmp_path / "a").mkdir()
    for number in range(3):
        pixels = known.images[number, 0].numpy()
        as_colour = np.repeat(pixels[:, :, None], 3, 2)  # read as the known ones are: in grey
        Image.fromarray(as_colour if number == 2 else pixels).save(tmp_path / f"a/{number}.png")
    assert overlap.shared(known, all_of(tmp_path)) == 3
    assert overlap.shared(all_of(tmp_path), known) is None  # files are not decoded for that


def test_files_that_only_begin_alike_are_others(tmp_path: Path) -> None:
    """Scans begin with a white margin, and have as many bytes where nothing is compressed."""
    page = np.full((200, 200, 3), 255, np.uint8)
    for folder, marks in (("known", (1, 2)), ("others", (2, 3))):
        for mark in marks:
            (tmp_path / folder / "a").mkdir(parents=True, exist_ok=True)
            page[0, 0] = mark  # a BMP's first row is the last in the file
            Image.fromarray(page).save(tmp_path / folder / "a" / f"{folder}{mark}.bmp")
    known, others = all_of(tmp_path / "known"), all_of(tmp_path / "others")
    assert overlap.shared(known, others) == 1
    (tmp_path / "known/a/known2.bmp").unlink()
    assert overlap.shared(known, others) == 0


def test_pictures_in_archives_are_known_by_folder_name_and_bytes(tmp_path: Path) -> None:
    folder = flat_folder(tmp_path / "colours", 4)
    packing.pack(load_folder(folder, cache_size=0), tmp_path / "packed", shard_size=12_000)
    some = tmp_path / "some"
    (some / "red").mkdir(parents=True)
    for number in range(2):
        shutil.copy(folder / f"red/00{number}.jpg", some / "red")
    known = load_folder(tmp_path / "packed", cache_size=0)
    counts = [overlap.shared(split, all_of(some)) for split in known.splits.values()]
    assert sum(counts) == 2  # type: ignore[arg-type]
