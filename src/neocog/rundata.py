"""The data of a run: what is recorded of them, and the same again from where they are now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from neocog.data.dataset import Dataset
from neocog.data.loading import load
from neocog.data.recorded import check_place, from_record
from neocog.errors import DataError, UsageError
from neocog.run import RunFolder


class OtherDataError(DataError):
    """The data that were found are not those of the run."""


def dataset_of(
    folder: RunFolder,
    *,
    dataset: Dataset | None = None,
    from_dir: str | Path | None = None,
    cache_size: int | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Dataset:
    """The data that a run began on, from where they are now; one that is given is checked.

    Raises `OtherDataError` where they are others, `DataError` where they cannot be had.
    """
    facts = folder.data
    if dataset is None and facts.get("layout"):
        place = str(from_dir or facts["from"])
        if not from_dir:
            check_place(place)
        dataset = from_record(
            folder.pictures,
            place,
            facts,
            cache_size=cache_size,
            since=None if from_dir else folder.pictures_recorded,  # a copy has times of its own
            tell=tell,
        )
    elif dataset is None:
        try:
            dataset = load(
                facts["name"],
                validation=facts["validation"],
                seed=facts["seed"],
                from_dir=from_dir or facts["from"],
                tell=tell,
                progress=progress,
            )
        except UsageError as error:
            raise UsageError(f"{folder.path / 'recipe.json'}: {error}") from error
    check_same_data(folder, dataset)
    return dataset


def data_facts(dataset: Dataset) -> dict[str, Any]:
    listing = dataset.listing
    return {
        "name": dataset.name,
        **({"layout": listing.layout, "classes": list(listing.classes)} if listing else {}),
        "mirrors": dataset.mirrors,
        "from": dataset.from_dir,
        "seed": dataset.seed,
        "validation": dataset.validation,
        "fingerprint": dataset.fingerprint(),
        # runs whose seed drew other validation pictures can be compared on the same test
        "test_fingerprint": dataset.fingerprint("test"),
        "pictures": {
            "train": len(dataset.train),
            "validation": len(dataset.val),
            "test": len(dataset.test),
        },
    }


def check_same_data(folder: RunFolder, dataset: Dataset) -> None:
    facts, now = folder.data, data_facts(dataset)
    if folder.spec.classes != tuple(dataset.classes):
        raise OtherDataError(
            f"{folder.path / 'input.json'}: it names other classes than the data have"
        )
    if (facts["fingerprint"], facts["pictures"]) != (now["fingerprint"], now["pictures"]):
        raise OtherDataError(
            f"{folder.path}: the run began on other data: {facts['name']} with "
            f"{facts['pictures']}, and this is {now['name']} with {now['pictures']}. If it was a "
            "Dataset of your own, give it again: neocog.resume(run, data=...)"
        )
