"""Folders: what is a picture of which class and split, what is not, and that it is all said."""

from __future__ import annotations

import gc
import io
import os
import shutil
import struct
import sys
import tarfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.data.shelf import JPEG, PNG, labelled, put, reasons, sound
from tests.folders import flat_folder, tree_digest
from tests.peers import torchvision_models  # noqa: F401 - a fixture

from neocog.data import pictures, tree
from neocog.data.files import UnfitError
from neocog.data.listing import listed
from neocog.errors import DataError

SPLITS = ("train/cat/1.png", "train/dog/2.png", "train/dog/3.png")
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names or files")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    return made


# -- layouts


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "VALID", "Test"),
        ("training", "validation", "testing"),
        ("train_set", "dev", "test-set"),
        ("training_data", "validation_data", "test data"),
    ],
)
def test_folders_of_splits_by_all_their_names(root: Path, train: str, val: str, test: str) -> None:
    put(root, f"{train}/cat/1.png", f"{train}/dog/2.png", f"{train}/dog/deeper/3.png")
    put(root, f"{val}/cat/1.png", f"{val}/dog/2.png", f"{test}/cat/1.png", f"{test}/dog/2.png")
    found = listed(root)
    assert (found.root, found.layout, found.classes) == (root, "splits", ("cat", "dog"))
    assert labelled(found) == {
        "train": {
            f"{train}/cat/1.png": "cat",
            f"{train}/dog/2.png": "dog",
            f"{train}/dog/deeper/3.png": "dog",
        },
        "val": {f"{val}/cat/1.png": "cat", f"{val}/dog/2.png": "dog"},
        "test": {f"{test}/cat/1.png": "cat", f"{test}/dog/2.png": "dog"},
    }
    assert found.ignored == found.remarks == ()
    assert len(found) == 7


def test_training_pictures_alone(root: Path) -> None:
    assert set(listed(put(root, *SPLITS)).splits) == {"train"}


def test_folders_of_classes(root: Path) -> None:
    put(root, "cat/1.png", "cat/2.png", "dog/1.png", "dog/old/2.png")
    found = listed(str(root))
    assert (found.layout, found.classes, found.remarks) == ("classes", ("cat", "dog"), ())
    assert labelled(found)["all"] == {
        "cat/1.png": "cat",
        "cat/2.png": "cat",
        "dog/1.png": "dog",
        "dog/old/2.png": "dog",
    }


def test_sizes_and_times_are_those_of_the_files(root: Path) -> None:
    put(root, "a/1.png", "b/1.png", "b/2.png")
    os.utime(root / "a/1.png", ns=(1, 1_500_000_000_123_456_700))
    files = listed(root).splits["all"]
    facts = [(root / path).stat() for path in files.paths]
    assert files.sizes.tolist() == [each.st_size for each in facts]
    assert files.times.tolist() == [each.st_mtime_ns for each in facts]
    part = files.at(np.array([2, 0]))
    assert (part.paths, part.labels.tolist(), len(part)) == (["b/2.png", "a/1.png"], [1, 0], 2)
    assert part.labels.dtype == part.sizes.dtype == part.times.dtype == np.int64


def test_classes_stand_in_plain_order(root: Path) -> None:
    names = ["b", "B", "a", "10", "9", "a-b", "a b", "_", "é", "中"]
    if sys.platform != "linux":
        names.remove("B")  # it would be the same folder as b
    for name in names:
        put(root, f"{name}/1.png", f"{name}/2.png")
    found = listed(root)
    assert list(found.classes) == sorted(names)
    assert all(path.startswith(f"{name}/") for path, name in labelled(found)["all"].items())
    assert list(found.splits["all"].paths) == sorted(found.splits["all"].paths)


