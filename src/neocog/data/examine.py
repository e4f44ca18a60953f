"""One picture to facts about it: what it is, whether all of it can be read, a small copy.

A picture is decoded as it is for training, so what is readable here is readable there.
"""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from neocog.data import pictures
from neocog.data.listing import Listing
from neocog.data.threads import count as processors
from neocog.errors import DataError

SIDE = 32  # of the small copies, pixels
DECODED = 2 * SIDE  # pixels that the shorter side keeps while decoding
FLAT = 4  # a picture whose lightest and darkest grey are no further apart is blank
TINY = 8  # pixels
AHEAD = 64  # pictures a thread has waiting
# what is larger is read and decoded by one thread at a time, so that memory stays bounded
LARGE_BYTES, LARGE_PIXELS = 1 << 25, 25_000_000
JPEG_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"}
HARMLESS = "extraneous bytes before marker"  # junk between the parts of a JPEG, as cameras leave it
EXIF_MARKS = (b"Exif", b"EXIF", b"eXIf", b"exif", b"tiff:Orientation")
_one_at_a_time = threading.RLock()


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found in one picture file."""

    file: str
    split: str
    label: int
    width: int = 0  # upright; 0 where it could not be opened
    height: int = 0
    orientation: int = 1  # as EXIF counts
    camera: str = ""
    taken: float | None = None  # by the camera's clock, s
    digest: bytes = b""  # of the content; empty unless it was decoded
    small: bytes = b""  # its greys, SIDE x SIDE; empty unless it was decoded
    found: tuple[tuple[str, str], ...] = ()  # (kind, detail); see data.kinds


def examined(listing: Listing, *, threads: int | None = None) -> Iterator[Facts]:
    """The facts of every picture, in the order of the listing. Nothing a file holds stops it."""
    jobs = (
        (listing.root, file, split, label, size)
        for split, files in listing.splits.items()
        for file, label, size in zip(
            files.paths, files.labels.tolist(), files.sizes.tolist(), strict=True
        )
    )
    workers = threads or processors()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="examine")
    waiting: deque[Future[Facts]] = deque()
    try:
        with warnings.catch_warnings():  # here, not in the threads: filters belong to all of them
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
            for job in jobs:
                waiting.append(pool.submit(examine, *job))
                if len(waiting) >= AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def examine(root: Path, file: str, split: str, label: int, size: int) -> Facts:
    """The facts of one picture of so many bytes."""
    facts = Facts(file, split, label)
    if size > pictures.MAX_BYTES:
        return replace(facts, found=(("enormous", f"{size:,} bytes"),))
    path = root / file
    try:
        if size <= LARGE_BYTES:
            return _of_content(facts, path, pictures.content_of(path))
        with _one_at_a_time:
            return _of_content(facts, path, pictures.content_of(path))
    except DataError as error:
        kind = "empty" if size == 0 else "unreadable"
        return replace(facts, found=(*facts.found, (kind, _reason(error, path))))
    except Exception as error:  # whatever a hostile file brings a library to: it is one picture
        return replace(facts, found=(("unreadable", f"{type(error).__name__}: {error}"),))


def _of_content(facts: Facts, path: Path, content: bytes) -> Facts:
    try:
        with Image.open(io.BytesIO(content), formats=pictures.KINDS) as picture:
            facts = _header(facts, picture, content)
    except Image.DecompressionBombError as error:
        return replace(facts, found=(("enormous", str(error).split(",")[0]),))
    except UnidentifiedImageError:
        return replace(facts, found=(("unreadable", "it begins as a picture and goes on as none"),))
    except Exception as error:  # its readers raise many things
        return replace(facts, found=(_broken(path, content, error),))
    count = facts.width * facts.height
    if count > pictures.MAX_PIXELS:
        said = f"{facts.width:,} x {facts.height:,} pixels"
        return replace(facts, found=(*facts.found, ("enormous", said)))
    try:
        if count <= LARGE_PIXELS:
            return _decoded(facts, path, content)
        with _one_at_a_time:
            return _decoded(facts, path, content)
    except DataError as error:
        return replace(facts, found=(*facts.found, _broken(path, content, error)))


# -- what the header says


def _header(facts: Facts, picture: Image.Image, content: bytes) -> Facts:
    orientation, camera, taken = _exif(picture, content)
    width, height = picture.size
    if (
        orientation >= 5 and picture.format != "TIFF"
    ):  # a quarter turn, which Pillow counts in there
        width, height = height, width
    found = []
    suffix, kind = Path(facts.file).suffix.lower(), picture.format or ""
    if _names_another(suffix, kind):
        found.append(("wrong_suffix", f"{suffix}, but the content is {kind}"))
    if _moves(picture):
        found.append(("animated", f"{kind} of several frames"))
    found += _modes(picture, kind, content)
    if orientation in pictures.TURNS:
        found.append(("sideways", f"EXIF orientation {orientation}"))
    profile = _profile(picture)
    if profile:
        found.append(("profile", profile))
    if min(width, height) < TINY:
        found.append(("tiny", f"{width} x {height} pixels"))
    return replace(
        facts,
        width=width,
        height=height,
        orientation=orientation,
        camera=camera,
        taken=taken,
        found=tuple(found),
    )


def _moves(picture: Image.Image) -> bool:
    try:  # an MPO is a photograph with a preview, or two for both eyes
        return picture.format != "MPO" and bool(getattr(picture, "is_animated", False))
    except Exception:  # a second frame that is damaged is none
        return False


def _names_another(suffix: str, kind: str) -> bool:
    """Whether a suffix is that of another kind of file. One that is no type at all says nothing."""
    ending = suffix[1:]
    if not (2 <= len(ending) <= 5 and ending.isascii() and ending.isalnum()) or ending.isdigit():
        return False
    if kind in ("JPEG", "MPO"):
        return suffix not in JPEG_SUFFIXES
    return Image.registered_extensions().get(suffix) != kind


def _modes(picture: Image.Image, kind: str, content: bytes) -> Iterator[tuple[str, str]]:
    mode = picture.mode
    bits = content[24] if kind == "PNG" and len(content) > 24 else 8  # Pillow opens 16 as 8
    if kind == "TIFF":
        depths = getattr(picture, "tag_v2", {}).get(258, (8,))
        bits = max(depths) if isinstance(depths, tuple) else 8
    if bits > 8 or mode.startswith("I") or mode == "F":
        yield "deep", f"{kind}, {max(bits, 16)} bits a value"
    if mode == "CMYK":
        yield "cmyk", kind
    if mode in ("P", "PA"):
        yield "palette", kind
    if picture.has_transparency_data:
        yield "alpha", f"{kind}, {mode}"


def _exif(picture: Image.Image, content: bytes) -> tuple[int, str, float | None]:
    """Orientation, camera, time; (1, "", None) where there is no sound block."""
    if picture.format != "TIFF" and not any(mark in content for mark in EXIF_MARKS):
        return 1, "", None  # to ask Pillow would decode a PNG
    try:
        exif = picture.getexif()
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        camera = f"{exif.get(ExifTags.Base.Make, '')} {exif.get(ExifTags.Base.Model, '')}"
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        said = inner.get(ExifTags.Base.DateTimeOriginal)
        part = inner.get(ExifTags.Base.SubsecTimeOriginal, "0")
        return int(orientation), camera.strip(), _time(said, part)
    except Exception:  # a damaged block; the picture is shown as it stands
        return 1, "", None


def _time(said: object, part: object) -> float | None:
    try:
        whole = datetime.strptime(str(said).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        return whole.replace(tzinfo=UTC).timestamp() + float(f"0.{int(str(part).strip(chr(0)))}")
    except (ValueError, OverflowError):
        return None


def _profile(picture: Image.Image) -> str | None:
    """The name of a colour profile that is not sRGB's."""
    content = picture.info.get("icc_profile")
    if not content or b"sRGB" in content or "sRGB".encode("utf-16-be") in content:
        return None
    try:
        name = ImageCms.ImageCmsProfile(io.BytesIO(content)).profile.profile_description
    except Exception:  # a damaged one, or a Pillow without colour management
        name = None
    return None if name in ("c2", "uRGB") else (name or "without a name")  # two short forms of sRGB


