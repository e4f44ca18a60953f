"""Shards: written, listed, streamed, cut off; the library of WebDataset as the oracle."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import io
import json
import os
import shutil
import tarfile
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data.conftest import Server
from tests.folders import flat_folder, tree_digest
from webdataset.autodecode import IMAGE_EXTENSIONS
from webdataset.tariterators import group_by_keys, tar_file_expander
from webdataset.writer import ShardWriter

from neocog.cli.main import main
from neocog.data import listing, members, packing, shardindex, stream
from neocog.data.batches import Augmentation, TrainingBatches, in_order
from neocog.data.dataset import Dataset
from neocog.data.filesplit import FileSplit
from neocog.data.loading import load_folder
from neocog.data.opening import reading
from neocog.data.preprocess import input_spec
from neocog.data.stream import BUFFER, LANES, stream_order
from neocog.errors import DataError, UsageError

pipes = pytest.mark.skipif(os.name == "nt", reason="a pipe: takes a POSIX shell")

SMALL = 12_000  # bytes of a shard


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flat_folder(tmp_path_factory.mktemp("p") / "colours")


@pytest.fixture(scope="module")
def packed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("s") / "set"
    packing.pack(load_folder(folder, cache_size=0), out, shard_size=SMALL)
    return out


def spec_of(dataset: Dataset):  # type: ignore[no-untyped-def]
    return input_spec(dataset, 3, (24, 24), pixels="unit")


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 255 - value, 9)).save(file, "PNG")
    return file.getvalue()


def samples(count: int, *, begin: int = 0) -> dict[str, bytes]:
    files = {}
    for number in range(begin, begin + count):
        files[f"{number:05d}.png"] = png(number % 256)
        files[f"{number:05d}.cls"] = str(number % 2).encode()
    return files


def by_the_library(path: Path) -> list[dict[str, bytes]]:
    """The samples of a shard, as WebDataset groups them."""
    with path.open("rb") as file:
        files = tar_file_expander([{"url": str(path), "stream": file}])
        return list(group_by_keys(files))


# -- packing


def test_the_library_reads_what_was_packed_and_bytes_are_those_of_the_files(
    folder: Path, packed: Path
) -> None:
    dataset = load_folder(folder, cache_size=0)
    for split, name in packing.NAMES.items():
        files = dataset.splits[split].files  # type: ignore[union-attr]
        expected = {
            (folder / path).read_bytes(): label
            for path, label in zip(files.paths, files.labels.tolist(), strict=True)
        }
        read = [each for path in packed.glob(f"{name}-*.tar") for each in by_the_library(path)]
        assert {sample["jpg"]: int(sample["cls"]) for sample in read} == expected
        assert len(read) == len(expected)
    assert len(list(packed.glob("train-*.tar"))) > 3


def test_the_same_pictures_give_the_same_bytes_and_the_folder_stays_as_it_was(
    folder: Path, packed: Path, tmp_path: Path
) -> None:
    before = tree_digest(folder)
    packing.pack(load_folder(folder, cache_size=0), tmp_path / "again", shard_size=SMALL)
    assert tree_digest(folder) == before
    for path in packed.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_names_with_dots_in_any_script_and_of_any_length_stay_apart(tmp_path: Path) -> None:
    names = ["a.b.jpg", "a_b.jpg", "A_B.jpg", "玫瑰 1.jpg", "x" * 200 + ".jpg", "none", "wrong.png"]
    for number, kind in enumerate(("cat", "dog")):
        (tmp_path / "p" / kind).mkdir(parents=True)
        for place, name in enumerate(names):
            Image.new("RGB", (9, 9), (place * 9, number * 99, 5)).save(
                tmp_path / "p" / kind / name, "JPEG"
            )
    dataset = load_folder(tmp_path / "p", validation=0, test=0, cache_size=0)
    packing.pack(dataset, tmp_path / "s")
    found = listing.listed(tmp_path / "s").splits["train"]
    assert len(set(found.paths)) == len({path.lower() for path in found.paths}) == 14
    read = by_the_library(tmp_path / "s" / "train-000000.tar")
    assert sorted(sample["jpg"] for sample in read) == sorted(
        path.read_bytes() for path in (tmp_path / "p").glob("*/*")
    )


def test_a_picture_is_packed_as_one_whatever_suffix_it_has(tmp_path: Path) -> None:
    names = ["0.cls", "1.json", "2.txt", "3.__key__", "4", "5.ppm", "6.PBM", "7.pgm"]
    forms = {"6.PBM": ("1", b"P4"), "7.pgm": ("L", b"P5")}
    for number, kind in enumerate(("cat", "dog")):
        (tmp_path / "p" / kind).mkdir(parents=True)
        for place, name in enumerate(names):
            mode, begin = forms.get(name, ("RGB", b"P6"))
            made = Image.new("RGB", (9, 9), (place * 9, number * 99, 5)).convert(mode)
            made.save(tmp_path / "p" / kind / name, "PPM")
            assert (tmp_path / "p" / kind / name).read_bytes().startswith(begin)
    dataset = load_folder(tmp_path / "p", validation=0, test=0, cache_size=0)
    made = packing.pack(dataset, tmp_path / "s")
    assert {member.rpartition(".")[2] for member in made[0].members} == {"ppm", "pgm", "jpg"}
    read = by_the_library(tmp_path / "s" / "train-000000.tar")
    assert len(read) == 16
    labelled = []
    for sample in read:
        (suffix,) = {key for key in sample if not key.startswith("__")} - {"cls"}
        assert suffix in IMAGE_EXTENSIONS
        labelled.append((sample[suffix], int(sample["cls"])))
    assert sorted(labelled) == sorted(
        ((tmp_path / "p" / path).read_bytes(), label)
        for path, label, _ in dataset.train.facts()  # type: ignore[union-attr]
    )
    (tmp_path / "s" / shardindex.NAME).unlink()
    assert len(listing.listed(tmp_path / "s")) == 16  # others' shards are read by their suffixes


@pytest.mark.parametrize(
    ("count", "said"),
    [(2_500_000_000, "2.5 GB"), (999_999_999, "1,000.0 MB"), (45_600, "45.6 kB"), (0, "0.0 kB")],
)
def test_sizes_are_said_in_a_unit_that_shows_them(count: int, said: str) -> None:
    assert packing._size(count) == said


def test_nothing_is_written_over_or_into_the_folder_or_half(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_folder(folder, cache_size=0)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    for out, said in ((taken, "it exists"), (folder / "shards", "nothing is added")):
        with pytest.raises(UsageError, match=said):
            packing.pack(dataset, out)
    usage = namedtuple("usage", "free")
    with monkeypatch.context() as patched:
        for free, said in ((1000, r"kB are needed and 1\.0 kB are free"), (0, r"and 0\.0 kB are")):
            patched.setattr(shutil, "disk_usage", lambda path, free=free: usage(free))
            with pytest.raises(DataError, match=said):
                packing.pack(dataset, tmp_path / "out")

    def full(*args: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    for error, place in ((full, "fsync"), (interrupted, "fsync")):
        with monkeypatch.context() as patched:
            patched.setattr(packing.os, place, error)
            with pytest.raises((DataError, KeyboardInterrupt)):
                packing.pack(dataset, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["taken"]
    (tmp_path / "empty").mkdir()
    packing.pack(dataset, tmp_path / "empty")
    assert (tmp_path / "empty" / shardindex.NAME).is_file()


def interrupted(*args: object) -> None:
    raise KeyboardInterrupt


def test_pictures_that_are_gone_are_left_out_and_too_many_stop_it(tmp_path: Path) -> None:
    root = flat_folder(tmp_path / "p", classes=2)
    dataset = load_folder(root, cache_size=0)
    said: list[str] = []
    paths = list(dataset.train.files.paths)  # type: ignore[union-attr]
    (root / paths[0]).unlink()
    made = packing.pack(dataset, tmp_path / "s", tell=said.append)
    assert len(said) == 1
    assert paths[0].rpartition("/")[2] in said[0]
    assert sum(len(shard.members) for shard in made if shard.split == "train") == len(paths) - 1
    (root / paths[1]).unlink()
    with pytest.raises(DataError, match="nothing was packed"):
        packing.pack(dataset, tmp_path / "t")
    assert not (tmp_path / "t").exists()


# -- listing


def test_shards_give_the_splits_and_pictures_of_the_folder(folder: Path, packed: Path) -> None:
    one, other = load_folder(folder, cache_size=0), load_folder(packed, cache_size=0)
    assert other.classes == one.classes
    assert other.mirrors == one.mirrors
    for split in ("train", "validation", "test"):
        ours = in_order(other.splits[split], spec_of(other), 16)
        inputs, labels = (torch.cat(parts) for parts in zip(*ours, strict=True))
        theirs = in_order(one.splits[split], spec_of(one), 16)
        expected, of_them = (torch.cat(parts) for parts in zip(*theirs, strict=True))

        def keyed(images: torch.Tensor, numbers: torch.Tensor) -> list[tuple[float, int]]:
            sums = images.double().flatten(1).sum(1).tolist()
            return sorted(zip(sums, numbers.tolist(), strict=True))

        assert keyed(inputs, labels) == keyed(expected, of_them)


def test_shards_are_named_in_many_ways(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(packed.parent)
    last = sorted(packed.glob("train-*.tar"))[-1].stem.rpartition("-")[2]
    train, val = f"set/train-{{000000..{last}}}.tar", "set/val-000000.tar"
    whole = len(listing.listed("set"))
    assert whole == 60
    for place in (packed, f"{packed}/{shardindex.NAME}", f"set/{shardindex.NAME}"):
        found = listing.listed(place)
        assert len(found) == whole
        assert Path(found.place).is_absolute()
    pattern = listing.listed(f"{train}::{val}")
    assert set(pattern.splits) == {"train", "val"}
    again = listing.listed(pattern.place)  # as a run records it
    assert again.splits["train"].paths == pattern.splits["train"].paths
    monkeypatch.chdir(tmp_path)
    assert len(listing.listed(pattern.place)) == len(pattern)
    assert load_folder(pattern.place, cache_size=0).name == "set"


def test_others_shards_are_read_once_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "theirs"
    root.mkdir()
    for split, count in (("train", 30), ("val", 10)):
        pattern = f"{root}/imagenet-{split}-%04d.tar"
        with ShardWriter(pattern, maxcount=8, verbose=0) as writer:
            for number in range(count):
                image = Image.new("RGB", (10, 12), (number * 6, 5, 99))
                writer.write(
                    {"__key__": f"k{number:04d}", "jpg": image, "cls": number % 3, "json": {"a": 1}}
                )
    said: list[str] = []
    dataset = load_folder(root, cache_size=0, tell=said.append)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (30, 10, 0)
    assert dataset.classes == ("0", "1", "2")
    assert "reading 6 shards once" in said[0]
    monkeypatch.setattr(members, "samples", None)
    again = load_folder(root, cache_size=0)
    assert again.fingerprint() == dataset.fingerprint()
    labels = dataset.train.labels.tolist()
    images = list(in_order(dataset.train, spec_of(dataset), 7))
    reds = torch.cat([inputs for inputs, _ in images])[:, 0].mean((1, 2)) * 255
    assert [round(float(red) / 6) % 3 for red in reds] == labels


def test_labels_are_said_in_several_ways(tmp_path: Path) -> None:
    archive(
        tmp_path / "a.tar",
        {
            "1.png": png(1), "1.cls": b"dog\n",
            "cat/2.png": png(2),
            "3.jpeg": png(3), "3.json": b'{"label": "dog", "caption": "x"}',
            "4.v2.png": png(4), "4.json": b'{"class": "cat"}',
            "5.png": png(5), "6.cls": b"cat", "._7.png": b"x", "__meta__/8.png": b"x",
            "9.png": png(9), "9.json": b"[" * 10_000,
        },
    )  # fmt: skip
    found = listing.listed(tmp_path / "a.tar")
    files = found.splits["all"]
    assert found.classes == ("cat", "dog")
    said = {path.partition("/")[2]: found.classes[n] for path, n in zip(files.paths, files.labels, strict=True)}  # noqa: E501  # fmt: skip
    assert said == {"1.png": "dog", "cat/2.png": "cat", "3.jpeg": "dog", "4.v2.png": "cat"}
    assert {each.file for each in found.ignored} == {"a.tar/5.png", "a.tar/9.png"}


def test_packed_archives_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    content = archive(tmp_path / "x.tar", samples(10)).read_bytes()
    (tmp_path / "x.tar").unlink()
    for name, made in (("a.tar.gz", gzip.compress(content)), ("b.tar", bz2.compress(content))):
        (tmp_path / name).write_bytes(made)
        dataset = load_folder(tmp_path / name, validation=0, test=0, cache_size=0)
        assert sum(map(len, epoch_of(dataset, 0))) == 10


def test_some_shards_of_a_split_and_some_of_none_are_not_mixed(tmp_path: Path) -> None:
    for number, name in enumerate(("train-0.tar", "val-0.tar", "more.tar")):
        archive(tmp_path / name, samples(4, begin=4 * number))
    with pytest.raises(DataError, match=r"those of more\.tar do not"):
        listing.listed(tmp_path)


def test_a_folder_with_pictures_is_no_folder_of_shards(folder: Path, tmp_path: Path) -> None:
    root = shutil.copytree(folder, tmp_path / "p")
    archive(root / "devkit.tar", samples(3))
    assert listing.listed(root).layout == "classes"
    with pytest.raises(DataError, match="side by side"):
        listing.listed(root / "red")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shard": "../up.tar"}, "no name of a shard"),
        ({"shard": "/etc/a.tar"}, "no name of a shard"),
        ({"shard": "pipe:rm -r x.tar"}, "no name of a shard"),
        ({"shard": "a/../../b.tar"}, "no name of a shard"),
        ({"shard": "a.zip"}, "no name of a shard"),
        ({"split": "holdout"}, "expected one of"),
        ({"labels": [7]}, "a label of no class"),
        ({"labels": [-1]}, "a label of no class"),
        ({"labels": [True]}, "no numbers"),
        ({"members": ["a.jpg", "a.jpg"], "labels": [0, 0], "sizes": [1, 1], "marks": [1, 1]},
         "twice"),
        ({"sizes": []}, "different lengths"),
        ({"sizes": [1 << 60]}, "size that no picture has"),
        ({"bytes": "many"}, "'many' bytes"),
    ],
)  # fmt: skip
def test_an_index_of_a_stranger_leads_nowhere_else(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    row = {"shard": "a.tar", "split": "train", "bytes": 9, "members": ["a.jpg"], "labels": [0],
           "sizes": [3], "marks": [5], **change}  # fmt: skip
    head = {"neocog": "shards", "version": 1, "classes": ["a", "b"]}
    path = tmp_path / shardindex.NAME
    path.write_text(json.dumps(head) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError, match=said):
        listing.listed(path)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_whatever_an_index_holds_it_is_read_or_refused(content: bytes) -> None:
    head = b'{"neocog":"shards","version":1,"classes":["a","b"]}\n'
    for text in (content, head + content):
        try:
            shardindex.parsed(text, "index")
        except DataError as error:
            said = str(error)
            assert said.startswith("index")


# -- shards that are cut off


def test_a_shard_that_is_cut_off_is_said_before_anything_is_read(
    packed: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(packed, tmp_path / "copy")
    path = copy / "train-000001.tar"
    path.write_bytes(path.read_bytes()[:5000])
    (copy / "train-000002.tar").unlink()
    with pytest.raises(DataError) as caught:
        listing.listed(copy)
    assert "2 of" in str(caught.value)
    assert "train-000001.tar: 5,000 bytes" in str(caught.value)
    assert "train-000002.tar: No such file" in str(caught.value)


def test_a_shard_that_is_cut_off_while_it_is_read_ends_with_its_name(
    packed: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(packed, tmp_path / "copy")
    dataset = load_folder(copy, cache_size=0)
    path = copy / "train-000001.tar"
    for length in (5000, 512 * (len(path.read_bytes()) // 1024)):
        path.write_bytes((packed / path.name).read_bytes()[:length])
        with pytest.raises(DataError, match=r"train-000001\.tar: .*(cut off|not in this shard)"):
            list(in_order(dataset.train, spec_of(dataset), 16))


@settings(max_examples=60)
@given(st.integers(0, 25_000))
def test_an_archive_cut_anywhere_is_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    root = tmp_path_factory.mktemp("cut")
    whole = archive(root / "whole.tar", samples(6)).read_bytes()
    content = whole[:length]
    intact = not whole[length:].strip(b"\0") and length >= 512 * (6 * 4 + 1)
    for seeks in (True, False):
        file = io.BytesIO(content)
        if intact:
            assert len(list(members.samples(file, "x.tar", seeks=seeks))) == 6
        else:
            with pytest.raises(DataError, match=r"^x\.tar: this shard is cut off or damaged"):
                list(members.samples(file, "x.tar", seeks=seeks))


@given(st.binary(max_size=3000))
def test_whatever_an_archive_holds_it_is_read_or_refused(content: bytes) -> None:
    for made in (content, content.ljust(512, b"\0") + bytes(1024)):
        for seeks in (True, False):
            try:
                list(members.samples(io.BytesIO(made), "x.tar", seeks=seeks))
            except DataError as error:
                said = str(error)
                assert said.startswith("x.tar: ")


def test_damage_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    content = bytearray(archive(tmp_path / "a.tar", samples(6)).read_bytes())
    begin = content.index(b"00003.png")
    content[begin : begin + 512] = b"\xa5" * 512
    for seeks in (True, False):
        with pytest.raises(DataError, match="it has no end"):
            list(members.samples(io.BytesIO(bytes(content)), "x.tar", seeks=seeks))


# -- the order, and reading along it


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(0, 9), st.integers(1, 400)
)
def test_an_order_has_every_picture_once_and_follows_from_the_seed(
    counts: list[int], seed: int, buffer: int
) -> None:
    shard_of = np.repeat(np.arange(len(counts)), counts)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stream, "BUFFER", buffer)
        order = stream_order(shard_of, np.random.default_rng(seed))
        assert sorted(order.tolist()) == list(range(len(shard_of)))
        again = stream_order(shard_of, np.random.default_rng(seed))
    assert order.tolist() == again.tolist()


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_processes_read_shards_of_their_own(processes: int) -> None:
    shard_of = np.repeat(np.arange(64), 50)
    order = stream_order(shard_of, np.random.default_rng(1))
    of_each = [set(shard_of[order[rank::processes]].tolist()) for rank in range(processes)]
    assert sum(map(len, of_each)) == 64
    assert processes <= LANES


def test_pictures_are_mixed_across_a_shard_and_held_no_longer_than_the_buffer() -> None:
    shard_of = np.repeat(np.arange(40), 500)
    order = stream_order(shard_of, np.random.default_rng(2))
    seen = np.empty(len(order), dtype=np.int64)
    seen[order] = np.arange(len(order))
    # what is read up to the last picture that was needed so far, and not used yet
    for lane in range(LANES):
        mine = order[lane::LANES]
        rank = {shard: place for place, shard in enumerate(dict.fromkeys(shard_of[mine].tolist()))}
        stored = np.array([rank[int(shard_of[row])] * 500 + row % 500 for row in mine])
        held = np.maximum.accumulate(stored) + 1 - np.arange(1, len(stored) + 1)
        assert held.max() < BUFFER // LANES
        assert np.abs(stored - np.arange(len(stored))).mean() > 100
    assert len(set(shard_of[order[:64]].tolist())) == LANES


def epoch_of(dataset: Dataset, epoch: int, *, start: int = 0) -> list[torch.Tensor]:
    batches = TrainingBatches(dataset.train, spec_of(dataset), 8, 5, Augmentation())
    return [inputs for inputs, _ in batches.epoch(epoch, start=start)]


def test_an_epoch_goes_on_in_its_middle_with_the_same_pictures(packed: Path) -> None:
    whole = epoch_of(load_folder(packed, cache_size=0), 1)
    rest = epoch_of(load_folder(packed, cache_size=0), 1, start=3)
    assert len(whole) == 6
    for one, other in zip(whole[3:], rest, strict=True):
        assert torch.equal(one, other)
    first = epoch_of(load_folder(packed, cache_size=0), 0)
    assert not torch.equal(first[0], whole[0])


def test_few_pictures_are_held_and_no_thread_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BUFFER", 16)
    monkeypatch.setattr(stream, "LEAD", 4)
    for number in range(10):
        archive(tmp_path / f"train-{number}.tar", samples(20, begin=20 * number))
    dataset = load_folder(tmp_path, validation=0, cache_size=0)
    split = dataset.train
    assert isinstance(split, FileSplit)
    batches = TrainingBatches(split, spec_of(dataset), 8, 5, Augmentation())
    most = 0
    for _ in batches.epoch(0):
        assert split.stream is not None
        assert split.stream._pass is not None
        most = max(most, len(split.stream._pass.held))
    assert 8 <= most <= 16 + 3 * 8 + 4  # the buffer, and what came early for the batch
    some = batches.epoch(1)
    next(some)
    del some
    split.stream.close()
    wait_for_threads()


def wait_for_threads() -> None:
    for _ in range(200):
        if not [t for t in threading.enumerate() if t.name.startswith("neocog-shard")]:
            return
        time.sleep(0.02)
    raise AssertionError("threads that read shards are still there")


def test_a_shard_is_opened_once_an_epoch_and_not_for_what_is_kept_decoded(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(packed, tmp_path / "copy")
    opened: list[str] = []

    def counted(source: str) -> object:
        opened.append(Path(source).name)
        return reading(source)

    dataset = load_folder(copy)
    monkeypatch.setattr(stream, "reading", counted)
    names = sorted(path.name for path in copy.glob("train-*.tar"))
    for _ in range(2):
        list(in_order(dataset.train, dataclasses.replace(spec_of(dataset), placing="pad"), 5))
        assert sorted(opened) == names
        dataset.train.reader.stores.clear()  # type: ignore[union-attr]
        opened.clear()
    first = epoch_of(dataset, 0)
    assert sorted(opened) == names
    dataset.finish()
    for path in copy.glob("train-*.tar"):
        path.unlink()
    opened.clear()
    again = epoch_of(dataset, 0)
    assert not opened
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_any_places_can_be_asked_for(packed: Path) -> None:
    dataset = load_folder(packed, cache_size=0)
    spec = spec_of(dataset)
    whole = torch.cat([inputs for inputs, _ in in_order(dataset.train, spec, 50)])
    chosen = [40, 3, 3, 17]
    images, labels = dataset.train.at(chosen, spec)  # type: ignore[union-attr]
    assert torch.equal(images.float() / 255, whole[chosen])
    assert labels.tolist() == dataset.train.labels[chosen].tolist()


def test_the_place_of_an_unreadable_picture_is_taken_by_the_next(tmp_path: Path) -> None:
    files = samples(150)
    files["00007.png"] = b"\x89PNG but no more"
    files["00011.png"] = b""
    archive(tmp_path / "a.tar", files)
    said: list[str] = []
    dataset = load_folder(tmp_path / "a.tar", validation=0, test=0, cache_size=0, tell=said.append)
    dataset = Dataset(**{**vars(dataset), "train": dataset.train})
    with pytest.raises(DataError, match="2 of 150"):
        epoch_of(dataset, 0)
    files["00011.png"] = png(3)
    archive(tmp_path / "a.tar", files)
    dataset = load_folder(tmp_path / "a.tar", validation=0, test=0, cache_size=0, tell=said.append)
    said.clear()
    assert sum(map(len, epoch_of(dataset, 0))) == 150
    assert [line for line in said if "a.tar/00007.png" in line]


# -- programs and URLs


@pipes
def test_a_program_writes_a_shard_out_and_is_asked_again_when_it_fails(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "AGAIN", (0.0, 0.0))
    path, flag = packed / "train-000000.tar", tmp_path / "flag"
    ours = f"pipe:cat '{path}'"
    plain = load_folder(ours, validation=0, test=0, cache_size=0)
    expected = [epoch_of(plain, 0)]
    breaks = f"if [ -e '{flag}' ]; then rm '{flag}'; head -c 6000 '{path}'; exit 9; fi"
    said: list[str] = []
    flaky = load_folder(
        f"pipe:{breaks}; cat '{path}'", validation=0, test=0, cache_size=0, tell=said.append
    )
    flag.touch()
    assert all(map(torch.equal, expected[0], epoch_of(flaky, 0)))
    assert any("trying again" in line for line in said)
    late = f"pipe:head -c 6000 '{path}'; sleep 0.2; exit 9"
    with pytest.raises(DataError, match=r"failed \(exit code 9\)"):
        load_folder(late, cache_size=0)
    with pytest.raises(DataError, match=r"failed \(exit code 7\)"):
        load_folder("pipe:exit 7", cache_size=0)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the library fetches with curl")
def test_shards_come_from_a_server_and_its_answers_are_put_in_words(
    packed: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "AGAIN", (0.0, 0.0))
    for path in packed.iterdir():
        server.files[f"/set/{path.name}"] = path.read_bytes()
    base, said = f"{server.base}set", []
    local = epoch_of(load_folder(packed, cache_size=0), 0)
    for place in (base, f"{base}/", f"{base}/{shardindex.NAME}"):
        dataset = load_folder(place, cache_size=0, tell=said.append)
        server.cut["/set/train-000001.tar"] = 7000
        assert all(map(torch.equal, local, epoch_of(dataset, 0)))
    assert sum("it ended too early" in line for line in said) == 3
    with pytest.raises(DataError, match="has no such file"):
        load_folder(f"{base}-not", cache_size=0)


def test_ways_that_nobody_knows_are_said(packed: Path) -> None:
    with pytest.raises(DataError, match="no way is known to open this"):
        load_folder("s3://bucket/train-000.tar")
    with pytest.raises(DataError, match="a brace is missing"):
        load_folder(f"{packed}/train-{{000000.tar")
    with pytest.raises(DataError, match=r"1 of its shards are not there: .*train-000009"):
        load_folder(f"{packed}/train-00000{{0,9}}.tar")


# -- the commands


def test_the_commands_pack_train_and_refuse(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "pack", str(folder), "--shard-size", "0.02", "--json"]) == 0
    fact = json.loads(capsys.readouterr().out)
    assert (fact["folder"], fact["train"], fact["val"], fact["test"]) == (
        "colours-shards",
        48,
        6,
        6,
    )
    out = ["train", "lenet_relu", "colours-shards", "--epochs", "1", "--out", "run"]
    assert main([*out, "--set", "batch_size=8"]) == 0
    assert "test        top-1" in capsys.readouterr().out
    assert main(["data", "stats", "colours-shards"]) == 0
    assert "48" in capsys.readouterr().out
    assert main(["data", "look", "colours-shards", "--out", "sheet.png"]) == 0
    assert main(["data", "look", "colours-shards", "--augment", "photos", "--out", "a.png"]) == 0
    capsys.readouterr()
    for command, said in (
        (["data", "doctor", "colours-shards"], "Examine the one to be packed"),
        (["data", "manifest", "colours-shards"], "make lists of the folder"),
        (["data", "split", "colours-shards"], "make lists of the folder"),
        (["data", "pack", "colours-shards"], "are shards already"),
        (["data", "pack", str(folder)], "it exists"),
        (["data", "pack", str(folder), "--shard-size", "0"], "above 0"),
        (["data", "pack", "mnist"], "takes a folder of pictures"),
        ([*out[:-1], "other", "--set", "balance=sampling"], "use balance=weights"),
    ):
        assert main(command) == 2, command
        assert said in capsys.readouterr().err, command
