"""What a network is, layer by layer: output shape, weights, multiply-adds, receptive field.

One forward pass of one picture on torch's meta device, which knows shapes and no numbers: it takes
no memory and no time to speak of, whatever the size, and the network itself is left alone. Torch's
operators are watched, so what `forward` computes without a module is seen too.

Counted are the multiply-adds of convolutions and matrix products, biases not: what papers and
torchvision count; FLOPs are twice that. A module with arithmetic of its own declares
`multiply_adds(output_shape)` and is one layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from neocog.analysis import receptive
from neocog.analysis.twin import (
    Shapes,
    Size,
    first_line,
    meta_twin,
    picture_for,
    smallest_size,
    takes,
)
from neocog.errors import UsageError

__all__ = ["Layer", "Node", "Size", "Table", "layers", "smallest_size", "table", "takes"]

FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Layer:
    """One layer as it ran. A module that runs twice is two layers, the second without weights."""

    name: str  # the module's path: "conv1", "stage1.0"
    kind: str  # its class: "Conv2d"
    output: tuple[int, ...]  # without N; () where the output is no tensor
    parameters: int
    multiply_adds: int
    receptive_field: receptive.Field | None = field(default=None, compare=False)
    note: str = field(default="", compare=False)  # "3x3 /2, groups 32"
    given: tuple[int, ...] = field(default=(), compare=False)  # its first input, without N

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiply-add is two."""
        return 2 * self.multiply_adds

    @property
    def memory(self) -> int:
        """Bytes of the output of one picture in float32: what training keeps of it."""
        return FLOAT32 * math.prod(self.output) if self.output else 0


@dataclass(frozen=True)
class Node:
    """A layer, or a joining of maps without a layer, in the order in which they ran."""

    kind: str  # the layer's class, or "add", "mul", "cat"
    layer: Layer | None  # None for a joining
    inputs: tuple[int, ...]  # positions of the nodes whose outputs it reads; -1 is the picture


@dataclass(frozen=True)
class Table:
    """All that one pass shows; `unseen` are the layers that it did not reach, `why` the reason."""

    layers: list[Layer]
    nodes: list[Node]
    stages: list[Layer]  # the same summed up by the children of the network
    unseen: list[str]
    why: str | None

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)


def table(network: nn.Module, size: Size) -> Table:
    """The pass of one picture of (C, H, W), as far as it can be followed without numbers.

    A network that decides by its data is followed up to there; what does not fit the picture
    size is a `UsageError`.
    """
    twin = meta_twin(network)
    watch = _Watch(twin)
    why = None
    try:
        watch.run(size)
    except Exception as error:
        why = f"{type(network).__name__} cannot be followed beyond {watch.at}: {first_line(error)}"
        if not _asks_for_numbers(error):
            raise UsageError(f"{why}. An input of {size} does not fit this network") from error
    ran = {id(module) for module in watch.ran}
    unseen = [name for name, m in _watched(twin) if _is_layer(m) and id(m) not in ran]
    found = [node.layer for node in watch.nodes if node.layer]
    return Table(found, watch.nodes, _stages(found, watch.outputs), unseen, why)


def layers(network: nn.Module, size: Size) -> list[Layer]:
    """Every layer in the order in which they end; `UsageError` where they cannot all be seen."""
    seen = table(network, size)
    if seen.why:
        raise UsageError(
            f"{seen.why}. It decides by the values of its data, which a pass without data cannot "
            f"follow; not seen: {', '.join(seen.unseen)}"
        )
    return seen.layers


def _stages(layers: list[Layer], outputs: dict[str, Layer]) -> list[Layer]:
    """What the children of the network put out, with the sums of the layers inside each."""
    sums: dict[str, tuple[int, int]] = {}
    for layer in layers:
        name = layer.name.split(".")[0]
        weights, work = sums.get(name, (0, 0))
        sums[name] = weights + layer.parameters, work + layer.multiply_adds
    return [
        replace(outputs[name], parameters=weights, multiply_adds=work)
        for name, (weights, work) in sums.items()
        if name in outputs
    ]


