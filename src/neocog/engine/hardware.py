"""How a run is carried out on this machine: never what comes out of it beyond rounding."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from neocog.engine import machine
from neocog.engine import stages as staging
from neocog.engine.fused import has_norms, library, norms_fused
from neocog.engine.passes import Passes, held_in_fp32, laid_channels_last, not_in_place, passes_of
from neocog.engine.tiles import full_tiles
from neocog.engine.wide import wide_layers
from neocog.engine.winograd import fewer_products, has_winograd
from neocog.engine.winograd import library as winograd_library
from neocog.errors import UsageError, unknown

# Pixels a step up to which oneDNN's set-up of each call outweighs what it then saves. LeNet-5, two
# cores, 2026-11-22: a step of 1, 8, 16 pictures of 32 px took 1.5, 1.4, 0.7 times as long with it.
FEW_PIXELS = 8 * 32 * 32
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")
LAYOUTS = ("auto", "contiguous", "channels_last")
COMPILING = ("auto", "yes", "no")
MOST_THREADS = 4096
MOST_PIECES = 65_536
UNMEASURED = "too short to measure"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Wanted:
    """What somebody asks of the hardware; "auto" and None leave it to neocog.

    Made with a word that there is not, it raises `UsageError`.
    """

    device: str = "auto"
    precision: str = "auto"
    layout: str = "auto"
    compile: str = "auto"
    threads: int | None = None
    accumulate: int | None = None  # pieces of a batch
    processes: int = 1

    def __post_init__(self) -> None:
        for kind, choices in _CHOICES.items():
            given = str(getattr(self, kind))
            word = given.split(":")[0] if kind == "device" else given
            if word not in choices:
                raise unknown("answer to compile" if kind == "compile" else kind, given, choices)
        for name, most in (("threads", MOST_THREADS), ("accumulate", MOST_PIECES)):
            number = getattr(self, name)
            whole = isinstance(number, int) and not isinstance(number, bool)
            if number is not None and not (whole and 1 <= number <= most):
                raise UsageError(
                    f"{name}: {number!r} was given; it takes a whole number from 1 to {most}"
                )


_CHOICES = {
    "device": DEVICES,
    "precision": PRECISIONS,
    "layout": LAYOUTS,
    "compile": COMPILING,
}


@dataclass(frozen=True)
class Hardware:
    """What a run is carried out on and how, as it is recorded in environment.json."""

    device: str  # cpu, cuda, cuda:1, mps
    name: str  # what the maker calls it
    threads: int
    kernels: str = "default"  # "native": convolutions on the CPU without oneDNN
    layout: str = "contiguous"  # or "channels_last"
    precision: str = "fp32"  # or "bf16": convolutions and products; weights and loss stay fp32
    held: tuple[str, ...] = ()  # layers that keep to fp32 in bf16
    convolutions: str = "plain"  # or "tiled": laid out for AMX; "winograd": of fewer products
    norms: str = "plain"  # or "fused": with what follows them, by compiled code of our own
    stages: str = "plain"  # or "fused": convolution, ReLU, pooling of small pictures, likewise
    compile: bool = False
    memory: str = "system"  # "kept": freed blocks stay with the process
    accumulate: int = 1  # pieces of a batch that go through the network one after the other
    processes: int = 1  # that share each batch; this is one of them
    why: str = field(default=UNMEASURED, compare=False)
    # milliseconds a step of each candidate, the plain one first
    measured: Mapping[str, float] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        held = f" but for {len(self.held)} layers" if self.held else ""
        words = [f"{self.processes} processes"] if self.processes > 1 else []
        words += [f"{self.threads} thread{'s' * (self.threads > 1)}", f"{self.precision}{held}"]
        words += [self.layout] if self.layout != "contiguous" else []
        words += ["native kernels"] if self.kernels == "native" else []
        if self.compile:  # by torch, which leaves none of our own ways
            words += ["compiled"]
        else:
            words += [_CONVOLUTIONS[self.convolutions]] if self.convolutions != "plain" else []
            words += ["fused norms"] if self.norms == "fused" else []
            words += ["fused stages"] if self.stages == "fused" else []
        words += [f"batches in {self.accumulate} pieces"] if self.accumulate > 1 else []
        return ", ".join(words)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "held": list(self.held)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Hardware:
        """What `to_json` gave. Raises `ValueError` or `TypeError` where it is something else."""
        known = {f.name: values[f.name] for f in dataclasses.fields(cls) if f.name in values}
        made = cls(**{**known, "held": tuple(known.get("held", ()))})
        sound = (
            all(getattr(made, name) in words for name, words in _RECORDED.items())
            and isinstance(made.device, str)
            and isinstance(made.threads, int)
            and 1 <= made.threads <= MOST_THREADS
            and all(
                isinstance(number, int) and number >= 1
                for number in (made.accumulate, made.processes)
            )
            and all(isinstance(name, str) for name in made.held)
            and all(isinstance(ms, int | float) for ms in dict(made.measured).values())
        )
        if not sound:
            raise ValueError(f"this is no sound description of hardware: {values}")
        return made

    @contextmanager
    def in_force(self, network: nn.Module) -> Iterator[None]:
        """With what was chosen switched on, here and in `network`, and put back afterwards."""
        onednn: Any = torch.backends.mkldnn
        kind = DTYPES[self.precision]
        with ExitStack() as back:
            back.callback(setattr, onednn, "enabled", onednn.enabled)
            back.callback(torch.set_num_threads, torch.get_num_threads())
            onednn.enabled = onednn.enabled and self.kernels != "native"
            torch.set_num_threads(self.threads)
            if self.device.startswith("cuda"):
                back.enter_context(machine.all_bits())
            back.enter_context(held_in_fp32(network, self.held, self.device))
            if self.layout == "channels_last":
                back.enter_context(laid_channels_last(network))
            if self.precision == "bf16" and self.device == "cpu":
                back.enter_context(not_in_place(network))
            if self.convolutions == "tiled" and not self.compile:
                back.enter_context(full_tiles(network))
            if self.convolutions == "winograd" and not self.compile:
                back.enter_context(fewer_products(network, kind))
            norms, stages = (way == "fused" for way in (self.norms, self.stages))
            if (norms or stages) and not self.compile:
                fused = norms_fused(network, norms=norms, stages=stages, held=self.held, dtype=kind)
                back.enter_context(fused)
            half = norms and self.precision == "bf16"
            if half and not self.compile and self.accumulate == self.processes == 1:
                back.enter_context(wide_layers(network))
            yield

    def passes(self, network: nn.Module, *, batch_size: int) -> Passes:
        """The ways through `network`, to be gone while this is in force."""
        return passes_of(
            network,
            device=self.device,
            bf16=self.precision == "bf16",
            channels_last=self.layout == "channels_last",
            compiled=batch_size if self.compile else 0,
        )


_CONVOLUTIONS = {"tiled": "tiled convolutions", "winograd": "Winograd convolutions"}
_RECORDED: dict[str, tuple[object, ...]] = {
    "kernels": ("default", "native"),
    "convolutions": ("plain", "tiled", "winograd"),
    "norms": ("plain", "fused"),
    "stages": ("plain", "fused"),
    "layout": LAYOUTS[1:],
    "precision": PRECISIONS[1:],
    "compile": (True, False),
    "memory": ("kept", "system"),
}


def choose(wanted: Wanted | str = "auto", *, pixels: int = 1_000_000) -> Hardware:
    """What is asked for, and else what is likely to be fastest; `pixels` are those of one step.

    A word alone is the device. Raises `UsageError` if a device or a compiler that was asked for is
    not there.
    """
    wanted = Wanted(wanted) if isinstance(wanted, str) else wanted
    device = machine.device_of(wanted.device)
    if wanted.compile == "yes" and not machine.can_compile(device):
        raise UsageError(
            "compile: yes was given, and torch finds nothing here to compile with; install a C++ "
            "compiler and Python's headers, or leave it out"
        )
    few = device == "cpu" and pixels <= FEW_PIXELS
    bf16 = machine.has_bf16(device) and not few
    # oneDNN and cuDNN take maps whose channels lie side by side as they are
    laid = "channels_last" if device != "mps" and not few else "contiguous"
    made = Hardware(
        device=device,
        name=machine.name_of(device),
        threads=wanted.threads or torch.get_num_threads(),
        kernels="native" if few else "default",
        layout=laid if wanted.layout == "auto" else wanted.layout,
        precision=("bf16" if bf16 else "fp32") if wanted.precision == "auto" else wanted.precision,
        compile=wanted.compile == "yes",
        accumulate=wanted.accumulate or 1,
        processes=wanted.processes,
        why=UNMEASURED if "auto" in (wanted.layout, wanted.precision) else "asked",
    )
    return fitted(made)


def plain(hardware: Hardware, wanted: Wanted) -> Hardware:
    """What torch would do by itself, but for what is asked: what a choice is measured against."""
    return dataclasses.replace(
        hardware,
        layout="contiguous" if wanted.layout == "auto" else wanted.layout,
        precision="fp32" if wanted.precision == "auto" else wanted.precision,
        held=(),
        convolutions="plain",
        norms="plain",
        stages="plain",
        compile=False,
    )


def fitted(hardware: Hardware, network: nn.Module | None = None) -> Hardware:
    """With the ways of convolutions and norms that suit its precision and layout best, and those of
    a network where it is given.
    """
    here = (hardware.device, hardware.layout) == ("cpu", "channels_last")
    half = hardware.precision == "bf16"
    # in bfloat16 there is pooling besides; in float32, for no network, nothing is compiled
    norms = here and (half or (network is not None and has_norms(network)))
    return dataclasses.replace(
        hardware,
        convolutions=convolutions_of(hardware, network),
        norms="fused" if norms and library(DTYPES[hardware.precision]) is not None else "plain",
    )


def convolutions_of(hardware: Hardware, network: nn.Module | None = None) -> str:
    """The way of convolutions that suits its precision and layout best, and those of a network."""
    if (hardware.device, hardware.layout) != ("cpu", "channels_last"):
        return "plain"
    if hardware.precision == "bf16" and machine.has_tiles():
        return "tiled"
    kind = DTYPES[hardware.precision]
    fewer = network is not None and has_winograd(network, kind)
    return "winograd" if fewer and winograd_library(kind) is not None else "plain"


def with_stages(hardware: Hardware, network: nn.Module) -> Hardware:
    """With the stages of a network fused, where it has any: its convolutions want no bf16."""
    here = hardware.device == "cpu" and not hardware.compile
    fused = here and staging.has_stages(network) and staging.library() is not None
    return dataclasses.replace(hardware, stages="fused" if fused else "plain")
