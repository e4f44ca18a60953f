"""Small pictures for pages: shrunk, encoded as whatever takes least, and heat laid over them."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image, features
from torch import Tensor

SIDE = 112  # pixels of a small copy, at most
CRISP = 64  # up to so many pixels a side a copy is kept to the pixel
QUALITY = 78
ENLARGED = 128  # pixels, about, of a picture under heat
KINDS = ((b"\x89PNG", "image/png"), (b"RIFF", "image/webp"), (b"\xff\xd8", "image/jpeg"))
# Of heat, from nothing to most: dark red, orange, pale yellow, rising in lightness for eyes that
# tell no hues.
HEAT = np.array([[60, 9, 17], [139, 26, 30], [204, 71, 24], [245, 150, 40], [252, 240, 165]])


def pixels(image: Tensor) -> np.ndarray:
    """uint8 (H, W) or (H, W, 3) of a picture (C, H, W); of other channels than 1 or 3, the mean."""
    made = image.movedim(0, 2).cpu().numpy()
    if made.shape[2] not in (1, 3):
        made = made.mean(2, keepdims=True).astype(made.dtype)
    return made[:, :, 0] if made.shape[2] == 1 else made


def small(image: np.ndarray) -> bytes:
    """The content of a file: a copy of uint8 (H, W) or (H, W, 3), at most SIDE wide and high."""
    made = Image.fromarray(image)
    if max(made.size) > CRISP:
        made.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return _lossy(made)
    return lossless(image)


def lossless(image: np.ndarray) -> bytes:
    """The content of a file that shows each pixel as it is."""
    made = Image.fromarray(image)
    kinds = [_saved(made, "PNG", optimize=True)]
    if features.check("webp"):
        kinds.append(_saved(made, "WEBP", lossless=True, quality=100, method=4))
    return min(kinds, key=len)


def heated(image: np.ndarray, values: np.ndarray) -> bytes:
    """A picture in grey, and over it where `values` (h, w) are large, stretched to it."""
    height, width = image.shape[:2]
    factor = max(1, math.ceil(ENLARGED / max(height, width)))
    whole = Image.fromarray(image).convert("L")
    side = (width * factor, height * factor)
    grey = np.asarray(whole.resize(side, Image.Resampling.NEAREST), np.float64)[:, :, None]
    most = float(values.max(initial=0.0))
    level = np.clip(values / most, 0, 1) if most > 0 else np.zeros_like(values)
    spread = Image.fromarray(level.astype(np.float32)).resize(side, Image.Resampling.BILINEAR)
    share = np.asarray(spread, np.float64)
    places = np.linspace(0, 1, len(HEAT))
    colours = np.stack([np.interp(share, places, HEAT[:, c]) for c in range(3)], 2)
    cover = (0.85 * np.sqrt(share))[:, :, None]
    made = Image.fromarray((grey * (1 - cover) + colours * cover).astype(np.uint8))
    made.thumbnail((2 * SIDE, 2 * SIDE))
    return _lossy(made)


def url(content: bytes) -> str:
    """A picture's file as an address that holds all of it."""
    kind = next(name for begin, name in KINDS if content.startswith(begin))
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def size(content: bytes) -> tuple[int, int]:
    """Width and height of a picture's file."""
    with Image.open(io.BytesIO(content)) as opened:
        return opened.size


def _lossy(made: Image.Image) -> bytes:
    if features.check("webp"):
        return _saved(made, "WEBP", quality=QUALITY, method=4)
    return _saved(made, "JPEG", quality=QUALITY)


def _saved(made: Image.Image, kind: str, **options: int | bool) -> bytes:
    content = io.BytesIO()
    made.save(content, kind, **options)
    return content.getvalue()
