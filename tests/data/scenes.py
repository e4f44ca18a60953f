"""Folders of pictures to examine: scenes that differ, and files with something wrong each."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture like no other: soft areas of colour with details on them."""
    rng = np.random.default_rng(seed)
    soft, fine = (
        Image.fromarray(rng.integers(0, 256, (*shape, 3), np.uint8)).resize(size, Image.BICUBIC)
        for shape in ((5, 6), (24, 32))
    )
    return Image.blend(soft, fine, 0.3)


def jpeg(picture: Image.Image, **how: object) -> bytes:
    written = io.BytesIO()
    picture.save(written, "JPEG", **how)
    return written.getvalue()


def put(path: Path, content: bytes | Image.Image) -> Path:
    """A file with that content; a picture is written as its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.save(path)
    return path


def sound(root: Path, *, splits: tuple[str, ...] = ("train", "val"), each: int = 5) -> Path:
    """A folder that nothing is wrong with: two classes of so many pictures in each split."""
    seed = 0
    for split in splits:
        for name in ("left", "right"):
            for letter in "abcdefghij"[:each]:
                put(root / split / name / f"{letter}.jpg", scene(seed))
                seed += 1
    return root


def state(root: Path) -> dict[str, tuple[int, str]]:
    """Every path below a folder with its time of change and the hash of its content."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(root.rglob("*"))
    }