def test_the_same_as_torchvision(root: Path, torchvision_models: object) -> None:  # noqa: F811
    from torchvision.datasets import ImageFolder

    for name in ("b", "a", "a-b", "a b", "Zebra", "10", "9"):
        put(root, f"{name}/2.png", f"{name}/10.png", f"{name}/deep/er/1.png")
    put(root, "a/3.jpg", content=JPEG)
    oracle = ImageFolder(root)
    found = listed(root)
    assert list(found.classes) == oracle.classes
    assert {
        (str(root / path), label)
        for path, label in zip(
            found.splits["all"].paths, found.splits["all"].labels.tolist(), strict=True
        )
    } == {(path.replace(os.sep, os.sep), label) for path, label in oracle.samples}


def test_a_class_missing_from_a_split_is_said_and_shifts_nothing(root: Path) -> None:
    put(root, "train/a/1.png", "train/b/1.png", "train/c/1.png", "val/a/1.png", "val/c/1.png")
    put(root, "val/d/1.png")
    (root / "val" / "b").mkdir()
    (root / "train" / "none").mkdir()
    found = listed(root)
    assert found.classes == ("a", "b", "c", "d")
    assert found.splits["val"].labels.tolist() == [0, 2, 3]
    assert found.remarks == (
        "no pictures in the folder of none: no class",
        "train has no pictures of d",
        "val has no pictures of b",
    )


def test_an_empty_folder_is_no_class_and_is_said(root: Path) -> None:
    put(root, "a/1.png", "a/2.png", "b/1.png")
    (root / "c").mkdir()
    found = listed(root)
    assert found.classes == ("a", "b")
    assert found.remarks == ("no pictures in the folder of c: no class",)


def test_a_class_may_be_called_train(root: Path) -> None:
    put(root, "train/1.png", "train/2.png", "car/1.png", "car/2.png")
    found = listed(root)
    assert (found.layout, found.classes) == ("classes", ("car", "train"))
    put(root, "trains/test/old/1.png")
    assert listed(root).classes == ("car", "train", "trains")


def test_where_train_may_be_a_split_or_a_class_it_is_asked(root: Path) -> None:
    put(root, "train/red/1.png", "train/green/1.png", "car/blue/1.png")
    with pytest.raises(DataError, match=r"train and car all hold folders .* name the folder train"):
        listed(root)
    put(root, "val/red/1.png")
    found = listed(root)
    assert found.classes == ("green", "red")
    assert reasons(found) == {"car/blue/1.png": "beside the folders of the splits"}


def test_pictures_of_splits_without_classes_are_never_taken_for_classes(root: Path) -> None:
    put(root, "train/cat.0.png", "train/dog.1.png", "test/1.png", "test/2.png")
    with pytest.raises(DataError, match=r"test, train are names of splits") as caught:
        listed(root)
    assert "filename,label" in str(caught.value)
    shutil.rmtree(root / "train")
    put(root, "val/cat/1.png", "val/dog/1.png", "test/cat/1.png", "test/dog/2.png")
    with pytest.raises(DataError, match="test, val are names of splits"):
        listed(root)


def test_two_folders_of_one_split_are_refused(root: Path) -> None:
    put(root, *SPLITS, "val/cat/1.png", "valid/cat/1.png")
    with pytest.raises(DataError, match="val and valid both hold the val pictures"):
        listed(root)


def test_classes_that_look_like_splits_of_other_names_are_said(root: Path) -> None:
    put(root, *(f"{a}/{b}/1.png" for a in ("learn", "check") for b in ("cat", "dog")))
    (remark,) = listed(root).remarks
    assert "check, learn were taken for classes, and each holds the folders cat, dog" in remark


@pytest.mark.parametrize("above", ["flowers", "flowers/flowers"])
def test_an_unpacked_archive_has_a_folder_or_two_more(root: Path, above: str) -> None:
    put(root, *(f"{above}/{path}" for path in SPLITS), "__MACOSX/x/._1.png")
    found = listed(root)
    assert found.classes == ("cat", "dog")
    assert f"{above}/train/cat/1.png" in found.splits["train"].paths
    assert reasons(found) == {"__MACOSX": "made by the system"}


