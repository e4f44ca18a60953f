"""`neocog predict`."""

from __future__ import annotations

import argparse

from neocog import api
from neocog.cli.output import emit, plain
from neocog.report.page import printable

SHOWN = 3  # classes a picture, for people


def predict(options: argparse.Namespace) -> None:
    answers = api.open_run(options.run).predict(*options.files)
    if options.json:
        emit(answers)
        return
    for answer in answers:
        print(plain(answer["file"]))
        for rank in answer["ranked"][:SHOWN]:
            print(f"  {rank['probability']:7.2%}  {printable(rank['class'])}")