class _Watch(Shapes):
    """Follows a picture through a network: which operators run, in which layer, on what."""

    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self.twin, self.at = twin, "the input"
        self.nodes: list[Node] = []
        self.ran: list[nn.Module] = []
        self.outputs: dict[str, Layer] = {}  # of the network's children, by name
        self._counts: list[int] = [0]  # multiply-adds, of each module that is now running
        self._inside = 0  # how many of these are layers
        self._seen: set[Tensor] = set()
        # What comes of the picture: its field, and the nodes it comes from. The tensors are kept,
        # or their ids would be given away again.
        self._fields: dict[int, tuple[Tensor, receptive.Field | None]] = {}
        self._origins: dict[int, tuple[int, ...]] = {}
        for name, module in _watched(twin):
            module.register_forward_pre_hook(partial(self._begin, name))
            module.register_forward_hook(partial(self._end, name))

    def run(self, size: Size) -> None:
        picture = picture_for(self.twin, size)
        self._note(picture, receptive.of_picture(*size[1:]), (-1,))
        # Tensors that forward makes on its way go to meta too.
        with torch.no_grad(), torch.device("meta"), self:
            self.twin(picture)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = super().__torch_dispatch__(func, types, args, kwargs)
        name = func.overloadpacket.__name__
        self._counts[-1] += _work(name, args, made)
        given = [t for t in tree_leaves((args, kwargs)) if id(t) in self._fields]
        if given:
            fields = [f for f in (self._fields[id(t)][1] for t in given) if f is not None]
            known = len(fields) == len(given)
            origins = self._joint(name, given)
            for tensor in tree_leaves(made):
                if isinstance(tensor, Tensor):
                    new = receptive.after(name, fields, args, tensor) if known else None
                    self._note(tensor, new, origins)
        return made

    def _joint(self, name: str, given: list[Tensor]) -> tuple[int, ...]:
        """The nodes that an operator's output comes from; outside of layers, a joining is one."""
        of_each = list(dict.fromkeys(self._origins[id(t)] for t in given))
        if len(of_each) == 1:
            return of_each[0]
        inputs = tuple(dict.fromkeys(origin for each in of_each for origin in each))
        if self._inside:
            return inputs
        self.nodes.append(Node(name.rstrip("_"), None, inputs))
        return (len(self.nodes) - 1,)

    def _note(self, tensor: Tensor, seen: receptive.Field | None, origins: tuple[int, ...]) -> None:
        self._fields[id(tensor)] = tensor, seen
        self._origins[id(tensor)] = origins

    def _begin(self, name: str, module: nn.Module, given: tuple[object, ...]) -> None:
        self.at = f"layer {name!r}"
        self._counts.append(0)
        self._inside += _is_layer(module)

    def _end(self, name: str, module: nn.Module, given: tuple[object, ...], made: object) -> None:
        self.ran.append(module)
        count = self._counts.pop()
        self._inside -= _is_layer(module)
        own = _own_parameters(module) - self._seen
        self._seen.update(own)
        output, first = _shape(made), _first_tensor(made)
        seen = self._fields.get(id(first), (None, None))[1]
        if "." not in name:
            self.outputs[name] = Layer(name, type(module).__name__, output, 0, 0, seen)
        if not (_is_layer(module) or own or count):
            return
        if _counts_itself(module):
            count = int(cast(Any, module).multiply_adds(output))
        weights = sum(tensor.numel() for tensor in own)
        kind, note = type(module).__name__, _geometry(module)
        layer = Layer(name, kind, output, weights, count, seen, note, _shape(given))
        read = [self._origins.get(id(t), ()) for t in tree_leaves(given)]
        inputs = tuple(dict.fromkeys(origin for each in read for origin in each))
        self.nodes.append(Node(layer.kind, layer, inputs))
        for tensor in tree_leaves(made):
            if id(tensor) in self._origins and _is_layer(module):
                self._origins[id(tensor)] = (len(self.nodes) - 1,)


def _work(name: str, arguments: tuple[Any, ...], made: Any) -> int:
    """The multiply-adds of one operator."""
    if name == "convolution":
        given, weight, transposed = arguments[0], arguments[1], arguments[6]
        # transposed, each input meets the kernel, not each output
        return int((given if transposed else made).numel() * weight[0].numel())
    if name in ("mm", "bmm"):
        return int(made.numel() * arguments[0].shape[-1])
    if name in ("addmm", "baddbmm"):
        return int(made.numel() * arguments[1].shape[-1])
    return 0


def _asks_for_numbers(error: Exception) -> bool:
    """Whether a pass ended because meta tensors hold no numbers to decide by."""
    return isinstance(error, NotImplementedError) or "meta tensor" in str(error).lower()


def _watched(network: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Every module with its path, none below one that counts for itself."""
    below: tuple[str, ...] = ()
    for name, module in network.named_modules():
        if name.startswith(below):
            continue
        if _counts_itself(module):
            below = (*below, f"{name}." if name else "")
        yield name, module


def _counts_itself(module: nn.Module) -> bool:
    return callable(getattr(module, "multiply_adds", None))


def _is_layer(module: nn.Module) -> bool:
    return _counts_itself(module) or next(module.children(), None) is None


def _own_parameters(module: nn.Module) -> set[Tensor]:
    return set(module.parameters(recurse=_counts_itself(module)))


def _geometry(module: nn.Module) -> str:
    """Kernel, stride, groups and dilation as diagrams write them: "3x3 /2, groups 32"."""
    kernel, kind = getattr(module, "kernel_size", None), type(module).__name__
    if not isinstance(kernel, (int, tuple)):
        return ""
    dims = {"1d": 1, "3d": 3}.get(kind[-2:], 2)
    sides = kernel if isinstance(kernel, tuple) else (kernel,) * dims
    note = "x".join(map(str, sides))
    for name, lead in (("stride", " /"), ("groups", ", groups "), ("dilation", ", dilation ")):
        value = getattr(module, name, 1)
        sides = value if isinstance(value, tuple) else (kernel if value is None else value,)
        if set(sides) != {1}:
            note += lead + "x".join(map(str, sides[:1] if len(set(sides)) == 1 else sides))
    return note


def _first_tensor(value: object) -> Tensor | None:
    """The tensor itself, or the first of several."""
    return next((leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)), None)


def _shape(value: object) -> tuple[int, ...]:
    """The shape without N of the first tensor."""
    first = _first_tensor(value)
    return () if first is None else tuple(first.shape[1:])
