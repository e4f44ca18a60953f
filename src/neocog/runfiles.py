"""What the arrays of a run folder hold: understood, or refused with a `ValueError`."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from neocog.records import Predictions
from neocog.runtext import json_in
from neocog.unpacked import entries

SEAL = "sha256"  # of weights and what is said of them, in the metadata of their file


def weights_bytes(weights: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """A safetensors file with metadata `about`, sealed; the tensors share no memory."""
    return safetensors.torch.save(dict(weights), {**about, SEAL: _digest(weights, about)})


def weights_in(path: Path) -> dict[str, Tensor]:
    """What `weights_bytes` was given, or the tensors of any other safetensors file. `ValueError`
    where the input.json beside it is not what it was then.
    """
    with safetensors.safe_open(path, "pt") as file:
        about: dict[str, str] = file.metadata() or {}
        # copied, for they lie in the file, which may be written to
        weights = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    seal = about.pop(SEAL, None)
    if seal not in (None, _digest(weights, about)):
        raise ValueError("its content is not what was written: it does not fit its seal")
    beside = path.with_name("input.json")
    if "input" in about and beside.exists() and json.loads(about["input"]) != json_in(beside):
        raise ValueError("input.json, beside it, is not what it was when these were written")
    return weights


def _digest(weights: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    seen = hashlib.sha256(repr(sorted(about.items())).encode())
    for name, tensor in sorted(weights.items()):
        seen.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        seen.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return seen.hexdigest()


def predictions_bytes(said: Predictions, facts: Mapping[str, Any] | None = None) -> bytes:
    """An .npz of logits and labels, and of how they were asked for."""
    content, arrays = io.BytesIO(), {"logits": said.logits, "labels": said.labels}
    if facts is not None:
        arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    np.savez(content, **arrays)  # type: ignore[arg-type]  # numpy knows one keyword of bool
    return content.getvalue()


def facts_in(path: Path) -> dict[str, Any]:
    """The facts that `predictions_bytes` was given; {} where there were none."""
    entries(path, path.stat().st_size)
    with np.load(path, allow_pickle=False) as arrays:
        text = bytes(arrays["facts"]).decode() if "facts" in arrays else "{}"
    facts = json.loads(text)
    if not isinstance(facts, dict):
        raise ValueError("not a JSON object")
    return facts


def predictions_in(path: Path) -> Predictions:
    entries(path, path.stat().st_size)
    with np.load(path, allow_pickle=False) as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    sound = (
        logits.ndim == 2
        and labels.shape == logits.shape[:1]
        and logits.dtype == np.float32
        and labels.dtype == np.int64
        and bool(((labels >= 0) & (labels < logits.shape[1])).all())
    )
    if not sound:
        raise ValueError("no logits and labels")
    return Predictions(logits=logits, labels=labels)
