"""What a shard holds, where a part of it was lost."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest
from tests.data.shelf import PNG

from neocog.data import members
from neocog.errors import DataError


def archive(count: int = 8) -> bytearray:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for number in range(count):
            member = tarfile.TarInfo(f"a/{number}.png")
            member.size = len(PNG)
            tar.addfile(member, io.BytesIO(PNG))
    return bytearray(stream.getvalue())


@pytest.mark.parametrize("seeks", [True, False])
def test_zeros_in_the_middle_are_not_taken_for_the_end(seeks: bool) -> None:
    content = archive()
    begin = content.index(b"a/3.png")
    content[begin : begin + 1024] = bytes(1024)
    with pytest.raises(DataError, match=r"^x\.tar: this shard is cut off or damaged \(it has no e"):
        list(members.samples(io.BytesIO(content), "x.tar", seeks=seeks))
    with pytest.raises(DataError, match="Get it again, or pack anew"):
        list(members.contents(io.BytesIO(content), {"a/6.png"}, "x.tar", seeks=seeks))


def test_zeros_in_the_middle_of_a_packed_one() -> None:
    content = archive()
    begin = content.index(b"a/3.png")
    content[begin : begin + 1024] = bytes(1024)
    with pytest.raises(DataError, match="this shard is cut off or damaged"):
        list(members.samples(io.BytesIO(gzip.compress(content)), "x.tar", seeks=False))


@pytest.mark.parametrize("seeks", [True, False])
@pytest.mark.parametrize("more", [0, 512, 1 << 20])
def test_an_end_may_be_any_number_of_zeros(seeks: bool, more: int) -> None:
    content = archive() + bytes(more)
    assert len(list(members.samples(io.BytesIO(content), "x.tar", seeks=seeks))) == 8
