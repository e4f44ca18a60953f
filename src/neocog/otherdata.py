"""Other pictures than a run's own: whether they fit it, and whether it has learnt from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from neocog.asked import is_path
from neocog.data import overlap
from neocog.data.dataset import Dataset, Pictures
from neocog.data.filesplit import FileSplit
from neocog.data.loading import load, load_folder
from neocog.errors import DataError, UsageError
from neocog.run import RunFolder
from neocog.rundata import dataset_of

SHOWN = 5  # names of classes in a message

Tell = Callable[[str], None]
Progress = Callable[[str, int, int | None], None] | None


def loaded(
    data: Dataset | str | Path,
    from_dir: str | Path | None,
    tell: Tell,
    progress: Progress,
) -> Dataset:
    """A data set to look at, of which nothing need be held out."""
    if isinstance(data, Dataset):
        return data
    if not isinstance(data, str | Path):
        raise UsageError(f"data: {data!r} was given; name a data set or a folder of pictures")
    if isinstance(data, str) and not is_path(data):
        return load(data, validation=0.0, from_dir=from_dir, tell=tell, progress=progress)
    made = load_folder(data, validation=0.0, test=0.0, cache_size=0, allowed=from_dir, tell=tell)
    if made.listing:  # what of it is not looked at
        for line in (*made.listing.left_out(), *made.listing.remarks):
            tell(f"folder   {line}")
    return made


def split_of(dataset: Dataset) -> tuple[str, Pictures]:
    """What of a data set is looked at, and its name: of a folder without splits all of it."""
    if not len(dataset.test) and not len(dataset.val):
        return "all", dataset.train
    return ("test", dataset.test) if len(dataset.test) else ("validation", dataset.val)


def labels_of(known: Sequence[str], classes: Sequence[str], data: str) -> Tensor:
    """A network's labels of a data set's classes, by name: int64 (K,); `known` are its own."""
    own = {name: number for number, name in enumerate(known)}
    strange = [name for name in classes if name not in own]
    if strange:
        raise UsageError(
            f"data {data}: the network knows no class {', '.join(map(repr, strange[:SHOWN]))}"
            f"{' and others' if len(strange) > SHOWN else ''}; its classes are "
            f"{', '.join(list(own)[: 2 * SHOWN])}{', ...' if len(own) > 2 * SHOWN else ''}"
        )
    return torch.tensor([own[name] for name in classes])


def seen(
    folder: RunFolder, split: Pictures, *, tell: Tell, progress: Progress
) -> dict[str, int] | None:
    """How many of them the run was trained on, and how many validated with; told if any."""
    counts: dict[str, int | None]
    try:
        own = dataset_of(folder, cache_size=0, tell=None, progress=progress)
        counts = {name: overlap.shared(own.splits[name], split) for name in ("train", "validation")}
    except (DataError, UsageError):  # gone, moved, or a user's own; of files there is a record
        counts = _listed(folder, split)
    found = {name: count for name, count in counts.items() if count is not None}
    if len(found) < len(counts):
        tell("whether the run was trained on any of these pictures could not be looked at")
        return None
    for name, what in (("train", "TRAINED ON"), ("validation", "validated with")):
        if found[name]:
            tell(
                f"{folder.path}: it was {what} {found[name]:,} of these {len(split):,} pictures: "
                "what it says of them is no measure of what it would say of new ones"
            )
    return found


def _listed(folder: RunFolder, split: Pictures) -> dict[str, int | None]:
    if not folder.data.get("layout") or not isinstance(split, FileSplit):
        return {"train": None, "validation": None}
    rows = folder.pictures
    return {
        name: overlap.listed(overlap.of_record(rows, name), split)
        for name in ("train", "validation")
    }
