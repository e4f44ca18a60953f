"""The facts of all pictures of a folder to what is wrong with it. Nothing is read or written here.

listing = listed(folder)
found = diagnosed(listing, list(examined(listing)))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from neocog.data import alike, series
from neocog.data.examine import SIDE, Facts
from neocog.data.files import unfit
from neocog.data.kinds import KINDS, PROBLEM
from neocog.data.listing import Listing
from neocog.data.skips import skip_list
from neocog.data.tree import Ignored

SPLITS = ("train", "all", "val", "test")  # what comes later is kept when two of them have a picture
SMALL = 64  # pixels of a shorter side that can be tiny beside much larger pictures
USUAL = 0.1  # of the usual shorter side
FEW = 5  # pictures of a class
UNEVEN = 10  # times the smallest class
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
SUFFIXES |= {".avif", ".ppm", ".pgm", ".pbm", ".jp2", ".ico", ".tga", ".heic", ".heif"}
EXPECTED = ("hidden", "made by the system")  # nobody misses these


@dataclass(frozen=True)
class Problem:
    """One thing said of one file; of a class, where the kind is about classes."""

    file: str
    kind: str
    detail: str
    others: tuple[str, ...] = ()  # the picture it is about, beside its own

    @property
    def severity(self) -> str:
        return KINDS[self.kind].severity

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "kind": self.kind,
            "detail": self.detail,
            "remedy": KINDS[self.kind].remedy,
            "severity": self.severity,
        }


@dataclass(frozen=True, eq=False)
class Checkup:
    """All that was found in a folder, ordered: problems first, then as KINDS stand."""

    listing: Listing
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Whether there is nothing but notes."""
        return not any(each.severity == PROBLEM for each in self.problems)

    def classes(self) -> dict[str, dict[str, int]]:
        """{class: {split: pictures}}."""
        names, splits = self.listing.classes, self.listing.splits
        counts = {
            split: np.bincount(files.labels, minlength=len(names)).tolist()
            for split, files in splits.items()
        }
        return {
            name: {split: counts[split][label] for split in splits}
            for label, name in enumerate(names)
        }

    def counts(self) -> dict[str, int]:
        """{kind: how often}, of the kinds that were found, in their order."""
        return dict(Counter(each.kind for each in self.problems))

    def to_json(self) -> dict[str, Any]:
        return {
            "pictures": len(self.listing),
            "classes": self.classes(),
            "ignored": [{"file": each.file, "why": each.why} for each in self.listing.ignored],
            "problems": [each.to_json() for each in self.problems],
        }

    def skip_list(self) -> bytes:
        """The list that leaves out every picture that is better not learnt from."""
        listed = {path for files in self.listing.splits.values() for path in files.paths}
        rows = [
            (each.file, f"{each.kind}: {each.detail}")
            for each in self.problems
            if KINDS[each.kind].skip and each.file in listed
        ]
        return skip_list(rows)


def diagnosed(listing: Listing, facts: Sequence[Facts]) -> Checkup:
    """What is wrong with the pictures of a listing, from the facts of each, in its order."""
    found = [Problem(each.file, *pair) for each in facts for pair in each.found]
    if why := unfit(listing):
        said = why.partition("\n  - ")[0]  # what is left out has problems of its own
        found.append(Problem(".", "no_data_set", said))
    found += _small(facts)
    found += _of_ignored(listing.ignored)
    found += _of_classes(listing, facts)
    seen = [each for each in facts if each.small]
    found += _of_alike(listing, seen)
    ranks = sorted(KINDS, key=lambda kind: KINDS[kind].severity != PROBLEM)
    places = {kind: place for place, kind in enumerate(ranks)}
    order = sorted(found, key=lambda each: (places[each.kind], each.file))
    return Checkup(listing, tuple(order))


def _small(facts: Sequence[Facts]) -> Iterator[Problem]:
    """Pictures that are tiny beside the others."""
    shorter = [min(each.width, each.height) for each in facts if each.width]
    usual = float(np.median(shorter)) if shorter else 0.0
    for each in facts:
        side = min(each.width, each.height)
        if 0 < side < min(SMALL, USUAL * usual) and "tiny" not in dict(each.found):
            said = f"{each.width} x {each.height} pixels; the usual shorter side is {usual:,.0f}"
            yield Problem(each.file, "tiny", said)


def _of_ignored(ignored: Sequence[Ignored]) -> Iterator[Problem]:
    """What was left out although it looks as if it were meant."""
    for each in ignored:
        suffix = PurePosixPath(each.file).suffix.lower()
        if each.why.startswith("cannot be read"):
            yield Problem(each.file, "unreadable", each.why)
        elif each.why == "listed, but not there":
            yield Problem(each.file, "missing", each.why)
        elif suffix not in SUFFIXES or each.why in EXPECTED:
            continue
        elif each.why == "empty":
            yield Problem(each.file, "empty", "0 bytes")
        elif each.why.startswith("not a picture"):
            yield Problem(each.file, "not_a_picture", each.why)
        else:
            yield Problem(each.file, "unused", each.why)


# -- classes


