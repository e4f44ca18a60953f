"""What the text files of a run folder hold: understood, or refused with a `ValueError`.

It loads no torch: who watches a run reads no more than this.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from neocog.records import Epoch, Norms

LARGEST = 1 << 26  # signs of a JSON file: the names of a hundred thousand classes are a few 10^6
LONGEST = 1 << 22  # signs of a line: an epoch of a thousand layers has about 10^5
COLUMNS = [field.name for field in fields(Epoch)]


def json_in(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ValueError(f"more than {LARGEST:,} signs, which is none of ours")
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    # what can be read can be written: half a sign, as "\\ud800", cannot
    json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return value


def data_in(path: Path) -> dict[str, Any]:
    value = dict(json_in(path)["data"])
    counts = value["pictures"]
    counted = [counts[key] for key in ("train", "validation", "test")]
    sound = (
        isinstance(value["name"], str)
        and type(value["seed"]) is int
        and type(value["validation"]) in (int, float)
        and isinstance(value["from"], str | None)
        and isinstance(value["fingerprint"], str)
        and isinstance(value.get("test_fingerprint", ""), str)
        and all(type(count) is int and 0 <= count < 2**53 for count in counted)
    )
    if value.get("layout"):  # of pictures in files
        classes = value["classes"]
        sound = (
            sound
            and isinstance(value["layout"], str)
            and isinstance(value["from"], str)
            and type(value["mirrors"]) is bool
            and isinstance(classes, list)
            and all(isinstance(name, str) for name in classes)
            and len(set(classes)) == len(classes)
        )
    if not sound:
        raise ValueError("what it says of the data set is not of the right kind")
    return value


def history_in(path: Path) -> list[Epoch]:
    return [Epoch.from_json(json.loads(line)) for line in _lines(path)]


def norms_in(path: Path) -> list[Norms]:
    return [Norms.from_json(json.loads(line)) for line in _lines(path)]


def _lines(path: Path) -> Iterator[str]:
    """One after the other, so that the first that is none of ours ends it."""
    with path.open(encoding="utf-8") as file:
        while line := file.readline(LONGEST + 1):
            if len(line) > LONGEST:
                raise ValueError(f"a line of more than {LONGEST:,} signs, which is none of ours")
            yield line


def made_in(path: Path) -> dict[str, Any]:
    """How a network was made: checked, since a large number in it would take as much memory."""
    made = dict(json_in(path)["network"])
    if isinstance(made.get("class"), str):
        return made
    try:
        spec = json_in(path.with_name("input.json"))
        wanted = len(spec["classes"]), spec["channels"]
    except Exception as error:
        raise ValueError(f"the input.json beside it cannot be read: {error}") from error
    if not isinstance(made["name"], str) or (made["num_classes"], made["in_channels"]) != wanted:
        raise ValueError("its network has other classes or channels than input.json")
    return made


def json_lines(values: Sequence[dict[str, Any]]) -> bytes:
    """history.jsonl and norms.jsonl: what `to_json` of each gave, a line each."""
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def history_table(epochs: Sequence[dict[str, Any]]) -> bytes:
    """history.csv, as RFC 4180 has it: the fields of `Epoch` as its header, `best` as 1 or 0, and
    nothing where there is no validation split.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text)  # lines end in CRLF, as section 2 says
    rows.writerow(COLUMNS)
    for epoch in epochs:
        values = [epoch[name] for name in COLUMNS]
        rows.writerow([int(value) if isinstance(value, bool) else value for value in values])
    return text.getvalue().encode()
