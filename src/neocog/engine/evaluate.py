"""What a network says of a split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from neocog.data.augment import reflected
from neocog.data.batches import in_order
from neocog.data.dataset import Pictures
from neocog.data.spec import InputSpec
from neocog.engine.hardware import Hardware, convolutions_of
from neocog.engine.ranks import ALONE, Ranks
from neocog.records import Predictions

BATCH_SIZE = 256  # pictures that are looked at together
Network = Callable[[Tensor], Tensor]  # inputs (N, C, H, W) -> logits (N, K)


@contextmanager
def as_scored(network: nn.Module, layout: str = "contiguous") -> Iterator[None]:
    """`network` as runs are scored by it: in float32, its maps laid out as in its training.

    That follows from network, layout and machine, and from nothing that was timed: asked again it
    says the same, to the bit. Two cores of an EPYC with AVX2, 2026-11-30: of maps channels last
    ResNet-18 at 32 px takes 0.44 of the time that it took without, LeNet 0.7.
    """
    device = str(next(network.parameters()).device)
    way = Hardware(device=device, name="", threads=torch.get_num_threads(), layout=layout)
    way = dataclasses.replace(way, convolutions=convolutions_of(way, network))
    with way.in_force(network):
        yield


@torch.inference_mode()
def predictions(
    network: nn.Module,
    split: Pictures,
    spec: InputSpec,
    *,
    batch_size: int = BATCH_SIZE,
    views: str = "one",
    layout: str = "contiguous",
    forward: Network | None = None,
    ranks: Ranks = ALONE,
) -> Predictions:
    """The logits of every picture of a split that can be read, in order. The network's mode is put
    back. Of several processes each looks at its part, and all have the whole.

    It is asked `as_scored`, its maps in `layout`, or by `forward`. `views` names what is looked at
    of each picture, see VIEWS; logits are averaged, before softmax.
    """
    training, seen = network.training, VIEWS[views]
    network.eval()
    device = next(network.parameters()).device
    way = nullcontext() if forward else as_scored(network, layout)
    try:
        parts, labels = [], []
        with way:
            for images, of_them in in_order(split, spec, batch_size, ranks.part):
                if len(images):
                    parts.append(seen(forward or network, images.to(device)).float())
                    labels.append(of_them)
    finally:
        network.train(training)
    # all at once: a GPU would be waited for after each batch
    logits = torch.cat(parts).cpu() if parts else torch.empty(0, len(spec.classes))
    whole = torch.cat(labels).cpu() if labels else torch.empty(0, dtype=torch.int64)
    return Predictions(logits=ranks.rows(logits).numpy(), labels=ranks.rows(whole).numpy())


def one_view(network: Network, images: Tensor) -> Tensor:
    """The picture as it is."""
    return network(images)


def mirror_view(network: Network, images: Tensor) -> Tensor:
    """The picture and its mirror image, half and half."""
    return (network(images).float() + network(images.flip(3)).float()) / 2


def six_views(network: Network, images: Tensor) -> Tensor:
    """Picture and mirror image, as they are and moved by one pixel up and left or down and right,
    the edge reflected: a quarter for each that is not moved, an eighth for each that is.

    Jordan 2024, arXiv:2404.00498, section 3.5.
    """
    height, width = images.shape[2:]
    framed = reflected(images, 1)
    logits = mirror_view(network, images) / 2
    for offset in (0, 2):
        moved = framed[:, :, offset : offset + height, offset : offset + width]
        logits = logits + mirror_view(network, moved) / 4
    return logits


VIEW_COUNTS = {"one": 1, "mirror": 2, "six": 6}
VIEWS: dict[str, Callable[[Network, Tensor], Tensor]] = {
    "one": one_view,
    "mirror": mirror_view,
    "six": six_views,
}
