"""Finished runs with logits of a test's own making."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neocog.records import Predictions
from neocog.run import RunFolder

UNUSED = ("*.pt", "*.safetensors", "*.png")  # scores are read from the rest


def run_with(
    finished_run: Path,
    out: Path,
    test: Predictions | None,
    *,
    validation: Predictions | None = None,
    classes: Sequence[str] | None = None,
    recipe: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
) -> RunFolder:
    """A copy of a run in which these predictions, classes and facts stand instead of its own;
    without `validation`, the test's in both splits.
    """
    shutil.copytree(finished_run, out, ignore=shutil.ignore_patterns(*UNUSED))
    folder = RunFolder.open(out)
    about = json.loads((out / "recipe.json").read_text())
    about["recipe"] |= recipe or {}
    about["data"] |= data or {}
    for split, said in (("test", test), ("validation", validation or test)):
        if said is not None:
            folder.write_predictions(split, said)
            about["data"]["pictures"][split] = len(said.labels)
            spec = json.loads((out / "input.json").read_text())
            k = said.logits.shape[1]
            spec["classes"] = list(classes or [f"c{number}" for number in range(k)])
            (out / "input.json").write_text(json.dumps(spec))
            about["network"]["num_classes"] = k
    (out / "recipe.json").write_text(json.dumps(about))
    return folder


def without_test(folder: RunFolder) -> RunFolder:
    """The same as if its data had no test split."""
    about = json.loads((folder.path / "recipe.json").read_text())
    about["data"]["pictures"]["test"] = 0
    (folder.path / "recipe.json").write_text(json.dumps(about))
    (folder.path / "test.npz").unlink()
    return folder
