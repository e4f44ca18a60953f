"""Which pictures show the same: by a perceptual hash, then by laying one over the other.

All of it works on small grey copies, uint8 (N, SIDE, SIDE).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from neocog.data.examine import SIDE

CLOSE = 14  # bits of 64 in which the hashes of two copies of a picture may differ
NEAR = 0.95  # likeness of two copies of one picture
SERIES = 0.88  # likeness of two pictures taken one after the other
GLANCE = 0.6  # likeness at a glance, below which two are not looked at more closely
CUTS = (0.0, 0.75, 1.5, 2.25, 3.0)  # tried at each edge, in pixels of the small copies
FLAT = 3.0  # standard deviation of greys below which a picture is like any other
BANDS = 8  # parts of a hash, of 8 bits; copies share one of them nearly always
WIDEST = 1024  # places that two equal parts may lie apart when sorted: bounds the work
LAID = 16  # pixels a side of the copies that are laid over one another
LOOKS = 8  # close looks at one picture: more only where hashes say nothing, as of digits
AT_ONCE = 4096  # pictures, or pairs
TRIED_AT_ONCE = 256  # pairs, each as all the cuts of an axis


def hashes(small: np.ndarray) -> np.ndarray:
    """The perceptual hash uint64 (N,) of each: which of the 8 x 8 lowest frequencies are above
    their median. Zauner 2010, Implementation and benchmarking of perceptual image hash functions.
    """
    side = small.shape[1]
    steps = np.arange(side)
    waves = np.cos(np.pi / side * np.outer(np.arange(8), steps + 0.5)).astype(np.float32)
    out = np.empty(len(small), np.uint64)
    for first in range(0, len(small), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        low = (waves @ small[rows].astype(np.float32) @ waves.T).reshape(-1, 64)
        low[:, 0] = 0  # the mean says nothing of what is shown
        above = low > np.median(low[:, 1:], axis=1, keepdims=True)
        out[rows] = np.packbits(above, axis=1).view(np.uint64).ravel()
    return out


def near_groups(small: np.ndarray) -> list[list[int]]:
    """Groups of two or more that show the same, resized, saved again or cut a little."""
    root, looks = np.arange(len(small)), np.zeros(len(small), np.int64)
    told = np.flatnonzero(_contrast(small) >= FLAT)
    level = _level(small)
    for pair in _close(hashes(small[told])):
        one, other = (told[each] for each in pair)
        apart = root[one] != root[other]
        one, other = one[apart], other[apart]
        glance = np.einsum("mk,mk->m", level[one], level[other])
        sure = glance >= NEAR
        closely = np.flatnonzero(
            (glance >= GLANCE) & ~sure & (looks[one] < LOOKS) & (looks[other] < LOOKS)
        )
        if len(closely):
            sure[closely] = _are_cuts(small, one[closely], other[closely])
            np.add.at(looks, np.concatenate([one[closely], other[closely]]), 1)
        if sure.any():
            root = joined(root, one[sure], other[sure])
    return groups(root)


def like_in_series(small: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether each of so many pairs could be two pictures of a series: bool (M,)."""
    out = np.zeros(len(one), bool)
    for first in range(0, len(one), AT_ONCE):
        rows = np.arange(first, min(first + AT_ONCE, len(one)))
        glance = likeness(small[one[rows]], small[other[rows]], reach=3)
        out[rows] = glance >= SERIES
        rows = rows[(glance >= GLANCE) & (glance < SERIES)]
        closely = likeness(small[one[rows]], small[other[rows]], reach=7, side=SIDE)
        out[rows] = closely >= SERIES
    return out


def likeness(one: np.ndarray, other: np.ndarray, *, reach: int, side: int = LAID) -> np.ndarray:
    """How alike pairs uint8 (M, SIDE, SIDE) are: the highest correlation of their greys, from -1
    to 1, at `side` pixels a side, with one of them shifted by up to `reach` of these.
    """
    a, b = _laid(one, side), _laid(other, side)
    best = np.full(len(a), -1.0, np.float32)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            rows, columns = _overlap(down, side), _overlap(right, side)
            over = a[:, rows[0], columns[0]], b[:, rows[1], columns[1]]
            best = np.maximum(best, _correlation(*over))
    return best


