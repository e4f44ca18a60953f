"""`neocog eval`."""

from __future__ import annotations

import argparse

from neocog.analysis.against import check_each_once, compared, over_seeds
from neocog.analysis.evaluation import evaluation
from neocog.cli.evaluated import comparison_lines, evaluation_lines, seed_lines
from neocog.cli.output import emit
from neocog.run import RunFolder


def evaluate(options: argparse.Namespace) -> None:
    folders = [RunFolder.open(path) for path in options.runs]
    if options.compare:
        found = compared(folders)
        if options.json:
            emit(found)
        else:
            print("\n".join([*comparison_lines(found), *seed_lines(found["seeds"])]))
        return
    check_each_once(folders)
    made = [evaluation(folder) for folder in folders]
    if options.json:
        emit(made[0] if len(made) == 1 else made)
        return
    for place, each in enumerate(made):
        print("\n".join([*([""] if place else []), *evaluation_lines(each)]))
    lines = seed_lines(over_seeds(folders, made))
    print("\n".join(lines), end="\n" if lines else "")
