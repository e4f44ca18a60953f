"""`neocog bench`. Like all that watches the children it loads no torch, as `cli.output` would."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from neocog.bench import rounds, tables
from neocog.bench.files import Files
from neocog.bench.plan import Settings
from neocog.bench.results import Results


def bench(options: argparse.Namespace) -> None:
    settings = Settings(
        only=options.only,
        everything=options.all,
        networks=tuple(options.networks),
        arms=tuple(options.arms),
        rounds=options.rounds,
        minutes=options.minutes,
        seconds=options.seconds,
        limit=options.limit,
        batch=options.batch,
        device=options.device,
        avx2=options.avx2,
        quick=options.quick,
    )
    files = Files(None if options.out is None else Path(options.out))

    def save(results: Results) -> None:
        files.write(results.to_json())

    command = f"neocog {shlex.join(sys.argv[1:])}"
    document = rounds.run(settings, command=command, save=save, tell=_tell).to_json()
    path = files.write(document)
    if options.json:
        print(json.dumps({**document, "file": str(path)}, indent=2, allow_nan=False))
        return
    for part in (tables.training, tables.whole, tables.inference, tables.accuracy):
        if part(document):
            print(part(document), end="\n\n")
    for line in tables.bar_lines(document):
        print(line)
    print(f"written to {path}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
