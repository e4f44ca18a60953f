"""All that a run folder tells for a report, part by part: what is damaged spoils no other part."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from neocog import runtext
from neocog.analysis.evaluation import PROTOCOLS, check_classes, scores_of
from neocog.analysis.scores import scores
from neocog.errors import NeocogError, UsageError
from neocog.now import diverged
from neocog.recipe import Recipe
from neocog.records import Epoch, Predictions
from neocog.reporting.choice import Choice
from neocog.reporting.gathering import Gathered, split_of
from neocog.run import RunFolder

T = TypeVar("T")
# Of a layer: epoch, weights, gradient; None where there was none, or no number.
Norms = dict[str, list[tuple[float, float | None, float | None]]]


@dataclass(frozen=True, eq=False)
class Facts:
    """One run. A part that cannot be read is None, and `troubles` says why, by its file."""

    folder: RunFolder
    name: str  # of the folder: no path of anybody's machine
    gathered: Gathered
    network: str
    data: dict[str, Any]
    classes: tuple[str, ...]
    recipe: Recipe | None
    environment: dict[str, Any] | None
    history: list[Epoch] | None
    norms: Norms
    said: dict[str, Predictions]  # by split
    scores: dict[str, dict[str, Any]]  # by split: `scores_of`
    protocols: list[dict[str, Any]]
    paths: list[str] | None  # of the pictures of the split that is scored, where they are files
    finished: bool
    troubles: dict[str, str] = field(default_factory=dict)

    @property
    def split(self) -> str:
        """The split that counts."""
        return split_of(self.folder)

    @cached_property
    def diverged(self) -> str | None:
        """Why, if it did."""
        return diverged(self.folder.path)

    @cached_property
    def choice(self) -> Choice | None:
        return Choice(self.said[self.split]) if self.split in self.scores else None

    @property
    def looked(self) -> dict[str, Any]:
        return self.gathered.looked.facts if self.gathered.looked else {}

    def file(self, name: str) -> bytes | None:
        """A small picture that was gathered."""
        return None if self.gathered.looked is None else self.gathered.looked.files.get(name)

    def called(self, place: int) -> str:
        """A picture by its path in the data set, or its number in the split."""
        if self.paths is not None and place < len(self.paths):
            return self.paths[place]
        return f"#{place}"

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.history or [])

    def as_evaluated(self) -> dict[str, Any]:
        """What `analysis.evaluation` would have told, as far as it is there."""
        splits = {name: self.scores.get(name) for name in ("test", "validation")}
        made = {"network": self.network, "data": self.data["name"]}
        return {**made, "epochs": len(self.history or []), **splits}


def facts_of(folder: RunFolder, gathered: Gathered) -> Facts:
    """Raises `NeocogError` where even recipe.json cannot be read: then it is no run."""
    read = _Reader(folder)
    data = folder.data
    spec = read("input.json", lambda: folder.spec)
    finished = folder.finished
    recipe = read("recipe.json", lambda: folder.recipe)
    said = {
        split: found
        for split in ("test", "validation")
        if (found := read(f"{split}.npz", lambda split=split: folder.predictions(split)))  # type: ignore[misc]
        and data["pictures"][split]
    }
    views = recipe.views if recipe else "one"
    views = PROTOCOLS.get(views, views)
    classes = spec.classes if spec else ()
    scored: dict[str, dict[str, Any]] = {}
    for split in ("validation", "test") if classes else ():
        if split not in said:
            continue
        sound = split == "test" and "validation" in scored  # what a temperature is fitted to
        held_out = said["validation"] if sound else None
        made = read(f"{split}.npz", lambda: _scored(folder, split, said, views, held_out))  # noqa: B023
        if made is not None:
            scored[split] = made
    return Facts(
        folder,
        printable_name(folder),
        gathered,
        _network(folder),
        data,
        classes,
        recipe,
        read("environment.json", lambda: folder.environment),
        read("history.jsonl", lambda: folder.history),
        read("norms.jsonl", lambda: norms_of(folder)) or {},
        said,
        scored,
        protocols(folder, read, classes),
        read("pictures.csv", lambda: _paths(folder, said)),
        finished,
        read.troubles,
    )


def printable_name(folder: RunFolder) -> str:
    """The run by its folder's name."""
    path = folder.path.resolve()
    return path.name or str(path)


def _network(folder: RunFolder) -> str:
    """The network's name, also where the input.json that goes with it is damaged."""
    made = runtext.json_in(folder.path / "recipe.json").get("network")
    return str((made.get("name") or made.get("class")) if isinstance(made, dict) else "?")


class _Reader:
    """Reads part by part, and keeps what went wrong, without paths of this machine."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.troubles = folder, dict[str, str]()

    def __call__(self, name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except NeocogError as error:
            self.troubles[name] = relative(str(error), self.folder)
        return None


def relative(text: str, folder: RunFolder) -> str:
    """What was said of files of a run, without where it lies."""
    for path in (folder.path, folder.path.absolute(), folder.path.resolve()):
        text = text.replace(f"{path}/", "").replace(str(path), folder.path.resolve().name)
    return text


def _scored(
    folder: RunFolder,
    split: str,
    said: dict[str, Predictions],
    views: str,
    held_out: Predictions | None,
) -> dict[str, Any]:
    check_classes(folder, split, said[split])
    try:
        return scores_of(
            said[split], classes=folder.spec.classes, protocol=views, held_out=held_out
        )
    except UsageError:
        raise
    except NeocogError as error:
        raise NeocogError(f"{split}.npz: {error}") from error


def norms_of(folder: RunFolder) -> Norms:
    """norms.jsonl, layer by layer; epochs from 1."""
    found: Norms = {}
    for each in folder.norms:
        for layer, weights in each.weights.items():
            row = each.epoch + 1.0, weights, each.gradients[layer]
            found.setdefault(layer, []).append(row)
    return found


# -- other protocols


def protocols(
    folder: RunFolder, read: Callable[..., Any], classes: tuple[str, ...]
) -> list[dict[str, Any]]:
    """What was kept of the same pictures by other protocols: test.ten-crop.npz and its like."""
    split, found = split_of(folder), []
    for path in sorted(folder.path.glob(f"{split}.*.npz")):
        made = read(path.name, lambda path=path: _protocol(folder, path, len(classes)))
        if made is not None:
            found.append(made)
    return found


def _protocol(folder: RunFolder, path: Path, classes: int) -> dict[str, Any]:
    said = folder.predictions(path.name.removesuffix(".npz"))
    assert said is not None
    if classes != said.logits.shape[1]:
        raise NeocogError(f"{path}: logits of {said.logits.shape[1]:,} classes, not {classes:,}")
    facts = folder.facts(path.name.removesuffix(".npz"))
    weights = facts.get("weights")
    return {
        "protocol": str(facts.get("views") or path.name.split(".", 1)[1].removesuffix(".npz")),
        "passes": facts.get("passes"),
        "stale": weights is not None and weights != _sum_of(folder.path / "best.safetensors"),
        **scores(said),
    }


def _sum_of(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _paths(folder: RunFolder, said: dict[str, Predictions]) -> list[str] | None:
    """None too where some pictures were not read when it was scored: which is not recorded."""
    if not folder.data.get("layout"):
        return None
    split = split_of(folder)
    paths = [path for part, _, path, _ in folder.pictures if part == split]
    return paths if split in said and len(said[split].labels) == len(paths) else None
