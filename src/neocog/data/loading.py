"""Data sets by name, and from folders and lists of the user's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from neocog.data import shards, sources
from neocog.data.cache import cache_dir
from neocog.data.dataset import Dataset, Split
from neocog.data.files import uncollected
from neocog.data.filesplit import FileSplit
from neocog.data.formats import Arrays
from neocog.data.listing import Files, Listing, listed
from neocog.data.reader import Reader
from neocog.errors import DataError, UsageError

SAMPLED = 32  # files opened to see whether a folder is grey
GREY = {"1", "L", "I", "I;16", "I;16B", "I;16L", "F"}

Tell = Callable[[str], None]


def load(
    name: str,
    *,
    size: int | tuple[int, int] | None = None,
    validation: float = 0.1,
    seed: int = 0,
    from_dir: str | Path | None = None,
    tell: Tell | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Dataset:
    """A data set by name, from the nearest place that has it.

    `size` in pixels is what pictures are resized to when they are used (the pictures themselves
    stay as they are). `validation` is the fraction of the training pictures held out, stratified
    by class, the same pictures for the same seed. Raises `DataError` naming every place tried.
    """
    loaded = sources.load(
        name,
        from_dir=None if from_dir is None else Path(from_dir),
        tell=tell,
        progress=progress,
    )
    source = loaded.source
    kept, held = stratified(loaded.train.labels, validation, seed=seed)
    return Dataset(
        name=source.name,
        train=_split(loaded.train, kept),
        val=_split(loaded.train, held),
        test=_split(loaded.test, None),
        classes=source.classes,
        mean=source.mean,
        std=source.std,
        mirrors=source.mirrors,
        size=_square(size),
        origin=loaded.origin,
        seed=seed,
        validation=validation,
        from_dir=None if from_dir is None else str(Path(from_dir).expanduser().resolve()),
    )


def load_folder(
    place: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    skip: Collection[str] = (),
    mirrors: bool | None = None,
    cache_size: int | None = None,
    allowed: str | Path | None = None,
    tell: Tell | None = None,
) -> Dataset:
    """A folder of pictures, a list of them, or shards, as a data set; see `listing.listed`.

    A list may name files in its own folder and, if that is given, in `allowed`, and no others.

    Where there are no splits, `validation` and `test` are fractions cut from each class by chance
    of `seed`; of a folder with training and no validation pictures `validation` alone. Paths in
    `skip` are left out. `mirrors`: whether a mirrored picture keeps its label; None: unless the
    classes are single letters or digits. `cache_size` in bytes bounds the decoded pictures that are
    kept on disk, 0 for none. Raises `DataError` where there is nothing to learn from.
    """
    found = listed(place, tell, allowed=allowed)
    splits = {name: _without(files, set(skip)) for name, files in found.splits.items()}
    strange = set(skip).difference(*(files.paths for files in found.splits.values()))
    if strange and tell:
        tell(f"{len(strange):,} of the {len(skip):,} paths to skip are not in it ({min(strange)})")
    chosen = cut(splits, validation=validation, test=test, seed=seed)
    return of_files(
        found,
        chosen,
        name=shards.name_of(found.shards) if found.shards else _name_of(Path(place)),
        size=size,
        validation=validation,
        seed=seed,
        mirrors=mirrors,
        cache_size=cache_size,
        tell=tell,
    )


@uncollected()
def of_files(
    listing: Listing,
    splits: Mapping[str, Files],
    *,
    name: str,
    size: int | tuple[int, int] | None = None,
    validation: float = 0.1,
    seed: int = 0,
    mirrors: bool | None = None,
    cache_size: int | None = None,
    tell: Tell | None = None,
) -> Dataset:
    """The data set of a listing whose "train", "val" and "test" are settled."""
    none = listing.splits[next(iter(listing.splits))].at(np.empty(0, dtype=np.int64))
    parts = [splits.get(split, none) for split in ("train", "val", "test")]
    if not len(parts[0]):
        raise DataError(f"{listing.place}: no picture is left to train on")
    reader = Reader(listing, cache_size=cache_size, tell=tell or _nobody)
    number = {path: place for place, path in enumerate(reader.paths)}
    channels = 1 if _is_grey(reader) else 3
    train, val, held = (
        FileSplit(
            reader, part, np.array([number[path] for path in part.paths], dtype=np.int64), channels
        )
        for part in parts
    )
    if mirrors is None:
        mirrors = any(len(label) > 1 for label in listing.classes)
    made = Dataset(
        name=name,
        train=train,
        val=val,
        test=held,
        classes=listing.classes,
        mean=(),
        std=(),
        mirrors=mirrors,
        size=_square(size),
        origin=listing.place,
        seed=seed,
        validation=validation,
        from_dir=listing.place if listing.shards else str(listing.root.resolve()),
        listing=listing,
    )
    made.check_outside(cache_dir(), "Name another place for the cache with NEOCOG_CACHE")
    return made


def cut(
    splits: Mapping[str, Files], *, validation: float, test: float, seed: int
) -> dict[str, Files]:
    """Splits as a run has them: what there is, and what is missing cut from it by class."""
    if "all" in splits:
        everything = splits["all"]
        kept, held = stratified(everything.labels, test, seed=seed)
        rest = everything.at(kept)
        kept, val = stratified(rest.labels, validation, seed=seed)
        return {"train": rest.at(kept), "val": rest.at(val), "test": everything.at(held)}
    made = dict(splits)
    if "val" not in made and "train" in made:
        kept, val = stratified(made["train"].labels, validation, seed=seed)
        made |= {"train": made["train"].at(kept), "val": made["train"].at(val)}
    return made


def stratified(labels: np.ndarray, fraction: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions to keep and positions to hold out, both rising.

    From each class `fraction` of its pictures is held out, rounded, but never all of them. Where
    that would be none of any class, it is one of each that has two: else nothing could be scored.
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"validation: {fraction!r} was given; it takes a fraction from 0 below 1")
    if not isinstance(seed, int) or seed < 0:
        raise UsageError(f"seed: {seed!r} was given; it takes a whole number, 0 or more")
    rng = np.random.default_rng(seed)
    of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    counts = [min(round(fraction * len(places)), len(places) - 1) for places in of_class]
    if fraction and not any(counts):
        counts = [min(1, len(places) - 1) for places in of_class]
    held = [rng.permutation(places)[:count] for places, count in zip(of_class, counts, strict=True)]
    held_out = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *held]))
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def _without(files: Files, skip: Collection[str]) -> Files:
    if not skip:
        return files
    kept = [place for place, path in enumerate(files.paths) if path not in skip]
    return files.at(np.array(kept, dtype=np.int64))


def _is_grey(reader: Reader) -> bool:
    """Whether all of some pictures are grey; those that cannot be opened say nothing."""
    modes = set()
    for begin in reader.beginnings(SAMPLED):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
                with Image.open(begin) as picture:
                    modes.add(picture.mode)
        except Exception:  # Pillow raises many things; the picture is named when it is needed
            continue
    return bool(modes) and modes <= GREY


def _name_of(place: Path) -> str:
    """A folder's name, as a run folder can bear it."""
    path = place.expanduser().resolve()
    name = path.stem if path.is_file() else path.name
    return name.replace(" ", "_") or "pictures"


def _nobody(line: str) -> None:
    pass


def _square(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size) if _is_pair(size) else (0, 0)
    if min(pair) < 1:
        raise UsageError(f"size: {size!r} was given; it takes pixels, such as 28 or (28, 28)")
    return pair[0], pair[1]


def _is_pair(size: object) -> bool:
    pair = isinstance(size, list | tuple) and len(size) == 2
    return pair and all(isinstance(side, int) for side in size)  # type: ignore[attr-defined]


def _split(arrays: Arrays, places: np.ndarray | None) -> Split:
    images, labels = arrays.images, arrays.labels
    if places is not None:
        images, labels = images[places], labels[places]
    return Split(
        torch.from_numpy(np.ascontiguousarray(images)),
        torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64)),
    )
