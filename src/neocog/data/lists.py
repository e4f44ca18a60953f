"""Lists of pictures and their labels, as people write them: CSV, text, JSON lines."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from neocog.data.reading import LARGEST_LIST, read_whole
from neocog.data.tree import is_text
from neocog.errors import DataError

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl")
NAMES = ("labels", "metadata", "list", "all")  # of a list in a folder that is about all of it
CLASS_LISTS = ("classes.txt", "class_names.txt", "labels.txt")  # the names of labels 0, 1, ...
FILE_COLUMNS: tuple[str, ...] = (
    "filename",
    "file_name",
    "file",
    "path",
    "filepath",
    "file_path",
    "image",
)
FILE_COLUMNS += ("image_path", "image_name", "img", "img_path", "picture")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "species")
SPLIT_COLUMNS = ("split", "subset", "set", "partition")
DELIMITERS = ",;\t|"
LARGEST_NUMBER = 18  # digits of a label
_LINE_END = re.compile(r"\r\n|\r|\n")
_COMMENT = re.compile(r"#+(\s[^\t]*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")
_WIDE = re.compile(r'[^\x00-\x7f\s][^\s,;|"]*')  # a name, from its first letter beyond ASCII

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list: the path as it is written there."""

    list: Path
    line: int
    path: str
    label: str
    split: str | None = None


@dataclass(frozen=True)
class Classes:
    """What the labels of lists mean: `labels` as they are written, `names` as they are shown."""

    labels: tuple[str, ...]
    names: tuple[str, ...]


Located = tuple[str, os.stat_result]  # a path as it is on this disk, and its facts


class NoLabelsError(DataError):
    """A list of pictures that says no labels."""


def read(path: Path, tell: Tell | None = None) -> list[Row]:
    """The rows of a list. Raises `DataError`, naming the line, for one that cannot be understood;
    `tell` is told what its reader should know of how it was read.

    CSV has a header with columns such as filename,label (and split); text has `path label` or
    `path TAB label`; JSON lines have "file_name" and "label".
    """
    rows = list(rows_in(path, read_whole(path, LARGEST_LIST), tell))
    if not rows:
        raise DataError(f"{path}: the list has no line with a picture in it")
    return rows


def rows_in(path: Path, content: bytes, tell: Tell | None = None) -> Iterator[Row]:
    """The rows of the list that has this content, one by one; see `read`. Whoever writes a list
    sees by it what will be read.
    """
    text = _decoded(path, content, tell)
    if not text.strip():
        raise DataError(f"{path}: the list is empty")
    reader = {".jsonl": _json_lines, ".csv": _columns, ".tsv": _columns}
    yield from reader.get(path.suffix.lower(), _words)(path, text)


def lines_of(path: Path, tell: Tell | None = None) -> list[tuple[int, str]]:
    """(number, text) of the lines of a file that are not blank, without blanks at their ends."""
    return lines_in(path, read_whole(path, LARGEST_LIST), tell)


def lines_in(path: Path, content: bytes, tell: Tell | None = None) -> list[tuple[int, str]]:
    """The same of a file that has this content."""
    numbered = enumerate(_LINE_END.split(_decoded(path, content, tell)), 1)
    return [(number, line.strip()) for number, line in numbered if line.strip()]


