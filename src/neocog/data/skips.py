"""Skip lists: pictures to leave out, a path a line, relative to the folder, "/" between.

What follows "#" at the beginning of a line is a remark. A path that would not survive as a plain
line is a JSON string: one that begins with "#" or a quote, or has a blank at either end, or a line
end or anything else in it that cannot be printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from neocog.data.reading import read_whole
from neocog.errors import DataError

HEADER = "# pictures to leave out, by neocog data doctor"


def read_skip_list(path: Path) -> set[str]:
    """The paths of a skip list. Raises `DataError` for what is none, naming the line."""
    paths = set()
    for number, line in enumerate(_text(path).split("\n"), 1):
        plain = line.strip(" \t\r")
        if plain.startswith('"'):
            plain = _quoted(path, number, plain)
        elif plain.startswith("#"):
            continue
        if "\0" in plain:
            raise DataError(f"{path}, line {number}: found bytes that are no text")
        if plain:
            paths.add(plain)
    return paths


def skip_list(rows: Iterable[tuple[str, str]], remarks: Iterable[str] = ()) -> bytes:
    """The content of a list that leaves out (path, reason), sorted; a path counts once."""
    reasons: dict[str, list[str]] = {}
    for file, reason in rows:
        reasons.setdefault(file, []).append(reason)
    lines = [HEADER, *(f"# {remark}" for remark in remarks), ""]
    for file in sorted(reasons):
        lines += [f"# {_one_line('; '.join(reasons[file]))}", _line(file)]
    return ("\n".join(lines) + "\n").encode()


def _line(file: str) -> str:
    plain = file.isprintable() and file == file.strip() and not file.startswith(("#", '"'))
    return file if plain else json.dumps(file)


def _one_line(text: str) -> str:
    letters = (each if each.isprintable() else " " for each in text)
    return " ".join("".join(letters).split())


def _quoted(path: Path, number: int, text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}, line {number}: no whole JSON string: {error}") from error
    assert isinstance(value, str)  # it begins with a quote
    return value


def _text(path: Path) -> str:
    """UTF-8, or UTF-16 with a mark."""
    content = read_whole(path)
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            return content.decode("utf-16")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: found bytes that are no text, expected paths in UTF-8") from error
