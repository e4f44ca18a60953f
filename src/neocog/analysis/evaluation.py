"""Everything that logits and labels of a run tell, as plain values: what `eval --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neocog.analysis.answers import Answers, answers
from neocog.analysis.calibration import (
    BINNINGS,
    BINS,
    Temperature,
    calibration_error,
    error_if_calibrated,
    fitted_temperature,
    reliability,
)
from neocog.analysis.confusion import by_class, confused, confusion, macro_f1
from neocog.analysis.intervals import Interval, bootstrap, bootstrap_within, wilson
from neocog.analysis.scores import scores_in, summary
from neocog.errors import NeocogError
from neocog.records import Predictions
from neocog.run import RunFolder

KEYS = {name: name.replace(" ", "_") for name in BINNINGS}
# what `neocog eval --views` calls the views that a recipe names
PROTOCOLS = {"one": "single", "six": "six-view"}


def evaluation(folder: RunFolder) -> dict[str, Any]:
    """A finished run's `summary`, with all that `scores_of` tells of either split.

    The temperature is fitted to the validation pictures, so it is told of the test alone.
    """
    made, recipe = summary(folder), folder.recipe
    made |= {"recipe": recipe.name, "seed": recipe.seed, "select": recipe.select}
    validation = folder.predictions("validation")
    for split in ("test", "validation"):
        said = folder.predictions(split)
        if said is not None:
            check_classes(folder, split, said)
            made[split] = scores_of(
                said,
                classes=folder.spec.classes,
                protocol=PROTOCOLS.get(recipe.views, recipe.views),
                held_out=validation if split == "test" else None,
            )
    return made


def scored_split(made: dict[str, Any]) -> str:
    """Which split of an evaluation its scores are of: "test", or "validation" where there is no
    other.
    """
    return "validation" if made["test"] is None else "test"


def check_classes(folder: RunFolder, split: str, said: Predictions) -> None:
    """`NeocogError` where input.json does not name as many classes as there are logits."""
    named, found = len(folder.spec.classes), said.logits.shape[1]
    if named != found:
        raise NeocogError(
            f"{folder.path / split}.npz: logits of {found:,} classes, but input.json names "
            f"{named:,}: they are not of one run. Score it again from whole files"
        )


def scores_of(
    said: Predictions,
    *,
    classes: Sequence[str],
    protocol: str = "single",
    held_out: Predictions | None = None,
) -> dict[str, Any]:
    """`scores`, with the protocol that the logits came about by, and beside them:

    "intervals" of top1, balanced, top5 and loss; "f1", the mean over the classes; "classes",
    "confused" (all pairs), "calibration". A temperature is fitted to `held_out`, pictures that are
    none of these; without them there is none. Raises `NeocogError` as `scores` does.
    """
    of = answers(said)
    counts = confusion(of)
    by_name = by_class(counts, classes)
    return {
        **scores_in(of),
        "protocol": protocol,
        "f1": macro_f1(by_name),
        "intervals": {k: v and v.to_json() for k, v in _intervals(of, counts).items()},
        "classes": [each.to_json() for each in by_name],
        "confused": [pair.to_json() for pair in confused(counts, classes)],
        "calibration": _calibration(of, said, held_out),
    }


def _intervals(of: Answers, counts: np.ndarray) -> dict[str, Interval | None]:
    n = len(of)
    top5 = wilson(int(of.among5.sum()), n) if scores_in(of)["top5"] is not None else None
    return {
        "top1": wilson(int(of.right.sum()), n),
        "balanced": bootstrap_within(counts.diagonal(), counts.sum(1)),
        "top5": top5,
        "loss": bootstrap(of.losses),
    }


def _calibration(of: Answers, said: Predictions, held_out: Predictions | None) -> dict[str, Any]:
    bins = {name: reliability(of, binning=name) for name in BINNINGS}
    return {
        "bins": BINS,
        "ece": _errors(of),
        "ece_if_calibrated": {KEYS[n]: error_if_calibrated(of, binning=n) for n in BINNINGS},
        "reliability": {KEYS[n]: [each.to_json() for each in bins[n]] for n in BINNINGS},
        "temperature": None if held_out is None else _cooled(said, fitted_temperature(held_out)),
    }


def _cooled(said: Predictions, fitted: Temperature) -> dict[str, Any]:
    """What a temperature does to loss and calibration; the answers stay what they were."""
    made: dict[str, Any] = {"value": fitted.value, "fitted_to": "validation", "n": fitted.n}
    if fitted.value is None:
        return {**made, "why": fitted.why}
    of = answers(said, temperature=fitted.value)
    return {**made, "loss": float(of.losses.mean()), "ece": _errors(of)}


def _errors(of: Answers) -> dict[str, float]:
    return {KEYS[n]: calibration_error(reliability(of, binning=n)) for n in BINNINGS}
