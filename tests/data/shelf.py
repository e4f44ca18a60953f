"""Folders of tiny pictures for the tests of what is read where."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

from PIL import Image
from tests.folders import tree_digest

from neocog.data.listing import Listing, listed
from neocog.errors import NeocogError


def _saved(form: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), (90, 60, 30)).save(stream, form)
    return stream.getvalue()


PNG, JPEG = _saved("PNG"), _saved("JPEG")


def put(root: Path, *paths: str, content: bytes = PNG) -> Path:
    """The same content at each of the paths below a folder, "/" between."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def labelled(listing: Listing) -> dict[str, dict[str, str]]:
    """{split: {path: class}}."""
    return {
        split: {
            path: listing.classes[label]
            for path, label in zip(files.paths, files.labels.tolist(), strict=True)
        }
        for split, files in listing.splits.items()
    }


def reasons(listing: Listing) -> dict[str, str]:
    """{file: why} of what is not used."""
    return {each.file: each.why for each in listing.ignored}


def sound(root: Path) -> None:
    """Whatever lies in a folder: refused in words, or every file accounted for, rightly."""
    before = tree_digest(root)
    try:
        found, said = listed(root), str(root)
    except NeocogError as error:
        found, said = None, str(error)
    assert tree_digest(root) == before
    assert str(root) in said
    if found is None:
        return
    used = [path for files in found.splits.values() for path in files.paths]
    assert len(set(used)) == len(used)
    assert {"train", "all"} & set(found.splits)
    for split, files in found.splits.items():
        for path, label in zip(files.paths, files.labels.tolist(), strict=True):
            assert (root / path).read_bytes()[:3] in (PNG[:3], JPEG[:3])
            assert 0 <= label < len(found.classes)
            if found.layout in ("classes", "splits") and not path.split("/")[-2].startswith("n0"):
                name = unicodedata.normalize("NFC", found.classes[label].split(" ")[0])
                parts = [unicodedata.normalize("NFC", part) for part in path.split("/")]
                flat = found.layout == "splits" and name.startswith("n0")
                assert name in parts[:-1] or flat, (split, path)
    left = {each.file for each in found.ignored}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.name == "val.txt" and found.layout == "splits":
            continue  # it may be the list that says the synsets of val
        if path.is_file() and name not in used and found.layout in ("classes", "splits"):
            above = {"/".join(name.split("/")[:n]) for n in range(1, name.count("/") + 2)}
            assert above & left, name
