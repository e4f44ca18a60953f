"""The protocols by which papers score: what is looked at of a picture, and what is averaged.

A protocol takes a picture whole, before it is cut to the input. docs/protocols.md has the table.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from neocog.data.dataset import Pictures
from neocog.data.preprocess import normalised
from neocog.data.spec import InputSpec
from neocog.engine import pieces
from neocog.engine.dense import slid
from neocog.engine.evaluate import BATCH_SIZE, VIEW_COUNTS, VIEWS, as_scored
from neocog.engine.pieces import Sides
from neocog.errors import UsageError, unknown
from neocog.records import Predictions

LARGE = 64  # pictures larger than the input that pass through a network together
MOST = 8  # times the input: a larger side is a slip of the hand, and fills the memory
LEAST = 16  # pictures decoded together, however many views each has

Cut = Callable[[Tensor, InputSpec], Tensor]  # uint8 (N, C, H, W) -> (N, views, C, *size)
Look = Callable[[nn.Module, Pictures, slice, InputSpec, Sides], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Protocol:
    """What is looked at of each picture, and what is averaged over that."""

    name: str
    about: str
    source: str  # paper and section
    averaged: str  # "logits", or "softmax"
    views: int  # of a picture: how often the network is passed, at one place or at many
    mirrors: bool  # whether some are mirrored
    sides: Callable[[InputSpec], Sides]  # none: the picture as it is cut when a run is scored
    look: Look  # the answers of some rows of a split, (n, K) as logits are, and labels (n,)
    together: int  # rows
    slides: bool = False

    def sides_of(self, spec: InputSpec, given: Sequence[int] = ()) -> Sides:
        """The shorter sides for an input, or those that are given instead, if they can be."""
        usual = self.sides(spec)
        if not given:
            return usual
        if not self.slides:
            raise UsageError(f"scales: views {self.name} takes none; dense and multi-scale do")
        if self.name == "dense" and len(given) > 1:
            raise UsageError("scales: views dense takes one; multi-scale takes several")
        least, most = min(spec.size), MOST * min(spec.size)
        if not all(type(side) is int and least <= side <= most for side in given):
            raise UsageError(
                f"scales: {', '.join(map(str, given))} were given; they are shorter sides in "
                f"pixels, from {least}, the network's input, to {most}"
            )
        return tuple(given)

    def count(self, sides: Sides) -> int:
        """Views of a picture, with such sides."""
        return 2 * len(sides) if self.slides else self.views


def find(name: str) -> Protocol:
    """The protocol of that name; `UsageError` with the nearest ones where there is none."""
    if name not in PROTOCOLS:
        raise unknown("protocol", str(name), PROTOCOLS)
    return PROTOCOLS[name]


def check(protocol: Protocol, spec: InputSpec, *, mirrors: bool, data: str) -> None:
    """`UsageError` where a protocol makes no sense of such pictures and inputs."""
    if protocol.mirrors and not mirrors:
        fit = [each.name for each in PROTOCOLS.values() if not each.mirrors]
        raise UsageError(
            f"views {protocol.name} looks at mirror images too, and pictures of {data} do not "
            f"keep their class when they are mirrored; what fits them: {', '.join(fit)}"
        )
    if protocol.slides and spec.mean_picture:
        raise UsageError(
            f"views {protocol.name} slides the network over larger pictures, and this run "
            "subtracts a mean picture of its input's size, which cannot slide; ten-crop and "
            "144-crop fit it"
        )
    if protocol.name == "144-crop" and spec.size[0] != spec.size[1]:
        raise UsageError(
            f"views 144-crop cuts squares, and this network takes {spec.size[0]}x{spec.size[1]}; "
            "ten-crop fits it"
        )


@torch.inference_mode()
def viewed(
    network: nn.Module,
    split: Pictures,
    spec: InputSpec,
    protocol: Protocol,
    *,
    sides: Sides = (),
    layout: str = "contiguous",
    watch: Callable[[int, int], None] | None = None,
) -> Predictions:
    """What a network says of every picture of a split that can be read, by a protocol.

    Where softmax is averaged, the logits are the logarithms of the mean probabilities, so that
    their softmax is that mean. `sides` replace the protocol's. It is asked `as_scored`, its maps
    in `layout`. `watch` is called with the pictures done, and all of them. The network's mode is
    put back.
    """
    training, count = network.training, len(split)
    network.eval()
    sides = protocol.sides_of(spec, sides)
    parts, labels = [torch.empty(0, len(spec.classes))], [torch.empty(0, dtype=torch.int64)]
    try:
        asked = slid(network, (spec.channels, *spec.size)) if protocol.slides else network
        with as_scored(asked, layout):
            for first in range(0, count, protocol.together):
                rows = slice(first, first + protocol.together)
                answers, of_them = protocol.look(asked, split, rows, spec, sides)
                parts.append(answers.float().cpu())
                labels.append(of_them.cpu())
                if watch:
                    watch(min(rows.stop, count), count)
    finally:
        network.train(training)
    return Predictions(logits=torch.cat(parts).numpy(), labels=torch.cat(labels).numpy())


def log_mean(logits: Tensor) -> Tensor:
    """The logarithm of the mean of softmax over the views: (N, views, K) -> (N, K), float64.

    Not the other way round: what is too small for a probability still has a logarithm.
    """
    return logits.double().log_softmax(2).logsumexp(1) - math.log(logits.shape[1])


# -- what is looked at


def _as_cut(
    views: str, network: nn.Module, split: Pictures, rows: slice, spec: InputSpec, _: Sides
) -> tuple[Tensor, Tensor]:
    """The input as it is cut for scoring, in one of the views that recipes name."""
    images, labels = split.in_order(rows, spec)
    if not len(images):
        return torch.empty(0, len(spec.classes)), labels
    return VIEWS[views](network, _input(images, spec, network)), labels


def _crops(
    cut: Cut, network: nn.Module, split: Pictures, rows: slice, spec: InputSpec, sides: Sides
) -> tuple[Tensor, Tensor]:
    """The pieces that `cut` takes of a picture at each side, and their mirror images."""
    groups, labels = split.whole(rows, dataclasses.replace(spec, resize=max(sides)))
    answers = torch.empty(len(labels), len(spec.classes), dtype=torch.float64)
    if not groups:
        return answers, labels
    # of however many sizes pictures are, and so with however many pieces, these pass together
    seen = [_with_mirrors(images, cut, spec, sides) for _, images in groups]
    inputs = torch.cat([views.flatten(0, 1) for views in seen])
    logits = torch.cat(
        [network(_input(some, spec, network)).float().cpu() for some in inputs.split(BATCH_SIZE)]
    )
    of_groups = logits.split([views.shape[0] * views.shape[1] for views in seen])
    for (places, _), views, said in zip(groups, seen, of_groups, strict=True):
        answers[places] = log_mean(said.unflatten(0, views.shape[:2]))
    return answers, labels


def _with_mirrors(images: Tensor, cut: Cut, spec: InputSpec, sides: Sides) -> Tensor:
    """uint8 (N, C, H, W) -> (N, views, C, *size). Every side counts alike: of a picture that is
    square at one and by a pixel not at another, the one is taken as often as the other.
    """
    each = [cut(pieces.sized(images, spec, side), spec) for side in sides]
    most = max(views.shape[1] for views in each)
    views = torch.cat([views.repeat(1, most // views.shape[1], 1, 1, 1) for views in each], 1)
    return torch.cat((views, views.flip(4)), 1)


def _everywhere(
    network: nn.Module, split: Pictures, rows: slice, spec: InputSpec, sides: Sides
) -> tuple[Tensor, Tensor]:
    """The whole picture and its mirror image at each side, class scores averaged over places."""
    groups, labels = split.whole(rows, dataclasses.replace(spec, resize=max(sides)))
    answers = torch.empty(len(labels), len(spec.classes), dtype=torch.float64)
    for places, images in groups:
        said = []
        for side in sides:
            large = pieces.sized(images, spec, side)
            for each in (large, large.flip(3)):
                said.append(network(_input(each, spec, network)).float().mean((2, 3)).cpu())
        answers[places] = log_mean(torch.stack(said, 1))
    return answers, labels


def _input(images: Tensor, spec: InputSpec, network: nn.Module) -> Tensor:
    return normalised(images, spec).to(next(network.parameters()).device)


def _recipes(name: str, views: str, about: str, source: str) -> Protocol:
    count, look = VIEW_COUNTS[views], partial(_as_cut, views)
    return Protocol(
        name, about, source, "logits", count, count > 1, pieces.of_the_input, look, BATCH_SIZE
    )


def _cropped(
    name: str, cut: Cut, sides: Callable[[InputSpec], Sides], views: int, about: str, source: str
) -> Protocol:
    some = max(LEAST, BATCH_SIZE // views)
    return Protocol(name, about, source, "softmax", views, True, sides, partial(_crops, cut), some)


def _slides(
    name: str, sides: Callable[[InputSpec], Sides], views: int, about: str, source: str
) -> Protocol:
    return Protocol(
        name, about, source, "softmax", views, True, sides, _everywhere, LARGE, slides=True
    )


_VGG = "Simonyan and Zisserman 2014, section"
PROTOCOLS = {
    each.name: each
    for each in (
        _recipes("single", "one", "the picture scaled to the input, its centre", "none"),
        _recipes("mirror", "mirror", "the same and its mirror image", "none"),
        _recipes(
            "six-view",
            "six",
            "picture and mirror image, each also moved by a pixel either way",
            "Jordan 2024, section 3.5",
        ),
        _cropped(
            "ten-crop",
            pieces.of_square,
            pieces.trained_at,
            10,
            "corners and centre, and their mirror images",
            "Krizhevsky et al. 2012, section 4.1",
        ),
        _slides(
            "dense",
            pieces.trained_at,
            2,
            "slid over picture and mirror image, scores averaged over places",
            f"{_VGG} 3.2",
        ),
        _slides("multi-scale", pieces.around, 6, "dense at three scales", f"{_VGG} 4.2"),
        _cropped(
            "144-crop",
            pieces.of_squares,
            pieces.googlenets,
            144,
            "six pieces of three squares at four scales, and their mirror images",
            "Szegedy et al. 2014, section 7",
        ),
    )
}
