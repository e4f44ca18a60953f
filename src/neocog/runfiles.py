"""What the files of a run folder hold: understood, or refused with a `ValueError`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from neocog.records import Epoch, Predictions
from neocog.unpacked import entries

SEAL = "sha256"  # of weights and what is said of them, in the metadata of their file


def json_in(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    # what can be read can be written: half a sign, as "\\ud800", cannot
    json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return value


def data_in(path: Path) -> dict[str, Any]:
    value = dict(json_in(path)["data"])
    counts = value["pictures"]
    counted = [counts[key] for key in ("train", "validation", "test")]
    sound = (
        isinstance(value["name"], str)
        and type(value["seed"]) is int
        and type(value["validation"]) in (int, float)
        and isinstance(value["from"], str | None)
        and isinstance(value["fingerprint"], str)
        and isinstance(value.get("test_fingerprint", ""), str)
        and all(type(count) is int and 0 <= count < 2**53 for count in counted)
    )
    if value.get("layout"):  # of pictures in files
        classes = value["classes"]
        sound = (
            sound
            and isinstance(value["layout"], str)
            and isinstance(value["from"], str)
            and type(value["mirrors"]) is bool
            and isinstance(classes, list)
            and all(isinstance(name, str) for name in classes)
            and len(set(classes)) == len(classes)
        )
    if not sound:
        raise ValueError("what it says of the data set is not of the right kind")
    return value


def history_in(path: Path) -> list[Epoch]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Epoch.from_json(json.loads(line)) for line in lines]


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


def made_in(path: Path) -> dict[str, Any]:
    """How a network was made: checked, since a large number in it would take as much memory."""
    made = dict(json_in(path)["network"])
    if isinstance(made.get("class"), str):
        return made
    try:
        spec = json_in(path.with_name("input.json"))
        wanted = len(spec["classes"]), spec["channels"]
    except Exception as error:
        raise ValueError(f"the input.json beside it cannot be read: {error}") from error
    if not isinstance(made["name"], str) or (made["num_classes"], made["in_channels"]) != wanted:
        raise ValueError("its network has other classes or channels than input.json")
    return made


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
