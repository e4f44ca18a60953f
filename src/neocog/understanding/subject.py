"""A run that is looked into: its network, its data as far as they are still there, its answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from neocog.analysis import cost, listening
from neocog.data.dataset import Dataset, Pictures
from neocog.data.filesplit import FileSplit
from neocog.data.geometry import centre, scaled
from neocog.data.pictures import read
from neocog.data.preprocess import normalised
from neocog.data.recorded import NAMES, from_record
from neocog.errors import DataError, NeocogError, UsageError, unknown
from neocog.records import Predictions
from neocog.run import RunFolder
from neocog.rundata import dataset_of
from neocog.understanding.seen import Progress

WORK = 1e12  # multiply-adds that a look may cost unless more is asked for: half a minute or so
FEWEST, MOST = 64, 20_000  # pictures
PIXELS = 500_000  # of the inputs of a pass
SHOWN = 5  # missing pictures, or names that there are


@dataclass(frozen=True, eq=False)
class Part:
    """A split as it was recorded, and which of it can still be seen."""

    name: str  # "test"
    split: Pictures
    there: np.ndarray  # places in the record of the pictures of `split`, int64
    paths: Sequence[str] | None  # of all in the record; None of pictures in memory

    def called(self, place: int) -> str | int:
        """Path or number of the picture at a place of the record."""
        return place if self.paths is None else self.paths[place]


class Subject:
    """All that looks need of a run. Pictures are uint8 (C, H, W), as the network is given them."""

    def __init__(
        self,
        folder: RunFolder,
        network: nn.Module,
        *,
        dataset: Dataset | None = None,
        from_dir: str | Path | None = None,
        tell: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self.folder, self.network, self.spec = folder, network.eval(), folder.spec
        self.tell, self.progress = tell, progress
        self._given, self._from_dir = dataset, from_dir
        self._parts: dict[str, Part] = {}

    @property
    def title(self) -> str:
        return f"{self.folder.network_name} on {self.folder.data['name']}"

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def size(self) -> tuple[int, int, int]:
        return self.spec.channels, *self.spec.size

    # -- its network

    @cached_property
    def shapes(self) -> listening.Shapes:
        """The output shape of every layer."""
        return listening.shapes(self.network, torch.zeros(1, *self.size, device=self.device))

    @cached_property
    def table(self) -> cost.Table:
        return cost.table(self.network, self.size)

    def layer(self, name: str | None) -> str:
        """The layer of that name; `UsageError` with the nearest, or the stages, where there is
        none.
        """
        if name in self.shapes:
            assert name is not None
            return name
        raise _no_such(
            "layer", str(name), list(self.shapes), [n for n in self.shapes if "." not in n]
        )

    def layer_with_a_map(self, name: str | None) -> str:
        """The same, or the last stage with a map if none is named."""
        if name is not None:
            if listening.is_map(self.shapes[self.layer(name)]):
                return name
            maps = listening.stages_with_a_map(self.network, self.shapes)
            raise UsageError(f"layer {name!r} puts out no map; these do: {', '.join(maps)}")
        found = listening.last_map(self.network, self.shapes)
        if found is None:
            raise UsageError(
                f"{self.title}: no layer of this network puts out a map, only single values: "
                "it has no feature maps and no Grad-CAM. saliency, occlusion and gradients work"
            )
        return found

    def target(self, asked: str) -> int:
        """The class of that name, else of that number from 0."""
        classes = self.spec.classes
        if asked in classes:
            return classes.index(asked)
        alike = [k for k, name in enumerate(classes) if name.lower() == asked.lower()]
        if len(alike) == 1:
            return alike[0]
        if asked.isdecimal() and int(asked) < len(classes):
            return int(asked)
        raise _no_such("class", asked, classes, classes)

    @torch.no_grad()
    def chances(self, image: Tensor) -> Tensor:
        """Probabilities (K,) of one picture."""
        logits: Tensor = self.network(self.inputs(image[None]))[0].float().cpu()
        if not bool(logits.isfinite().all()):
            raise NeocogError(
                f"{self.folder.path}: the network put out values that are not numbers: it diverged"
            )
        return logits.softmax(0)

    # -- pictures

    def inputs(self, images: Tensor) -> Tensor:
        """Input values float32 (N, C, H, W) of uint8 pictures of the network's size."""
        return normalised(images, self.spec).contiguous().to(self.device)

    def picture(self, file: Path) -> Tensor:
        """A picture file as the network is given it; `DataError` where it cannot be read."""
        shorter = self.spec.resize if self.spec.placing == "resize" else 0
        pixels = read(file, 1 if self.spec.channels == 1 else 3, shorter=shorter)
        return centre(scaled(pixels[None], self.spec), self.spec.size)[0]

    def enough(self, sample: int | None, *, work: float = 1.0) -> int:
        """How many pictures to look at: as asked, or what half a minute allows; `work` passes of
        each.
        """
        if sample is not None:
            return sample
        each = max(self.table.multiply_adds, 1) * work
        return int(min(max(WORK / each, FEWEST), MOST))

    def places(self, part: Part, count: int) -> np.ndarray:
        """So many places of `part.split`, spread over the whole."""
        if count >= len(part.split):
            return np.arange(len(part.split))
        if isinstance(part.split, FileSplit):
            return part.split.sample_of(count)
        return np.linspace(0, len(part.split) - 1, count).astype(np.int64)

    def images(self, part: Part, places: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Pictures uint8 (n, C, *size) at places of `part.split`, and the places of those that
        could be read.
        """
        split = part.split
        if isinstance(split, FileSplit):
            made, _ = split.at(places.tolist(), self.spec)
            return made, self.readable(part, places)
        whole = scaled(split.images[torch.from_numpy(places)], self.spec)
        return centre(whole, self.spec.size), places

    def readable(self, part: Part, places: np.ndarray) -> np.ndarray:
        """Of places that were looked at those whose picture could be read."""
        split = part.split
        if not isinstance(split, FileSplit):
            return places
        bad = split.reader.bad
        if len(split) == 1 and int(split.places[0]) in bad:  # more of them the split refuses
            raise DataError(bad[int(split.places[0])])
        return places[[int(split.places[place]) not in bad for place in places]]

    def batches(
        self, part: Part, places: np.ndarray, what: str
    ) -> Iterator[tuple[Tensor, Tensor, np.ndarray]]:
        """Pictures, inputs (n, C, H, W) and places, all of those places; progress is said."""
        at_once = max(8, min(256, PIXELS // (self.spec.size[0] * self.spec.size[1])))
        for first in range(0, len(places), at_once):
            images, kept = self.images(part, places[first : first + at_once])
            if len(kept):
                yield images, self.inputs(images), kept
            self.progress(what, min(first + at_once, len(places)), len(places))

    # -- its data

    @cached_property
    def dataset(self) -> Dataset:
        """The data of the run; of pictures in files, those that are still as they were."""
        facts, given = self.folder.data, self._given
        where = {"from_dir": self._from_dir, "tell": self.tell}
        if given is None and facts.get("layout") and facts["layout"] != "shards":
            rows, place = self.folder.pictures, str(self._from_dir or facts["from"])
            there = [row for row in rows if _is_there(place, row[2], row[3])]
            if 0 < len(there) < len(rows):
                kept = set(there)
                self._say_missing([row[2] for row in rows if row not in kept], place)
                return from_record(there, place, facts, tell=self.tell)
        return dataset_of(self.folder, dataset=given, **where)  # type: ignore[arg-type]

    def _say_missing(self, missing: list[str], place: str) -> None:
        names = ", ".join(missing[:SHOWN])
        more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
        self.tell(
            f"{place}: {len(missing):,} pictures of this run are gone or have changed since, and "
            f"are not shown: {names}{more}. If they moved, --from says where to"
        )

    def part(self, asked: str) -> Part:
        """The split of that name, of those that have pictures; what is taken instead is said."""
        name = "validation" if asked == "val" else asked
        if name not in NAMES:
            raise unknown("split", asked, NAMES)
        counts = self.folder.data["pictures"]
        order = dict.fromkeys((name, "test", "validation", "train"))
        found = next((each for each in order if counts[each]), name)
        if found not in self._parts:
            if found != name:
                self.tell(f"this run has no {name} split; these are its {found} pictures")
            self._parts[found] = self._part(found)
        return self._parts[found]

    def _part(self, name: str) -> Part:
        split = self.dataset.splits[name]
        if not isinstance(split, FileSplit):
            return Part(name, split, np.arange(len(split)), None)
        rows = [path for part, _, path, _ in self.folder.pictures if part == name]
        number = {path: place for place, path in enumerate(rows)}
        there = np.array([number[path] for path, _, _ in split.facts()], dtype=np.int64)
        if not len(there):
            raise NeocogError(f"{self.folder.path}: none of its {name} pictures is there any more")
        return Part(name, split, there, rows)

    def said(self, part: Part, sample: int | None) -> tuple[Predictions, np.ndarray]:
        """What the network says of a split, and the place of each picture in the record: as it was
        recorded when it was scored, else asked now, of as many pictures as there is time for.
        """
        recorded = None if part.name == "train" else self.folder.predictions(part.name)
        if recorded is not None and self.fits(part, recorded):
            return recorded, np.arange(len(recorded.labels))
        chosen = self.places(part, self.enough(sample))
        if len(chosen) < len(part.split):
            self.tell(f"looking at {len(chosen):,} of {len(part.split):,} {part.name} pictures")
        logits, kept = [], []
        with torch.no_grad():
            for _, inputs, places in self.batches(part, chosen, f"{part.name} pictures asked"):
                logits.append(self.network(inputs).float().cpu().numpy())
                kept.append(places)
        places = np.concatenate(kept)
        labels = part.split.labels.cpu().numpy()[places]
        return Predictions(np.concatenate(logits), labels), part.there[places]

    def fits(self, part: Part, recorded: Predictions) -> bool:
        """Whether row n of what was recorded is the n-th picture of the split."""
        if len(recorded.labels) != self.folder.data["pictures"][part.name]:
            return False  # some could not be read then
        now = part.split.labels.cpu().numpy()
        return bool((recorded.labels[part.there] == now).all())

    def one(self, part: Part, place: int) -> Tensor | None:
        """The picture at a place of the record; None where it cannot be seen any more."""
        at = np.flatnonzero(part.there == place)
        if not len(at):
            return None
        images, kept = self.images(part, at)
        return images[0] if len(kept) else None


def _is_there(place: str, path: str, size: int) -> bool:
    try:
        return os.stat(os.path.join(place, path)).st_size == size  # noqa: PTH116, PTH118 - many
    except (OSError, ValueError):
        return False


def _no_such(kind: str, given: str, names: Sequence[str], few: Sequence[str]) -> UsageError:
    """Near names of all, or else some of the few: there may be a thousand."""
    error = unknown(kind, given, names)
    if "did you mean" in str(error) or len(names) <= SHOWN:
        return error
    more = f" and {len(few) - 20:,} more" if len(few) > 20 else ""
    return UsageError(f"no {kind} is called {given!r}; there are {', '.join(few[:20])}{more}")
