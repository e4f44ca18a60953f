"""looked.npz of a run folder: what a report shows of its network and pictures, gathered once."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neocog.errors import NeocogError
from neocog.run import RunFolder
from neocog.unpacked import entries

NAME = "looked.npz"
FORM = 1  # raised when something else is gathered


@dataclass(frozen=True, eq=False)
class Looked:
    """Facts as JSON has them, and files of small pictures by name.

    "of": what it was gathered from; "network": layers, parameters, multiply_adds; "filters";
    "units"; "explained"; "names" of pictures. What could not be had is absent.
    """

    facts: dict[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def has_pictures(self) -> bool:
        return bool(self.facts.get("pictures"))


def to_bytes(looked: Looked) -> bytes:
    """The content of looked.npz: the facts, the ends of the small files, and these in a row."""
    names = list(looked.files)
    ends = np.cumsum([len(looked.files[name]) for name in names], dtype=np.int64)
    text = json.dumps({"facts": looked.facts, "files": names})
    content = io.BytesIO()
    np.savez(
        content,
        json=np.frombuffer(text.encode(), np.uint8),
        ends=ends,
        bytes=np.frombuffer(b"".join(looked.files.values()), np.uint8),
    )
    return content.getvalue()


def read(folder: RunFolder) -> Looked | None:
    """What was gathered; None where nothing was. `NeocogError` where the file is damaged."""
    path = folder.path / NAME
    if not path.exists():
        return None
    try:
        return _understood(path)
    except Exception as error:  # zip, numpy and json raise whatever they like
        raise NeocogError(f"{path}: damaged, or not written by neocog") from error


def _understood(path: Path) -> Looked:
    entries(path, path.stat().st_size)
    with np.load(path, allow_pickle=False) as arrays:
        told = json.loads(bytes(arrays["json"]).decode())
        ends, content = arrays["ends"].tolist(), bytes(arrays["bytes"])
    facts, names = told["facts"], told["files"]
    starts = [0, *ends[:-1]] if ends else []
    sound = isinstance(facts, dict) and isinstance(facts["of"], dict) and len(names) == len(ends)
    if not sound or (ends[-1] if ends else 0) != len(content):
        raise ValueError("not what was written")
    files = {
        str(name): content[start:end] for name, start, end in zip(names, starts, ends, strict=True)
    }
    return Looked(facts, files)
