"""Ways through a network: in another precision or layout, compiled; and the network put back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from neocog.engine.losses import LossFunction
from neocog.errors import NeocogError

# What these put out is a new tensor
FRESH = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear, _BatchNorm)
Outputs = list[tuple[float, Tensor]]  # weight and float32 logits (N, K); the main head's first


@dataclass(frozen=True, eq=False)
class Passes:
    """A network's two ways, from inputs float32 (N, C, H, W) to float32 logits (N, K)."""

    training: Callable[[Tensor], Outputs]
    logits: Callable[[Tensor], Tensor]  # in eval mode; never compiled, for its shapes change
    # in it a gradient stays with the process that computes it, where several train together
    apart: Callable[[], AbstractContextManager[Any]] = nullcontext

    def loss(
        self, images: Tensor, labels: Tensor, loss_of_batch: LossFunction
    ) -> tuple[Tensor, Tensor]:
        """The loss, in float32, and the logits; auxiliary heads add their losses by weight."""
        outputs = self.training(images)
        if len(outputs) == 1:
            return loss_of_batch(outputs[0][1], labels), outputs[0][1]
        losses = [weight * loss_of_batch(logits, labels) for weight, logits in outputs]
        return torch.stack(losses).sum(), outputs[0][1]


def passes_of(
    network: nn.Module,
    *,
    device: str = "cpu",
    bf16: bool = False,
    channels_last: bool = False,
    compiled: int = 0,
) -> Passes:
    """The ways through `network`. `compiled` is the number of pictures in the batches that go
    through a compiled network, 0 for none: each other shape would be compiled anew.
    """
    heads: Any = getattr(network, "training_logits", None)
    eager: Callable[[Tensor], Any] = heads or network
    quick = _compiled(eager) if compiled else eager

    def laid(images: Tensor) -> Tensor:
        return images.to(memory_format=torch.channels_last) if channels_last else images

    def training(images: Tensor) -> Outputs:
        way = quick if len(images) == compiled else eager
        with in_bf16(device, bf16):
            made = way(laid(images))
        outputs = made if heads else [(1.0, made)]
        return [(weight, logits.float()) for weight, logits in outputs]

    def logits(images: Tensor) -> Tensor:
        with in_bf16(device, bf16):
            made: Tensor = network(laid(images))
        return made.float()

    return Passes(training, logits)


def in_bf16(device: str, really: bool = True) -> AbstractContextManager[Any]:
    """Convolutions and matrix products in bfloat16; the weights stay float32."""
    kind = device.split(":")[0]
    return torch.autocast(kind, torch.bfloat16) if really else nullcontext()


def in_fp32(forward: Callable[[Tensor], Tensor], device: str) -> Callable[[Tensor], Tensor]:
    """A layer's `forward` that keeps to float32 among others in bfloat16."""
    kind = device.split(":")[0]

    def forward_in_fp32(x: Tensor) -> Tensor:
        with torch.autocast(kind, enabled=False):
            return forward(x.float())

    return forward_in_fp32


@contextmanager
def held_in_fp32(network: nn.Module, names: tuple[str, ...], device: str) -> Iterator[None]:
    """The layers of these names in float32; nothing of them changes but `forward`, for now."""
    layers = [layer for name, layer in network.named_modules() if name in names]
    with going({layer: in_fp32(layer.forward, device) for layer in layers}):
        yield


