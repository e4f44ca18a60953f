"""One picture file to pixels, the same wherever neocog reads one.

JPEGs are decoded by libjpeg-turbo (simplejpeg), no larger than they are needed; everything else,
and every JPEG that is odd in any way, is left to Pillow, which decides what can be read.
"""

from __future__ import annotations

import io
import os
import re
import stat
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from neocog.errors import DataError

MAX_PIXELS = 100_000_000  # a larger one is refused before it is decoded
MAX_BYTES = 1 << 30
NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # for the other end of a pipe
# What Pillow may open. Not EPS, for which it starts another program, nor kinds without pixels.
# A TGA begins like anything: it is opened where it is named, and not found in a folder.
KINDS: tuple[str, ...] = ("BMP", "DDS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG")
KINDS += ("PPM", "PSD", "QOI", "SGI", "SUN", "TIFF", "WEBP", "TGA", "AVIF")
_BEGINNING = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|II[*+]\0|MM\0[*+]|qoif|8BPS|DDS |icns"
    rb"|BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0"  # and the size of a header that exists
    rb"|....ftyp(?:avif|avis|(?:mif1|msf1).{4}(?:.{4}){0,10}?avi[fs])"
    rb"|\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n|\0\0\x01\0[^\0]\0"
    rb"|\x01\xda[\0\1][\1\2]|\x59\xa6\x6a\x95|\n[\0\2\3\5]\x01[\1\2\4\x08]|P[1-6f]\s+[0-9#]",
    re.DOTALL,
)
SCAN, APP1 = 0xDA, 0xE1  # second bytes of markers of a JPEG
ORIENTATION = (b"\x12\x01\x03\0", b"\x01\x12\0\x03")  # tag and type, in either byte order
_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF orientation to upright
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[:, ::-1],
    7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
    8: lambda p: p.swapaxes(0, 1)[::-1],
}


def looks_like_one(head: bytes) -> bool:
    """Whether a file that begins with these bytes (64 or more) is a picture of a kind we read."""
    return head.startswith(b"\xff\xd8\xff") or _BEGINNING.match(head) is not None


def read(path: Path, channels: int, *, shorter: int = 0) -> Tensor:
    """The first frame of a picture, upright: uint8 (channels, H, W), channels 1 or 3.

    16-bit values are scaled to 8; palettes, CMYK and transparency (on black) become grey or RGB.
    With `shorter` the picture may come out smaller than it is, but neither side below so many
    pixels. Raises `DataError` with the path for whatever cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
        made = pixels(content_of(path), channels, shorter, path)
    return torch.from_numpy(made).movedim(2, 0)


def content_of(path: Path | str) -> bytes:
    """The bytes of a picture file; `DataError` where there are none to be had."""
    return content_and_facts_of(path)[0]


def content_and_facts_of(path: Path | str) -> tuple[bytes, tuple[int, int]]:
    """The same, and of that very file its size in bytes and the time of its last change, in ns."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | NO_WAITING)
        try:
            facts = os.fstat(file)
            if stat.S_ISDIR(facts.st_mode):  # else the system says so on opening
                raise IsADirectoryError
            if not stat.S_ISREG(facts.st_mode):
                raise DataError(f"{path}: no regular file")
            if facts.st_size > MAX_BYTES:
                raise DataError(
                    f"{path}: {facts.st_size:,} bytes; pictures have {MAX_BYTES:,} at most"
                )
            content = _all_of(file, facts.st_size)
        finally:
            os.close(file)
    except IsADirectoryError:
        raise DataError(f"{path}: this is a folder; name picture files") from None
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read: {reason}") from error
    if not content:
        raise DataError(f"{path}: the file is empty")
    return content, (facts.st_size, facts.st_mtime_ns)


def _all_of(file: int, size: int) -> bytes:
    """The content of an open file that was of this size: in a single call, if it still is."""
    content = os.read(file, size + 1)
    if len(content) != size:
        while more := os.read(file, 1 << 20):
            content += more
    return content