def test_one_class_is_refused_with_the_folder_that_may_be_meant(root: Path) -> None:
    put(root, "flowers/daisy/1.png", "flowers/rose/1.png", "flowers/rose/2.png")
    with pytest.raises(DataError, match=r"one class only, 'flowers'.* name that folder"):
        listed(root)
    assert listed(root / "flowers").classes == ("daisy", "rose")


def test_names_that_differ_little_are_said(root: Path) -> None:
    put(root, "train/cat/1.png", "train/dog/1.png", "val/Cat/1.png", "val/dog/1.png")
    found = listed(root)
    assert found.classes == ("Cat", "cat", "dog")
    assert "the classes 'Cat' and 'cat' differ in case or blanks only" in found.remarks


def test_letters_composed_in_another_way_are_one_class(root: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Gänseblümchen") for form in ("NFC", "NFD"))
    put(root, f"train/{composed}/1.png", "train/b/1.png", f"val/{apart}/1.png", "val/b/1.png")
    found = listed(root)
    assert found.classes == (composed, "b")
    assert found.remarks == ()
    assert all((root / path).is_file() for each in found.splits.values() for path in each.paths)


@pytest.mark.parametrize("name", ["кот", "猫", "고양이", "قطة", "🐈", "a'b\"c", "a,b;c", "x" * 200])
def test_names_in_any_script(root: Path, name: str) -> None:
    if os.name == "nt" and '"' in name:
        pytest.skip("no such name on Windows")
    put(root, f"{name}/{name}.png", f"{name}/2.png", "other/1.png")
    found = listed(root)
    assert set(found.classes) == {name, "other"}
    assert labelled(found)["all"][f"{name}/{name}.png"] == name


# -- what is a picture


BY_HAND = {  # headers of 32x32 pictures in RGB, not compressed
    "PSD": b"8BPS" + struct.pack(">H6xHIIHHIIIH", 1, 3, 32, 32, 8, 3, 0, 0, 0, 0),
    "SUN": struct.pack(">8I", 0x59A66A95, 32, 32, 24, 3 * 32 * 32, 1, 0, 0),
}


@pytest.mark.parametrize("form", [kind for kind in pictures.KINDS if kind != "TGA"])
def test_content_counts_and_not_the_suffix(root: Path, form: str) -> None:
    Image.init()
    put(root, "a/1.png", "b/1.png")
    image = Image.new("RGB", (32, 32), (90, 60, 30))
    try:
        if form in BY_HAND:  # Pillow reads it and does not write it
            (root / "a" / "photo.txt").write_bytes(BY_HAND[form] + bytes(3 * 32 * 32))
        else:
            image.save(root / "a" / "photo.txt", format=form)
    except (OSError, KeyError):
        pytest.skip("this Pillow was built without it")
    assert "a/photo.txt" in listed(root).splits["all"].paths
    channels, height, width = pictures.read(root / "a" / "photo.txt", 3).shape
    assert channels == 3
    assert height == width  # an ICNS holds larger ones, too


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"notes", "not a picture"),
        (b"Python is a language", "not a picture"),
        (b"P2 is the second part", "not a picture"),
        (b"BMW, or how to drive", "not a picture"),
        (b"/* XPM */ static char", "not a picture"),
        (b"#define WIDTH 8", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "not a picture"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60), "not a picture"),  # Word of old
        (b"PK\3\4" + bytes(60), "not a picture (a packed archive: unpack it)"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "not a picture (HEIC: save it as JPEG)"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "not a picture (HEIC: save it as JPEG)"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "not a picture (a film: save its frames)"),
        (b"<!DOCTYPE html><title>404", "not a picture (a web page: get the file again)"),
    ],
)
def test_what_is_no_picture_is_named_and_counted(root: Path, content: bytes, why: str) -> None:
    put(root, "a/1.png", "a/2.png", "b/1.png")
    put(root, "a/x.jpg", "b/y.jpg", content=content)
    found = listed(root)
    assert len(found) == 3
    assert reasons(found) == {"a/x.jpg": why, "b/y.jpg": why}
    assert found.left_out() == [f"2 left out: {why} (a/x.jpg, ...)"]


