"""The papers' protocols on finished runs: one run, or several that are asked together."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import time
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from neocog import otherdata
from neocog.asking import (
    Pretrained,
    Question,
    Tell,
    Watch,
    alone,
    asked_of,
    facts_of,
    known_by,
    said_of,
)
from neocog.choosing import layout_of
from neocog.data.dataset import Dataset, Pictures
from neocog.engine.pieces import Sides, trained_at
from neocog.engine.views import Protocol, check, find
from neocog.errors import NeocogError, UsageError
from neocog.evaluation import Evaluation, together
from neocog.records import Predictions
from neocog.run import RunFolder
from neocog.rundata import dataset_of
from neocog.stopping import quoted

SAME = ("form", "views", "split", "scales", "weights", "data")  # then what was kept is read again
EVERY = 10.0  # seconds between two lines of progress


class InHand(typing.Protocol):
    """A run as `neocog.open` gives it."""

    folder: RunFolder

    def network(self) -> nn.Module: ...


AnyRun = InHand | RunFolder | Pretrained | str | Path


def evaluate(
    runs: AnyRun | Sequence[AnyRun],
    *,
    views: str = "single",
    scales: Sequence[int] = (),
    data: Dataset | str | Path | None = None,
    from_dir: str | Path | None = None,
    tell: Tell | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
    watch: Watch | None = None,
) -> Evaluation:
    """Score finished runs by a protocol: "single", "mirror", "six-view", "ten-crop", "dense",
    "multi-scale" or "144-crop"; docs/protocols.md says what each looks at.

    Of several runs the probabilities are averaged; each alone is in `members`. `scales` are shorter
    sides in pixels for dense and multi-scale. What a run says of its own test pictures is kept in
    its folder as test.VIEWS.npz and read again while the weights are the same. `data`, a name, a
    folder or a `Dataset` with the same classes, is looked at instead, and how many of it the run
    has learnt from is told. `from_dir` is where the data are now. Words go to `tell`, what is
    fetched to `progress`, and to `watch` run, pictures done and pictures in all. Raises
    `UsageError` for a protocol that makes no sense of these pictures, and for runs of other ones.

    A network that comes with weights from elsewhere is asked as `Pretrained(network, spec)`, of
    `data`; whether it was trained on any of that is not known.
    """
    each = [runs] if isinstance(runs, str | Path) or not isinstance(runs, Sequence) else list(runs)
    in_hand = [_opened(run) for run in each]
    protocol, say = find(views), tell or _to_stderr
    _check_runs([run for run, _ in in_hand], data)
    for run, _ in in_hand:  # said before anything is fetched
        protocol.sides_of(run.spec, scales)
    other = None if data is None else otherdata.loaded(data, from_dir, say, progress)
    asked = Question(
        protocol, scales, other, from_dir, say, progress, watch or _Lines(say, views).see
    )
    said = [
        alone(run, asked) if isinstance(run, Pretrained) else _one(run, network, asked)
        for run, network in in_hand
    ]
    return said[0] if len(said) == 1 else together(said)


# -- one run


def _one(folder: RunFolder, network: nn.Module | None, asked: Question) -> Evaluation:
    sides = asked.protocol.sides_of(folder.spec, asked.scales)
    facts, data = _facts(folder, asked.protocol, sides), folder.data
    mirrors = bool(data.get("mirrors", True))
    if asked.other is not None and not _is_own(folder, asked.other):
        return _of_others(folder, network, asked, asked.other, facts)
    check(asked.protocol, folder.spec, mirrors=mirrors, data=data["name"])
    name = f"{facts['split']}.{asked.protocol.name}"
    made = Evaluation(
        (str(folder.path),),
        (folder.network_name,),
        data["name"],
        facts["split"],
        Predictions(np.empty((0, 0), np.float32), np.empty(0, np.int64)),
        facts,
    )
    kept = _kept(folder, name, facts, asked.tell)
    if kept is not None:
        return dataclasses.replace(made, predictions=kept[0], facts=kept[1], kept=True)
    dataset = asked.other or dataset_of(
        folder,
        from_dir=asked.from_dir,
        cache_size=0,  # looked at once: nothing of it is kept decoded
        tell=asked.tell,
        progress=asked.progress,
    )
    split = dataset.splits[facts["split"]]
    said = _asked(folder, network, split, asked, sides)
    facts = {**facts, **known_by(split)}
    try:
        folder.write_predictions(name, said, facts=facts)
    except NeocogError as error:  # somebody else's run, say: what took minutes is not lost for it
        asked.tell(f"{error}. It is shown, and not kept")
    return dataclasses.replace(made, predictions=said, facts=facts)


def _is_own(folder: RunFolder, dataset: Dataset) -> bool:
    """Whether these are the run's own data, in hand."""
    same = dataset.fingerprint() == folder.data["fingerprint"]
    return same and tuple(dataset.classes) == folder.spec.classes


