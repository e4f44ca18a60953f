"""Pictures of any size cut at random to a network's input, by threads, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from neocog.data import crops, cutting, geometry, threads
from neocog.data.crops import Crop
from neocog.data.spec import InputSpec

AT_A_TIME = 16  # pictures, at most, that a thread does everything to before it takes more

# given the uint8 pictures of a batch, not cut yet: what is done to some as soon as they are
Then = Callable[[Tensor], Callable[[slice], None]]


def drawn(
    pictures: Sequence[np.ndarray],
    spec: InputSpec,
    crop: Crop,
    generator: Generator,
    then: Then | None,
) -> Tensor:
    """Pictures of any size cut at random to the input's: uint8 (N, C, *size), channels last."""
    made = np.empty((len(pictures), *spec.size, spec.channels), np.uint8)
    images = torch.from_numpy(made).movedim(3, 1)
    boxes: list[list[int]] = []
    if crop.area:
        sizes = torch.from_numpy(np.array([picture.shape[:2] for picture in pictures]))
        boxes = crops.area_boxes(sizes, crop.area, crop.aspect, generator).tolist()

        def place(row: int) -> None:
            top, left, height, width = boxes[row]
            piece = pictures[row][top : top + height, left : left + width]
            if piece.shape[:2] == spec.size:
                made[row] = piece
            else:
                geometry.resize_into(images[row : row + 1], as_tensor(piece), spec.interpolation)
    else:
        draws = torch.rand(len(pictures), 2, generator=generator, dtype=torch.float64).tolist()

        def place(row: int) -> None:
            whole = geometry.scaled(as_tensor(pictures[row]), spec)
            room = whole.shape[2] - spec.size[0], whole.shape[3] - spec.size[1]
            top, left = (
                int(draw * (most + 1)) for draw, most in zip(draws[row], room, strict=True)
            )
            put(made, row, whole[:, :, top : top + spec.size[0], left : left + spec.size[1]])

    finish = None if then is None else then(images)

    at_once = bool(crop.area) and cutting.can(spec.interpolation, spec.channels)

    def do(rows: slice) -> None:
        if at_once:
            cutting.cut(pictures[rows], boxes[rows], made[rows])
        else:
            for row in range(rows.start, rows.stop):
                place(row)
        if finish is not None:
            finish(rows)

    # at least two parts for each thread, so that none waits long for the last
    some = min(AT_A_TIME, len(pictures) // (2 * threads.count()))
    threads.each(do, threads.parts(len(pictures), max(some, 1)))
    return images


def as_tensor(picture: np.ndarray) -> Tensor:
    """uint8 (H, W, C) as (1, C, H, W), channels last; nobody writes to it."""
    picture = np.ascontiguousarray(picture)
    if not picture.flags.writeable:  # torch warns of such
        picture = picture.copy()
    # turned by numpy: whatever torch does, it lets go of Python's lock and has to wait for it again
    return torch.from_numpy(picture.reshape(1, *picture.shape).transpose(0, 3, 1, 2))


def put(made: np.ndarray, row: int, image: Tensor) -> None:
    """By numpy: a copy of torch's would be shared out to threads of its own."""
    made[row] = image.numpy()[0].transpose(1, 2, 0)
