"""Paths and URLs to read from, the URLs by the library of WebDataset."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from neocog.errors import DataError

PIPE = "pipe:"  # before a program that writes a shard out
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # not the letter of a drive
FETCH: tuple[str, ...] = (
    "--connect-timeout",
    "30",
    "--retry",
    "30",
    "--retry-delay",
    "2",
    "-f",
    "-s",
    "-L",
)
FETCH += ("--proto-redir", "=https")
CURL = {  # what the program that fetches ends with, https://curl.se/libcurl/c/libcurl-errors.html
    6: "the host is not known",
    7: "the host does not answer",
    18: "it ended too early",
    22: "the host has no such file, or does not give it",
    28: "it took too long",
    35: "no secure connection came about",
    60: "the host's certificate is not to be trusted",
}


def is_url(place: str) -> bool:
    return _URL.match(place) is not None and not Path(place).exists()


def opened(source: str) -> IO[bytes]:
    """A path or URL to read from. Raises `OSError` or `DataError`."""
    if not is_url(source):
        return Path(source).open("rb")
    from webdataset.gopen import Pipe, gopen

    if source.lower().startswith("https:"):  # as it would be, but never on to where there is no TLS
        fetched: IO[bytes] = Pipe(
            ["curl", *FETCH, source], mode="rb", bufsize=8192, ignore_status=[141, 23]
        )
        return fetched
    try:
        stream: IO[bytes] = gopen(source, "rb")
    except ValueError:
        raise DataError(
            f"{source}: no way is known to open this. Name a program that writes it out, such as "
            f"'{PIPE}aws s3 cp s3://bucket/train-000000.tar -'"
        ) from None
    except ImportError as error:
        raise DataError(f"{source}: takes another package: pip install {error.name}") from error
    return stream


@contextlib.contextmanager
def reading(source: str) -> Iterator[IO[bytes]]:
    """The same, closed in the end; what goes wrong is a `DataError` that says what to do."""
    try:
        stream = opened(source)
        try:
            yield stream
        except DataError:
            stream.close()  # the program that fetched it may know better what went wrong
            raise
        except BaseException:
            _stop(stream)
            raise
        if stream.read(1):
            _stop(stream)
        else:
            stream.close()
    except (OSError, subprocess.SubprocessError) as error:
        raise DataError(f"{source}: cannot be read: {_why(error, source)}") from error


def _stop(stream: IO[bytes]) -> None:
    """In the middle: then a program that writes it out says that it failed."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        stream.close()


def _why(error: Exception, source: str) -> str:
    ended = re.search(r"exit (\d+)", str(error))
    if ended:
        code = int(ended[1])
        of_curl = {} if source.startswith((PIPE, "gs:", "ais:")) else CURL
        return of_curl.get(code, "the program that fetches it failed") + f" (exit code {code})"
    if isinstance(error, FileNotFoundError) and error.filename in ("curl", "gsutil", "ais"):
        return f"the program {error.filename} is not here; install it"
    return getattr(error, "strerror", None) or str(error)