def _of_others(
    folder: RunFolder,
    network: nn.Module | None,
    asked: Question,
    dataset: Dataset,
    facts: dict[str, Any],
) -> Evaluation:
    """Of pictures that are not those the run was scored by. Nothing is kept."""
    mirrors = dataset.mirrors and bool(folder.data.get("mirrors", True))
    check(asked.protocol, folder.spec, mirrors=mirrors, data=dataset.name)
    # before anything is looked at: whether they fit at all
    numbers = otherdata.labels_of(folder.spec.classes, dataset.classes, dataset.name)
    split = otherdata.split_of(dataset)[1]
    seen = otherdata.seen(folder, split, tell=asked.tell, progress=asked.progress)
    ask = partial(_asked, folder, network, asked=asked, sides=tuple(facts["scales"]))
    where = str(folder.path), folder.network_name
    return said_of(dataset, numbers, ask, facts, where, seen)


def _asked(
    folder: RunFolder,
    network: nn.Module | None,
    split: Pictures,
    asked: Question,
    sides: Sides,
) -> Predictions:
    _say_of_scale(folder, asked)
    network = folder.new_network() if network is None else network
    folder.load_weights(network)
    layout = layout_of(folder)
    return asked_of(network, folder.spec, str(folder.path), split, asked, sides, layout)


def _facts(folder: RunFolder, protocol: Protocol, sides: Sides) -> dict[str, Any]:
    path = folder.path / "best.safetensors"
    try:
        with path.open("rb") as file:
            weights = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NeocogError(f"{path}: the weights cannot be read: {error.strerror}") from error
    return {
        **facts_of(protocol, sides),
        "split": "test" if folder.data["pictures"]["test"] else "validation",
        "weights": weights,
        "data": folder.data["fingerprint"],
    }


def _say_of_scale(folder: RunFolder, asked: Question) -> None:
    """Pieces of a picture show things larger than a network knows that has seen but whole ones."""
    spec, recipe = folder.spec, folder.recipe
    (side,) = trained_at(spec)
    whole = spec.placing == "resize" and spec.resize < side and not recipe.area
    if whole and asked.protocol.sides(spec):
        asked.tell(
            f"{folder.path}: it was trained on whole pictures, and {asked.protocol.name} looks at "
            f"larger ones, from which it may lose; --set resize={side} trains as the papers did"
        )


def _kept(
    folder: RunFolder, name: str, facts: dict[str, Any], tell: Tell
) -> tuple[Predictions, dict[str, Any]] | None:
    """What was kept of the same question to the same weights."""
    try:
        said = folder.predictions(name)
        then = {} if said is None else folder.facts(name)
    except NeocogError as error:
        tell(f"{error}; it is made anew")
        return None
    known = {key: then.get(key) for key in ("pictures", "count")}
    same = all(then.get(key) == facts[key] for key in SAME)
    if said is None or not same or list(map(type, known.values())) != [str, int]:
        return None
    if said.logits.shape != (known["count"], len(folder.spec.classes)):
        tell(f"{folder.path / name}.npz: not what was asked then; it is made anew")
        return None
    return said, {**facts, **known}


# -- several runs, and words


def _opened(run: AnyRun) -> tuple[RunFolder | Pretrained, nn.Module | None]:
    if isinstance(run, str | Path):
        return RunFolder.open(run), None
    if isinstance(run, RunFolder | Pretrained):
        return run, None
    return run.folder, run.network()


def _check_runs(runs: Sequence[RunFolder | Pretrained], data: object) -> None:
    if not runs:
        raise UsageError("runs: none was given; name at least one run folder")
    folders = [run for run in runs if isinstance(run, RunFolder)]
    strangers = [run for run in runs if isinstance(run, Pretrained)]
    if strangers and data is None:
        raise UsageError(f"{strangers[0].called}: it is of no run; name the pictures with data=")
    for folder in folders:
        if not folder.finished:
            raise UsageError(
                f"{folder.path}: this run is not finished; `neocog resume {quoted(folder.path)}` "
                "goes on with it"
            )
    for run in runs[1:]:
        if run.spec.classes != runs[0].spec.classes:
            raise UsageError(
                f"{_name_of(run)}: it has other classes than {_name_of(runs[0])}, so the two "
                "cannot be averaged"
            )
    if len({folder.path.resolve() for folder in folders}) < len(folders):
        raise UsageError("a run is named twice; it would count twice in the mean")


def _name_of(run: RunFolder | Pretrained) -> str:
    return run.called if isinstance(run, Pretrained) else str(run.path)


@dataclass(eq=False)
class _Lines:
    """Progress as a line now and then."""

    tell: Tell
    views: str
    last: float = field(default_factory=time.monotonic)

    def see(self, run: str, done: int, count: int) -> None:
        if time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            self.tell(f"{run}: {self.views} of {done:,} of {count:,} pictures")


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
