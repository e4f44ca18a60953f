"""What a run that diverged leaves behind, and how one can go on from there."""

from __future__ import annotations

import json

from safetensors import safe_open

from neocog import checkpoints
from neocog.errors import DivergedError, NeocogError
from neocog.run import CHECKPOINTS, RunFolder
from neocog.stopping import quoted


def left_over(error: DivergedError, folder: RunFolder, precision: str) -> DivergedError:
    """The same error, with what stands in the run folder and what it is good for."""
    words = [f"{error}.", f"What stands in {folder.path}: {_checkpoint(folder)}, {_best(folder)}."]
    words.append("Resumed, the same recipe comes to the same end: begin a new run with another")
    if precision == "bf16":
        go_on = f"neocog resume {quoted(folder.path)} --precision fp32"
        words[-1] += f", or go on from the checkpoint without bf16: {go_on}"
    return DivergedError(" ".join(words))


def _checkpoint(folder: RunFolder) -> str:
    """Where the newest whole checkpoint stands."""
    try:
        state, _ = checkpoints.newest([folder.path / name for name in CHECKPOINTS])
    except NeocogError:
        return "no checkpoint"
    epoch, step = state["epoch"], state["step"]
    if not step:
        return (
            f"a checkpoint from the end of epoch {epoch}" if epoch else "a checkpoint of the start"
        )
    return f"a checkpoint from step {step} of epoch {epoch + 1}"


def _best(folder: RunFolder) -> str:
    path = folder.path / "best.safetensors"
    if not path.exists():
        return "no best.safetensors, for no epoch was finished"
    try:
        with safe_open(path, framework="pt") as file:
            epoch = int(json.loads(file.metadata()["neocog"])["epoch"])
    except Exception:  # whatever safetensors raises of a file that is none
        return "best.safetensors, which is damaged"
    return f"and best.safetensors, the weights after epoch {epoch + 1}"
