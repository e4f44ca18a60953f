"""A run among several processes: the first begins it, and lends the others what they need.

The others may be on machines that do not see the run folder, so they work from a copy of the files
that say what the run is, in a folder of their own that goes when they do. They write nothing else.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from neocog import checkpoints, training
from neocog.data.dataset import Dataset
from neocog.engine.hardware import Hardware, choose
from neocog.engine.meeting import device_of
from neocog.engine.ranks import Ranks
from neocog.engine.state import Training
from neocog.errors import UsageError
from neocog.run import RunFolder
from neocog.rundata import check_same_data
from neocog.training import Job

FILES = ("recipe.json", "input.json", "environment.json", "pictures.csv")
STATE = "last.pt"


def lend(job: Job) -> None:
    """What the others need to take part, once the first has begun: all of them call `borrowed`."""
    if job.ranks.world == 1:
        return
    lent = [path for path in (job.folder.path / name for name in FILES) if path.exists()]
    head = {"files": {path.name: path.read_text("utf-8", "surrogateescape") for path in lent}}
    job.ranks.shared(json.dumps(head).encode())
    state = io.BytesIO()
    # as it was saved: what each process has counted is in it
    begins, job.begins = job.begins or training.state_of(job), None
    checkpoints.write(begins, state)
    job.ranks.shared(state.getvalue())


@contextmanager
def borrowed(ranks: Ranks) -> Iterator[RunFolder]:
    """What was lent, as a run folder."""
    head: dict[str, Any] = json.loads(ranks.shared())
    with tempfile.TemporaryDirectory(prefix="neocog-") as made:
        folder = RunFolder(Path(made))
        for name, text in head["files"].items():
            (folder.path / name).write_text(text, "utf-8", "surrogateescape", newline="")
        (folder.path / STATE).write_bytes(ranks.shared())
        yield folder


def follow(folder: RunFolder, network: nn.Module, dataset: Dataset, ranks: Ranks) -> Job:
    """A job for another process than the first, from what this one lent; its data are checked."""
    check_same_data(folder, dataset)
    then = Hardware.from_json(folder.environment["hardware"])
    device = device_of(then.device.split(":")[0])
    name = choose(device).name
    network.to(device)
    state, recipe = folder.state(), folder.recipe
    going = Training.begin(network, recipe)
    going.restore(state, ranks)
    hardware = dataclasses.replace(then, device=device, name=name)
    return Job(network, dataset, recipe, folder.spec, folder, hardware, going, ranks=ranks)


def earlier(out: str | Path | None) -> RunFolder | None:
    """The run that this launch began before torchrun started its processes again; None where it
    is the first start, or nothing was saved.
    """
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) < 1:
        return None
    if out is None:
        raise UsageError(
            "--out: torchrun has started this run again, and without a folder that has a name it "
            "cannot be gone on with: torchrun ... -m neocog train ... --out RUN"
        )
    folder = RunFolder(Path(out))
    return folder if (folder.path / "recipe.json").is_file() and folder.saved else None
