"""A few steps of a run, on a copy of its network and pictures of noise, to see what they take."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from neocog.engine import machine, native
from neocog.engine.hardware import Hardware, Wanted, choose, fitted, plain, with_stages
from neocog.engine.losses import loss_of
from neocog.engine.optimizers import optimizer_for
from neocog.engine.passes import Passes
from neocog.engine.precision import to_hold
from neocog.engine.tuning import Search
from neocog.recipe import Recipe

Shape = tuple[int, int, int, int]  # (N, C, H, W) of a batch
# How far the gradient of a weight may be from that of the uncompiled network, as a share of its
# size. What is wrong is wrong by all of it: torch 2.13.0 compiles conv, pool, conv, pool, dense,
# dense for one thread of a CPU, not channels last, so that the convolutions learn nothing.
COMPILED_WITHIN = {"fp32": 0.01, "bf16": 0.1}
NO_GRADIENT = (
    1e-3  # of the mean size of all: what is smaller is rounding, as of biases before norms
)


def tuned(
    network: nn.Module,
    wanted: Wanted,
    *,
    recipe: Recipe,
    shape: Shape,
    classes: int,
    steps: int,
    answers: dict[str, Any],
    limit: float | None = None,
    memory: str = "system",
    tell: Callable[[str], None] | None = None,
) -> Hardware:
    """How to train `network` on batches of `shape` for so many `steps`, or for `limit` seconds.

    Neither the network nor any generator of random numbers is changed. `answers` are those of
    earlier runs; this run's is added to them.
    """
    pixels = shape[0] * shape[2] * shape[3]
    default = dataclasses.replace(choose(wanted, pixels=pixels), memory=memory)
    default = with_stages(fitted(default, network), network)
    key = fingerprint(network, wanted, default, recipe=recipe, shape=shape)
    try:
        with _random_numbers_aside(default.device):
            trial = Trial(network, recipe, shape, classes, default.device)
            hold = partial(_held, trial.network, shape, wanted.precision == "bf16")
            fit = partial(fitted, network=trial.network)
            agrees = trial.agrees
            search = Search(
                wanted, default, steps, pixels, trial, hold, agrees, tell, limit, fit=fit
            )
            return search.answer(answers, key, layers=_layers(network))
    except torch.OutOfMemoryError:  # one way takes more than another: the run itself may fit
        held = _held(network, shape, wanted.precision == "bf16", default, False)
        why = "not measured: a way that was tried takes more memory than there is"
        # compiled it would be trained by gradients that nobody has looked at
        return dataclasses.replace(held, why=why, compile=False)
    except Exception as error:  # whatever a user's network raises on being copied, or tried
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        alone = plain(default, wanted)
        return dataclasses.replace(alone, why=f"not measured: {reason}", compile=False)


class Trial:
    """Called with hardware, it gives the seconds of a step: forward, loss, backward, update."""

    def __init__(
        self, network: nn.Module, recipe: Recipe, shape: Shape, classes: int, device: str
    ) -> None:
        self.network = copy.deepcopy(network).train()
        self.recipe, self.device, self.loss = recipe, device, loss_of(recipe)
        generator = Generator().manual_seed(0)
        self.images = torch.randn(shape, generator=generator).to(device)
        self.labels = torch.randint(classes, shape[:1], generator=generator).to(device)
        # what an optimizer remembers lies as the weights lay when it began
        self.optimizers: dict[str, Optimizer] = {}
        self.passes: dict[Hardware, Passes] = {}

    def __call__(self, hardware: Hardware) -> float:
        passes, optimizer = self._passes(hardware), self._optimizer(hardware.layout)
        with hardware.in_force(self.network):
            self._wait()
            begin = time.perf_counter()
            loss, _ = passes.loss(self.images, self.labels, self.loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self._wait()
            return time.perf_counter() - begin

    def agrees(self, hardware: Hardware) -> bool:
        """Whether the compiled network has the gradients that it has uncompiled."""
        plain = self._gradients(dataclasses.replace(hardware, compile=False))
        return agree(self._gradients(hardware), plain, within=COMPILED_WITHIN[hardware.precision])

    def _gradients(self, hardware: Hardware) -> list[Tensor]:
        with hardware.in_force(self.network):
            torch.manual_seed(0)  # dropout draws the same
            self.network.zero_grad()
            loss, _ = self._passes(hardware).loss(self.images, self.labels, self.loss)
            loss.backward()
        slopes = [weight.grad for weight in self.network.parameters()]
        return [slope.detach().clone() for slope in slopes if slope is not None]

    def _passes(self, hardware: Hardware) -> Passes:
        if hardware not in self.passes:
            batch_size = len(self.images)
            self.passes[hardware] = hardware.passes(self.network, batch_size=batch_size)
        return self.passes[hardware]

    def _optimizer(self, layout: str) -> Optimizer:
        if layout not in self.optimizers:
            made = optimizer_for(self.network, self.recipe)
            for group in made.param_groups:
                group["lr"] = 0.0  # noise is not learnt: weights that run away take other times
            self.optimizers[layout] = made
        return self.optimizers[layout]

    def _wait(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        elif self.device == "mps":
            torch.mps.synchronize()


def agree(given: list[Tensor], wanted: list[Tensor], *, within: float) -> bool:
    """Whether gradients are those wanted, weight by weight, but for a share `within` of each."""
    if [g.shape for g in given] != [w.shape for w in wanted]:
        return False
    count = sum(w.numel() for w in wanted)
    mean = math.sqrt(sum(float(w.square().sum()) for w in wanted) / count)
    for one, other in zip(given, wanted, strict=True):
        size = float(other.norm()) + NO_GRADIENT * mean * math.sqrt(other.numel())
        if not float((one - other).norm()) <= within * size:  # also where it is no number
            return False
    return True


def fingerprint(
    network: nn.Module, wanted: Wanted, default: Hardware, *, recipe: Recipe, shape: Shape
) -> str:
    """What an answer is remembered under: equal only where it would be the same again."""
    weights = [(name, tuple(t.shape), str(t.dtype)) for name, t in network.state_dict().items()]
    run = (type(network).__qualname__, repr(network), weights, shape, recipe.optimizer)
    software = (torch.__version__, native.edition())
    here = (default.to_json(), machine.has_bf16(default.device), *software)
    asked = dataclasses.asdict(wanted)
    return hashlib.sha256(json.dumps([run, here, asked]).encode()).hexdigest()[:32]


def _held(
    network: nn.Module, shape: Shape, asked: bool, hardware: Hardware, timed: bool
) -> Hardware:
    """With the layers that bf16 does not suit held; where it was asked for though it is slow
    throughout, those that it computes wrongly.
    """
    if hardware.precision != "bf16":
        return hardware
    speed = "timed" if timed else "known"
    if asked and not machine.has_bf16(hardware.device):
        speed = "any"
    held = to_hold(network, shape, hardware, speed=speed)
    return dataclasses.replace(hardware, held=held)


def _layers(network: nn.Module) -> int:
    return sum(next(module.children(), None) is None for module in network.modules())


@contextmanager
def _random_numbers_aside(device: str) -> Iterator[None]:
    cuda = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        yield
