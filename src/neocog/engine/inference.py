"""A network for predictions alone: the same answers, as fast as this machine gives them."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from neocog.engine.hardware import PRECISIONS, Hardware
from neocog.engine.machine import can_compile, has_bf16
from neocog.engine.precision import to_hold
from neocog.engine.winograd import has_winograd, library, with_fewer_products
from neocog.errors import UsageError, unknown

# How far, as a share of their size, all logits together may be from those of the plain network.
# bf16 keeps 8 bits: a step rounds by 0.2 %, a hundred layers of it by a few percent.
TOLERANCE = {"fp32": 1e-4, "bf16": 0.05}
TRIES = 5  # timed calls of each candidate


@dataclass(frozen=True, eq=False)
class Prepared:
    """Inputs float32 (N, C, H, W) to logits float32 (N, num_classes), on the network's device."""

    network: Callable[[Tensor], Tensor]
    precision: str  # fp32, bf16
    layout: str  # channels_last, contiguous
    compiled: bool
    held: tuple[str, ...] = ()  # layers that keep to fp32 in bf16
    convolutions: str = "plain"  # or "winograd": of fewer products
    seconds: float = math.inf  # of one call on the example

    def __call__(self, images: Tensor) -> Tensor:
        return _call(self.network, images, self.layout)

    def to_json(self) -> dict[str, Any]:
        return {
            "precision": self.precision,
            "layout": self.layout,
            "compiled": self.compiled,
            "held": list(self.held),
            "convolutions": self.convolutions,
            "seconds": self.seconds,
        }


def prepared(
    network: nn.Module,
    example: Tensor,
    *,
    precision: str = "auto",
    compiled: bool | None = None,
) -> Prepared:
    """The fastest form of `network` for inputs of the shape of `example`, float32 (N, C, H, W).

    Batch norms are folded into the convolutions before them, maps are kept channels last, and
    where there is a C++ compiler the whole is compiled with its weights frozen, if that is faster
    here. "auto" takes bf16 where the hardware has units for it. `compiled` True or False decides
    that instead. A form whose answers to the example are not the network's is not taken. Compiling
    takes up to a minute or two, and again for each new shape. The network itself is left alone.
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if example.ndim != 4 or example.dtype != torch.float32:
        raise UsageError(
            f"example: {tuple(example.shape)} of {example.dtype} was given; it takes float32 "
            "pictures (N, C, H, W)"
        )
    plain = copy.deepcopy(network).eval().requires_grad_(False)
    if precision == "auto":
        precision = "bf16" if has_bf16(example.device.type) else "fp32"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what compiling says to torch's own developers
        return _fastest(plain, example, precision, compiled)


def folded(network: nn.Module) -> nn.Module:
    """`network`, in eval mode, with batch norms folded into the convolutions just before them.

    A network that torch.fx cannot follow comes back as it is.
    """
    try:
        traced = fx.symbolic_trace(network)
    except Exception:  # whatever a user's forward raises on being traced
        return network
    modules = dict(traced.named_modules())
    calls = [node for node in traced.graph.nodes if node.op == "call_module"]
    called = [node.target for node in calls]
    for node in calls:
        before = node.args[0] if node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        conv, norm = modules[str(before.target)], modules[str(node.target)]
        once = called.count(before.target) == 1 and len(before.users) == 1
        if once and type(conv) is nn.Conv2d and _folds(norm):
            traced.set_submodule(str(before.target), fuse_conv_bn_eval(conv, norm))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.graph.lint()
    traced.recompile()
    return traced.eval()


def _fastest(plain: nn.Module, example: Tensor, precision: str, compiled: bool | None) -> Prepared:
    wanted = _call(plain, example, "contiguous")
    for kind in dict.fromkeys((precision, "fp32")):
        made = _candidates(plain, example, kind, compiled)
        sound = [one for one in made if _error(one(example), wanted) <= TOLERANCE[kind]]
        if sound:
            return min(sound, key=lambda one: one.seconds)
    return _timed(Prepared(plain, "fp32", "contiguous", False), example)


class _InBf16(nn.Module):
    """Everything in bf16 but the layer that makes the logits: eight bits would tie classes."""

    def __init__(self, body: nn.Module, last: nn.Module, device: str) -> None:
        super().__init__()
        self.body, self.last, self.device = body, last, device

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device, torch.bfloat16):
            x = self.body(x)
        logits: Tensor = self.last(x.float())
        return logits


class _InFp32(nn.Module):
    """A layer that bf16 does not suit, among others in bf16."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            made: Tensor = self.layer(x.float())
        return made