def pixels(content: bytes, channels: int, shorter: int, where: object) -> np.ndarray:
    """uint8 (H, W, channels) of the bytes of a picture; `where` is named in errors. See `read`."""
    if content.startswith(b"\xff\xd8\xff"):
        fast = _jpeg(content, channels, shorter, where)
        if fast is not None:
            return fast
    return _smaller(_by_pillow(content, channels, where), shorter)


def _jpeg(content: bytes, channels: int, shorter: int, where: object) -> np.ndarray | None:
    """A plain JPEG; None for one that Pillow is to judge."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
        _check_pixels(where, height * width)
        if space not in ("RGB", "YCbCr", "YUV", "GRAY", "Gray"):
            return None
        decoded: np.ndarray = simplejpeg.decode_jpeg(
            content,
            colorspace="GRAY" if channels == 1 else "RGB",
            min_height=min(shorter, height) if shorter else 0,
            min_width=min(shorter, width) if shorter else 0,
        )
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        return None
    turn = TURNS.get(_orientation(*_application_data(content)))
    return decoded if turn is None else np.ascontiguousarray(turn(decoded))


def _application_data(content: bytes) -> tuple[bytes, bytes]:
    """The EXIF block of a JPEG, and the XMP block, if that says an orientation of its own."""
    place, exif, xmp, last = 2, b"", b"", len(content) - 4
    while place <= last and content[place] == 0xFF and (kind := content[place + 1]) != SCAN:
        if kind == 0xFF:  # a marker may be filled up with these
            place += 1
            continue
        end = place + 2 + (content[place + 2] << 8 | content[place + 3])
        if kind == APP1:
            block = content[place + 4 : end]
            exif = exif or (block if block.startswith(b"Exif\0") else b"")
            xmp = xmp or (block if b"tiff:Orientation" in block else b"")
        place = max(end, place + 2)
    return exif, xmp


def _orientation(header: bytes, xmp: bytes) -> int:
    """What EXIF says, or else XMP, as Pillow's `exif_transpose` reads them."""
    # Pillow takes its time to say that there is none
    if header and any(tag in header for tag in ORIENTATION):
        exif = Image.Exif()
        try:
            exif.load(header)
            return int(exif.get(ExifTags.Base.Orientation, 1))
        except Exception:  # damaged: Pillow raises many things, and shows the picture as it is
            return 1
    said = _IN_XMP.search(xmp) if xmp else None
    return int(said[1]) if said else 1


def _smaller(picture: np.ndarray, shorter: int) -> np.ndarray:
    """Blocks of k x k pixels averaged, as far as neither side falls below `shorter`."""
    factor = min(picture.shape[:2]) // shorter if shorter else 1
    if factor < 2:
        return picture
    image = Image.fromarray(picture.squeeze(2) if picture.shape[2] == 1 else picture)
    made = np.asarray(image.reduce(factor))
    return made.reshape(*made.shape[:2], picture.shape[2]).copy()


def _by_pillow(content: bytes, channels: int, where: object) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content), formats=KINDS) as picture:
            _check_pixels(where, picture.width * picture.height)
            flat = _eight_bit(ImageOps.exif_transpose(picture))
            made = np.array(flat.convert("L" if channels == 1 else "RGB"))
    except UnidentifiedImageError:
        raise DataError(
            f"{where}: not a picture of a kind that can be read (PNG, JPEG, ...)"
        ) from None
    except DataError:
        raise
    except Exception as error:  # its codecs raise many things: OSError, ValueError, SyntaxError...
        raise DataError(f"{where}: the picture cannot be read: {error}") from error
    return made.reshape(*made.shape[:2], channels)


def _check_pixels(where: object, count: int) -> None:
    if count > MAX_PIXELS:
        raise DataError(
            f"{where}: {count:,} pixels; pictures of more than {MAX_PIXELS:,} are not opened. "
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
