"""Does a run say of itself what is true? Its network asked again, or trained again."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from torch import nn

from neocog import choosing, training
from neocog.data.dataset import Dataset
from neocog.engine.evaluate import predictions
from neocog.engine.hardware import Hardware, Wanted, choose
from neocog.engine.schedules import epoch_count
from neocog.errors import NeocogError, UsageError
from neocog.networks import create
from neocog.progress import Watcher, watched
from neocog.records import Epoch, Predictions
from neocog.run import RunFolder
from neocog.rundata import dataset_of
from neocog.stopping import quoted

ROUNDING = 1e-4  # of the largest logit: what another order of the same sums comes to
SAME, CLOSE, OTHER = "same", "within rounding", "other"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Check:
    """One thing that was compared: `outcome` is SAME (to the bit), CLOSE or OTHER."""

    what: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """What came of comparing a run with itself."""

    run: str
    checks: tuple[Check, ...]
    differs: str = ""  # why bits may differ: another machine, another torch

    @property
    def agrees(self) -> bool:
        return all(check.outcome != OTHER for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "agrees": self.agrees,
            "differs": self.differs or None,
            "checks": [vars(check) for check in self.checks],
        }


def verify(
    run: RunFolder | str | Path,
    *,
    retrain: bool = False,
    network: nn.Module | None = None,
    dataset: Dataset | None = None,
    from_dir: str | Path | None = None,
    watcher: Watcher | None = None,
    tell: Tell | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Verdict:
    """Ask a finished run's network again of its validation and test pictures; with `retrain`,
    train it again from its recipe, and compare weights, history and logits. Nothing in the run's
    folder is changed. Raises `UsageError` for a run that is not finished.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    if not folder.finished:
        raise UsageError(
            f"{folder.path}: this run is not finished; `neocog resume {quoted(folder.path)}` goes "
            "on with it"
        )
    if retrain and (network is not None or "class" in folder.made):
        raise UsageError(
            f"{folder.path}: its network is not one of neocog's, so it cannot be made anew here; "
            "without --retrain its scores are verified"
        )
    dataset = dataset_of(folder, dataset=dataset, from_dir=from_dir, tell=tell, progress=progress)
    hardware, why = choosing.as_begun(folder, Wanted())
    if not retrain:
        asked = folder.new_network() if network is None else network
        return Verdict(str(folder.path), tuple(_asked_again(folder, asked, dataset)), why)
    with tempfile.TemporaryDirectory() as temporary:
        again = _trained_again(folder, dataset, hardware, Path(temporary) / "run", watcher, tell)
        return Verdict(str(folder.path), tuple(_compared(folder, again)), why)


def _asked_again(folder: RunFolder, network: nn.Module, dataset: Dataset) -> list[Check]:
    folder.load_weights(network)
    network.to(choose(Wanted()).device).eval()
    checks = []
    for name, split in (("validation", dataset.val), ("test", dataset.test)):
        then = folder.predictions(name)
        if then is not None:
            split = split.to(str(next(network.parameters()).device))
            layout, views = choosing.layout_of(folder), folder.recipe.views
            now = predictions(network, split, folder.spec, views=views, layout=layout)
            checks.append(_of_logits(name, then, now))
    return checks


def _trained_again(
    folder: RunFolder,
    dataset: Dataset,
    hardware: Hardware | None,
    out: Path,
    watcher: Watcher | None,
    tell: Tell | None,
) -> RunFolder:
    recipe = folder.recipe
    if len(folder.history) < epoch_count(recipe):
        raise UsageError(
            f"{folder.path}: its time was up in epoch {len(folder.history)} of "
            f"{epoch_count(recipe)}, so where it ended followed from the clock"
        )
    made = folder.made
    network = create(
        made["name"],
        num_classes=made["num_classes"],
        in_channels=made["in_channels"],
        seed=recipe.seed,
    )
    wanted = Wanted() if hardware is None else _wanted(hardware)
    job = training.begin(
        network, dataset, recipe=recipe, out=out, wanted=wanted, save_every=math.inf, tell=tell
    )
    facts = training.run(job)
    for _ in watched(facts, watcher) if watcher else facts:
        pass
    return job.folder


def _wanted(hardware: Hardware) -> Wanted:
    return Wanted(
        hardware.device,
        precision=hardware.precision,
        layout=hardware.layout,
        compile="yes" if hardware.compile else "no",
        threads=hardware.threads,
        accumulate=hardware.accumulate,
    )


def _compared(folder: RunFolder, again: RunFolder) -> list[Check]:
    then, now = ([_plain(epoch) for epoch in each.history] for each in (folder, again))
    if then == now:
        checks = [Check("history", SAME, f"{len(then)} epochs")]
    else:
        place = next(
            (i for i, (one, other) in enumerate(zip(then, now, strict=False)) if one != other),
            min(len(then), len(now)),
        )
        checks = [Check("history", OTHER, f"from epoch {place + 1} on")]
    checks.append(_of_weights(*(_weights(each) for each in (folder, again))))
    for name in ("validation", "test"):
        said, says = folder.predictions(name), again.predictions(name)
        if said is not None and says is not None:
            checks.append(_of_logits(name, said, says))
    return checks


def _weights(folder: RunFolder) -> dict[str, np.ndarray]:
    path = folder.path / "best.safetensors"
    try:
        return safetensors.numpy.load_file(path)
    except Exception as error:  # it raises kinds of its own
        raise NeocogError(f"{path}: cannot be read: {error}") from error


def _plain(epoch: Epoch) -> dict[str, Any]:
    """An epoch without what the clock said."""
    return {name: value for name, value in epoch.to_json().items() if "second" not in name}


def _of_weights(then: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> Check:
    if then.keys() != now.keys():
        return Check("weights", OTHER, "they have other names")
    count = sum(array.size for array in then.values())
    differ = [name for name in then if not np.array_equal(then[name], now[name])]
    if not differ:
        return Check("weights", SAME, f"{count:,} of them")
    return Check("weights", OTHER, f"{len(differ)} of {len(then)} tensors, first {differ[0]}")


def _of_logits(name: str, then: Predictions, now: Predictions) -> Check:
    what = f"{name} logits"
    if then.logits.shape != now.logits.shape or not np.array_equal(then.labels, now.labels):
        return Check(what, OTHER, f"{len(then.labels):,} pictures then, {len(now.labels):,} now")
    pictures = f"{len(then.labels):,} pictures"
    if np.array_equal(then.logits, now.logits):
        return Check(what, SAME, pictures)
    if not np.isfinite(now.logits).all():
        raise NeocogError(f"{what}: the network puts out values that are no numbers")
    apart = float(np.abs(then.logits - now.logits).max())
    top1 = int((then.logits.argmax(1) != now.logits.argmax(1)).sum())
    scale = float(np.abs(then.logits).max())
    detail = f"{pictures}, at most {apart:.2g} apart, {top1:,} of other classes"
    return Check(what, CLOSE if apart <= ROUNDING * max(scale, 1.0) else OTHER, detail)
