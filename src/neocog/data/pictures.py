"""One picture file to pixels, the same wherever neocog reads one."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from neocog.errors import DataError

MAX_PIXELS = 100_000_000  # a larger one is refused before it is decoded


def read(path: Path, channels: int) -> Tensor:
    """The first frame of a picture, upright: uint8 (channels, H, W), channels 1 or 3.

    16-bit values are scaled to 8; palettes, CMYK and transparency (on black) become grey or
    RGB. Raises `DataError` with the path for whatever cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
            with Image.open(path) as picture:
                _check_pixels(path, picture.width * picture.height)
                flat = _eight_bit(ImageOps.exif_transpose(picture))
                pixels = np.array(flat.convert("L" if channels == 1 else "RGB"))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: this is a folder; name picture files") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path}: not a picture of a kind that can be read (PNG, JPEG, ...)"
        ) from None
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        MemoryError,
        Image.DecompressionBombError,
    ) as e:
        if isinstance(e, DataError):
            raise
        raise DataError(f"{path}: the picture cannot be read: {e}") from e
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], channels)).movedim(2, 0)


def _check_pixels(path: Path, count: int) -> None:
    if count > MAX_PIXELS:
        raise DataError(
            f"{path}: {count:,} pixels; pictures of more than {MAX_PIXELS:,} are not opened. "
            "Make it smaller first"
        )


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Deep greys scaled to 8 bits, transparency laid on black."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture).astype(np.float64)
        top = 65535.0 if picture.mode.startswith("I") else max(float(values.max()), 1e-12)
        return Image.fromarray(np.clip(values * 255 / top, 0, 255).round().astype(np.uint8))
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        ground = Image.new("RGBA", clear.size, (0, 0, 0, 255))
        return Image.alpha_composite(ground, clear)
    return picture
