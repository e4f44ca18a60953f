"""What a shard holds: a tar archive read from its beginning, as WebDataset lays them out.

Files whose names are alike up to the first dot after the last "/" are one sample: `rose/12.jpg` and
`rose/12.cls`. Nothing is unpacked onto the disk, so no name in an archive can do harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import IO, Any

from neocog.data.pictures import MAX_BYTES
from neocog.data.reading import Header, Unpacked
from neocog.errors import DataError

PICTURES = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "gif", "tif", "tiff", "jp2", "avif")
LONGEST_LABEL = 1 << 20  # bytes of a .cls or .json
AT_ONCE = 1 << 16  # bytes asked of a program or a server
BLOCK = tarfile.BLOCKSIZE
_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)", re.DOTALL)  # of a sample, and of its part


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture in a shard, and what is said of it there."""

    member: str  # its name in the archive
    size: int  # bytes
    mark: int  # another one where the content is another; 0: not looked at
    label: str | None  # as it is written


def can_seek(file: IO[bytes]) -> bool:
    """Whether what is not wanted of a shard can be jumped over: a file, and not compressed."""
    if not getattr(file, "seekable", bool)():
        return False
    begin = file.read(6)
    file.seek(0)
    return not begin.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ"))


def contents(
    file: IO[bytes], wanted: Collection[str], where: str, *, seeks: bool = False
) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the wanted members of a shard, in its order.

    Raises `DataError` where the shard is damaged or ends too early.
    """
    with _in_words(where):
        for tar, member in _members(file, where, seeks=seeks):
            if member.name in wanted:
                yield member.name, _content(tar, member, MAX_BYTES, where)


def samples(file: IO[bytes], where: str, *, seeks: bool) -> Iterator[Sample]:
    """The pictures of a shard with their labels, in its order. Where the file `seeks`, and is no
    compressed one, the pictures themselves are not read, and have no mark.

    Raises `DataError` as `contents` does.
    """
    key = ""
    parts: dict[str, Any] = {}
    with _in_words(where):
        for tar, member in _members(file, where, seeks=seeks):
            named = _NAME.fullmatch(member.name)
            if named is None or re.match(r"__[^/]*__($|/)", member.name):  # said of the archive
                continue
            if named[1] != key:
                yield from _sample(key, parts)
                key, parts = named[1], {}
            kind = named[2].lower()
            if kind in ("cls", "json"):
                parts[kind] = _content(tar, member, LONGEST_LABEL, where)
            elif kind.rpartition(".")[2] in PICTURES and "picture" not in parts:
                content = b"" if seeks else _content(tar, member, MAX_BYTES, where)
                mark = mark_of(content) if content else 0
                parts["picture"] = member.name, member.size, mark
        yield from _sample(key, parts)


def mark_of(content: bytes) -> int:
    """A number that is another one where a picture's bytes are others."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) >> 1


def _sample(key: str, parts: dict[str, Any]) -> Iterator[Sample]:
    if "picture" in parts:
        member, size, mark = parts["picture"]
        yield Sample(member, size, mark, _label(key, parts))


def _label(key: str, parts: dict[str, Any]) -> str | None:
    """What .cls says, or .json, or the folder that the sample lies in."""
    if "cls" in parts:
        return str(parts["cls"].decode("utf-8", "replace").strip()) or None
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(parts.get("json", b"null"))
        for name in ("label", "cls", "class", "class_name"):
            value = said.get(name) if isinstance(said, dict) else None
            if isinstance(value, int | str) and not isinstance(value, bool) and value != "":
                return str(value)
    folder = key.rpartition("/")[0]
    return folder.rpartition("/")[2] or None


def _members(
    file: IO[bytes], where: str, *, seeks: bool
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The regular files in an archive, each to be read before the next is asked for."""
    stream: Any = file if seeks else Unpacked(file, where)
    mode: Any = "r:" if seeks else "r|"
    with tarfile.open(fileobj=stream, mode=mode, bufsize=AT_ONCE, tarinfo=Header) as tar:
        archive: Any = tar  # whose list of members is said nowhere
        while (member := tar.next()) is not None:
            archive.members.clear()  # else the archive's whole list stays in memory
            if member.isreg() and not member.issparse():  # that claims what it does not hold
                yield tar, member
        if not _ended(tar, seeks):
            raise tarfile.ReadError("it has no end, or more behind it")


@contextlib.contextmanager
def _in_words(where: str) -> Iterator[None]:
    try:
        yield
    except (DataError, OSError):
        raise
    except Exception as error:  # tarfile answers damage with many kinds of exception
        raise DataError(
            f"{where}: this shard is cut off or damaged ({_first_line(error)}). Get it again, or "
            "pack anew"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["it ends too early"])[0]


def _ended(tar: tarfile.TarFile, seeks: bool) -> bool:
    """Whether there is the end that every archive has, zeros and nothing but zeros: tarfile takes
    whatever is no header for it, and so a gap of zeros in the middle.
    """
    file: Any = tar.fileobj
    if seeks:
        file.seek(tar.offset)
        if file.read(BLOCK) != bytes(BLOCK):
            return False
    elif file.tell() < tar.offset + BLOCK:  # less than a block was left
        return False
    while rest := file.read(AT_ONCE):
        if rest.strip(b"\0"):
            return False
    return True


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, most: int, where: str) -> bytes:
    if member.size > most:
        raise DataError(f"{where}: {member.name} has {member.size:,} bytes; {most:,} at most")
    opened = tar.extractfile(member)
    content = opened.read() if opened else b""
    if len(content) != member.size:
        raise tarfile.ReadError(f"{member.name} ends too early")
    return content
