"""What a run is carried out on, and how: as it was asked for, remembered, measured, or as it began.

The rules are `engine.tuning`'s; here they meet the notes of earlier runs and the run folder.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from neocog.data import notes
from neocog.data.spec import InputSpec
from neocog.engine import fused, memory, winograd
from neocog.engine.hardware import DTYPES, Hardware, Wanted, choose
from neocog.engine.machine import can_compile
from neocog.engine.others import watching_others
from neocog.engine.stages import library
from neocog.engine.trial import tuned
from neocog.errors import NeocogError, UsageError
from neocog.recipe import Recipe
from neocog.run import RunFolder

Tell = Callable[[str], None]


def chosen(
    network: nn.Module,
    wanted: Wanted,
    *,
    recipe: Recipe,
    spec: InputSpec,
    pictures: int,
    done: float = 0.0,
    limit: float | None = None,
    tell: Tell | None = None,
) -> Hardware:
    """The hardware for a run on so many training `pictures`, `done` epochs of which are over; or
    of `limit` seconds, however many epochs they are.

    What was found is noted in the cache folder for the next run of the same shape, unless others
    compute here too: it would hold for as long as they do.
    """
    if recipe.batch_norm == "synchronised" and wanted.processes > 1:
        if wanted.compile == "yes":
            raise UsageError(
                "compile: yes was given, and synchronised batch norms are not compiled"
            )
        wanted = dataclasses.replace(wanted, compile="no")
    busy = watching_others()
    batch = min(recipe.batch_size, pictures)
    pieces = wanted.accumulate or 1
    size = max(batch // (wanted.processes * pieces), min(batch, 2))
    answers = notes.recall("hardware")
    before = copy.deepcopy(answers)
    hardware = tuned(
        network,
        wanted,
        recipe=recipe,
        shape=(size, spec.channels, *spec.size),
        classes=len(spec.classes),
        steps=int((recipe.epochs - done) * pictures / batch) * pieces,
        answers=answers,
        limit=limit,
        memory=_memory(wanted),
        tell=tell,
    )
    if answers != before and not busy():
        notes.note("hardware", answers)
    return hardware


def resumed(
    folder: RunFolder,
    network: nn.Module,
    wanted: Wanted,
    *,
    pictures: int,
    at: tuple[int, int],
    versions: dict[str, str],
    tell: Tell | None = None,
) -> Hardware:
    """The hardware to go on with from `at` (epoch, step): as the run began, if that can be.

    Else it is chosen anew, which is said and added to what the folder records.
    """
    hardware, why = as_begun(folder, wanted)
    if hardware is not None:
        return hardware
    hardware = chosen(
        network,
        wanted,
        recipe=folder.recipe,
        spec=folder.spec,
        pictures=pictures,
        done=at[0],
        tell=tell,
    )
    _note_change(folder, hardware, at=at, versions=versions)
    if tell:
        tell(f"{why}. From here on the run may differ, by rounding, from one that never stopped")
    return hardware


def as_begun(folder: RunFolder, wanted: Wanted) -> tuple[Hardware | None, str]:
    """The hardware recorded in a run's folder, if it is what there is now and what is `wanted`;
    else None and the reason.
    """
    now = choose(wanted)
    try:
        environment = folder.environment
        then = Hardware.from_json(environment["hardware"])
        torch_then = str(environment["versions"]["torch"])
    except (NeocogError, KeyError, TypeError, ValueError):
        return None, "how it began is not recorded"
    pairs = [
        ("torch", torch_then, torch.__version__),
        ("device", then.device, now.device),
        ("machine", then.name, now.name),
        ("processes", then.processes, now.processes),
    ]
    asked = {**dataclasses.asdict(wanted), "compile": _COMPILE[wanted.compile]}
    pairs += [
        (name, getattr(then, name), asked[name])
        for name in ("precision", "layout", "compile", "threads", "accumulate")
        if asked[name] not in ("auto", None)
    ]
    differ = [f"{name}: {was} then, {is_now} now" for name, was, is_now in pairs if was != is_now]
    if then.compile and not can_compile(then.device):
        differ.append("compiled then, no compiler now")
    if then.norms == "fused" and fused.library(DTYPES[then.precision]) is None:
        differ.append("norms fused then, no C compiler now")
    if then.convolutions == "winograd" and winograd.library(DTYPES[then.precision]) is None:
        differ.append("convolutions by Winograd then, no C compiler now")
    if then.stages == "fused" and library() is None:
        differ.append("stages fused then, no C compiler now")
    if differ:
        return None, "; ".join(differ)
    return dataclasses.replace(then, memory=_memory(wanted), why="as it began"), ""


def layout_of(folder: RunFolder) -> str:
    """How a run's network laid out its maps, as far as its folder records it."""
    try:
        return Hardware.from_json(folder.environment["hardware"]).layout
    except (NeocogError, KeyError, TypeError, ValueError):
        return "contiguous"


def _note_change(
    folder: RunFolder, hardware: Hardware, *, at: tuple[int, int], versions: dict[str, str]
) -> None:
    """Record that a run goes on in another way, from (epoch, step) on; how it went stays there."""
    try:
        before = folder.environment
    except NeocogError:
        before = {}
    kept: list[Any] = before.get("earlier", [])
    was = {"until": list(at), **{k: before.get(k) for k in ("versions", "hardware")}}
    now = {"versions": versions, "hardware": hardware.to_json()}
    folder.write_environment({**before, **now, "earlier": [*kept, was]})


_COMPILE: dict[str, bool | None] = {"auto": None, "yes": True, "no": False}


def _memory(wanted: Wanted) -> str:
    return memory.keep() if choose(wanted).device == "cpu" else "system"
