"""What a run that diverged, or had no memory left, leaves behind; how one can go on from there."""

from __future__ import annotations

import json

from safetensors import safe_open

from neocog import checkpoints
from neocog.errors import DivergedError, NeocogError
from neocog.run import CHECKPOINTS, RunFolder
from neocog.stopping import quoted


def left_over(
    error: Exception, folder: RunFolder, precision: str, pieces: int, batch_size: int
) -> NeocogError:
    """The same error, or that a device has no memory left, with what stands in the run folder and
    what it is good for. The run went in batches of so many pictures, in so many pieces each.
    """
    stands = f"What stands in {folder.path}: {_checkpoint(folder)}, {_best(folder)}."
    go_on = f"neocog resume {quoted(folder.path)}"
    if isinstance(error, DivergedError):
        rest = "Resumed, the same recipe comes to the same end: begin a new run with another"
        if precision == "bf16":
            rest += f", or go on from the checkpoint without bf16: {go_on} --precision fp32"
        return DivergedError(f"{error}. {stands} {rest}")
    first = (str(error).splitlines() or [""])[0].split(". ")[0].rstrip(".")
    rest = f"Begin anew with a smaller --batch-size than {batch_size}"
    if 4 * pieces <= batch_size:  # two pictures a piece at least
        go_on += f" --accumulate {2 * pieces}"
        rest += f", or go on with batches in pieces, in less memory: {go_on}"
    return NeocogError(f"memory ran out: {first}. {stands} {rest}")


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
