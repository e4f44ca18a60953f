"""What a listing is, and how one is made of rows of paths and classes."""

from __future__ import annotations

import contextlib
import gc
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neocog.data import imagenet
from neocog.data.tree import Ignored
from neocog.errors import DataError

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SPLIT_ENDING = re.compile(r"[ _-]?(set|data|images|split)$")  # train_set, test_images
SHOWN = 3  # examples of a kind

Row = tuple[str, str, int, int]  # path, class, bytes, time of the last change in ns


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Python looks for no rings of objects meanwhile: of a hundred thousand names that are to stay
    it would look at all again and again, a quarter of the time that listing them takes.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@dataclass(frozen=True, eq=False)
class Files:
    """The picture files of one split, in the order of their paths; in shards, in that of these."""

    paths: Sequence[str]
    labels: np.ndarray  # int64 (N,)
    sizes: np.ndarray  # bytes, int64 (N,)
    times: np.ndarray  # of the last change, ns, int64 (N,)

    def __len__(self) -> int:
        return len(self.paths)

    def at(self, places: np.ndarray) -> Files:
        """Those at so many places."""
        paths = [self.paths[place] for place in places.tolist()]
        return Files(paths, self.labels[places], self.sizes[places], self.times[places])


@dataclass(frozen=True)
class Shards:
    """Where the archives are, of pictures in such."""

    place: str  # as one names it, from any folder
    sources: Mapping[str, str]  # a shard's name: the path or URL to open


@dataclass(frozen=True, eq=False)
class Listing:
    """All that a folder or a list has to learn from. `splits` has "train", or "all" to be cut."""

    root: Path
    layout: str  # "splits", "classes", "list", "lists" or "shards"
    # names of labels 0, 1, ... in every split: plain sorted, or numbers of a list in their order
    classes: tuple[str, ...]
    splits: Mapping[str, Files]
    ignored: tuple[Ignored, ...]
    remarks: tuple[str, ...] = ()  # what its user should know
    shards: Shards | None = None

    @property
    def place(self) -> str:
        """What to name it by."""
        return self.shards.place if self.shards else str(self.root)

    def __len__(self) -> int:
        return sum(len(files) for files in self.splits.values())

    def left_out(self) -> list[str]:
        """What is not used, counted by reason, with an example each."""
        return left_out(self.ignored)


class UnfitError(DataError):
    """Pictures, and no data set. The doctor examines what there is of it: `listing`."""

    def __init__(self, message: str, listing: Listing | None = None) -> None:
        super().__init__(message)
        self.listing = listing


def left_out(ignored: Iterable[Ignored]) -> list[str]:
    """What was ignored, counted by reason, the most first, with an example each."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for each in ignored:
        counts[each.why] += 1
        first.setdefault(each.why, each.file)
    return [
        f"{count:,} left out: {why} ({_printable(first[why])}{', ...' if count > 1 else ''})"
        for why, count in counts.most_common()
    ]


def split_of(name: str) -> str | None:
    """The split that a folder or a list of this name holds: train, val, test; or None."""
    return SPLITS.get(_SPLIT_ENDING.sub("", name.lower()))


def class_of(name: str) -> str:
    """The class that a folder or a label names: letters composed in one way, since macOS and
    other systems write the same name in different ones.
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def made(
    root: Path,
    layout: str,
    rows: Mapping[str, Sequence[Row]],
    ignored: Iterable[Ignored],
    *,
    classes: Sequence[str] = (),
    names: Sequence[str] = (),
    remarks: Iterable[str] = (),
    shards: Shards | None = None,
) -> Listing:
    """The listing of rows by split, with what its user should know.

    `classes`: what rows say, in the order of the labels, shown as `names`; plain sorted if not
    given. Raises `UnfitError` where nothing can be learnt.
    """
    order = classes or sorted({row[1] for each in rows.values() for row in each})
    titles = imagenet.titled(tuple(names or order))
    number = {name: label for label, name in enumerate(order)}
    splits = {
        split: _files(each if shards else sorted(each), number)
        for split, each in rows.items()
        if each
    }
    told = (*remarks, *_missing(titles, splits), *_nearly_the_same(titles))
    listing = Listing(root, layout, titles, splits, tuple(ignored), told, shards)
    if why := unfit(listing):
        raise UnfitError(why, listing)
    return listing


def unfit(listing: Listing) -> str | None:
    """Why nothing can be learnt from a listing; None if something can."""
    where, titles, splits = listing.place, listing.classes, listing.splits
    if not splits or ("train" not in splits and "all" not in splits):
        return f"{where}: no picture is left to train on" + said(listing.left_out())
    if len(titles) < 2:
        return (
            f"{where}: one class only, {titles[0]!r}; telling pictures apart takes two. If that is "
            "a folder which holds the folders of the classes, name that folder"
            + said(listing.left_out())
        )
    if len(splits) == 1 and max(np.bincount(next(iter(splits.values())).labels)) == 1:
        return (
            f"{where}: one picture of each class; with two or more, some can be held out to see "
            "what was learnt"
        )
    return None


def said(lines: Sequence[str]) -> str:
    """Lines as they follow in a message."""
    return "".join(f"\n  - {line}" for line in lines)


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    rest = len(names) - SHOWN
    shown = ", ".join(_printable(name) for name in names[:SHOWN])
    return shown + (f" and {rest:,} more" if rest > 0 else "")


def _files(ordered: Sequence[Row], number: Mapping[str, int]) -> Files:
    columns = (
        np.fromiter(values, dtype=np.int64, count=len(ordered))
        for values in (
            (number[row[1]] for row in ordered),
            (row[2] for row in ordered),
            (row[3] for row in ordered),
        )
    )
    return Files([row[0] for row in ordered], *columns)


def _missing(titles: Sequence[str], splits: Mapping[str, Files]) -> list[str]:
    found = []
    for split, files in splits.items():
        have = set(np.unique(files.labels).tolist())
        if missing := [name for label, name in enumerate(titles) if label not in have]:
            where = "there are" if split == "all" else f"{split} has"
            found.append(f"{where} no pictures of {some(missing)}")
    return found


def _nearly_the_same(titles: Sequence[str]) -> list[str]:
    alike = defaultdict(list)
    for name in titles:
        alike[" ".join(name.casefold().split())].append(name)
    return [
        f"the classes {' and '.join(map(repr, names))} differ in case or blanks only"
        for names in alike.values()
        if len(names) > 1
    ]


def _printable(name: str) -> str:
    """A name in a line of text: without line ends and other signs that move a cursor."""
    return name if name.isprintable() else repr(name)
