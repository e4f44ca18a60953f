"""Bytes from files that may be damaged or hostile: never more memory than a stated bound."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, cast

from neocog.errors import DataError

MIB = 1 << 20
LARGEST_FILE = 256 * MIB  # the largest official file, CIFAR-100's training batch, has 148 MiB
LARGEST_LIST = 1024 * MIB
LONGEST_NAME = MIB  # bytes of what an archive says of one file
RATIO, SLACK = 100, 32 * MIB  # what may be unpacked: bytes for each that is read, and beside them
GZIP_RATIO = 20  # the same of official archives, which get hardly smaller
LARGEST_ARCHIVE = 512 * MIB  # unpacked; the official ones have about 180 MiB
MOST_MEMBERS = 10_000


def damaged(
    where: str | Path, found: str, expected: str, *, advice: str = "Get the file again."
) -> DataError:
    """The error for a file that is not what it should be; `where` starts with its path."""
    return DataError(f"{where}: found {found}, expected {expected}. {advice}")


def unreadable(path: Path, error: OSError) -> DataError:
    """The error for a file that the system will not let us read."""
    return DataError(f"{path}: cannot be read ({error.strerror or error}). Check its permissions.")


@contextlib.contextmanager
def open_content(path: Path) -> Iterator[IO[bytes]]:
    """The content of a regular file, gunzipped when its first bytes (not its name) say gzip.

    Raises DataError, naming the path, for whatever goes wrong while it is open.
    """
    if not path.is_file():
        raise damaged(path, "no regular file", "a data file", advice="Check the path.")
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast(IO[bytes], unpacked)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, f"broken gzip ({error})", "a whole .gz file") from error
    except OSError as error:
        raise unreadable(path, error) from error


def read_up_to(stream: IO[bytes], limit: int) -> bytearray:
    """At most `limit` bytes. Memory grows with what arrives, not with what a header claims."""
    content = bytearray()
    while chunk := stream.read(min(4 * MIB, limit - len(content))):
        content += chunk
    return content


def read_whole(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """A whole regular file, not gunzipped; DataError above `largest` bytes."""
    if not path.is_file():
        raise damaged(path, "no regular file", "a data file", advice="Check the path.")
    try:
        if (size := path.stat().st_size) > largest:
            raise damaged(path, f"{size:,} bytes", f"at most {largest:,}")
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than `limit` bytes, or more than GZIP_RATIO times what
    it takes: what a gzip bomb runs into.
    """

    def __init__(self, stream: IO[bytes], limit: int, where: Path) -> None:
        self.stream, self.left, self.limit, self.where = stream, limit, limit, where
        self.packed: Any = getattr(stream, "fileobj", None)  # what a GzipFile reads from

    def read(self, size: int = -1) -> bytes:
        chunk = self.stream.read(min(size, self.left + 1) if size >= 0 else self.left + 1)
        self.left -= len(chunk)
        given = self.limit - self.left
        most = SLACK + GZIP_RATIO * self.packed.tell() if self.packed else self.limit
        if given > min(self.limit, most):
            raise damaged(self.where, f"more than {given - 1:,} bytes unpacked", "less")
        return chunk


class Unpacked(io.RawIOBase):
    """A stream, unpacked if its first bytes say that it is packed, by gzip, bzip2 or xz.

    Pictures hardly get smaller by packing: so what unfolds to more than RATIO times itself is
    refused with a DataError, and damage is a `tarfile.ReadError`.
    """

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self.where, self.given = where, 0
        self.taken = _Counted(stream)
        kinds: dict[bytes, Any] = {
            b"\x1f\x8b": _gunzipped,
            b"BZh": bz2.BZ2File,
            b"\xfd7zXZ": lzma.LZMAFile,
        }
        found = [kind for begin, kind in kinds.items() if self.taken.begin.startswith(begin)]
        self.packed = bool(found)
        self.content: Any = found[0](self.taken) if found else self.taken

    def read(self, size: int = -1) -> bytes:
        try:
            chunk: bytes = self.content.read(size)
        except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
            raise tarfile.ReadError(str(error)) from error
        except OSError as error:
            if error.errno is None:  # bz2 says damage with one
                raise tarfile.ReadError(str(error)) from error
            raise
        self.given += len(chunk)
        if self.packed and self.given > SLACK + RATIO * self.taken.count:
            raise damaged(
                self.where,
                f"{self.given:,} bytes unpacked from {self.taken.count:,}",
                f"at most {RATIO} times as many",
                advice="Do not trust it; or pack it without compression.",
            )
        return chunk


def _gunzipped(stream: Any) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=stream, mode="rb")


class _Counted(io.RawIOBase):
    """A stream, and how much of it was read; `begin` was looked at before."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.count = stream, 0
        self.begin = self.left = stream.read(6)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk, self.left = self.left, b""
        if size >= 0 and len(chunk) > size:
            chunk, self.left = chunk[:size], chunk[size:]
        chunk += self.stream.read(size - len(chunk) if size >= 0 else -1)
        self.count += len(chunk)
        return chunk


class Header(tarfile.TarInfo):
    """What an archive says of a file. The name of one may be as long as tar likes, and be read
    at once: here it may not.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        kinds: tuple[bytes, ...] = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        kinds += (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        if self.type in kinds and not 0 <= self.size <= LONGEST_NAME:
            raise tarfile.ReadError(f"a name of {self.size:,} bytes")
        made: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return made


def read_members(
    path: Path, wanted: Collection[str], *, limit: int = LARGEST_ARCHIVE
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the wanted regular files in a .tar or .tar.gz, in its order.

    Nothing is extracted by path: other members, links and devices are passed over. The archive is
    read as a stream, at most `limit` bytes and MOST_MEMBERS members of it; it ends when all
    the wanted files were seen. DataError, naming the path, for whatever is wrong with it.
    """
    missing = set(wanted)
    with open_content(path) as content:
        stream: IO[bytes] = _Bounded(content, limit, path)  # type: ignore[assignment]
        try:
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=Header) as archive:
                for count, member in enumerate(archive):
                    if count >= MOST_MEMBERS:
                        raise damaged(path, f"over {MOST_MEMBERS:,} members", "fewer")
                    name = member.name.removeprefix("./")
                    if name not in missing or not member.isreg() or member.issparse():
                        continue
                    missing.remove(name)
                    yield name, _member(archive, member)
                    if not missing:
                        return
        except (DataError, OSError, EOFError, zlib.error):
            raise  # open_content knows these
        except Exception as error:  # tarfile answers damage with many kinds of exception
            raise damaged(path, f"no readable tar archive ({error})", "a .tar.gz") from error


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > LARGEST_FILE:
        raise tarfile.ReadError(f"{member.name} has {member.size:,} bytes")
    content = archive.extractfile(member)
    data = content.read() if content else b""
    if len(data) != member.size:
        raise EOFError(f"{member.name} ends after {len(data):,} of {member.size:,} bytes")
    return data
