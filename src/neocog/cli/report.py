"""`neocog report`."""

from __future__ import annotations

import argparse
import sys

from neocog.cli.look import Passing
from neocog.cli.output import emit, tell
from neocog.reporting.gathering import Gathering
from neocog.reporting.making import Report, report
from neocog.run import RunFolder


def make_report(options: argparse.Namespace) -> None:
    folders = [RunFolder.open(path) for path in options.runs]
    how = Gathering(
        from_dir=options.from_dir,
        sample=options.sample,
        tell=tell,
        progress=Passing(sys.stderr),
    )
    made = report(folders, out=options.out, lang=options.lang, how=how)
    if options.json:
        emit(made.to_json())
        return
    for line in _said(made):
        tell(line)
    print(made.path)


def _said(made: Report) -> list[str]:
    """What is to be known of the page beside where it is."""
    lines = [f"{name}: given more than once, shown once" for name in made.repeated]
    for run in made.runs:
        if not run.finished:
            how = "how to go on" if run.diverged is None else "how it diverged"
            lines += [f"{run.folder.path}: not finished; the report says {how}"]
        lines += [f"{run.folder.path}: {why}" for why in run.troubles.values()]
    return [*lines, f"wrote {made.size / 1e6:.2f} MB, which need no network to be read:"]