# -- what decoding says


def _decoded(facts: Facts, path: Path, content: bytes) -> Facts:
    found = list(facts.found)
    grey, complaint = _by_libjpeg(content, facts.orientation)
    if grey is None:  # not a plain JPEG, or one with something wrong
        grey = pictures.pixels(content, 1, DECODED, path).squeeze(2)
        if complaint and HARMLESS not in complaint:
            found.append(("damaged", complaint))
    if int(grey.max()) - int(grey.min()) <= FLAT:
        found.append(("blank", f"{facts.width} x {facts.height} pixels of one grey or colour"))
    small = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX)
    return replace(
        facts,
        digest=hashlib.blake2b(content, digest_size=16).digest(),
        small=small.tobytes(),
        found=tuple(found),
    )


def _by_libjpeg(content: bytes, orientation: int) -> tuple[np.ndarray | None, str]:
    """The greys of a plain JPEG, upright and small; or None, and what was said against it.

    All of its data is gone through at every scale, so damage is found at the smallest.
    """
    if not content.startswith(b"\xff\xd8\xff"):
        return None, ""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content)
        if space not in ("YCbCr", "GRAY", "Gray"):
            return None, ""
        decoded: np.ndarray = simplejpeg.decode_jpeg(
            content,
            colorspace="GRAY",
            min_height=min(DECODED, height),
            min_width=min(DECODED, width),
        )
    except ValueError as error:
        return None, str(error)
    turn = pictures.TURNS.get(orientation)
    upright = decoded if turn is None else np.ascontiguousarray(turn(decoded))
    return upright.squeeze(2), ""


def _broken(path: Path, content: bytes, error: Exception) -> tuple[str, str]:
    reason = _reason(error, path)
    cut = "truncated" in reason.lower() or _lacks_end(content)
    return ("truncated" if cut else "unreadable"), reason


def _lacks_end(content: bytes) -> bool:
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in content[-64:]
    if content.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in content[content.rfind(b"\xff\xda") :]
    if content.startswith(b"RIFF"):
        return int.from_bytes(content[4:8], "little") + 8 > len(content)
    return False


def _reason(error: Exception, path: Path) -> str:
    said = str(error).removeprefix(f"{path}: ").removeprefix("the picture cannot be read: ")
    return said.strip() or type(error).__name__
