"""The list of all that is in a set of shards, which lies beside them as shards.jsonl.

    {"neocog": "shards", "version": 1, "classes": ["daisy", "rose"]}
    {"shard": "train-000000.tar", "split": "train", "bytes": 268441600,
     "members": ["rose/12.jpg", ...], "labels": [1, ...], "sizes": [61532, ...], "marks": [...]}

The first line is about all, then there is a line a shard: members in the order of the archive,
labels as numbers of classes, sizes in bytes, marks that change where a picture does. With it,
nothing has to be read to know how many pictures there are, and of what.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from neocog.data.pictures import MAX_BYTES
from neocog.errors import DataError

NAME = "shards.jsonl"
VERSION = 1
SPLITS = ("train", "val", "test", "all")
# plain names below the folder of the index: what others wrote may not lead anywhere else
_NAME = re.compile(r"(?![/.])(?!.*(?:/\.|//))[^\\:\x00-\x1f]+\.(?:tar|tar\.gz|tgz)")


@dataclass(frozen=True, eq=False)
class Shard:
    """One archive: its pictures in its order."""

    name: str
    split: str
    size: int | None  # bytes of the archive, where they are known
    members: list[str]
    labels: list[int]
    sizes: list[int]
    marks: list[int]


def lines(classes: Sequence[str], shards: Sequence[Shard]) -> Iterator[str]:
    """The lines of an index, each with its end."""
    yield _line({"neocog": "shards", "version": VERSION, "classes": list(classes)})
    for shard in shards:
        yield _line(
            {
                "shard": shard.name,
                "split": shard.split,
                "bytes": shard.size,
                "members": shard.members,
                "labels": shard.labels,
                "sizes": shard.sizes,
                "marks": shard.marks,
            }
        )


def parsed(content: bytes, where: str) -> tuple[tuple[str, ...], list[Shard]]:
    """The classes and shards of an index. Raises `DataError` for whatever is none."""
    rows = io.BytesIO(content)  # one after the other, so that the first that is none ends it
    head = _value(rows.readline(), where, 1)
    if head.get("neocog") != "shards":
        raise DataError(f"{where}: this is no index of shards as `neocog data pack` writes it")
    if head.get("version") != VERSION:
        raise DataError(
            f"{where}: written by a later neocog (version {head.get('version')!r} of the index, "
            f"this one reads {VERSION}): use that one"
        )
    classes: Any = head.get("classes")
    if not _all(classes, str) or len(set(classes)) != len(classes):
        raise _bad(where, 1, "classes are no list of different names")
    shards = [
        _shard(_value(row, where, number), len(classes), where, number)
        for number, row in enumerate(rows, 2)
        if row.strip()
    ]
    if len({shard.name for shard in shards}) != len(shards):
        raise DataError(f"{where}: a shard stands in it twice")
    return tuple(classes), shards


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _value(row: bytes, where: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _bad(where, number, "no JSON object; it may be cut off")
    return value


def _shard(value: dict[str, Any], classes: int, where: str, number: int) -> Shard:
    name, split, size = value.get("shard"), value.get("split"), value.get("bytes")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _bad(where, number, f"{name!r} is no name of a shard in this folder")
    if split not in SPLITS:
        raise _bad(where, number, f"split {split!r}; expected one of {', '.join(SPLITS)}")
    if size is not None and not _all([size], int):
        raise _bad(where, number, f"{size!r} bytes")
    columns: list[Any] = [value.get(name) for name in ("members", "labels", "sizes", "marks")]
    members, labels, sizes, marks = columns
    if not _all(members, str) or not all(_all(column, int) for column in columns[1:]):
        raise _bad(where, number, "members are no texts, or numbers are no numbers")
    if len({len(column) for column in columns}) != 1:
        raise _bad(where, number, "its columns have different lengths")
    if len(set(members)) != len(members) or not all(members):
        raise _bad(where, number, "a member stands in it twice, or has no name")
    if not _within(labels, classes) or not _within(sizes, MAX_BYTES + 1):
        raise _bad(where, number, "a label of no class, or a size that no picture has")
    if not _within(marks, 1 << 63):
        raise _bad(where, number, "a mark out of range")
    return Shard(name, split, size, members, labels, sizes, marks)


def _all(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _within(values: Sequence[int], end: int) -> bool:
    return all(0 <= value < end for value in values)


def _bad(where: str, number: int, what: str) -> DataError:
    return DataError(f"{where}, line {number}: {what}. Get the index again, or pack again")
