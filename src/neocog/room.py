"""Memory and disk: what is needed, and what there is; said before it is used.

What is free is what the system tells. Where it tells nothing, nothing is refused.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neocog.data.dataset import Dataset
from neocog.data.spec import InputSpec
from neocog.engine.evaluate import BATCH_SIZE
from neocog.engine.hardware import Wanted, choose
from neocog.engine.holding import Holding, holding
from neocog.errors import NeocogError, UsageError
from neocog.recipe import Recipe

Tell = Callable[[str], None]

# Estimates were 0.8 to 1.4 times what networks came to hold, on a CPU:
# benchmarks/results/2026-11-23-memory-estimate-amd-epyc-2-cores.md
TIGHT, HOPELESS = 0.8, 1.5  # of what there is: beyond the one a word is said, beyond the other no
MAPS = 1.25  # bytes held for each of maps: kernels want room, and free blocks lie between
ALWAYS = 20 * 10**6  # bytes: kernels made at run time, buffers, threads
COPIES = 3  # of the pixels of a batch, while they become input
ROOT = Path("/sys/fs/cgroup")
SMALL = 2**16  # bytes that a file has beside its tensors, at most


@dataclass(frozen=True)
class Need:
    """Bytes that a run holds at most, beside its network and its data."""

    fixed: float  # gradients, what the optimizer remembers, copies that are being saved
    trained: float  # for each picture of a batch, or of a part of one
    asked: float  # for all pictures that are validated at once

    def whole(self, batch_size: int) -> float:
        return self.fixed + max(batch_size * self.trained, self.asked)

    def batch_size(self, available: float) -> int:
        """The largest that fits; 0 where none does."""
        left = available - self.fixed
        return max(math.floor(left / self.trained), 0) if left >= self.asked else 0


def check_memory(
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    spec: InputSpec,
    wanted: Wanted,
    tell: Tell | None = None,
) -> None:
    """`UsageError` if a run of the network cannot fit into memory; where it may be tight, that is
    told. Each batch goes through in the pieces, and is shared by the processes, that are `wanted`.
    """
    device = choose(wanted).device
    available = available_memory(device)
    if available is None:
        return
    try:
        need = needed(network, dataset, recipe, spec, wanted)
    except torch.OutOfMemoryError as error:
        raise UsageError(
            f"{_gb(available)} of memory are free, and not even two pictures of "
            f"{spec.size[0]}x{spec.size[1]} fit: use smaller ones (--size), or a smaller network"
        ) from error
    except Exception:  # whatever a user's network raises: the run itself will say so
        return
    if device == "cpu":  # all of this machine take from the same
        available //= int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if wanted.processes > 1 else 1
    parts = (wanted.accumulate or 1) * wanted.processes
    size = -(-min(recipe.batch_size, len(dataset.train)) // parts)
    whole = need.whole(size)
    if whole <= TIGHT * available:
        return
    where = "on the GPU" if device.startswith("cuda") else "here"
    has = f"about {_gb(whole)} of memory are needed and {_gb(available)} are free {where}"
    fits = need.batch_size(TIGHT * available)
    if whole > HOPELESS * available:
        raise UsageError(f"{has}: this run would not fit. {_advice(fits, size * parts)}")
    if tell:
        tell(f"memory   {has}: it may not be enough. {_advice(fits, size * parts)}")


def needed(
    network: nn.Module, dataset: Dataset, recipe: Recipe, spec: InputSpec, wanted: Wanted
) -> Need:
    """What a run of the network holds at most, estimated from a pass of two pictures."""
    device = choose(wanted).device
    on_cpu = device == "cpu"
    # what times the ways of a CPU tries float32 too
    precision = wanted.precision if on_cpu else choose(wanted).precision
    one = (spec.channels, *spec.size)
    held = holding(network, recipe, one, bf16=precision == "bf16")
    looked_at = min(max(len(dataset.val), len(dataset.test)), BATCH_SIZE)
    pixels = 4 * math.prod(one)  # bytes of a picture as input
    times = MAPS if on_cpu else 1.0
    return Need(
        fixed=ALWAYS + held.weights + held.remembered + _copies(held, on_cpu),
        trained=times * held.trained + COPIES * pixels,
        asked=looked_at * (times * held.asked + COPIES * pixels),
    )


def available_memory(device: str) -> int | None:
    """Bytes that this process may still take, on the device; None where nobody says."""
    if device.startswith("cuda"):
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)
    if device != "cpu":
        return None
    told = [of_system(), *of_groups()]
    return min((n for n in told if n is not None), default=None)


def of_system(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that Linux can give without swapping."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
        (line,) = (line for line in lines if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return None


def of_groups(root: Path = ROOT, mine: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Bytes left in each control group that this process is in, as containers and clusters set
    them. What a group's files take in the page cache counts as free: it is given up when needed.
    """
    try:
        lines = mine.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds in ("", "memory"):  # version 2; version 1
            base = root / kinds if kinds else root
            place = base / path.lstrip("/")
            for folder in [place, *place.parents]:
                if folder.is_relative_to(base):
                    left += _of_group(folder)
    return left


