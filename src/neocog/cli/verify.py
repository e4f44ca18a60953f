"""`neocog verify`."""

from __future__ import annotations

import argparse
import sys

from neocog.cli.output import Transfers, emit, tell
from neocog.engine.schedules import epoch_count
from neocog.errors import NeocogError
from neocog.progress import Clock, Terminal
from neocog.run import RunFolder
from neocog.verifying import verify


def verify_run(options: argparse.Namespace) -> None:
    folder = RunFolder.open(options.run)
    verdict = verify(
        folder,
        retrain=options.retrain,
        from_dir=options.from_dir,
        watcher=Terminal(sys.stderr, Clock(epoch_count(folder.recipe))),
        tell=tell,
        progress=Transfers(sys.stderr),
    )
    if options.json:
        emit(verdict.to_json())
    else:
        for check in verdict.checks:
            print(f"{check.what:<19} {check.outcome:<16} {check.detail}".rstrip())
    if not verdict.agrees:
        sys.stdout.flush()
        why = f" (other than when it was made: {verdict.differs})" if verdict.differs else ""
        raise NeocogError(f"{folder.path}: it does not agree with itself{why}")
