"""Batches of pictures in memory in one pass over them: gathered, moved, mirrored, normalised."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from neocog.compiled import Soon, compiled, of_torchs_threads
from neocog.data import augment, geometry
from neocog.data.cache import compiled_dir
from neocog.data.spec import InputSpec
from neocog.data.values import table

SOURCE = Path(__file__).with_name("gather.c")
LEAST = 640_000  # values of a set that are worth compiling for
A_THREAD = 16_384  # values, at least

Drawn = tuple[Tensor, Tensor] | None  # rows and columns, int64 (n,) both


class _Batch(ctypes.Structure):
    """As in gather.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n", "channels", "high", "wide", "tall", "broad")),
        *((name, ctypes.c_int64) for name in ("row", "column")),
        *((name, ctypes.c_int32) for name in ("reflected", "threads")),
        *((name, ctypes.c_void_p) for name in ("pixels", "index", "down", "right", "turned")),
        *((name, ctypes.c_void_p) for name in ("table", "values")),
    )


class Gather:
    """Makes inputs of pictures uint8 (N, C, H, W): what `geometry.scaled`, `augment.random_crop`,
    `augment.shift`, `augment.turn` and `preprocess.normalised` give one after the other, to the
    last bit, and by the same chance.

    Of each picture the input begins at `begin`, a row and a column that may lie outside of it, and
    by chance up to `room` later. What lies outside is black, or `reflected`. By the library that is
    `given`, or else ours.
    """

    def __init__(
        self,
        images: Tensor,
        spec: InputSpec,
        begin: tuple[int, int],
        room: tuple[int, int] | None,
        *,
        reflected: bool,
        given: Any = None,
    ) -> None:
        self.given, self.images, self.spec, self.room = given, images, spec, room
        self.table = table(spec)
        sizes = (0, *images.shape[1:], *spec.size, *begin, reflected, 1, images.data_ptr())
        self.batch = _Batch(*sizes, table=self.table.data_ptr())

    def is_ready(self) -> bool:
        """Whether a compiler has made by now what it takes; it is asked to at the first call."""
        self.given = self.given or library.now()
        return self.given is not None

    def drawn(self, count: int, generator: Generator) -> Drawn:
        """By how much each of so many begins later."""
        if self.room is None:
            return None
        down, right = (torch.randint(most + 1, (count,), generator=generator) for most in self.room)
        return down, right

    def __call__(self, index: Tensor, drawn: Drawn, turned: Tensor | None) -> Tensor:
        """Inputs float32 (n, C, *size) of the pictures of `index`, int64 (n,), moved as was drawn,
        those of `turned`, booleans (n,), left to right. One call at a time.
        """
        count, batch = len(index), self.batch
        made = torch.empty(
            (count, self.spec.channels, *self.spec.size), dtype=torch.float32, device="cpu"
        )
        down, right = drawn or (None, None)
        batch.n, batch.index, batch.values = count, _address(index), made.data_ptr()
        batch.down, batch.right, batch.turned = map(_address, (down, right, turned))
        batch.threads = max(min(made.numel() // A_THREAD, torch.get_num_threads()), 1)
        self.given.neocog_gather(ctypes.byref(batch))
        return made


def _address(x: Tensor | None) -> int | None:
    assert x is None or x.is_contiguous()
    return None if x is None else x.data_ptr()


def way(images: Tensor, spec: InputSpec, *, shift: int, border: str) -> Gather | None:
    """How inputs are made of a split's pictures; None where it takes more than moving and mirroring
    them (they are scaled, or cut and shifted), or it is not worth a compiler's time.
    """
    at_hand = images.device.type == "cpu" and images.dtype == torch.uint8 and images.is_contiguous()
    plain = images.shape[1] == spec.channels and not (spec.bgr or spec.by_picture)
    if not (at_hand and plain) or spec.mean_picture or images.numel() < LEAST:
        return None
    sides = (images.shape[2], images.shape[3])
    more = (spec.size[0] - sides[0], spec.size[1] - sides[1])
    begin, room, reflected = (0, 0), None, shift > 0 and border == "reflect"
    if spec.placing == "pad" and min(more) >= 0:
        begin = (-(more[0] // 2), -(more[1] // 2))
    elif geometry.target(*sides, spec) != sides or (any(more) and shift):
        return None
    elif any(more):
        room = (-more[0], -more[1])
    if shift:
        begin, room = (begin[0] - shift, begin[1] - shift), (2 * shift, 2 * shift)
    if reflected and (any(more) or shift >= min(sides)):
        return None
    return Gather(images, spec, begin, room, reflected=reflected)


def _library() -> Any:
    """gather.c, compiled once; None where it cannot be, or does not do what it says."""
    found = compiled(SOURCE, of_torchs_threads(), folder=compiled_dir())
    return found if found is not None and _is_right(found) else None


library = Soon(_library)


def _is_right(found: Any) -> bool:
    pixels = torch.arange(4 * 2 * 5 * 7).mul(37).to(torch.uint8).view(4, 2, 5, 7)
    index, turned = torch.tensor([2, 0, 1, 0]), torch.tensor([False, True, True, False])
    drawn = torch.tensor([0, 6, 3, 1]), torch.tensor([5, 0, 1, 3])
    for reflected, size in ((False, (5, 7)), (True, (5, 7)), (False, (3, 9))):
        mean, std = (0.5, 0.25), (0.25, 0.3)
        spec = InputSpec(("a",), 2, size, min(size), "resize", mean, std)
        gather = Gather(pixels, spec, (-3, -2), (6, 5), reflected=reflected, given=found)
        made = gather(index, drawn, turned)
        frame = augment.reflected if reflected else augment.blackened
        framed = frame(pixels[index], 3)
        for picture, down, right, which, values in zip(framed, *drawn, turned, made, strict=True):
            seen = augment.blackened(picture[None], 9)[0, :, 9 + down :, 10 + right :]
            piece = seen[:, : size[0], : size[1]].long()
            expected = torch.stack([row[x] for row, x in zip(table(spec), piece, strict=True)])
            if not torch.equal(values, expected.flip(2) if which else expected):
                return False
    return True