def _candidates(
    plain: nn.Module, example: Tensor, precision: str, compiled: bool | None
) -> list[Prepared]:
    device, plain = example.device.type, copy.deepcopy(plain)
    held: tuple[str, ...] = ()
    if precision == "bf16":
        body, last = _split(plain)
        network, held = _in_bf16(folded(body), last, example)
    else:
        network = folded(plain)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    made = []
    if compiled is not True:
        made.append(Prepared(network, precision, "channels_last", False, held))
        if (
            (device, precision) == ("cpu", "fp32")
            and has_winograd(network)
            and library(torch.float32)
        ):
            quick = with_fewer_products(copy.deepcopy(network))
            made.append(Prepared(quick, precision, "channels_last", False, held, "winograd"))
    if compiled or (compiled is None and can_compile(device)):
        made.append(Prepared(_compiled(network, device), precision, "channels_last", True, held))
    return [timed for one in made if (timed := _try(one, example, must=compiled is True))]


def _in_bf16(
    body: nn.Module, last: nn.Module, example: Tensor
) -> tuple[nn.Module, tuple[str, ...]]:
    """The network in bf16, and the layers that are not: wrong there, or known to be slower."""
    device = example.device.type
    how = Hardware(device, "", torch.get_num_threads(), layout="channels_last", precision="bf16")
    held = to_hold(body, tuple(example.shape), how, speed="known")
    return _InBf16(_half(body, held), last, device), held


def _compiled(network: nn.Module, device: str) -> Callable[[Tensor], Tensor]:
    """Compiled for each new shape; on a CPU with its weights frozen, which lays them out for oneDNN
    and has it add and rectify while it convolves: 16 pictures by ResNet-50 in bf16 took 85 ms and
    not 110. torch 2.13.0 takes no notice of `freezing` among compile's options.
    """
    made: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False)
    seen = set[torch.Size]()
    if device != "cpu":
        return made

    def call(images: Tensor) -> Tensor:
        if images.shape in seen:
            return made(images)
        from torch._inductor import config

        with config.patch(freezing=True):
            logits = made(images)
        seen.add(images.shape)
        return logits

    return call


def _try(made: Prepared, example: Tensor, *, must: bool) -> Prepared | None:
    """The candidate with its time; None where compiling fails, unless it `must` be compiled."""
    try:
        return _timed(made, example)
    except Exception:  # a compiler can fail in any way
        if must or not made.compiled:
            raise
        return None


def _timed(made: Prepared, example: Tensor) -> Prepared:
    made(example)
    seconds = []
    for _ in range(TRIES):
        begin = time.perf_counter()
        made(example).cpu()  # waits for a GPU
        seconds.append(time.perf_counter() - begin)
    return dataclasses.replace(made, seconds=min(seconds))


def _call(network: Callable[[Tensor], Tensor], images: Tensor, layout: str) -> Tensor:
    # no_grad, not inference_mode: compiled code refuses the tensors of the latter in places
    with torch.no_grad():
        if layout == "channels_last":
            images = images.contiguous(memory_format=torch.channels_last)
        return network(images).float()


def _error(given: Tensor, wanted: Tensor) -> float:
    return float((given - wanted).norm() / wanted.norm().clamp_min(1e-30))


def _split(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """All but the last dense layer, and that layer; where it ends otherwise, all and nothing."""
    head = getattr(network, "head", None)
    if type(network) is nn.Sequential and type(head) is nn.Sequential:
        layers = [*list(network)[:-1], *head]
        if isinstance(layers[-1], nn.Linear):
            return nn.Sequential(*layers[:-1]), layers[-1]
    return network, nn.Identity()


def _half(network: nn.Module, held: tuple[str, ...]) -> nn.Module:
    """Convolutions and dense layers in bf16, once, or autocast would convert them in every call;
    those `held` in float32 among them.
    """
    for name, layer in list(network.named_modules()):
        if name in held:
            network.set_submodule(name, _InFp32(layer))
        elif type(layer) in (nn.Conv2d, nn.Linear):
            layer.to(torch.bfloat16)
    return network


def _folds(norm: nn.Module) -> bool:
    return type(norm) is nn.BatchNorm2d and norm.running_mean is not None