def test_hidden_and_system_files_are_no_data(root: Path) -> None:
    put(root, "a/1.png", "b/1.png", "b/2.png")
    put(root, ".ipynb_checkpoints/1-checkpoint.png", ".git/x.png", "a/.trash/1.png", "a/._1.png")
    put(root, "__MACOSX/a/1.png", "@eaDir/1.png", "a/Thumbs.db", "a/desktop.ini", "$RECYCLE.BIN/1")
    found = listed(root)
    assert found.classes == ("a", "b")
    assert reasons(found) == {
        **dict.fromkeys((".ipynb_checkpoints", ".git", "a/.trash", "a/._1.png"), "hidden"),
        **dict.fromkeys(("__MACOSX", "@eaDir", "$RECYCLE.BIN"), "made by the system"),
        **dict.fromkeys(("a/Thumbs.db", "a/desktop.ini"), "made by the system"),
    }


def test_a_picture_of_no_class_is_named(root: Path) -> None:
    put(root, "cover.png", *SPLITS, "train/cover.png", "val/1.png", "val/cat/1.png")
    assert reasons(listed(root)) == {
        "cover.png": "beside the folders of the splits",
        "train/cover.png": "beside the class folders, so of no class",
        "val/1.png": "beside the class folders, so of no class",
    }
    shutil.rmtree(root / "train")
    shutil.rmtree(root / "val")
    put(root, "a/1.png", "b/1.png", "b/2.png")
    assert reasons(listed(root)) == {"cover.png": "beside the class folders, so of no class"}


def test_a_folder_called_picture_jpg(root: Path) -> None:
    put(root, "a/picture.jpg/1.png", "a/2.png", "b.png/1.png")
    found = listed(root)
    assert found.classes == ("a", "b.png")
    assert "a/picture.jpg/1.png" in found.splits["all"].paths


def test_many_files_are_looked_at_by_threads_in_the_same_order(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, *(f"{name}/{number}.png" for name in "ab" for number in range(40)))
    put(root, *(f"a/{number}.txt" for number in range(20)), content=b"text")
    one = listed(root)
    monkeypatch.setattr(tree, "PART", 7)
    monkeypatch.setattr(tree, "SLOW", -1.0)
    several = listed(root)
    assert (labelled(several), several.ignored) == (labelled(one), one.ignored)
    assert len(one.ignored) == 20


def test_a_file_that_cannot_be_opened_beside_many_others_is_tried_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, *(f"{name}/{number}.png" for name in "ab" for number in range(9)))
    opened, some = os.open, [0]

    def few(path: str, flags: int, *more: int) -> int:
        some[0] += str(path).endswith(".png")
        if some[0] % 3 == 1 and some[0] <= 18:
            raise OSError(24, "Too many open files")
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", few)
    paths = sorted(str(path) for path in root.rglob("*.png"))
    if tree.ASKS:
        assert [why for _, _, why in tree._together(paths)] == [None] * 18
        assert some[0] == 24  # six of them twice


# -- links


def link(place: Path, to: Path | str) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(to, target_is_directory=Path(to).is_dir())
    except OSError:
        pytest.skip("no links for this user")


def test_links_that_stay_in_the_folder_are_followed(root: Path) -> None:
    put(root, "pool/1.png", "pool/2.png", "folders/dog/3.png")
    link(root / "train/cat/1.png", root / "pool/1.png")
    link(root / "train/dog", root / "folders/dog")
    link(root / "val/cat/2.png", root / "pool/2.png")
    found = listed(root)
    assert labelled(found)["train"] == {"train/cat/1.png": "cat", "train/dog/3.png": "dog"}
    assert labelled(found)["val"] == {"val/cat/2.png": "cat"}


