"""Looks at the network itself: filters, units, weights, and what excites its channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neocog.analysis import peaks
from neocog.analysis import units as behaving
from neocog.analysis import weights as weighing
from neocog.analysis.peaks import Peaks
from neocog.analysis.receptive import Field
from neocog.errors import NeocogError, UsageError, unknown
from neocog.report import gallery, histograms, kernels, unitbars
from neocog.report.gallery import Block, Card
from neocog.understanding.seen import Asked, Seen
from neocog.understanding.subject import Part, Subject

BATCH = 64  # pictures of which gradients are taken
PATCHES = 9  # pictures a channel, as in Zeiler and Fergus
CHANNELS = 8
FRAMED = 0.6  # of a picture's side: larger fields are shown without what is beyond it
BEYOND = 190  # the grey of what is no picture
SAMPLE = 1000  # pictures that activations are counted over, at most


def filters(subject: Subject, asked: Asked) -> Seen:
    """The filters of a layer; of the first convolution if none is named."""
    found = {
        name: module.weight.detach().float().cpu().numpy()
        for name, module in subject.network.named_modules()
        if isinstance(getattr(module, "weight", None), nn.Parameter) and module.weight.ndim == 4
    }
    if not found:
        raise UsageError(f"{subject.title}: no layer of this network is a convolution in the plane")
    name = next(iter(found)) if asked.layer is None else asked.layer
    if name not in found:
        inside = [each for each in found if each.startswith(f"{name}.")]
        if not inside:
            raise unknown("convolution", str(name), found)
        name = inside[0]
    weights = found[name]
    if subject.spec.bgr and weights.shape[1] == 3:
        weights = weights[:, ::-1]
    count, inputs, height, width = weights.shape
    what = f"{count} filters of {height}x{width}x{inputs}"
    title = f"{name}: {what}, all on one scale, grey is 0\n{subject.title}"
    norms = np.sqrt((weights**2).sum((1, 2, 3)))
    numbers = {
        "what": "filters",
        "layer": name,
        "shape": list(weights.shape),
        "norms": [float(norm) for norm in norms],
    }
    words = (
        f"The {what} of {name}. Norms from {norms.min():.3g} to {norms.max():.3g}, "
        f"median {np.median(norms):.3g}."
    )
    drawn = kernels.figure(weights, title=title)
    return Seen("filters", drawn, words, numbers, {"filters": weights})


def units(subject: Subject, asked: Asked) -> Seen:
    """Which units are dead, off or saturated over a sample of pictures."""
    part = subject.part(asked.split)
    places = subject.places(part, asked.sample or min(subject.enough(None), SAMPLE))
    batches = subject.batches(part, places, f"{part.name} pictures through the network")
    layers = behaving.behaviour(subject.network, (inputs for _, inputs, _ in batches))
    count = len(subject.readable(part, places))
    if asked.layer is not None:
        layers = [each for each in layers if f"{each.name}.".startswith(f"{asked.layer}.")]
        if not layers:
            subject.layer(asked.layer)
            raise UsageError(f"layer {asked.layer!r} holds no activation function")
    if not layers:
        raise NeocogError(f"{subject.title}: no layer of this network could be watched")
    title = f"Units over {count:,} {part.name} pictures\n{subject.title}"
    numbers = {
        "what": "units",
        "split": part.name,
        "pictures": count,
        "layers": [each.to_json() for each in layers],
    }
    rows = [
        [
            each.name,
            each.kind,
            f"{each.units:,}",
            f"{each.dead:.1%}",
            f"{each.zero:.1%}",
            "-" if each.saturated is None else f"{each.saturated:.1%}",
            f"{each.mean:.3g}",
            f"{each.std:.3g}",
        ]
        for each in layers
    ]
    head = ["layer", "kind", "units", "dead", "not above 0", "saturated", "mean", "std"]
    drawn = unitbars.figure(layers, title=title)
    return Seen("units", drawn, unitbars.sentence(layers), numbers, {}, [head, *rows])


def weights(subject: Subject, asked: Asked) -> Seen:
    """Histograms of the weights, and the norms of the gradients that one training batch gives."""
    slopes = None
    part = subject.part("train")
    places = subject.places(part, min(BATCH, len(part.split)))
    images, kept = subject.images(part, places)
    if len(kept):
        labels = part.split.labels.cpu()[torch.from_numpy(kept)].to(subject.device)
        slopes = weighing.gradients(subject.network, subject.inputs(images), labels)
    layers = weighing.weighed(subject.network, slopes)
    if asked.layer is not None:
        subject.layer(asked.layer)
        layers = [each for each in layers if f"{each.name}.".startswith(f"{asked.layer}.")]
        if not layers:
            raise UsageError(f"layer {asked.layer!r} has no weights with two axes or more")
    title = f"Weights of each layer, and gradients of {len(kept)} training pictures"
    drawn = histograms.figure(layers, title=f"{title}\n{subject.title}")
    numbers = {
        "what": "weights",
        "pictures": len(kept),
        "layers": [each.to_json() for each in layers],
    }
    arrays = {f"{each.name}/counts": each.counts for each in layers}
    arrays |= {f"{each.name}/edges": each.edges for each in layers}
    rows = [
        [
            each.name,
            "x".join(map(str, each.shape)),
            f"{each.std:.3g}",
            f"{each.largest:.3g}",
            f"{each.norm:.3g}",
            "-" if each.gradient is None else f"{each.gradient:.3g}",
        ]
        for each in layers
    ]
    head = ["layer", "shape", "std", "largest", "norm", "gradient"]
    return Seen("weights", drawn, histograms.sentence(layers), numbers, arrays, [head, *rows])


def exciting(subject: Subject, asked: Asked) -> Seen:
    """The pictures that excite channels of a layer most: of each the patch that the unit sees."""
    layer = subject.layer_with_a_map(None) if asked.layer is None else subject.layer(asked.layer)
    part = subject.part(asked.split)
    places = subject.places(part, subject.enough(asked.sample))
    batches = subject.batches(part, places, f"{part.name} pictures through the network")
    given = ((inputs, torch.from_numpy(kept)) for _, inputs, kept in batches)
    count = asked.number or PATCHES
    found = peaks.peaks(subject.network, given, layer, count)
    looked_at = len(subject.readable(part, places))
    field = peaks.field_of(subject.table, layer)
    blocks, facts = [], []
    for channel in _channels(found, layer, asked.channel):
        patches = list(_patches(subject, part, found, field, channel))
        blocks.append(Block(f"channel {channel}", [card for card, _ in patches], count))
        facts += [fact for _, fact in patches]
    seen = "all that is seen" if field is None else "the patch that a unit sees"
    head = f"What excites {layer} most, of {looked_at:,} {part.name} pictures: {seen}"
    numbers = {
        "what": "exciting",
        "layer": layer,
        "split": part.name,
        "looked_at": looked_at,
        "receptive_field": None if field is None else [field[0].size, field[1].size],
        "found": facts,
    }
    shown = ", ".join(block.heading.removeprefix("channel ") for block in blocks)
    drawn = gallery.rows(blocks, title=f"{head}\n{subject.title}")
    return Seen("exciting", drawn, f"{head}. Channels {shown}.", numbers)


def _channels(found: Peaks, layer: str, asked: int | None) -> list[int]:
    """The one that was asked for, or those that some picture excites most."""
    if asked is None:
        return peaks.selective(found, CHANNELS) or [0]
    if not 0 <= asked < len(found.values):
        raise UsageError(f"--channel {asked}: {layer} has channels 0 to {len(found.values) - 1}")
    return [asked]


def _patches(
    subject: Subject, part: Part, found: Peaks, field: Field | None, channel: int
) -> Iterator[tuple[Card, dict[str, Any]]]:
    """What excites a channel, strongest first."""
    for n, place in enumerate(found.places[channel].tolist()):
        at = int(found.rows[channel, n]), int(found.columns[channel, n])
        box = peaks.patch(field, *at, subject.spec.size)
        images, _ = subject.images(part, np.array([place]))
        value = float(found.values[channel, n])
        fact = {
            "channel": channel,
            "picture": part.called(int(part.there[place])),
            "label": subject.spec.classes[int(part.split.labels[place])],
            "value": value,
            "position": list(at),
            "patch": list(box),
        }
        yield Card(_framed(images[0], field, at, box), f"{value:.3g}"), fact


def _framed(
    image: Tensor, field: Field | None, at: tuple[int, int], box: tuple[int, int, int, int]
) -> Tensor:
    """The patch of a picture (C, H, W) that a unit sees, all of one size: grey is beyond its edge.
    Of fields that a picture hardly fills what there is of it.
    """
    top, left, bottom, right = box
    seen = image[:, top:bottom, left:right]
    most = [FRAMED * side for side in image.shape[1:]]
    if field is None or any(span.size > side for span, side in zip(field, most, strict=True)):
        return seen
    first = [round(span.ends[0] + n * span.stride) for span, n in zip(field, at, strict=True)]
    canvas = image.new_full((len(image), field[0].size, field[1].size), BEYOND)
    down, across = top - first[0], left - first[1]
    canvas[:, down : down + seen.shape[1], across : across + seen.shape[2]] = seen
    return canvas
