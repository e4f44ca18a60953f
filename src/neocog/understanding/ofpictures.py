"""Looks at single pictures: what the network makes of them, and what in them speaks for a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neocog.analysis import attention, listening
from neocog.errors import UsageError
from neocog.report import featuremaps, fonts, heat
from neocog.report.featuremaps import Row
from neocog.report.heat import Heat
from neocog.report.page import printable
from neocog.understanding.seen import Asked, Seen
from neocog.understanding.subject import Subject

PICTURES = 4  # of a split, where no file is named
SPARE = 20  # pictures that are tried where none of the chosen can be read
PASSES = 150  # of one picture through the network
MAPS = 8  # channels a layer
MOST_ROWS = 10  # layers
LONGEST = 36  # signs of a file name
CLIP = 99.0  # percent of pixels lie within the scale of a map with the grain of pixels


@dataclass(frozen=True, eq=False)
class Picture:
    """One that is looked at: uint8 (C, H, W), and its class where that is known."""

    name: str
    image: Tensor
    label: int | None = None


def pictures(subject: Subject, asked: Asked, count: int) -> list[Picture]:
    """The files that were named, else some of a split, spread over it."""
    if asked.files:
        return [Picture(file.name, subject.picture(file)) for file in asked.files]
    part = subject.part(asked.split)
    images, kept = subject.images(part, subject.places(part, min(count, len(part.split))))
    if not len(kept):
        images, kept = subject.images(part, subject.places(part, min(SPARE, len(part.split))))
        images, kept = images[:count], kept[:count]
    labels = part.split.labels.cpu()[torch.from_numpy(kept)].tolist()
    names = [str(part.called(int(part.there[place]))) for place in kept]
    return [
        Picture(name.rsplit("/", 1)[-1] if "/" in name else f"{part.name} {name}", image, label)
        for name, image, label in zip(names, images, labels, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Found:
    """What speaks for a class: values (h, w) from 0 up, facts for JSON, a line for the figure."""

    values: np.ndarray
    facts: dict[str, Any]
    said: str = ""


Explain = Callable[[Subject, Tensor, int, str], Found]


def cam(subject: Subject, given: Tensor, target: int, layer: str) -> Found:
    values = attention.grad_cam(subject.network, given, target, layer=layer).cpu().numpy()
    said = "" if values.any() else "nothing in these maps speaks for it"
    return Found(values, {"empty": not values.any()}, said)


def saliency(subject: Subject, given: Tensor, target: int, layer: str) -> Found:
    values = attention.saliency(subject.network, given, target).cpu().numpy()
    return Found(_without_peaks(values), {"largest": float(values.max())})


def occlusion(subject: Subject, given: Tensor, target: int, layer: str) -> Found:
    progress = partial(subject.progress, "pictures with a patch hidden")
    # patches that overlap by half make some 150 passes; of a large network those beside each other
    stride = None if subject.enough(None) > PASSES else attention.patch_side(subject.spec.size)
    found = attention.occlusion(subject.network, given, target, stride=stride, progress=progress)
    facts = {"lowest": found.lowest, "patch": list(found.patch)}
    side = found.patch[2]
    said = f"hiding {side}x{side} takes it to {found.lowest:.1%}"
    return Found(found.drop.clamp(min=0).numpy(), facts, said)


def gradients(subject: Subject, given: Tensor, target: int, layer: str) -> Found:
    progress = partial(subject.progress, "steps of the integral")
    most = min(max(subject.enough(None), attention.FEWEST), attention.MOST)
    found = attention.integrated_gradients(
        subject.network, given, target, most=most, progress=progress
    )
    facts = {
        "explained": found.explained,
        "difference": found.difference,
        "missing": found.missing,
        "complete": found.missing <= attention.MISSING,
        "steps": found.steps,
    }
    values = found.values.sum(0).clamp(min=0).cpu().numpy()
    said = f"adds up to {found.explained:.3g} of {found.difference:.3g}"
    said += "" if facts["complete"] else f": {found.missing:.0%} missing"
    return Found(_without_peaks(values), facts, said)


TITLES = {
    "cam": "Grad-CAM at {layer}: where its maps speak for the class",
    "saliency": "Saliency: how much the class's logit changes with each pixel",
    "occlusion": "Occlusion: where hiding a patch lowers the class's probability",
    "gradients": "Integrated gradients: what each pixel adds to the class's logit",
}
EXPLAIN: dict[str, Explain] = {
    "cam": cam,
    "saliency": saliency,
    "occlusion": occlusion,
    "gradients": gradients,
}


def explained(what: str, subject: Subject, asked: Asked) -> Seen:
    """One of the four, of each picture, for the class that was asked for or is answered."""
    layer = _layer(what, subject, asked)
    heats, facts, names = [], [], fonts.shown(subject.spec.classes)
    for each in pictures(subject, asked, asked.number or PICTURES):
        chances = subject.chances(each.image)
        target = _target(subject, asked, chances)
        found = EXPLAIN[what](subject, subject.inputs(each.image[None])[0], target, layer)
        facts.append({**_fact(subject, each, chances, target), **found.facts, **_peak(found, each)})
        above = f"{names[target]} {float(chances[target]):.1%}"
        said = "\n".join(filter(None, [above, found.said]))
        heats.append(Heat(each.image, found.values, _above(each, names), said))
    drawn = heat.figure(heats, title=f"{TITLES[what].format(layer=layer)}\n{subject.title}")
    numbers = {"what": what, "layer": layer or None, "pictures": facts}
    arrays = {"values": np.stack([each.values for each in heats])}
    words = "\n".join([f"{TITLES[what].format(layer=layer)}.", *map(_sentence, facts)])
    return Seen(what, drawn, words, numbers, arrays)


def maps(subject: Subject, asked: Asked) -> Seen:
    """Feature maps of one picture, a row for each stage, or of one layer alone."""
    if len(asked.files) > 1:
        raise UsageError("maps shows one picture at a time; name one")
    (each,) = pictures(subject, asked, 1)
    chances = subject.chances(each.image)
    target = _target(subject, asked, chances)
    rows, arrays = _rows(subject, each.image, asked)
    rule = "the channels with the largest mean"
    drawn = featuremaps.figure(
        each.image,
        rows,
        title=f"Feature maps, of each layer {rule}, on one scale\n{subject.title}, "
        f"{each.name}: {fonts.shown(subject.spec.classes)[target]} {float(chances[target]):.1%}",
    )
    layers = [
        {"layer": row.name, "shape": list(row.size), "channels": list(row.channels)} for row in rows
    ]
    fact = _fact(subject, each, chances, target)
    numbers = {"what": "maps", "rule": rule, **fact, "layers": layers}
    shapes = "; ".join(f"{row.name} {'x'.join(map(str, row.size))}" for row in rows)
    words = f"Feature maps of {printable(each.name)}, of each layer {rule}: {shapes}."
    return Seen("maps", drawn, words, numbers, arrays)


def sees(subject: Subject, asked: Asked) -> Seen:
    """One picture: answers, Grad-CAM, occlusion and feature maps in one figure. A network without
    maps shows its integrated gradients instead.
    """
    (each,) = pictures(subject, asked, 1)
    chances, names = subject.chances(each.image), fonts.shown(subject.spec.classes)
    target = _target(subject, asked, chances)
    given = subject.inputs(each.image[None])[0]
    has_maps = listening.last_map(subject.network, subject.shapes) is not None
    kinds = ("cam" if has_maps else "gradients", "occlusion")
    heats, facts = [], _fact(subject, each, chances, target)
    for what in kinds:
        layer = _layer(what, subject, asked) if what == "cam" else ""
        found = EXPLAIN[what](subject, given, target, layer)
        name = {"cam": f"Grad-CAM at {layer}", "occlusion": "occlusion"}.get(what, what)
        said = "\n".join(filter(None, [f"{name}, {names[target]}", found.said]))
        heats.append(Heat(each.image, found.values, "", said))
        facts[what] = {**found.facts, **_peak(found, each), **({"layer": layer} if layer else {})}
    rows = _rows(subject, each.image, Asked(number=asked.number))[0] if has_maps else []
    order = chances.argsort(descending=True).tolist()
    answers = [(names[k], float(chances[k])) for k in order[: featuremaps.ANSWERS]]
    drawn = featuremaps.seen(
        each.image,
        heats,
        rows,
        answers=answers,
        title=f"{_above(each, names, ', ')}: {subject.title}",
    )
    words = f"{_sentence(facts)} Beside it, what in the picture speaks for that, and feature maps."
    return Seen("sees", drawn, words, {"what": "sees", **facts})


def _layer(what: str, subject: Subject, asked: Asked) -> str:
    if what == "cam":
        return subject.layer_with_a_map(asked.layer)
    return ""


def _target(subject: Subject, asked: Asked, chances: Tensor) -> int:
    return int(chances.argmax()) if asked.target is None else subject.target(asked.target)


def _fact(subject: Subject, each: Picture, chances: Tensor, target: int) -> dict[str, Any]:
    answer, classes = int(chances.argmax()), subject.spec.classes
    return {
        "picture": each.name,
        "label": None if each.label is None else classes[each.label],
        "answer": classes[answer],
        "answer_probability": float(chances[answer]),
        "class": classes[target],
        "probability": float(chances[target]),
    }


def _peak(found: Found, each: Picture) -> dict[str, Any]:
    """Where the values are largest: [row, column] in pixels of the input."""
    place = np.unravel_index(int(found.values.argmax()), found.values.shape)
    sides = zip(place, found.values.shape, each.image.shape[1:], strict=True)
    return {"peak": [int((at + 0.5) * side / cells) for at, cells, side in sides]}


def _sentence(facts: dict[str, Any]) -> str:
    label = "" if facts["label"] is None else f" (labelled {printable(facts['label'])})"
    words = f"{printable(facts['picture'])}{label}: {printable(facts['answer'])} "
    words += f"{facts['answer_probability']:.1%}"
    if facts["class"] != facts["answer"]:
        words += f"; asked for {printable(facts['class'])} {facts['probability']:.1%}"
    if "lowest" in facts:
        top, left, side, _ = facts["patch"]
        words += f"; hiding {side}x{side} at row {top}, column {left} takes it to "
        words += f"{facts['lowest']:.1%}"
    if "complete" in facts:
        off = "" if facts["complete"] else f", NOT complete: {facts['missing']:.0%} is missing"
        words += f"; what pixels add is {facts['explained']:.3g} of {facts['difference']:.3g} "
        words += f"in {facts['steps']} steps{off}"
    if facts.get("empty"):
        words += "; nothing in these maps speaks for it"
    return f"{words}."


def _above(each: Picture, names: list[str], between: str = "\n") -> str:
    (name,) = fonts.shown([each.name], longest=LONGEST)
    name = "picture" if name == "class 0" else name
    return name if each.label is None else f"{name}{between}labelled {names[each.label]}"


def _without_peaks(values: np.ndarray) -> np.ndarray:
    high = float(np.percentile(values, CLIP))
    return np.asarray(np.minimum(values, high) if high > 0 else values)


@torch.no_grad()
def _rows(subject: Subject, image: Tensor, asked: Asked) -> tuple[list[Row], dict[str, np.ndarray]]:
    names = chosen(subject) if asked.layer is None else [subject.layer_with_a_map(asked.layer)]
    subject.layer_with_a_map(None)  # that there is one
    found = listening.outputs(subject.network, subject.inputs(image[None]), names)
    rows, arrays = [], {}
    for name in names:
        made = found[name][0].float().cpu()
        means = made.mean((1, 2))
        few = means.argsort(descending=True, stable=True)[: asked.number or MAPS]
        arrays[name] = made[few].numpy()
        rows.append(Row(name, arrays[name], few.tolist(), tuple(made.shape)))
    return rows, arrays


def chosen(subject: Subject) -> list[str]:
    """The stages whose maps are shown: all with a map; of more than ten the last of each group
    that begins with weights, and of these at most ten from the first to the last.
    """
    names = listening.stages_with_a_map(subject.network, subject.shapes)
    modules = dict(subject.network.named_modules())
    if len(names) > MOST_ROWS:
        begins = [any(True for _ in modules[name].parameters()) for name in names]
        names = [name for name, next_ in zip(names, [*begins[1:], True], strict=True) if next_]
    if len(names) > MOST_ROWS:
        names = [names[round(n * (len(names) - 1) / (MOST_ROWS - 1))] for n in range(MOST_ROWS)]
    return names
