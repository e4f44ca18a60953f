"""Small facts kept from run to run, one JSON file for each kind of them in the cache folder."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from neocog.data.cache import cache_dir


def recall(kind: str) -> dict[str, Any]:
    """The facts of a kind; none where the file is missing, damaged or cannot be read."""
    try:
        facts = json.loads(_path(kind).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def note(kind: str, facts: dict[str, Any]) -> None:
    """Keep the facts of a kind, whole or not at all; where that cannot be, nothing happens."""
    path = _path(kind)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def _path(kind: str) -> Path:
    return cache_dir() / f".neocog-{kind}.json"
