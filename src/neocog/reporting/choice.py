"""Which pictures a report shows, from what the network said alone: the same however often asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neocog.analysis import mistakes
from neocog.analysis.answers import Answers, answers
from neocog.analysis.confusion import confusion
from neocog.analysis.mistakes import Disagreement, Suspects
from neocog.records import Predictions

SHOWN = 12  # mistakes of a kind
IN_CELL = 6  # pictures behind a cell of the confusion matrix, at most
IN_ALL = 480  # of all cells
MATRIX = 30  # classes that have a whole matrix on the page
PAIRS = 30  # confused pairs that stand for it where there are more
EXPLAINED = 3  # pictures answered rightly, and as many wrongly

Cell = tuple[int, int]  # the class shown, the answer


@dataclass(frozen=True, eq=False)
class Choice:
    """Of one split; pictures are numbered as it is."""

    said: Predictions

    @cached_property
    def answers(self) -> Answers:
        return answers(self.said)

    @cached_property
    def counts(self) -> np.ndarray:
        """int64 (K, K): row k, column j: pictures of class k that were taken for j."""
        return confusion(self.answers)

    @cached_property
    def worst(self) -> list[Disagreement]:
        """Wrong answers of highest loss."""
        found = mistakes.by_loss(self.said, count=SHOWN)
        return [each for each in found if each.label != each.answer]

    @cached_property
    def suspects(self) -> Suspects | None:
        """Labels that look wrong; of one class none can."""
        return mistakes.suspects(self.said) if self.counts.shape[0] > 1 else None

    @cached_property
    def pairs(self) -> list[Cell]:
        """The cells that can be opened, most pictures first."""
        wrong = self.counts - np.diag(self.counts.diagonal())
        rows, columns = np.nonzero(wrong)
        order = np.argsort(-wrong[rows, columns], kind="stable")
        cells = [(int(rows[n]), int(columns[n])) for n in order]
        return cells if len(wrong) <= MATRIX else cells[:PAIRS]

    @cached_property
    def cells(self) -> dict[Cell, list[int]]:
        """Of each cell the pictures that are shown, surest answer first: first one of each, then a
        second, until there are IN_ALL.
        """
        of = self.answers
        wrong = np.flatnonzero(~of.right)
        wrong = wrong[np.argsort(-of.confidence[wrong], kind="stable")]
        having: dict[Cell, list[int]] = {pair: [] for pair in self.pairs}
        for place in wrong.tolist():
            cell = int(of.labels[place]), int(of.given[place])
            if len(having.get(cell, range(IN_CELL))) < IN_CELL:
                having[cell].append(place)
        left, chosen = IN_ALL, dict.fromkeys(self.pairs, 0)
        for count in range(1, IN_CELL + 1):
            for pair, places in having.items():
                if left and len(places) >= count:
                    chosen[pair], left = count, left - 1
        return {pair: places[: chosen[pair]] for pair, places in having.items()}

    @cached_property
    def explained(self) -> tuple[list[int], list[int]]:
        """A few pictures answered rightly and wrongly: spread over the split, not picked."""
        right = self.answers.right
        return _spread(np.flatnonzero(right)), _spread(np.flatnonzero(~right))

    @cached_property
    def shown(self) -> list[int]:
        """All pictures that the report shows small, each once."""
        places = [each.place for each in self.worst]
        if self.suspects is not None:
            places += [each.place for each in self.suspects.found[:SHOWN]]
        places += [place for of_cell in self.cells.values() for place in of_cell]
        return sorted(set(places))


def _spread(places: np.ndarray) -> list[int]:
    """A few of them, as far apart as they can be."""
    if not len(places):
        return []
    at = (np.arange(EXPLAINED) + 0.5) * len(places) / EXPLAINED
    return sorted(set(places[at.astype(int)].tolist()))
