"""Pictures laid out as plain arrays, for children that must not load torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neocog.bench import pictures
from neocog.bench.plan import Job

TESTED = 6  # of the pictures made, one in so many is one more to test on, as MNIST has them


def lay_out(job: Job) -> dict[str, Any]:
    """A training and a test split in the job's folder: of the set `job.data`, or drawn."""
    if job.data:
        return _real(job)
    folder = Path(job.folder)
    for seed, name, count in ((0, "train", job.pictures), (1, "test", job.pictures // TESTED)):
        images = pictures.pictures(count, job.size, seed=seed)
        pictures.save(folder, name, images, pictures.labels(count, job.classes, seed=seed))
    return {"value": 0.0, "origin": "drawn"}


def _real(job: Job) -> dict[str, Any]:
    from neocog.data.dataset import Split
    from neocog.data.loading import load

    found = load(job.data, validation=0.0)
    for name, split in (("train", found.train), ("test", found.test)):
        assert isinstance(split, Split)  # named sets lie in memory
        pictures.save(Path(job.folder), name, split.images.numpy(), split.labels.numpy())
    return {"value": 0.0, "origin": found.origin}
