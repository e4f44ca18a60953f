"""Fetch official files over HTTPS: resumed, mirrored, checked, with progress.

What has arrived of a file is kept as `NAME.part` in a folder that processes share. Whoever works on
it first renames it to a name of its own, so two processes never write to one file.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from neocog.errors import DataError

Tell = Callable[[str], None]
Progress = Callable[[str, int, int | None], None]

CONNECT_SECONDS = 10.0  # for all the addresses of a host together
READ_SECONDS = 60.0  # for the next bytes to arrive: slow is allowed, silent is not
STALE_SECONDS = 2 * READ_SECONDS  # a part that has not grown for so long has lost its process
MOST_BREAKS = 5  # broken connections from which one file is resumed
CHUNK = 1 << 18
LARGEST = 1 << 28  # bytes; the largest official file has 170 million


class UnobtainableError(DataError):
    """One route to a data set failed; the message says why."""


def connect(
    address: tuple[str, int], timeout: Any = None, source_address: Any = None
) -> socket.socket:
    """`socket.create_connection` with one deadline for all the addresses of a host.

    A firewall that drops packets would otherwise cost the full time-out for each of them.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    failure: OSError = TimeoutError("timed out")
    for family, kind, protocol, _, target in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(min(left, CONNECT_SECONDS / 2))
            link.connect(target)
            link.settimeout(READ_SECONDS)
            return link
        except OSError as error:
            link.close()
            failure = error
    raise failure


class _Plain(http.client.HTTPConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = connect


class _Secure(http.client.HTTPSConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = connect


class _PlainHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Plain, req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Secure, req, context=ssl.create_default_context())


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise urllib.error.HTTPError(newurl, code, "to where there is no TLS", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Downloader:
    """Fetches files into the private folder `into`; unfinished parts live in `parts`.

    A host that cannot be reached is remembered and not tried again.
    """

    def __init__(self, into: Path, parts: Path, *, tell: Tell, progress: Progress) -> None:
        self.into, self.parts, self.tell, self.progress = into, parts, tell, progress
        self.dead: dict[str, str] = {}
        self.done: list[str] = []
        self._open = urllib.request.build_opener(_PlainHandler, _SecureHandler, _Redirects).open

    def fetch(self, name: str, sha256: str, bases: Sequence[str]) -> str:
        """Fetch one file from the first address that has it; returns the host.

        Raises UnobtainableError, naming every address and why it failed.
        """
        reasons = []
        for base in bases:
            host = urlsplit(base).netloc
            try:
                self._from(base + name, host, name, sha256)
                self.done.append(name)
                return host
            except UnobtainableError as failure:
                reasons.append(str(failure))
        raise UnobtainableError("; ".join(dict.fromkeys(reasons)))

    def give_back(self) -> None:
        """After a failure: keep the finished files as parts, for the next attempt."""
        for name in self.done:
            with contextlib.suppress(OSError):
                (self.into / name).replace(self.parts / f"{name}.part")

    def _from(self, url: str, host: str, name: str, sha256: str) -> None:
        if host in self.dead:
            raise UnobtainableError(self.dead[host])
        while True:
            part = self._claim(name)
            resumed = part.exists()
            try:
                if not (resumed and _sha256(part) == sha256):
                    self._transfer(url, host, part)
                if (found := _sha256(part)) == sha256:
                    part.replace(self.into / name)
                    return
                part.unlink()
            finally:
                with contextlib.suppress(OSError):  # no longer there, when all went well
                    part.replace(self.parts / f"{name}.part")
            self.tell(f"{url}: SHA-256 is {found}, expected {sha256}; deleted")
            if not resumed:  # else an older part may be to blame: once more from the start
                raise UnobtainableError(f"{url}: wrong checksum {found}, expected {sha256}")

    def _claim(self, name: str) -> Path:
        """A name of our own for the part, which is there if somebody left one to resume."""
        mine = self.parts / f"{name}.part-{uuid.uuid4().hex[:12]}"
        now = time.time()
        for other in self.parts.glob(f"{name}.part*"):
            with contextlib.suppress(OSError):  # another process was faster
                free = other.suffix == ".part" or now - other.stat().st_mtime > STALE_SECONDS
                if free and not mine.exists():
                    other.replace(mine)
                    os.utime(mine)
        return mine

    def _transfer(self, url: str, host: str, part: Path) -> None:
        """Bring `part` to its full length, resuming what is there and after broken connections."""
        for breaks in range(MOST_BREAKS + 1):
            before = _size(part)
            try:
                response = self._request(url, host, before)
                if response is None:
                    return  # nothing beyond what we have; its checksum will tell
                with response:
                    whole = self._save(url, response, part)
            except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
                whole, reason = False, str(error) or type(error).__name__
            else:
                reason = "ended early"
            if whole:
                return
            if breaks == MOST_BREAKS or _size(part) <= before:
                raise UnobtainableError(f"{url}: the connection broke ({reason})")
            self.tell(f"{url}: the connection broke ({reason}); resuming")

    def _request(self, url: str, host: str, start: int) -> http.client.HTTPResponse | None:
        """Ask for the file from byte `start` on; None where nothing is left."""
        headers = {"User-Agent": "neocog", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            response: http.client.HTTPResponse = self._open(
                urllib.request.Request(url, headers=headers), timeout=CONNECT_SECONDS
            )
            return response
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and start:
                return None
            raise UnobtainableError(f"{url}: answered {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            self.dead[host] = f"{host} cannot be reached ({reason})"
            raise UnobtainableError(self.dead[host]) from error

    def _save(self, url: str, response: http.client.HTTPResponse, part: Path) -> bool:
        """Write the answer after what is there; whether it was whole."""
        start = _size(part) if response.status == 206 else 0  # 200: the server starts again
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise UnobtainableError(f"{url}: answered with another part than was asked for")
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        label, done = url.rsplit("/", 1)[-1], start
        if total is not None:
            _check_room(part.parent, label, total - start)
        with _writing(part, "ab" if start else "wb") as write:
            while chunk := response.read1(CHUNK):
                write(chunk)
                done += len(chunk)
                if done > LARGEST:
                    raise UnobtainableError(f"{url}: more than {LARGEST:,} bytes, which it has not")
                self.progress(label, done, total)
        return total is None or done == total


def _check_room(folder: Path, label: str, size: int) -> None:
    """Said before the first byte arrives, where the disk cannot hold the rest."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return
    if usage.total and usage.free < size:  # some network file systems say nothing at all
        raise UnobtainableError(
            f"{folder}: {label} needs {size / 1e6:,.1f} MB and {usage.free / 1e6:,.1f} MB are free "
            "there; free some space, or set NEOCOG_CACHE to another folder"
        )


@contextlib.contextmanager
def _writing(path: Path, mode: str) -> Iterator[Callable[[bytes], object]]:
    """A write function; what goes wrong with the disk is told apart from the network."""
    with _on_disk(path.parent):
        stream = path.open(mode)

    def write(chunk: bytes) -> None:
        with _on_disk(path.parent):
            stream.write(chunk)

    with stream:
        yield write
        with _on_disk(path.parent):
            stream.flush()
            os.fsync(stream.fileno())


@contextlib.contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_trouble(folder, error) from error


def disk_trouble(folder: Path, error: OSError) -> UnobtainableError:
    """The error for a folder of ours that cannot be written to."""
    return UnobtainableError(
        f"{folder}: cannot be written to ({error.strerror or error}); free some space, or set "
        "NEOCOG_CACHE to another folder"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
