"""Several runs beside each other: on the same pictures, and over seeds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from neocog.analysis.answers import Answers, answers
from neocog.analysis.evaluation import check_classes, evaluation, scored_split
from neocog.analysis.intervals import of_mean
from neocog.analysis.paired import Difference, difference, holm
from neocog.errors import NeocogError, UsageError
from neocog.records import Predictions
from neocog.run import RunFolder
from neocog.stopping import quoted

OVER_SEEDS = {"top1": 1.0, "balanced": 1.0, "top5": 1.0, "loss": inf}  # and the most they can be


def check_each_once(folders: Sequence[RunFolder]) -> None:
    """`UsageError` where one run is given twice, by whatever name."""
    places = Counter(folder.path.resolve() for folder in folders)
    for folder in folders:
        if places[folder.path.resolve()] > 1:
            raise UsageError(
                f"{folder.path}: this run was given twice. A run compared with itself, or counted "
                "twice, tells nothing; give each once"
            )


def check_several(folders: Sequence[RunFolder]) -> None:
    """`UsageError` where there are not two runs or more, each once."""
    if len(folders) < 2:
        raise UsageError("--compare: two runs or more are needed: neocog eval RUN RUN --compare")
    check_each_once(folders)


def compared(folders: Sequence[RunFolder]) -> dict[str, Any]:
    """Runs on the same pictures, each against the first.

    {"split", "n", "runs": evaluations, "differences", "seeds"}. With three runs or more each
    McNemar p has a "holm" beside it. Raises `UsageError` where there are fewer than two runs or one
    is given twice, `NeocogError` where their pictures are not the same.
    """
    check_several(folders)
    made = [evaluation(folder) for folder in folders]
    split = _split_of(folders, made)
    of = [_answers(folder, split) for folder in folders]
    for folder, other in zip(folders[1:], of[1:], strict=True):
        _check_same_pictures(folders[0], folder, split)
        _check_same_labels(folders[0], folder, split, of[0], other)
    return {
        "split": split,
        "n": len(of[0]),
        "runs": made,
        "differences": differences([str(folder.path) for folder in folders], of),
        "seeds": over_seeds(folders, made),
    }


def differences(names: Sequence[str], of: Sequence[Answers]) -> list[dict[str, Any]]:
    """Of what runs of these names answered to the same pictures: each against the first."""
    found = [difference(of[0], other) for other in of[1:]]
    adjusted = holm([each.mcnemar.p for each in found])
    return [
        _as_json(name, names[0], each, p if len(found) > 1 else None)
        for name, each, p in zip(names[1:], found, adjusted, strict=True)
    ]


def over_seeds(
    folders: Sequence[RunFolder], made: Sequence[dict[str, Any]], *, of: str | None = None
) -> list[dict[str, Any]]:
    """Of runs that differ in their seed alone, mean and spread: a value for each two or more.

    sd is the sample's standard deviation (n - 1), the interval Student's t of the mean. Runs of one
    seed are one run: the first of them counts. "same_pictures" is False where a seed also drew the
    pictures that were scored, so that the spread is of both; None where that is not known. `of`
    names the pictures where all were asked of the same.
    """
    groups: dict[str, dict[int, int]] = {}
    for place, folder in enumerate(folders):
        split = of or scored_split(made[place])
        seeds = groups.setdefault(_but_seed(folder, made[place], split), {})
        seeds.setdefault(folder.recipe.seed, place)
    return [_spread(folders, made, seeds, of) for seeds in groups.values() if len(seeds) > 1]


def _but_seed(folder: RunFolder, made: dict[str, Any], split: str) -> str:
    """All that a run follows from, but its seed."""
    data = folder.data
    from_what = [data["name"], data.get("from"), data["validation"], data["pictures"]]
    from_what += [made["epochs"]]
    recipe = folder.recipe.changed({"seed": 0}).to_json()
    return json.dumps([folder.made, from_what, recipe, split], sort_keys=True)


def _spread(
    folders: Sequence[RunFolder],
    made: Sequence[dict[str, Any]],
    seeds: dict[int, int],
    of: str | None,
) -> dict[str, Any]:
    first = made[min(seeds.values())]
    split = of or scored_split(first)
    said = [made[place][split] for place in seeds.values()]
    return {
        "network": first["network"],
        "data": first["data"],
        "split": split,
        "protocol": said[0]["protocol"],
        "seeds": list(seeds),
        "runs": [str(folders[place].path) for place in seeds.values()],
        "n": len(seeds),
        "same_pictures": bool(of) or _told([folders[place] for place in seeds.values()], split),
        **{
            name: _mean([each[name] for each in said], highest=highest)
            for name, highest in OVER_SEEDS.items()
        },
    }


def _mean(values: list[float | None], *, highest: float) -> dict[str, Any] | None:
    known = [value for value in values if value is not None]
    interval = of_mean(known, lowest=0.0, highest=highest)
    if interval is None:
        return None
    mean, sd = float(np.mean(known)), float(np.std(known, ddof=1))
    return {"mean": mean, "sd": sd, "interval": interval.to_json()}


def _split_of(folders: Sequence[RunFolder], made: Sequence[dict[str, Any]]) -> str:
    splits = [scored_split(each) for each in made]
    for folder, split in zip(folders, splits, strict=True):
        if split != splits[0]:
            without = folder if split == "validation" else folders[0]
            raise NeocogError(
                f"{without.path}: this run has no test split, and others here do: they were not "
                "scored on the same pictures. Compare runs on one test set"
            )
    return splits[0]


def _check_same_pictures(first: RunFolder, other: RunFolder, split: str) -> None:
    mine, others = first.data, other.data
    if same_pictures([first, other], split):
        return
    old = [folder for folder in (first, other) if "test_fingerprint" not in folder.data]
    if split == "test" and old:
        raise NeocogError(
            f"{old[0].path}: whether its test pictures are those of the other cannot be told: its "
            "recipe.json was written before neocog recorded their fingerprint (test_fingerprint), "
            "and the data as a whole are not the same. Train it again to compare them"
        )
    raise NeocogError(
        f"{other.path}: its {split} pictures are not those of {first.path}: "
        f"{_named(others, split)} there, {_named(mine, split)} here (fingerprints in recipe.json). "
        f"Compare runs on one {split} set; of one's own pictures, that is runs of one seed or of "
        "folders with a test/"
    )


def same_pictures(folders: Sequence[RunFolder], split: str) -> bool:
    """By the fingerprint of the test split; of the whole data where that is not known."""
    wholes = {folder.data["fingerprint"] for folder in folders}
    tests = {folder.data.get("test_fingerprint", "") for folder in folders}
    return len(wholes) == 1 or (split == "test" and len(tests) == 1 and tests != {""})


def _told(folders: Sequence[RunFolder], split: str) -> bool | None:
    """None where an earlier neocog recorded too little to tell."""
    old = split == "test" and any("test_fingerprint" not in folder.data for folder in folders)
    return same_pictures(folders, split) or (None if old else False)


def _named(data: dict[str, Any], split: str) -> str:
    return f"{data['name']}, {data['pictures'][split]:,} pictures, seed {data['seed']}"


def _check_same_labels(
    first: RunFolder, other: RunFolder, split: str, mine: Answers, others: Answers
) -> None:
    """Pictures that could not be read are missing from what was written."""
    if not np.array_equal(mine.labels, others.labels):
        raise NeocogError(
            f"{other.path / split}.npz: labels of {len(others):,} pictures that are not those of "
            f"{first.path / split}.npz ({len(mine):,}), though the data are the same: pictures "
            "could not be read in one of them, or a file was changed. See with: "
            f"neocog verify {quoted(other.path)}"
        )


def _answers(folder: RunFolder, split: str) -> Answers:
    said: Predictions | None = folder.predictions(split)
    assert said is not None  # its evaluation has it
    check_classes(folder, split, said)
    return answers(said)


def _as_json(name: str, first: str, found: Difference, adjusted: float | None) -> dict[str, Any]:
    intervals = (found.top1_interval, found.loss_interval)
    top1, loss = (interval and interval.to_json() for interval in intervals)
    test = found.mcnemar
    return {
        "run": name,
        "against": first,
        "top1": {"difference": found.top1, "interval": top1},
        "loss": {"difference": found.loss, "interval": loss},
        "mcnemar": {
            "p": test.p,
            "holm": adjusted,
            "form": test.form,
            "only_first": test.only_first,
            "only_this": test.only_other,
        },
    }