def test_links_that_leave_the_folder_are_not_followed(root: Path, tmp_path: Path) -> None:
    put(root, "a/1.png", "b/1.png", "b/2.png")
    put(tmp_path / "pictures-else", "c/1.png")  # its name begins as the root's
    link(root / "c", tmp_path / "pictures-else" / "c")
    link(root / "a" / "out.png", tmp_path / "pictures-else" / "c" / "1.png")
    link(root / "a" / "gone.png", root / "nothing.png")
    found = listed(root)
    assert found.classes == ("a", "b")
    assert reasons(found) == {
        "c": "a link out of the folder",
        "a/out.png": "a link out of the folder",
        "a/gone.png": "a link to nothing",
    }


def test_the_folder_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    put(root, "a/1.png", "b/1.png", "b/2.png")
    link(tmp_path / "link", root)
    assert labelled(listed(tmp_path / "link")) == labelled(listed(root))


def test_loops_end(root: Path) -> None:
    put(root, "a/1.png", "b/1.png", "b/2.png")
    link(root / "a" / "loop", root)
    link(root / "a" / "self", "self")
    assert reasons(listed(root)) == {
        "a/loop": "a link to a folder above it",
        "a/self": "a link to nothing",
    }


def test_folders_linked_to_each_other_end(root: Path) -> None:
    names = [f"f{number:02}" for number in range(14)]
    put(root, *(f"{name}/1.png" for name in names))
    for one in names:
        for other in names:
            if one != other:
                link(root / one / f"to-{other}", root / other)
    found = listed(root)
    assert list(found.classes) == names
    assert "one link of too many to a folder" in reasons(found).values()


@POSIX
def test_a_fifo_is_not_opened(root: Path) -> None:
    put(root, "a/1.png", "b/1.png", "b/2.png")
    os.mkfifo(root / "a" / "waits.png")
    assert reasons(listed(root)) == {"a/waits.png": "no regular file"}


# -- what ends it


def test_an_empty_folder_says_what_is_expected(root: Path) -> None:
    with pytest.raises(DataError, match="no pictures in it") as caught:
        listed(root)
    assert str(root / "train" / "CLASS" / "picture.jpg") in str(caught.value)
    put(root, "a/readme.txt", content=b"text")
    with pytest.raises(DataError, match=r"1 left out: not a picture \(a/readme.txt\)"):
        listed(root)


def test_pictures_side_by_side(root: Path) -> None:
    with pytest.raises(DataError, match=r"its 2 pictures lie in it side by side.*labels\.csv"):
        listed(put(root, "1.png", "2.png"))


def test_one_picture_of_each_class(root: Path) -> None:
    with pytest.raises(DataError, match="one picture of each class"):
        listed(put(root, "a/1.png", "b/1.png"))
    put(root, "train/a/1.png", "train/b/1.png", "val/a/2.png", "val/b/2.png")
    shutil.rmtree(root / "a")
    shutil.rmtree(root / "b")
    assert len(listed(root)) == 4


@pytest.mark.parametrize("place", ["nothing", "nul\0byte", "x" * 300, "x/" * 3000])
def test_a_path_that_is_not_there(root: Path, place: str) -> None:
    with pytest.raises(DataError, match=r"there is no such folder|cannot be read"):
        listed(root / place)


@POSIX
@pytest.mark.parametrize("place", ["x" * 300, "x/" * 3000])
def test_a_path_that_no_system_has_is_said_to_be_none(root: Path, place: str) -> None:
    with pytest.raises(DataError, match=r"there is no such folder.*: File name too long\. Check"):
        listed(root / place)


def test_a_path_that_is_a_file(root: Path) -> None:
    put(root, "1.png")
    with pytest.raises(DataError, match=r"1\.png: a file; name a folder of pictures, or a list"):
        listed(root / "1.png")
    with pytest.raises(DataError, match="there is no such folder"):
        listed(root / "1.png" / "below")


