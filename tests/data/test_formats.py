"""The readers: right on sound files, and a DataError that names the path on every other."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.tiny_sets import arrays, cifar_bin, idx_images, idx_labels, python2_pickle, tar_gz

from neocog.data import pickled, reading
from neocog.data.formats import (
    Arrays,
    read_cifar_bin,
    read_cifar_pickle,
    read_idx,
    read_idx_images,
    read_idx_labels,
)
from neocog.data.reading import read_members
from neocog.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")

GREY = arrays(5, 1, 4, 3)
COLOUR = arrays(3, 3, 32, 32)


def same(a: Arrays, b: Arrays) -> bool:
    return bool(np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels))


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_is_told_from_gzip_by_its_content_not_its_name(tmp_path, pack):
    images = put(tmp_path / "images.gz", pack(idx_images(GREY)))
    labels = put(tmp_path / "labels", pack(idx_labels(GREY)))
    assert same(read_idx(images, labels, num_classes=3), GREY)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "an empty file"),
        (b"\x00\x00", "magic 0x0000"),
        (idx_labels(GREY), r"magic 0x00000801 \(labels\)"),
        (b"<!DOCTYPE html>", "a web page"),
        (idx_images(GREY)[:10], "only 10 bytes"),
        (idx_images(GREY)[:-1], "only 59 bytes after the header"),
        (idx_images(GREY) + b"x", "more bytes after the header"),
        (struct.pack(">4I", 0x803, 0, 4, 3), "a header for 0 x 4 x 3"),
        (struct.pack(">4I", 0x803, *[2**32 - 1] * 3), "a header for 4,294,967,295"),
        (gzip.compress(idx_images(GREY), mtime=0)[:-9], "broken gzip"),
        (gzip.compress(idx_images(GREY), mtime=0)[:30] + b"damage" * 9, "broken gzip"),
    ],
)
def test_damaged_idx_is_named_with_what_was_found(tmp_path, content, says):
    path = put(tmp_path / "train-images-idx3-ubyte", content)
    with pytest.raises(DataError, match=says) as caught:
        read_idx_images(path)
    assert str(path) in str(caught.value)
    assert "expected" in str(caught.value)


def test_labels_out_of_range_and_of_another_count(tmp_path):
    images = put(tmp_path / "images", idx_images(GREY))
    labels = put(tmp_path / "labels", idx_labels(Arrays(GREY.images, GREY.labels * 0 + 10)))
    with pytest.raises(DataError, match=r"label 10 at picture 0, expected labels 0 to 9"):
        read_idx_labels(labels, num_classes=10)
    put(labels, idx_labels(Arrays(GREY.images[:3], GREY.labels[:3])))
    with pytest.raises(DataError, match="3 labels, expected one for each of the 5"):
        read_idx(images, labels)


def test_gzip_bomb_is_refused_before_it_unfolds(tmp_path, monkeypatch):
    path = put(tmp_path / "bomb.gz", gzip.compress(idx_images(GREY) + bytes(50_000_000)))
    taken = []
    read_up_to = reading.read_up_to
    monkeypatch.setattr(
        "neocog.data.formats.read_up_to",
        lambda stream, limit: taken.append(limit) or read_up_to(stream, limit),
    )
    with pytest.raises(DataError, match="more bytes"):
        read_idx_images(path)
    assert max(taken) == 61


def test_a_folder_and_a_missing_file_are_errors_too(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        for read in (read_idx_images, read_cifar_bin, read_cifar_pickle):
            with pytest.raises(DataError, match="no regular file"):
                read(path)


def test_cifar_binary_reads_one_label_or_the_fine_of_two(tmp_path):
    assert same(read_cifar_bin(put(tmp_path / "a", cifar_bin(COLOUR))), COLOUR)
    two = put(tmp_path / "b", cifar_bin(COLOUR, coarse=True))
    assert same(read_cifar_bin(two, num_classes=100, label_bytes=2), COLOUR)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "an empty file"),
        (cifar_bin(COLOUR) + b"xy", "2 after the last whole record"),
        (cifar_bin(COLOUR)[:-1], "after the last whole record"),
        (b"\x0b" + bytes(3072), "label 11 at picture 0"),
    ],
)
def test_damaged_cifar_binary(tmp_path, content, says):
    path = put(tmp_path / "data_batch_1.bin", content)
    with pytest.raises(DataError, match=says) as caught:
        read_cifar_bin(path)
    assert str(path) in str(caught.value)


def python3_pickle(part: Arrays, protocol: int, key: str = "labels") -> bytes:
    data = part.images.reshape(len(part), -1)
    return pickle.dumps({"data": data, key: part.labels.tolist()}, protocol=protocol)


@pytest.mark.parametrize("protocol", [None, 2, 3, 4, 5])
@pytest.mark.parametrize("classes", [10, 100])
def test_pickled_batches_of_python_2_and_3(tmp_path, protocol, classes):
    key = "fine_labels" if classes == 100 else "labels"
    content = (
        python2_pickle(COLOUR, key=key)
        if protocol is None
        else python3_pickle(COLOUR, protocol, key)
    )
    path = put(tmp_path / "data_batch_1", content)
    assert same(read_cifar_pickle(path, num_classes=classes), COLOUR)


def test_the_python_2_fixture_is_a_pickle_that_python_agrees_with():
    batch = pickle.loads(python2_pickle(COLOUR), encoding="latin1")
    assert np.array_equal(batch["data"], COLOUR.images.reshape(3, -1))
    assert batch["labels"] == COLOUR.labels.tolist()


class Bomb:
    def __init__(self, call, *arguments):
        self.call = (call, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "call", [os.system, eval, pickle.loads, np.load], ids=lambda call: call.__name__
)
def test_a_malicious_pickle_is_refused_and_never_run(tmp_path, protocol, call):
    witness = tmp_path / "witness"
    command = f"touch {witness}" if call is os.system else f"open({str(witness)!r}, 'w')"
    batch = {"data": COLOUR.images, "labels": [0], "x": Bomb(call, command)}
    path = put(tmp_path / "data_batch_1", pickle.dumps(batch, protocol=protocol))
    with pytest.raises(DataError, match="pickle with") as caught:
        read_cifar_pickle(path)
    assert str(path) in str(caught.value)
    assert not witness.exists()


def test_even_an_admitted_call_is_only_noted(tmp_path):
    huge = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n(J\xff\xff\xff\x7ftU\x01b\x87R"
    path = put(tmp_path / "batch", b"\x80\x02}(U\x04data" + huge + b"U\x06labels](K\x01eu.")
    with pytest.raises(DataError, match=r"no plain array|another type"):
        read_cifar_pickle(path)


def test_a_pickle_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickled, "MOST_OPCODES", 1000)
    path = put(tmp_path / "batch", b"\x80\x02" + b"]" * 5000 + b".")
    with pytest.raises(DataError, match="more than 1,000 operations"):
        read_cifar_pickle(path)
    claim = b"\x80\x02T" + struct.pack("<i", 2**31 - 1) + b"short."
    with pytest.raises(DataError, match="broken pickle"):
        read_cifar_pickle(put(path, claim))


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ([1, 2], "a pickle of list"),
        ({"data": 1}, "a pickle of data"),
        ({"data": 1, "labels": []}, "no plain array|another type"),
        ({"data": np.zeros((2, 3072), np.float32), "labels": [0, 0]}, "another type"),
        ({"data": np.zeros((2, 9), np.uint8), "labels": [0, 0]}, r"shape \(2, 9\)"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}, "1 labels, expected 2"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}, "label 10"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["x"]}, "no list of small numbers"),
        ({"data": np.zeros((3072, 2), np.uint8).T, "labels": [0, 0]}, "no plain array"),
    ],
)
def test_a_sound_pickle_of_something_else(tmp_path, batch, says):
    path = put(tmp_path / "data_batch_1", pickle.dumps(batch, protocol=4))
    with pytest.raises(DataError, match=says):
        read_cifar_pickle(path)


def test_members_are_taken_by_exact_name_and_links_are_not_followed(tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        link = tarfile.TarInfo("d/a")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for name, content in (("../d/b", b"no"), ("./d/b", b"yes"), ("d/b", b"again")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path = put(tmp_path / "x.tar.gz", packed.getvalue())
    assert list(read_members(path, ["d/a", "d/b"])) == [("d/b", b"yes")]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bin", "x.tar.gz"]


def test_a_sparse_member_which_claims_the_moon_is_passed_over(tmp_path):
    member = tarfile.TarInfo("d/b")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 4
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" + b"00000000004\0"  # where its four bytes belong
    header[483:495] = b"77777777777\0"  # and that it is 8 GiB long
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    packed = bytes(header) + b"data".ljust(512, b"\0") + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getmembers()[0].size == 8**11 - 1
    path = put(tmp_path / "x.tar", packed)
    assert list(read_members(path, ["d/b"])) == []


def test_tar_bombs_and_broken_archives_are_refused(tmp_path):
    whole = tar_gz({"big": bytes(3_000_000), "d/b": b"1234" * 500})
    path = put(tmp_path / "x.tar.gz", whole)
    with pytest.raises(DataError, match="more than 1,000,000 bytes unpacked"):
        list(read_members(path, ["d/b"], limit=1_000_000))
    for broken in (whole[: len(whole) // 2], b"\x1f\x8bnonsense", b"no archive at all" * 99):
        with pytest.raises(DataError, match=r"x\.tar\.gz: found"):
            list(read_members(put(path, broken), ["d/b"]))


WHOLE = {
    "idx": idx_images(GREY),
    "labels": idx_labels(GREY),
    "idx.gz": gzip.compress(idx_images(GREY), mtime=0),
    "bin": cifar_bin(COLOUR),
    "pickle2": python2_pickle(COLOUR),
    "pickle5": python3_pickle(COLOUR, 5),
    "tar": tar_gz({"d/b": b"1234" * 50}),
}
READERS = {
    "idx": read_idx_images,
    "labels": lambda path: read_idx_labels(path, num_classes=10),
    "idx.gz": read_idx_images,
    "bin": read_cifar_bin,
    "pickle2": read_cifar_pickle,
    "pickle5": read_cifar_pickle,
    "tar": lambda path: list(read_members(path, ["d/b"])),
}


@pytest.mark.parametrize("kind", WHOLE)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_changed_only_a_data_error_comes_out(tmp_path, kind, data):
    content = bytearray(WHOLE[kind])
    # Most of a batch is pixels; its structure is at both ends.
    ends = st.integers(0, min(300, len(content) - 1))
    place = ends | ends.map(lambda n: len(content) - 1 - n) | st.integers(0, len(content) - 1)
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)):
        content[at] = value
    start, stop = sorted(data.draw(st.tuples(place, place)))
    if data.draw(st.booleans()):
        del content[start:stop]
    path = put(tmp_path / "file", bytes(content))
    said = ""
    try:
        READERS[kind](path)
    except DataError as error:
        said = str(error)
    assert not said or str(path) in said


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200))
def test_random_pickles_give_only_data_errors(tmp_path, content):
    with pytest.raises(DataError):
        read_cifar_pickle(put(tmp_path / "batch", b"\x80\x02" + content))
