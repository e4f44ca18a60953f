"""Lists that are written: read back as they were, or refused; all of them or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from tests.data.shelf import put
from tests.folders import tree_digest

from neocog.cli.main import main
from neocog.data import manifest as module
from neocog.data.loading import load_folder
from neocog.data.manifest import manifest, split_list, write_new
from neocog.errors import DataError, UsageError

LOST = ("cat ", " lead", "a\nb", "two\rlines", "\u3000")  # names that no list gives back
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))


def folder(tmp_path: Path, *classes: str, files: tuple[str, ...] = ("1.png", "2.png")) -> Path:
    """A folder of these files in each of these classes."""
    return put(tmp_path / "d", *(f"{name}/{file}" for name in classes for file in files))


# -- names


@posix
@pytest.mark.parametrize(
    ("command", "name"),
    [
        *((command, name) for command in ("split", "manifest") for name in LOST),
        *(("split", name) for name in ("a\tb", "a\x0bb")),  # a line of class names holds them
    ],
)
def test_classes_that_a_list_would_lose_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    root = folder(tmp_path, "cat", "dog", name)
    out = tmp_path / "out" / ("x.csv" if command == "split" else "lists")
    assert main(["data", command, str(root), "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert repr(name)[1:-1] in said
    assert "Rename it; nothing was written" in said
    assert not out.parent.exists()


@posix
@pytest.mark.parametrize("make", [manifest, split_list])
def test_files_that_a_list_would_lose_are_refused(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    root = folder(tmp_path, "cat", "dog", files=("1.png", "2.png", "trail.jpg "))
    dataset = load_folder(root, validation=0, test=0, cache_size=0)
    with pytest.raises(DataError, match=r"'d/cat/trail\.jpg ': a list would not give it back"):
        make(dataset, tmp_path)


@posix
@pytest.mark.parametrize("command", ["split", "manifest"])
def test_names_that_lists_can_hold_come_back(tmp_path: Path, command: str) -> None:
    classes = ["cat", "big  cat", 'say "x", y', "# dog", "猫;|", "a\u3000b"]
    files = (
        "1.png",
        "a b.png",
        "c,d;.png",
        '"q".png',
        "t\tt.png",
        "a\u3000b.png",
        "# 1.png",
        "b\\c",
    )
    root = folder(tmp_path, *classes, files=files)
    place = tmp_path / ("x.csv" if command == "split" else "lists")
    before = tree_digest(root)
    assert main(["data", command, str(root), "--out", str(place)]) == 0
    assert tree_digest(root) == before
    read, plain = load_folder(place, allowed=root), load_folder(root)
    assert read.classes == plain.classes
    base = place.parent if command == "split" else place
    for name, split in plain.splits.items():
        expected = {((root / path).resolve(), label) for path, label, _ in split.facts()}  # type: ignore[misc]
        found = read.splits[name].facts()
        assert {((base / path).resolve(), label) for path, label, _ in found} == expected  # type: ignore[misc]


def test_numbers_that_would_be_read_otherwise_are_refused(tmp_path: Path) -> None:
    dataset = load_folder(folder(tmp_path, "0", "1"), validation=0, test=0, cache_size=0)
    assert split_list(dataset, tmp_path).count("\n") == 5
    (tmp_path / "classes.txt").write_text("zebra\nant\n")
    with pytest.raises(DataError, match=r"classes 0, .* would be read as zebra"):
        split_list(dataset, tmp_path)
    put(tmp_path / "d", "01/1.png", "01/2.png")
    dataset = load_folder(tmp_path / "d", validation=0, test=0, cache_size=0)
    with pytest.raises(DataError, match="such as 1 and 01"):
        split_list(dataset, tmp_path)


# -- all or none

FILES = {"train.txt": "a 0\n", "val.txt": "b 1\n", "classes.txt": "x\ny\n"}


def test_whole_files_are_written_in_a_new_folder(tmp_path: Path) -> None:
    write_new(tmp_path / "a" / "b", FILES, spared=tmp_path / "d")
    made = {path.name: path.read_text() for path in (tmp_path / "a" / "b").iterdir()}
    assert made == FILES


@pytest.mark.parametrize("call", range(1, 4))
@pytest.mark.parametrize("place", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_full_disk_or_an_end_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: int,
    place: str,
    error: BaseException,
) -> None:
    calls = []
    owner = os if place == "fsync" else Path
    plain = getattr(owner, place)

    def failing(*given: object) -> object:
        calls.append(given)
        if len(calls) == call:
            raise error
        return plain(*given)

    (tmp_path / "there").mkdir()
    for out in (tmp_path / "a" / "b", tmp_path / "there"):
        calls.clear()
        with monkeypatch.context() as patched:
            patched.setattr(owner, place, failing)
            with pytest.raises((DataError, KeyboardInterrupt)) as caught:
                write_new(out, FILES, spared=tmp_path / "d")
        assert isinstance(caught.value, KeyboardInterrupt) or str(caught.value) == (
            f"{out}: cannot be written to: No space left; nothing was written"
        )
        assert sorted(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_what_came_meanwhile_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(file: int) -> None:
        (tmp_path / "val.txt").write_text("mine")

    monkeypatch.setattr(module.os, "fsync", another)
    with pytest.raises(DataError, match="File exists"):
        write_new(tmp_path, FILES, spared=tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["val.txt"]
    assert (tmp_path / "val.txt").read_text() == "mine"
    with pytest.raises(UsageError, match=r"val\.txt: it exists"):
        write_new(tmp_path, FILES, spared=tmp_path / "d")
