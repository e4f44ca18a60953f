"""What runs say of pictures by a protocol: one run, or several as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from neocog.analysis import against
from neocog.analysis.answers import answers
from neocog.analysis.intervals import Interval, wilson
from neocog.analysis.scores import scores
from neocog.engine.views import log_mean
from neocog.errors import NeocogError, UsageError
from neocog.records import Predictions
from neocog.run import RunFolder


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a run, or several together, say of pictures by a protocol."""

    runs: tuple[str, ...]
    networks: tuple[str, ...]
    data: str
    split: str
    predictions: Predictions  # where softmax is averaged, logits are logarithms of the mean
    facts: dict[str, Any]  # of the protocol: views, scales, averaged, source, ...
    members: tuple[Evaluation, ...] = ()  # of several runs, each alone
    kept: bool = False  # read from the run folder, where it was before
    own: bool = True  # whether they are the run's own pictures, or of another data set
    seen: dict[str, int] | None = None  # of such, how many the run has learnt from; None: unknown

    @property
    def scores(self) -> dict[str, Any]:
        """top1, balanced, top5, loss and n, as `analysis.scores.scores` gives them."""
        return scores(self.predictions)

    @property
    def interval(self) -> Interval:
        """Of top-1, 95 %."""
        of = self.scores
        return wilson(round(of["top1"] * of["n"]), of["n"])

    def to_json(self) -> dict[str, Any]:
        return {
            "runs": list(self.runs),
            "networks": list(self.networks),
            "data": self.data,
            **{name: self.facts[name] for name in ("views", "scales", "passes", "averaged")},
            self.split: self.scores,
            "intervals": {"top1": self.interval.to_json()},
            "seen": self.seen,
            "members": [member.to_json() for member in self.members],
        }


def compared(said: Evaluation) -> dict[str, Any]:
    """The members of an evaluation, each against the first, as `analysis.against.compared` has it
    of the scores that runs were given when they were trained.

    {"views", "averaged", "data", "split", "n", "runs", "differences", "seeds"}.
    """
    folders = [RunFolder.open(member.runs[0]) for member in said.members]
    against.check_several(folders)
    made = [_made(*each, said.split) for each in zip(folders, said.members, strict=True)]
    of = [answers(member.predictions) for member in said.members]
    return {
        "views": said.facts["views"],
        "averaged": said.members[0].facts["averaged"],
        "data": said.data,
        "split": said.split,
        "n": len(of[0]),
        "runs": made,
        "differences": against.differences([member.runs[0] for member in said.members], of),
        "seeds": against.over_seeds(folders, made, of=said.split),
    }


def _made(folder: RunFolder, member: Evaluation, split: str) -> dict[str, Any]:
    return {
        "run": member.runs[0],
        "network": member.networks[0],
        "data": folder.data["name"],
        "epochs": len(folder.history),
        **{name: member.facts[name] for name in ("scales", "passes")},
        "seen": member.seen,
        split: {
            **member.scores,
            "protocol": member.facts["views"],
            "intervals": {"top1": member.interval.to_json()},
        },
    }


def together(said: Sequence[Evaluation]) -> Evaluation:
    """Several runs as one: the mean of their probabilities, as Krizhevsky et al. 2012 have it of
    seven. Raises `UsageError` where they were not asked of the same pictures.
    """
    first = said[0]
    for each in said[1:]:
        if each.facts["pictures"] != first.facts["pictures"]:
            raise UsageError(
                f"{each.runs[0]}: its {each.split} pictures are not those of {first.runs[0]}: "
                f"{each.data} with {each.facts['count']:,} here, {first.data} with "
                f"{first.facts['count']:,} there. Runs of a folder share them where they have one "
                "seed, or where the folder has a test split of its own; --data names others for all"
            )
        if not np.array_equal(each.predictions.labels, first.predictions.labels):
            raise NeocogError(
                f"{each.runs[0]}: other pictures could be read than before; try again"
            )
    logits = torch.stack([torch.from_numpy(each.predictions.logits) for each in said], 1)
    mean = log_mean(logits).float().numpy()
    passes = sum(each.facts["passes"] for each in said)
    facts = {**first.facts, "scales": None, "passes": passes, "averaged": "softmax"}
    return dataclasses.replace(
        first,
        runs=tuple(run for each in said for run in each.runs),
        networks=tuple(name for each in said for name in each.networks),
        predictions=Predictions(logits=mean, labels=first.predictions.labels),
        facts=facts,
        members=tuple(said),
        kept=all(each.kept for each in said),
        seen=_most(each.seen for each in said),
    )


def _most(seen: Iterable[dict[str, int] | None]) -> dict[str, int] | None:
    """Of what each has seen, the largest."""
    each = [counts for counts in seen if counts is not None]
    return {name: max(counts[name] for counts in each) for name in each[0]} if each else None