def _decoded(path: Path, content: bytes, tell: Tell | None) -> str:
    """The text of a file: UTF-8 or UTF-16 with a byte-order mark, UTF-8, or else GB 18030, as
    which other encodings pass as well: so that is told.
    """
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    marked = [name for mark, name in marks.items() if content.startswith(mark)]
    for encoding in marked or ("utf-8", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text and (encoding != "gb18030" or _is_chinese(text)):
            if tell and encoding == "gb18030":
                tell(_read_as_chinese(path, text))
            return text
    raise DataError(f"{path}: its text is in no encoding that is known here; save it as UTF-8")


def _read_as_chinese(path: Path, text: str) -> str:
    name = _WIDE.search(text)
    example = f", such as {name[0][:80]!r}" if name else ""
    return (
        f"{path.name} is no UTF-8; it was read as GB 18030, which is Chinese{example}. If that "
        "looks wrong, save it as UTF-8"
    )


def is_number(label: str) -> bool:
    return label.isascii() and label.isdigit() and len(label) <= LARGEST_NUMBER


def _is_chinese(text: str) -> bool:
    """Whether text read as GB 18030 was meant so: Latin letters with accents pass for rare signs,
    while what is written in Chinese is mostly in the small set of 1980.
    """
    wide = [letter for letter in text if letter > "\x7f"]
    common = sum(bool(letter.encode("gb2312", "ignore")) for letter in wide)
    return 2 * common >= len(wide)


def _columns(path: Path, content: str) -> Iterator[Row]:
    header = next(line for line in _LINE_END.split(content) if line.strip())
    rows = _cells(path, content, max(DELIMITERS, key=header.count))
    first, names = next(rows, (1, []))
    names = [name.strip().lower() for name in names]
    file, label, split = (
        _column(f"{path}, line {first}", names, wanted)
        for wanted in (FILE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)
    )
    if file is None or label is None:
        error = DataError if file is None else NoLabelsError
        raise error(
            f"{path}, line {first}: found the columns {', '.join(names)[:200]}, expected a header "
            "with filename and label"
        )
    for line, row in rows:
        if len(row) <= max(file, label) or any(cell.strip() for cell in row[len(names) :]):
            raise DataError(
                f"{path}, line {line}: found {len(row)} columns, expected {len(names)}; put quotes "
                "around what has a separator in it"
            )
        said = row[split].strip() if split is not None and split < len(row) else None
        yield _row(path, line, row[file], row[label], said)


def _cells(path: Path, content: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of the rows that are not blank; `DataError` for quotes that do not close."""
    text = io.StringIO(content, newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}, line {line}: {error}") from error
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield line, row


def _column(where: str, names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """The place of the first wanted name; `DataError` where two columns have it."""
    name = next((name for name in wanted if name in names), None)
    if name is None:
        return None
    if names.count(name) > 1:
        raise DataError(
            f"{where}: found the column {name} {names.count(name)} times, expected it once; rename "
            "or remove what is not meant"
        )
    return names.index(name)


def _json_lines(path: Path, content: str) -> Iterator[Row]:
    for line, text in enumerate(_LINE_END.split(content), 1):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {line}: no JSON value: {error}") from error
        given = value if isinstance(value, dict) else {}
        keys = {str(key).lower(): each for key, each in given.items()}
        file, label, split = (
            next((keys[key] for key in wanted if key in keys), None)
            for wanted in (FILE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)
        )
        if isinstance(file, str) and label is None:
            raise NoLabelsError(f'{path}, line {line}: there is no "label" in it')
        if not isinstance(file, str) or isinstance(label, bool | float | list | dict):
            raise DataError(
                f'{path}, line {line}: expected {{"file_name": "cat.jpg", "label": "cat"}}'
            )
        yield _row(path, line, file, str(label), None if split is None else str(split))


def _words(path: Path, content: str) -> Iterator[Row]:
    for line, text in enumerate(_LINE_END.split(content), 1):
        if not text.strip() or _COMMENT.fullmatch(text.strip()):
            continue
        parts = text.strip().rsplit("\t" if "\t" in text.strip() else None, 1)
        if len(parts) != 2:
            raise DataError(
                f"{path}, line {line}: found {text.strip()[:80]!r}, expected a path and a label"
            )
        yield _row(path, line, *parts)


def _row(path: Path, line: int, file: str, label: str, split: str | None = None) -> Row:
    file, label = file.strip(), label.strip()
    if not file or "\0" in file or not is_text(file):
        raise DataError(f"{path}, line {line}: there is no path in it")
    if not label or _CONTROL.search(label):
        raise DataError(f"{path}, line {line}: there is no label in it; a label is a line of text")
    return Row(path, line, file, label, split or None)


def names_pictures(path: Path) -> bool:
    """Whether a text is a list of pictures, not of classes: its first line names a file."""
    try:
        lines = lines_of(path)
    except DataError:
        return False
    line = lines[0][1] if lines else ""
    parts = line.rsplit("\t" if "\t" in line else None, 1)
    return len(parts) == 2 and find(path.parent, parts[0].strip()) is not None


def find(folder: str | Path, path: str) -> Located | None:
    """A listed path as it is on this disk, with "/" between; None where there is no such file.

    Written on Windows, or with letters composed otherwise (as macOS does), it is found too.
    """
    tried = [path]
    if "\\" in path:
        tried.append(path.replace("\\", "/"))
    if not path.isascii():
        tried += [unicodedata.normalize(form, tried[-1]) for form in ("NFC", "NFD")]
    for each in tried:
        try:
            facts = os.stat(os.path.join(folder, each))  # noqa: PTH116, PTH118 - many of them
        except (OSError, ValueError):  # a name too long, say
            continue
        if stat.S_ISREG(facts.st_mode):
            while each.startswith("./"):
                each = each[2:].lstrip("/")
            return each, facts
    return None


def classes(labels: Sequence[str], folder: Path | None, *, tell: Tell | None = None) -> Classes:
    """What labels mean: names are plain sorted. Whole numbers are taken in their order; where
    there is a list of class names in their folder, they count its lines from 0. `tell` as in
    `read`.
    """
    found = sorted(set(labels))
    if not all(is_number(label) for label in found):
        return Classes(tuple(found), tuple(found))
    numbers = sorted(found, key=lambda label: (int(label), label))
    if len({int(label) for label in numbers}) < len(numbers):
        where = f"{folder}: " if folder else ""
        raise DataError(
            f"{where}labels are numbers written in two ways, such as 1 and 01; write each in one"
        )
    for path in [folder / name for name in CLASS_LISTS] if folder else []:
        if path.is_file() and not names_pictures(path):
            return _of_class_list(path, numbers, tell)
    return Classes(tuple(numbers), tuple(numbers))


def _of_class_list(path: Path, numbers: Sequence[str], tell: Tell | None) -> Classes:
    names = [line for _, line in lines_of(path, tell)]
    written = {int(label): label for label in numbers}
    if max(written) >= len(names):
        raise DataError(
            f"{path}: {len(names)} names, and label {numbers[-1]} is among the pictures; they "
            "count from 0"
        )
    if len(set(names)) < len(names):
        raise DataError(f"{path}: a class name stands in it twice")
    counted = [re.match(rf"{number}\b", name) for number, name in enumerate(names, 1)]
    if all(counted) and 0 not in written:
        raise DataError(
            f"{path}: its names are counted from 1, and no label is 0. Labels count the lines from "
            "0: subtract 1 from each label, or write the names as labels"
        )
    return Classes(tuple(written.get(i, str(i)) for i in range(len(names))), tuple(names))