@contextmanager
def laid_channels_last(network: nn.Module) -> Iterator[None]:
    """Weights of convolutions with the channels of a pixel side by side, and put back after.

    The values are the same and so are the tensors. torch's dropout draws for a map in the order in
    which it lies: on a CPU, layers of it draw as they do for maps that are not channels last.
    """
    layers = [layer for layer in network.modules() if type(layer) is nn.Dropout]
    of_network = itertools.chain(network.parameters(), network.buffers())
    strides = [(t, t.stride()) for t in of_network if t.ndim == 4 and t.is_contiguous()]
    try:
        with torch.inference_mode(False):  # or they could never be trained again
            for tensor, _ in strides:
                tensor.data = tensor.data.to(memory_format=torch.channels_last)
        with going({layer: _dropout(layer) for layer in layers}):
            yield
    finally:
        with torch.inference_mode(False):
            for tensor, stride in strides:
                before = torch.empty_strided(
                    tensor.shape, stride, dtype=tensor.dtype, device=tensor.device
                )
                tensor.data = before.copy_(tensor.data)


@contextmanager
def not_in_place(network: nn.Module) -> Iterator[None]:
    """ReLUs that write a map of their own. In bfloat16 torch 2.13.0 takes three times as long to
    change a large map in place: 72 MB on two cores of a Xeon, 19 ms and 6.6 (2026-11-23).

    Only where nobody else can hold the map that is changed: right behind the layer of an
    `nn.Sequential` that made it, and behind the sum of a residual unit.
    """
    kinds: dict[type, Callable[[Tensor], Tensor]] = {nn.ReLU: F.relu, nn.ReLU6: F.relu6}
    layers: list[Any] = []
    for module in network.modules():
        if type(module) is nn.Sequential:
            pairs = itertools.pairwise(module)
            layers += [layer for before, layer in pairs if isinstance(before, FRESH)]
        elif is_residual(module):
            layers.append(module.after)
    ways = {layer: kinds[type(layer)] for layer in layers if type(layer) in kinds}
    with going(ways):
        yield


def is_residual(unit: nn.Module) -> bool:
    """Whether it is ours: after(branch(x) + shortcut(x)), and no other that is called so."""
    kind = (type(unit).__module__, type(unit).__name__)
    return kind == ("neocog.networks.residual", "Residual")


def is_heard(layer: nn.Module) -> bool:
    """Whether somebody listens to what a layer is given or puts out."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)


@contextmanager
def going(ways: dict[nn.Module, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Layers with another `forward`, and their own again after."""
    before = {layer: vars(layer).get("forward") for layer in ways}
    try:
        for layer, forward in ways.items():
            vars(layer)["forward"] = forward
        yield
    finally:
        for layer, own in before.items():
            vars(layer).pop("forward", None)
            if own is not None:
                vars(layer)["forward"] = own


def _dropout(layer: nn.Dropout) -> Callable[[Tensor], Tensor]:
    """The layer's `forward`, with a map's zeros where they would be if it lay otherwise."""
    usual = layer.forward

    def forward(x: Tensor) -> Tensor:
        drawn = layer.training and 0 < layer.p < 1 and x.device.type == "cpu"
        if not drawn or (x.is_contiguous() and x.dtype != torch.bfloat16):
            return usual(x)
        keep = 1 - layer.p
        return x * kept(x.shape, keep).to(x.dtype).div_(keep)

    return forward


def kept(shape: torch.Size, share: float) -> Tensor:
    """Which numbers are kept, each with a chance of `share`: those that `bernoulli_` keeps, which
    takes three times as long (6.0 ms for 128 rows of 4096, a Xeon, 2026-11-23). It compares 53 of
    the 64 bits that it draws for each with `share`.
    """
    drawn = torch.empty(shape, dtype=torch.int64).random_(-(2**63), None)
    return drawn.bitwise_and_(2**53 - 1) < math.ceil(share * 2**53)


def _compiled(eager: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """`eager` compiled at its first call; dropout draws what it draws uncompiled."""
    made = torch.compile(eager, dynamic=False, options={"fallback_random": True})

    def call(images: Tensor) -> Any:
        try:
            return made(images)
        except Exception as error:
            if not _is_of_compiler(error):
                raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise NeocogError(
                f"the network cannot be compiled here: {reason}. Train it with --compile no"
            ) from error

    return call


def _is_of_compiler(error: Exception) -> bool:
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException)
