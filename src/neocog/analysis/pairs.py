"""Pictures of one split that another has as well: the same pixels, or nearly the same picture.

Candidates are the nearest of the other split by what the network makes of them, and the nearest by
coarse pixels; the pixels decide, for a network that has learned its classes well takes many
different pictures for the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from neocog.analysis.embedding import cosines, nearest
from neocog.data import alike
from neocog.data.examine import SIDE
from neocog.data.spec import to_channels

COARSE = 8  # blocks a side
NEAR = 0.99  # likeness: clothes and digits on black reach 0.98 without being the same picture


@dataclass(frozen=True, eq=False)
class Album:
    """What is remembered of N pictures to compare them by."""

    places: np.ndarray  # int64 (N,)
    vectors: np.ndarray  # float32 (N, D)
    small: np.ndarray  # greys, uint8 (N, SIDE, SIDE)
    digests: list[bytes]  # of all pixels


@dataclass(frozen=True)
class Pair:
    """A picture, and the one of the other split that is most like it."""

    place: int
    other: int
    exact: bool  # the same pixels
    likeness: float  # correlation of the greys, mirrored or not, from -1 to 1
    cosine: float  # of the two vectors

    @property
    def twins(self) -> bool:
        return self.exact or self.likeness >= NEAR


def album(places: np.ndarray, images: Tensor, vectors: np.ndarray) -> Album:
    """Of uint8 images (N, C, H, W)."""
    grey = to_channels(images, 1).float()
    small = F.interpolate(
        grey, (SIDE, SIDE), mode="area" if images.shape[-1] >= SIDE else "nearest"
    )
    digests = [
        hashlib.sha256(picture.contiguous().numpy().tobytes()).digest() for picture in images
    ]
    return Album(places, vectors, small[:, 0].round().byte().numpy(), digests)


def together(parts: list[Album]) -> Album:
    """Several albums as one."""
    return Album(
        np.concatenate([part.places for part in parts]),
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.small for part in parts]),
        [digest for part in parts for digest in part.digests],
    )


def pairs(one: Album, other: Album) -> list[Pair]:
    """For each picture of `one` its nearest of `other`, those that are most alike first."""
    same = {digest: row for row, digest in reversed(list(enumerate(other.digests)))}
    exact = np.array([digest in same for digest in one.digests], dtype=bool)
    by_network = nearest(one.vectors, other.vectors)
    by_pixels = nearest(_coarse(one.small), _coarse(other.small))
    alike_both = [_likeness(one.small, other.small[near]) for near in (by_network, by_pixels)]
    near = np.where(alike_both[1] > alike_both[0], by_pixels, by_network)
    near = np.array([same.get(d, n) for d, n in zip(one.digests, near.tolist(), strict=True)])
    cosine = cosines(one.vectors, other.vectors[near])
    likeness = _likeness(one.small, other.small[near])
    order = np.lexsort((-cosine, -likeness, ~exact))
    return [
        Pair(
            place=int(one.places[row]),
            other=int(other.places[near[row]]),
            exact=bool(exact[row]),
            likeness=float(likeness[row]),
            cosine=float(cosine[row]),
        )
        for row in order
    ]


def _coarse(small: np.ndarray) -> np.ndarray:
    """Greys (N, SIDE, SIDE) as vectors of blocks, without their mean."""
    blocks = small.reshape(len(small), COARSE, SIDE // COARSE, COARSE, -1).mean((2, 4))
    flat = blocks.reshape(len(small), -1)
    return np.asarray(flat - flat.mean(1, keepdims=True))


def _likeness(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    plain = alike.likeness(one, other, reach=1, side=SIDE)
    return np.asarray(np.maximum(plain, alike.likeness(one, other[:, :, ::-1], reach=1, side=SIDE)))