def _of_group(folder: Path) -> list[int]:
    for limit, taken in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            most = int((folder / limit).read_text(encoding="ascii"))
            used = int((folder / taken).read_text(encoding="ascii"))
            rows = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
            facts = dict(row.split(maxsplit=1) for row in rows)
            files = int(facts.get("total_inactive_file", facts.get("inactive_file", "0")))
        except (OSError, ValueError):  # not there, or "max"
            continue
        return [max(most - used + files, 0)]
    return []


def _copies(held: Holding, on_cpu: bool) -> int:
    """A checkpoint is copied where it is; the weights that would be scored are copied in memory,
    and safetensors makes bytes of each and then of all.
    """
    return held.state + held.remembered + (3 * held.state if on_cpu else 0)


def _advice(fits: int, batch_size: int) -> str:
    if not fits:
        return "No batch size would: use smaller pictures (--size), or a smaller network"
    return f"A batch of {fits} would: --batch-size {fits}, or --accumulate {-(-batch_size // fits)}"


# -- disk


def check_disk(
    folder: Path, network: nn.Module, dataset: Dataset, recipe: Recipe, *, begun: bool = False
) -> None:
    """`NeocogError` if the disk has no room for what a run in `folder` writes: two checkpoints and
    a third while it takes the place of the first, the best weights likewise, and the predictions.
    One that has `begun` has two of them already.
    """
    weights = sum(t.nbytes for t in network.state_dict().values())
    trained = sum(w.nbytes for w in network.parameters() if w.requires_grad)
    moments = trained if recipe.momentum or recipe.optimizer != "sgd" else 0
    state = weights + moments + (weights if recipe.average != "none" else 0)
    logits = 4 * len(dataset.classes) * (len(dataset.val) + len(dataset.test))
    files = (1 if begun else 3) * (state + SMALL) + (1 if begun else 2) * (weights + SMALL) + logits
    advice = "Free some, or name a folder on another disk with --out"
    need_room(folder, files, "the run", "Free some first" if begun else advice)


def need_room(path: Path, size: int, what: str, advice: str) -> None:
    """`NeocogError` if there are no `size` bytes free where `path` is or will be."""
    free = free_disk(path)
    if free is not None and free < size:
        raise NeocogError(
            f"{path}: {what} needs {_gb(size)} and {_gb(free)} are free on that disk. {advice}"
        )


def free_disk(path: Path) -> int | None:
    """Bytes free where `path` is, or will be; None where nobody says."""
    above = [path.absolute(), *path.absolute().parents]
    try:
        usage = shutil.disk_usage(next(each for each in above if each.exists()))
    except (OSError, StopIteration):
        return None
    return usage.free if usage.total else None  # some network file systems say nothing


def size_of(state: Any) -> int:
    """Bytes that a state of tensors and plain values takes in a file, about."""
    if isinstance(state, Tensor):
        return state.nbytes
    if isinstance(state, dict):
        return sum(size_of(value) for value in state.values())
    if isinstance(state, list | tuple):
        return sum(size_of(value) for value in state)
    return 0


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
