"""`neocog eval`."""

from __future__ import annotations

import argparse

from neocog import api
from neocog.cli.output import emit, score_lines


def evaluate(options: argparse.Namespace) -> None:
    summaries = [api.open_run(path).scores for path in options.runs]
    if options.json:
        emit(summaries[0] if len(summaries) == 1 else summaries)
        return
    for place, scores in enumerate(summaries):
        if place:
            print()
        print(scores["run"])
        for line in score_lines(scores):
            print(line)