def likeness_when_cut(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How alike pairs are if the second is the first with a little cut off at any of its edges: the
    best cut of each axis is looked for in turn, columns, rows, and columns again.
    """
    whole, target = one.astype(np.float32), _laid(other)[:, None]
    cuts = _cuts()
    rows = columns = np.zeros(len(one), np.int64)  # the first is no cut
    for axis in ("columns", "rows", "columns"):
        if axis == "columns":
            narrow = cuts[rows] @ whole  # (M, LAID, SIDE)
            tried = narrow[:, None] @ cuts.transpose(0, 2, 1)[None]
        else:
            narrow = whole @ cuts[columns].transpose(0, 2, 1)  # (M, SIDE, LAID)
            tried = cuts[None] @ narrow[:, None]
        alike = _correlation(tried, target)  # (M, cuts)
        best = alike.argmax(axis=1)
        rows, columns = (rows, best) if axis == "columns" else (best, columns)
    return np.asarray(alike.max(axis=1))


@functools.cache
def _cuts() -> np.ndarray:
    """Weights float32 (cuts, LAID, SIDE) that make LAID pixels of what a cut at either end leaves:
    each is the mean of what it covers.
    """
    ends = np.array([(start, SIDE - end) for start in CUTS for end in CUTS])
    edges = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * np.arange(LAID + 1) / LAID
    low, high = edges[:, :-1, None], edges[:, 1:, None]
    pixel = np.arange(SIDE)
    covered = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, 1)
    return np.asarray(covered / (high - low), np.float32)


def joined(root: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`root`, the first of each one's group (N,), with the groups of such pairs made one."""
    parent = root.copy()
    for pair in zip(one.tolist(), other.tolist(), strict=True):
        low, high = sorted(_first(parent, each) for each in pair)
        parent[high] = low
    while not np.array_equal(further := parent[parent], parent):
        parent = further
    return parent


def groups(root: np.ndarray) -> list[list[int]]:
    """The members of each group of two or more, rising; groups by their first member."""
    order = np.argsort(root, kind="stable")
    edges = np.flatnonzero(np.diff(root[order])) + 1
    return [part.tolist() for part in np.split(order, edges) if len(part) > 1]


def same(keys: Sequence[bytes]) -> list[list[int]]:
    """Groups of two or more equal keys."""
    places: dict[bytes, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return [group for group in places.values() if len(group) > 1]


def _contrast(small: np.ndarray) -> np.ndarray:
    """The standard deviation of the greys of each, float32 (N,)."""
    out = np.empty(len(small), np.float32)
    for first in range(0, len(small), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        out[rows] = small[rows].std(axis=(1, 2), dtype=np.float32)
    return out


def _first(parent: np.ndarray, place: int) -> int:
    while parent[place] != place:
        place = int(parent[place])
    return place


def _close(hashed: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of places whose hashes differ in at most CLOSE bits, as far as they are equal in one
    of the bands. Sorted by a band, such pairs lie side by side: nothing is compared with all.
    """
    for band in range(BANDS):
        width = np.uint64(8 * band)
        turned = (hashed << width) | (hashed >> np.uint64(64 - 8 * band)) if band else hashed
        order = np.argsort(turned, kind="stable")
        turned = turned[order]
        first = (turned >> np.uint64(56)).astype(np.int64)
        widest = int(np.bincount(first).max(initial=0))
        for step in range(1, min(widest, WIDEST + 1)):
            close = np.bitwise_count(turned[step:] ^ turned[:-step]) <= CLOSE
            places = np.flatnonzero(close & (first[step:] == first[:-step]))
            if len(places):
                yield order[places], order[places + step]


def _are_cuts(small: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether of each pair one is the other, cut a little: bool (M,)."""
    out = np.zeros(len(one), bool)
    for first in range(0, len(one), TRIED_AT_ONCE):
        rows = slice(first, first + TRIED_AT_ONCE)
        pair = small[one[rows]], small[other[rows]]
        best = np.maximum(likeness_when_cut(*pair), likeness_when_cut(*pair[::-1]))
        out[rows] = best >= NEAR
    return out


def _level(small: np.ndarray) -> np.ndarray:
    """Each as a vector of length 1 and mean 0, float32 (N, LAID * LAID): the product of two is how
    alike they are as they stand.
    """
    out = np.empty((len(small), LAID * LAID), np.float32)
    for first in range(0, len(small), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        flat = _laid(small[rows]).reshape(-1, LAID * LAID)
        flat = flat - flat.mean(axis=1, keepdims=True)
        out[rows] = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return out


def _laid(small: np.ndarray, side: int = LAID) -> np.ndarray:
    """Blocks of pixels averaged: float32 (M, side, side)."""
    block = small.shape[1] // side
    cut = small.reshape(len(small), side, block, side, block)
    return np.asarray(cut.mean(axis=(2, 4), dtype=np.float32))


def _overlap(shift: int, side: int) -> tuple[slice, slice]:
    there, here = max(shift, 0), max(-shift, 0)
    return slice(there, side - here), slice(here, side - there)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of the last two axes."""
    a = a - a.mean(axis=(-2, -1), keepdims=True)
    b = b - b.mean(axis=(-2, -1), keepdims=True)
    together = np.sqrt((a * a).sum(axis=(-2, -1)) * (b * b).sum(axis=(-2, -1)))
    return np.asarray((a * b).sum(axis=(-2, -1)) / np.maximum(together, 1e-6))