@POSIX
def test_what_may_not_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "a/1.png", "a/2.png", "b/1.png")
    opened, scanned = os.open, os.scandir

    def guarded(path: object, *flags: int) -> int:
        if str(path).endswith("2.png"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *flags)  # type: ignore[arg-type]

    def locked(path: object) -> object:
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", path)
        return scanned(path)  # type: ignore[call-overload]

    monkeypatch.setattr(tree.os, "open", guarded)
    put(root, "a/3.png")
    assert reasons(listed(root)) == {"a/2.png": "cannot be read: Permission denied"}
    monkeypatch.setattr(tree.os, "scandir", locked)
    with pytest.raises(DataError, match=r"b: this folder cannot be read: Permission denied"):
        listed(root)


def locked(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """As folders of mode 000 are to all but root."""
    scanned, asked = os.scandir, os.stat
    names = {str(folder) for folder in folders}

    def scan(path: object) -> object:
        if str(path) in names:
            raise PermissionError(13, "Permission denied", path)
        return scanned(path)  # type: ignore[call-overload]

    def stat(path: object, **more: object) -> object:
        if os.path.dirname(str(path)) in names:  # noqa: PTH120
            raise PermissionError(13, "Permission denied", path)
        return asked(path, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(os, "stat", stat)


@POSIX
def test_a_root_that_may_not_be_read_is_named_itself(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked(monkeypatch, put(root, "a/1.png"))
    with pytest.raises(DataError) as caught:
        listed(root)
    assert str(caught.value).startswith(f"{root}: this folder cannot be read: Permission denied. A")


@POSIX
def test_files_that_may_not_be_read_are_said_where_one_class_is_left(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    opened = os.open

    def guarded(path: object, *flags: int) -> int:
        if f"{os.sep}b{os.sep}" in str(path):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *flags)  # type: ignore[arg-type]

    monkeypatch.setattr(tree.os, "open", guarded)
    with pytest.raises(DataError, match="one class only, 'a'") as caught:
        listed(root)
    assert "2 left out: cannot be read: Permission denied (b/1.png, ...)" in str(caught.value)


@POSIX
def test_beside_a_folder_that_may_not_be_read_the_rest_is_there_for_the_doctor(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, "a/1.png", "a/2.png", "b/1.png", "c/deep/1.png", "c/2.png")
    locked(monkeypatch, root / "b", root / "c" / "deep")
    with pytest.raises(UnfitError, match=r"b: this folder cannot be read") as caught:
        listed(root)
    rest = caught.value.listing
    assert rest is not None
    assert labelled(rest) == {"all": {"a/1.png": "a", "a/2.png": "a", "c/2.png": "c"}}
    why = "cannot be read (a folder): Permission denied. Allow it to be read, or take it out of "
    assert reasons(rest) == {"b": f"{why}the data", "c/deep": f"{why}the data"}
    assert rest.remarks == ()  # b is not said to be empty


def archived(root: Path) -> Path:
    """Beside whatever is there, an archive that could be learnt from."""
    with tarfile.open(root / "backup.tar", "w") as tar:
        for name in ("x/1.png", "x/2.png", "y/1.png", "y/2.png"):
            member = tarfile.TarInfo(name)
            member.size = len(PNG)
            tar.addfile(member, io.BytesIO(PNG))
    return root


def test_archives_are_taken_where_there_is_nothing_else(root: Path) -> None:
    put(root, "notes.txt", content=b"text")
    assert listed(archived(root)).layout == "shards"


def test_what_is_wrong_with_pictures_is_said_beside_an_archive(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(archived(root), "a/1.png", "a/2.png")
    with pytest.raises(DataError, match="one class only"):
        listed(root)
    put(root, "b/1.png", "b/2.png")
    with monkeypatch.context() as patch:
        locked(patch, root / "b")
        with pytest.raises(DataError, match="this folder cannot be read"):
            listed(root)
        locked(patch, root / "a")
        with pytest.raises(DataError, match="this folder cannot be read"):
            listed(root)
    if sys.platform == "linux":
        (root / os.fsdecode("中".encode("gbk"))).mkdir()
        with pytest.raises(DataError, match="a name that is no Unicode text; rename it"):
            listed(root)


def test_a_list_that_contradicts_itself_is_said_beside_an_archive(root: Path) -> None:
    lines = b"filename,label\n1.png,a\n1.png,b\n2.png,b\n"
    put(put(archived(root), "1.png", "2.png"), "labels.csv", content=lines)
    with pytest.raises(DataError, match=r"1\.png"):
        listed(root)


def test_pictures_that_may_not_be_read_are_said_beside_an_archive(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(archived(root), "a/1.png", "b/1.png")
    opened = os.open

    def guarded(path: object, *flags: int) -> int:
        if str(path).endswith(".png"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *flags)  # type: ignore[arg-type]

    monkeypatch.setattr(tree.os, "open", guarded)
    with pytest.raises(DataError, match=r"no pictures in it(.|\n)*2 left out: cannot be read"):
        listed(root)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take Unicode names only")
def test_names_that_are_no_unicode(root: Path) -> None:
    put(root, "a/1.png", "a/2.png", "b/1.png")
    (root / "a" / os.fsdecode("中.png".encode("gbk"))).write_bytes(PNG)
    (found,) = listed(root).ignored
    assert found.why == "a name that is no Unicode text"
    found.file.encode()
    (root / os.fsdecode("中".encode("gbk"))).mkdir()
    with pytest.raises(DataError, match="a name that is no Unicode text; rename it") as caught:
        listed(root)
    str(caught.value).encode()


def test_the_folder_is_left_as_it_was(root: Path) -> None:
    put(root, *SPLITS, "val/cat/1.png", "notes.txt", ".hidden", "labels.csv")
    before = tree_digest(root)
    listed(root)
    assert tree_digest(root) == before


@POSIX
def test_line_ends_in_names_stay_out_of_messages(root: Path) -> None:
    put(root, "a/1.png", "a/2.png", "b/1.png")
    put(root, "a/x\n\x1b[2J.txt", content=b"text")
    (line,) = listed(root).left_out()
    assert line.isprintable()


# -- whatever people have


NAMES = (
    "train val test Valid cat dog images .x é n01440764 n01443537 1.png 2.png labels.csv val.txt"
)
names = st.sampled_from(
    [*NAMES.split(), "a\nb", "e\u0301", "train.csv", "ILSVRC", "Data", "CLS-LOC"]
)
contents = st.sampled_from(
    [
        PNG,
        PNG,
        PNG,
        JPEG,
        b"",
        b"text",
        b"filename,label\n1.png,cat\n",
        b"1.png n01440764\n",
        b"1 2",
    ]
)
trees = st.dictionaries(st.lists(names, min_size=1, max_size=4).map(tuple), contents, max_size=14)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(trees)
def test_any_tree_is_listed_soundly_or_refused(
    tmp_path_factory: pytest.TempPathFactory, made: dict[tuple[str, ...], bytes]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for parts, content in made.items():
        path = root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:  # a file where a folder is to be, or no such name on this system
            continue
    sound(root)


def test_runs_are_not_learnt_from(tmp_path: Path) -> None:
    """Their figures are pictures, too."""
    root = flat_folder(tmp_path / "some")
    (root / "runs" / "one").mkdir(parents=True)
    shutil.copyfile(next(root.rglob("*.jpg")), root / "runs" / "one" / "curves.jpg")
    assert "runs" in listed(root).classes
    for name in ("recipe.json", "input.json"):
        (root / "runs" / "one" / name).touch()
    found = listed(root)
    assert found.classes == ("blue", "green", "red")
    assert reasons(found) == {"runs/one": "a run of neocog's"}


@pytest.mark.parametrize("was", [True, False])
def test_what_collects_garbage_is_as_it_was_even_where_listing_fails(
    was: bool, tmp_path: Path
) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if was else gc.disable)()
        with pytest.raises(DataError):
            listed(tmp_path)
        assert gc.isenabled() is was
        assert len(listed(flat_folder(tmp_path / "some")).splits["all"].paths) > 0
        assert gc.isenabled() is was
    finally:
        (gc.enable if before else gc.disable)()
