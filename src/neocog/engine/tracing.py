"""A pass through a network watched layer by layer, which leaves no trace; and whether tensors hold
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from neocog.engine import wide

LARGE = 2**16  # numbers from which a call costs little beside what it does


@dataclass
class Trace:
    """What a pass went through: layers by name in the order in which they ended."""

    order: list[str] = field(default_factory=list)
    begun: str | None = None  # the first that made numbers into what is none, in words


def traced(network: nn.Module, run: Callable[[], object]) -> Trace:
    """`run`, which sends something through `network`, watched layer by layer."""
    trace, sound = Trace(), list[bool]()

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        sound.append(all_finite(tensors((args, kwargs))))

    def after(name: str, module: nn.Module, args: Any, kwargs: Any, made: Any) -> None:
        was_sound = sound.pop()
        trace.order.append(name)
        if trace.begun is None and was_sound and not all_finite(tensors(made)):
            trace.begun = _words(name, module, (args, kwargs), made)

    with ExitStack() as back:
        for name, module in network.named_modules():
            first = module.register_forward_pre_hook(before, with_kwargs=True)
            back.callback(first.remove)
            call = _named(name, after)
            back.callback(module.register_forward_hook(call, with_kwargs=True).remove)
        run()
    return trace


@contextmanager
def untouched(network: nn.Module, seed: int) -> Iterator[None]:
    """A pass with the random numbers of `seed`, after which statistics and generators are as they
    were.
    """
    device = next(network.parameters()).device
    kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(seed)
            yield
    finally:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)


def _named(name: str, after: Callable[..., None]) -> Callable[..., None]:
    return lambda *passed: after(name, *passed)


def _words(name: str, module: nn.Module, given: object, made: object) -> str:
    bad = sum(int((~torch.isfinite(t)).sum()) for t in tensors(made))
    count = sum(t.numel() for t in tensors(made))
    words = f"{name or 'the network itself, between its layers'} ({type(module).__name__}): "
    words += f"{bad:,} of the {count:,} values it puts out are no numbers, those it is given are "
    words += f"at most {_largest(tensors(given)):.3g}"
    own: list[Tensor] = list(module.parameters(recurse=False))
    return words + (f" and its weights {_largest(own):.3g}" if own else "")


def norm(tensors: list[Tensor]) -> float:
    """Of all together; not finite where one of them is not, or where float32 overflows."""
    if not tensors:
        return 0.0
    if tensors[0].device.type != "cpu":
        return _whole(torch.stack(torch._foreach_norm(tensors)).tolist())  # waits once
    norms, rest = list[float](), list[Tensor]()
    for tensor in tensors:
        if wide.measures(tensor):
            norms.append(wide.norm(tensor))
        elif tensor.numel() >= LARGE and tensor.dtype == torch.float32:
            # a product takes half the time: 14 ms instead of 27 for 124 million numbers, 2026-11-23
            flat = _flat(tensor)
            norms.append(math.sqrt(torch.dot(flat, flat).item()))
        else:
            rest.append(tensor)
    if rest:  # by one call: a LeNet's ten in 0.18 ms, out of the caches, where put together 0.37
        norms += [of_one.item() for of_one in torch._foreach_norm(rest)]
    return _whole(norms)


def _whole(norms: list[float]) -> float:
    """Of parts; nan where one is, which hypot leaves out beside an inf."""
    return math.nan if any(map(math.isnan, norms)) else math.hypot(*norms)


def _flat(x: Tensor) -> Tensor:
    """Its numbers in a row, in the order in which they lie if that is one of the usual two."""
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return (x.permute(0, 2, 3, 1) if last else x).reshape(-1)


def _largest(tensors: list[Tensor]) -> float:
    return max((float(t.abs().max()) for t in tensors if t.numel()), default=0.0)


@torch.no_grad()
def all_finite(tensors: list[Tensor]) -> bool:
    """Whether all are. The smallest and largest of a tensor are nan where one of its values is."""
    some = [t.detach() for t in tensors if t.numel()]
    # the norm is ten times as fast as looking at each value, and is finite for all that are sane
    return math.isfinite(norm(some)) or all(
        math.isfinite(float(end)) for t in some for end in torch.aminmax(t)
    )


def tensors(value: object) -> list[Tensor]:
    """Those of numbers with a fraction, of whatever is made of tensors."""
    leaves = tree_leaves(dict(value) if isinstance(value, dict) else value)
    return [t for t in leaves if isinstance(t, Tensor) and t.is_floating_point()]


def numbers(network: nn.Module) -> dict[str, Tensor]:
    """Weights and statistics by name."""
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: t.detach() for name, t in state.items() if t.is_floating_point()}
