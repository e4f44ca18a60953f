"""Small folders of pictures for tests, and a digest of everything in one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 60, 220), "green": (50, 200, 60), "red": (210, 40, 50)}


def picture(
    colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (40, 30)
) -> Image.Image:
    """A noisy picture of a colour, (width, height), with a dark corner that says what is up."""
    rng = np.random.default_rng(seed)
    pixels = np.array(colour) + rng.integers(-30, 31, (size[1], size[0], 3))
    pixels[: size[1] // 3, : size[0] // 3] = 10
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def flat_folder(root: Path, count: int = 20, *, classes: int = 3, suffix: str = ".jpg") -> Path:
    """root/<class>/0.jpg ...: `count` pictures of each class, of several sizes."""
    for name, colour in list(COLOURS.items())[:classes]:
        (root / name).mkdir(parents=True)
        for number in range(count):
            size = (40 + 4 * (number % 5), 30 + 6 * (number % 3))
            made = picture(colour, hash_of(name, number), size)
            made.save(root / name / f"{number:03}{suffix}")
    return root


def hash_of(*what: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=6).digest())


def tree_digest(root: Path) -> str:
    """Of all names, contents, times and modes below a folder."""
    seen = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        facts = os.lstat(path)
        seen.update(repr((str(path.relative_to(root)), facts.st_mode, facts.st_mtime_ns)).encode())
        if path.is_file():
            seen.update(path.read_bytes())
    return seen.hexdigest()
