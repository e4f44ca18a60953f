"""What a report needs of network and pictures, gathered once into the run folder.

Then the report is drawn from the folder alone, also where the pictures have moved since.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neocog.analysis import attention, listening, units
from neocog.data.dataset import Dataset
from neocog.errors import DataError, NeocogError
from neocog.report import kernels, thumbs
from neocog.reporting.choice import Choice
from neocog.reporting.looked import FORM, NAME, Looked, read, to_bytes
from neocog.run import RunFolder
from neocog.rundata import OtherDataError
from neocog.understanding import Subject, open_subject
from neocog.understanding.subject import Part

SAMPLE = 500  # pictures that activations are counted over
AT_ONCE = 64  # small copies
PASSES = 150  # of one picture through the network, for occlusion

Tell = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Gathered:
    """What there is, and what is lacking: None, "moved", "other data" or "network"."""

    looked: Looked | None
    lacking: str | None = None
    why: str = ""


@dataclass(frozen=True, eq=False)
class Gathering:
    """How it is gathered."""

    from_dir: str | Path | None = None
    sample: int | None = None
    network: nn.Module | None = None  # of a run whose network is not neocog's
    data: Dataset | None = None  # of a run whose data were not had by name
    tell: Tell = field(default=lambda line: None)
    progress: Progress = field(default=lambda what, done, total: None)
    afresh: bool = False  # whatever was gathered before


def gathered(folder: RunFolder, how: Gathering) -> Gathered:
    """looked.npz, as it is or made anew where it is not of these weights; what cannot be had is
    told. Of a run without weights there is nothing.
    """
    before = None if how.afresh else _before(folder, how)
    if not (folder.path / "best.safetensors").exists():
        return Gathered(None, "network", "best.safetensors: missing from this run folder")
    try:
        of = {"form": FORM, **_made_from(folder), "sample": how.sample}
        if before is not None and _still_right(before, of):
            return Gathered(before)
        if how.network is not None:
            folder.load_weights(how.network)
        subject = open_subject(
            folder,
            how.network,
            data=how.data,
            from_dir=how.from_dir,
            tell=how.tell,
            progress=how.progress,
        )
        facts, files = of_network(subject)
    except NeocogError as error:
        how.tell(f"{error}. The report is made without its network and pictures")
        return Gathered(None, "network", str(error))
    looked = Looked({"of": of, **facts}, files)
    lacking = None
    try:
        looked = with_pictures(looked, subject, how.sample)
    except NeocogError as error:
        how.tell(f"{error}. The report is made without its pictures")
        lacking = "other data" if isinstance(error, OtherDataError) else "moved"
        if before is not None and _same_but_sample(before, of):
            return Gathered(before)  # pictures that were gathered while they were there
    _keep(folder, looked, how.tell)
    return Gathered(looked, lacking)


def _before(folder: RunFolder, how: Gathering) -> Looked | None:
    try:
        return read(folder)
    except NeocogError as error:
        how.tell(f"{error}; it is gathered anew")
        return None


def _made_from(folder: RunFolder) -> dict[str, Any]:
    """What it would be gathered from: SHA-256 of the weights and of what was said of pictures."""
    split = split_of(folder)
    names = {"weights": "best.safetensors", "said": f"{split}.npz"}
    sums = {}
    for what, name in names.items():
        path = folder.path / name
        try:
            with path.open("rb") as file:
                sums[what] = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            sums[what] = ""
        except OSError as error:
            raise NeocogError(f"{path}: cannot be read: {error.strerror}") from error
    return {**sums, "split": split, "data": folder.data["fingerprint"]}


def _still_right(before: Looked, of: dict[str, Any]) -> bool:
    same_sample = of["sample"] in (None, before.facts["of"].get("sample"))
    return before.has_pictures and same_sample and _same_but_sample(before, of)


def _same_but_sample(before: Looked, of: dict[str, Any]) -> bool:
    then = {key: value for key, value in before.facts["of"].items() if key != "sample"}
    return before.has_pictures and then == {k: v for k, v in of.items() if k != "sample"}


def _keep(folder: RunFolder, looked: Looked, tell: Tell) -> None:
    """Written whole, where it can be: without it the report is as good, and slower next time."""
    try:
        content = to_bytes(looked)
        folder.write(NAME, lambda file: file.write(content))
    except NeocogError as error:
        tell(f"{error}; what was gathered is not kept")


def split_of(folder: RunFolder) -> str:
    """The split that a run is scored on."""
    return "test" if folder.data["pictures"]["test"] else "validation"


# -- the network


def of_network(subject: Subject) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Layer by layer what it is and costs, and the filters of its first convolution."""
    table = subject.table
    layers = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "note": layer.note,
            "output": list(layer.output),
            "parameters": layer.parameters,
            "multiply_adds": layer.multiply_adds,
        }
        for layer in table.layers
    ]
    facts: dict[str, Any] = {
        "network": {
            "layers": layers,
            "parameters": sum(p.numel() for p in subject.network.parameters()),
            "multiply_adds": table.multiply_adds,
            "unseen": len(table.unseen),
        }
    }
    files: dict[str, bytes] = {}
    found = _filters(subject)
    if found is not None:
        facts["filters"], files["filters"] = found
    return facts, files


