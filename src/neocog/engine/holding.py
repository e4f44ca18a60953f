"""What a network holds in memory while it is trained and asked: from a pass of two pictures.

Torch's operators are watched as they run, and what they put out is counted for as long as somebody
keeps it: for the way back, for the next layer, or for good. What a pass holds grows with the number
of its pictures, so two of them say it of any. Torch's meta device would need no pass, but the two
seconds in which its rules are imported.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neocog.engine.passes import passes_of
from neocog.engine.tracing import untouched
from neocog.recipe import Recipe

PICTURES = 2  # batch norm has no statistics of one
GRADIENTS = 2  # of the maps around a layer, held beside what is kept while the way back passes it


@dataclass(frozen=True)
class Holding:
    """Bytes."""

    weights: int  # the weights that are trained
    state: int  # all that a checkpoint has of the network: weights and statistics
    remembered: int  # by the optimizer and the average
    trained: float  # by a training step, for each picture of it
    asked: float  # by a pass without gradients, for each picture of it


def holding(
    network: nn.Module, recipe: Recipe, size: tuple[int, int, int], *, bf16: bool = False
) -> Holding:
    """Of a network that is trained by a recipe on pictures (C, H, W), on the device where it is.

    Nothing of the network changes. Raises whatever its `forward` raises.
    """
    device = next(network.parameters()).device
    # every map a value of its own: constants would be no numbers after a batch norm
    images = torch.randn((PICTURES, *size), generator=torch.Generator().manual_seed(0)).to(device)
    # a twin of the same weights, so that a pass leaves no trace in what else modules remember
    twin = copy.deepcopy(network, {id(w): w for w in network.parameters()})
    passes = passes_of(twin, device=device.type, bf16=bf16)
    with untouched(twin, 0):
        twin.train()
        trained = _Watch()
        with torch.enable_grad(), trained:
            kept = passes.training(images)
        del kept
        twin.eval()
        asked = _Watch()
        with asked:
            passes.logits(images)
    weights = _bytes([w for w in network.parameters() if w.requires_grad])
    state = _bytes(list(network.state_dict().values()))
    moments = weights if recipe.momentum or recipe.optimizer != "sgd" else 0
    average = state if recipe.average != "none" else 0
    picture = images[0].nbytes
    return Holding(
        weights=weights,
        state=state,
        remembered=moments + average,
        trained=picture + trained.back / PICTURES,
        asked=picture + asked.most / PICTURES,
    )


class _Watch(TorchDispatchMode):
    """Storages that operators made, from their making to their end."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known: dict[int, Any] = {}
        self.live = self.most = self.back = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as torch says: else the first operator imports its compilers

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if _is(t)}
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if _is(tensor) and id(tensor.untyped_storage()) not in given:
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: Any) -> None:
        key = id(storage)
        if key in self.known:
            return
        size = storage.nbytes()
        self.known[key] = weakref.ref(storage, lambda _: self._gone(key, size))
        self.live += size
        self.most = max(self.most, self.live)
        # on the way back all that was kept up to here is there, and the gradients of this map
        self.back = max(self.back, self.live + GRADIENTS * size)

    def _gone(self, key: int, size: int) -> None:
        self.known.pop(key, None)
        self.live -= size


def _is(value: object) -> bool:
    return isinstance(value, Tensor)


def _bytes(tensors: list[Tensor]) -> int:
    return sum(t.nbytes for t in tensors)
