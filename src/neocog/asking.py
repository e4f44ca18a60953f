"""One network asked of pictures by a protocol: of a run, or with weights from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neocog import otherdata
from neocog.data.dataset import Dataset, Pictures
from neocog.data.spec import InputSpec
from neocog.engine.hardware import Wanted, choose
from neocog.engine.pieces import Sides
from neocog.engine.views import Protocol, check, viewed
from neocog.evaluation import Evaluation
from neocog.fitting import known
from neocog.records import Predictions

FORM = 1  # of what is kept: raised when a protocol comes to other numbers
Tell = Callable[[str], None]
Watch = Callable[[str, int, int], None]  # of which run, pictures done, pictures in all


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A network with weights of its own, of no run: what it is given, and its classes in the order
    of its logits, are in `spec`.
    """

    network: nn.Module
    spec: InputSpec
    name: str = ""

    @property
    def called(self) -> str:
        return self.name or type(self.network).__name__


@dataclass(frozen=True, eq=False)
class Question:
    """What every run is asked."""

    protocol: Protocol
    scales: Sequence[int]
    other: Dataset | None  # instead of the run's own data
    from_dir: str | Path | None
    tell: Tell
    progress: Callable[[str, int, int | None], None] | None
    watch: Watch


def asked_of(
    network: nn.Module,
    spec: InputSpec,
    called: str,
    split: Pictures,
    asked: Question,
    sides: Sides,
    layout: str,
) -> Predictions:
    """What the network says of each picture: (N, K). `called` is its name for who watches."""
    device = choose(Wanted()).device
    return viewed(
        network.to(device),
        split.to(str(device)),
        spec,
        asked.protocol,
        sides=sides if asked.protocol.slides else (),
        layout=layout,
        watch=lambda done, count: asked.watch(called, done, count),
    )


def facts_of(protocol: Protocol, sides: Sides) -> dict[str, Any]:
    """How it was asked, to be kept with the answers."""
    return {
        "form": FORM,
        "views": protocol.name,
        "scales": list(sides),
        "passes": protocol.count(sides),
        "averaged": protocol.averaged,
        "source": protocol.source,
    }


def known_by(split: Pictures) -> dict[str, Any]:
    """What tells these pictures from others, in whichever data set they are."""
    seen = hashlib.sha256()
    for fact in split.facts():
        seen.update(repr(fact).encode("utf-8", "surrogatepass"))
    return {"pictures": seen.hexdigest(), "count": len(split)}


def alone(of: Pretrained, asked: Question) -> Evaluation:
    """A network of no run, of pictures that were named."""
    dataset = asked.other
    assert dataset is not None  # it was checked
    check(asked.protocol, of.spec, mirrors=dataset.mirrors, data=dataset.name)
    sides = asked.protocol.sides_of(of.spec, asked.scales)
    layout = "channels_last" if known(of.network) else "contiguous"  # which any can take
    ask = partial(asked_of, of.network, of.spec, of.called, asked=asked, sides=sides, layout=layout)
    facts = facts_of(asked.protocol, sides)
    numbers = otherdata.labels_of(of.spec.classes, dataset.classes, dataset.name)
    return said_of(dataset, numbers, ask, facts, (of.called, of.called), None)


def said_of(
    dataset: Dataset,
    numbers: Tensor,
    ask: Callable[[Pictures], Predictions],
    facts: dict[str, Any],
    where: tuple[str, str],
    seen: dict[str, int] | None,
) -> Evaluation:
    """Of a data set that is not a run's own, whose classes have these `numbers` with the network,
    int64 (K,). `where`: run and network; `seen`: how many it has learnt from, None: not known.
    """
    name, split = otherdata.split_of(dataset)
    said = ask(split)
    said = Predictions(logits=said.logits, labels=numbers[torch.from_numpy(said.labels)].numpy())
    facts = {**facts, **known_by(split), "split": name, "data": dataset.fingerprint()}
    run, network = where
    return Evaluation((run,), (network,), dataset.name, name, said, facts, own=False, seen=seen)