def _filters(subject: Subject) -> tuple[dict[str, Any], bytes] | None:
    found = (
        (name, module.weight.detach().float().cpu().numpy())
        for name, module in subject.network.named_modules()
        if isinstance(getattr(module, "weight", None), nn.Parameter) and module.weight.ndim == 4
    )
    first = next(found, None)
    if first is None:
        return None
    name, weights = first
    if subject.spec.bgr and weights.shape[1] == 3:
        weights = weights[:, ::-1]
    count, inputs, height, width = weights.shape
    if not np.isfinite(weights).all():
        return None
    sheet, shown = kernels.sheet(weights)
    facts = {
        "layer": name,
        "shape": [count, inputs, height, width],
        "shown": shown,
    }
    return facts, thumbs.lossless(sheet)


# -- the pictures


def with_pictures(looked: Looked, subject: Subject, sample: int | None) -> Looked:
    """The same, with what the split that was scored shows. Raises `DataError` without pictures."""
    part = subject.part(split_of(subject.folder))
    facts: dict[str, Any] = {"pictures": True, "units": _units(subject, part, sample)}
    files = dict(looked.files)
    said = subject.folder.predictions(part.name)
    if said is not None and np.isfinite(said.logits).all() and subject.fits(part, said):
        choice = Choice(said)
        names, copies = _copies(subject, part, choice)
        facts |= {"names": names, "explained": []}
        files |= copies
        for fact, pictures in _explained(subject, part, choice):
            facts["explained"].append(fact)
            files |= pictures
    return dataclasses.replace(looked, facts={**looked.facts, **facts}, files=files)


def _units(subject: Subject, part: Part, sample: int | None) -> dict[str, Any]:
    places = subject.places(part, sample or min(subject.enough(None), SAMPLE))
    batches = subject.batches(part, places, f"{part.name} pictures through the network")
    layers = units.behaviour(subject.network, (inputs for _, inputs, _ in batches))
    if not len(places):
        raise DataError(f"{subject.folder.path}: none of its {part.name} pictures can be read")
    return {"pictures": len(places), "layers": [each.to_json() for each in layers]}


def _copies(
    subject: Subject, part: Part, choice: Choice
) -> tuple[dict[str, str | int], dict[str, bytes]]:
    """Names and small copies of the pictures that are shown, as far as they are there."""
    wanted = np.array(choice.shown, dtype=np.int64)
    names = {str(place): part.called(place) for place in choice.shown}
    at = np.flatnonzero(np.isin(part.there, wanted))
    files = {}
    for first in range(0, len(at), AT_ONCE):
        images, kept = subject.images(part, at[first : first + AT_ONCE])
        for image, place in zip(images, part.there[kept].tolist(), strict=True):
            files[f"picture {place}"] = thumbs.small(thumbs.pixels(image))
        subject.progress("small copies", min(first + AT_ONCE, len(at)), len(at))
    return names, files


def _explained(
    subject: Subject, part: Part, choice: Choice
) -> list[tuple[dict[str, Any], dict[str, bytes]]]:
    """What speaks for the answer in a few pictures: Grad-CAM, where there are maps, occlusion."""
    layer = listening.last_map(subject.network, subject.shapes)
    right, wrong = choice.explained
    made = []
    for number, place in enumerate([*right, *wrong]):
        image = subject.one(part, place)
        if image is not None:
            made.append(_one_explained(subject, image, (part.called(place), place), layer))
            made[-1][0]["label"] = int(choice.said.labels[place])
        subject.progress("pictures explained", number + 1, len(right) + len(wrong))
    return made


def _one_explained(
    subject: Subject, image: torch.Tensor, called: tuple[str | int, int], layer: str | None
) -> tuple[dict[str, Any], dict[str, bytes]]:
    name, place = called
    chances = subject.chances(image)
    answer = int(chances.argmax())
    given, pixels = subject.inputs(image[None])[0], thumbs.pixels(image)
    files = {f"whole {place}": thumbs.small(pixels)}
    empty = False
    if layer is not None:
        cam = attention.grad_cam(subject.network, given, answer, layer=layer).cpu().numpy()
        files[f"cam {place}"] = thumbs.heated(pixels, cam)
        empty = not cam.any()
    stride = None if subject.enough(None) > PASSES else attention.patch_side(subject.spec.size)
    hidden = attention.occlusion(subject.network, given, answer, stride=stride)
    files[f"occlusion {place}"] = thumbs.heated(pixels, hidden.drop.clamp(min=0).numpy())
    fact = {
        "place": place,
        "name": name,
        "answer": answer,
        "chance": float(chances[answer]),
        "layer": layer,
        "empty": empty,
        "lowest": hidden.lowest,
        "patch": hidden.patch[2],
    }
    return fact, files