def _of_classes(listing: Listing, facts: Sequence[Facts]) -> Iterator[Problem]:
    names = listing.classes
    labels: dict[str, list[int]] = {split: [] for split in listing.splits}
    for each in facts:
        if each.small:
            labels[each.split].append(each.label)
    for split, of in labels.items():
        counts = np.bincount(np.array(of, np.int64), minlength=len(names))
        for label in np.flatnonzero(counts == 0).tolist():
            yield Problem(names[label], "class_missing", f"no picture of it in {split}")
        if split not in ("train", "all"):
            continue
        for label in np.flatnonzero((counts > 0) & (counts < FEW)).tolist():
            yield Problem(names[label], "class_small", f"{counts[label]} in {split}")
        there = np.flatnonzero(counts)
        if len(there) > 1 and counts.max() > UNEVEN * counts[there].min():
            least, most = int(there[counts[there].argmin()]), int(counts.argmax())
            said = f"{counts[least]:,} of it, and {counts[most]:,} of {names[most]}"
            yield Problem(names[least], "imbalance", said)


# -- pictures that are alike


def _of_alike(listing: Listing, seen: Sequence[Facts]) -> list[Problem]:
    """Duplicates, near duplicates and series. What is said once is not said in a weaker form."""
    found: list[Problem] = []
    digests = [each.digest for each in seen]
    copies = alike.same(digests)
    for group in copies:
        found += _related([seen[place] for place in group], "duplicate", listing.classes, _as_copy)
    said = {(each.file, each.kind) for each in found}
    # of equal files one is compared; the others come in again as members of what it is like
    again = {group[0]: group for group in copies}
    behind = {place for group in copies for place in group[1:]}
    once = [place for place in range(len(seen)) if place not in behind]
    small = np.frombuffer(b"".join(seen[place].small for place in once), np.uint8)
    small = small.reshape(-1, SIDE, SIDE)
    for group in alike.near_groups(small):
        members = [m for place in group for m in again.get(once[place], [once[place]])]
        near = _related(
            [seen[m] for m in sorted(members)], "near_duplicate", listing.classes, _as_near
        )
        found += [p for p in near if (p.file, p.kind.removeprefix("near_")) not in said]
    return [*found, *_in_series(seen, once, small, found)]


def _related(
    group: Sequence[Facts],
    kind: str,
    classes: Sequence[str],
    said: Callable[[Facts, Facts], str],
) -> Iterator[Problem]:
    """What follows from some pictures being one: two labels, a leak, or one too many."""
    kept = max(group, key=lambda each: SPLITS.index(each.split)).split
    stays: dict[str, Facts] = {}  # the first of each split
    for each in group:
        stays.setdefault(each.split, each)
    one_class = len({each.label for each in group}) == 1
    for each in group:
        if not one_class:
            other = next(one for one in group if one.label != each.label)
            detail = f"{classes[each.label]} here, {classes[other.label]} in {other.file}"
            yield Problem(each.file, f"{kind}_across_classes", detail, (other.file,))
        if each.split != kept:
            other = stays[kept]
            detail = f"{said(each, other)} in {kept}: {other.file}"
            yield Problem(each.file, f"{kind}_across_splits", detail, (other.file,))
        elif one_class and each is not stays[kept]:
            other = stays[kept]
            yield Problem(each.file, kind, f"{said(each, other)}: {other.file}", (other.file,))


def _as_copy(each: Facts, other: Facts) -> str:
    return "the same file"


def _as_near(each: Facts, other: Facts) -> str:
    sizes = f"{each.width} x {each.height}", f"{other.width} x {other.height}"
    return "alike" if sizes[0] == sizes[1] else f"alike, {sizes[0]} here and {sizes[1]}"


def _in_series(
    seen: Sequence[Facts], once: Sequence[int], small: np.ndarray, found: Sequence[Problem]
) -> Iterator[Problem]:
    """Series that lie in two splits; those in one, if validation pictures are to be drawn from it.

    `small` are the copies of the pictures `once`, of equal files the first.
    """
    of = [seen[place] for place in once]
    pairs = np.array(series.neighbours(of), np.int64).reshape(-1, 2)
    like = alike.like_in_series(small, pairs[:, 0], pairs[:, 1])
    root = alike.joined(np.arange(len(of)), pairs[like, 0], pairs[like, 1])
    leaks = {each.file for each in found if each.kind.endswith("_across_splits")}
    drawn = set() if "val" in {each.split for each in seen} else {"train", "all"}
    for group in alike.groups(root):
        members = [of[place] for place in group]
        kept = max(members, key=lambda each: SPLITS.index(each.split)).split
        other = next(each for each in members if each.split == kept)
        outside = [each for each in members if each.split != kept]
        for each in outside:
            if each.file not in leaks:
                said = f"in a series of {len(members)} with {other.file} in {kept}"
                yield Problem(each.file, "series_across_splits", said, (other.file,))
        if kept in drawn and not outside:
            said = f"{len(members)} pictures, to {members[-1].file}"
            yield Problem(members[0].file, "series", said, tuple(m.file for m in members[1:]))
