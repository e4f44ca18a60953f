"""`neocog train` and `neocog resume`."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import Any

from neocog import api
from neocog.cli.output import Transfers, emit, plan_lines, program, score_lines, tell
from neocog.errors import UsageError


def train(options: argparse.Namespace) -> None:
    if options.plan:
        _plan(options)
        return
    run = api.train(
        options.network,
        [options.data, *options.instead],
        recipe=options.recipe,
        minutes=options.minutes,
        changes=_changes(options),
        out=options.out,
        device=options.device,
        precision=options.precision,
        layout=options.layout,
        compile=options.compile,
        threads=options.threads,
        from_dir=options.from_dir,
        tell=tell,
        progress=Transfers(sys.stderr),
    )
    _report(run, as_json=options.json)


def _plan(options: argparse.Namespace) -> None:
    plan = api.plan(
        options.network,
        [options.data, *options.instead],
        recipe=options.recipe,
        minutes=options.minutes,
        changes=_changes(options),
        device=options.device,
        precision=options.precision,
        layout=options.layout,
        compile=options.compile,
        threads=options.threads,
        from_dir=options.from_dir,
        tell=tell,
        progress=Transfers(sys.stderr),
    )
    if options.json:
        emit(plan.to_json())
        return
    for line in [*plan_lines(plan), *api.machine_lines(plan.hardware)]:
        print(line)


def resume(options: argparse.Namespace) -> None:
    run = api.resume(
        options.run,
        from_dir=options.from_dir,
        device=options.device,
        precision=options.precision,
        layout=options.layout,
        compile=options.compile,
        threads=options.threads,
        tell=tell,
        progress=Transfers(sys.stderr),
    )
    _report(run, as_json=options.json)


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for text in options.changes:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: write FIELD=VALUE, such as --set lr=0.05")
        changes[name.strip().replace("-", "_")] = value
    for name in ("epochs", "batch_size", "lr", "seed", "size"):
        value = getattr(options, name)
        if value is not None:
            changes[name] = value
    return changes


def _report(run: api.Run, *, as_json: bool) -> None:
    scores = run.scores
    if as_json:
        emit(scores)
        return
    for line in score_lines(scores):
        print(line)
    print(f"run         {run.path}")
    print(f"curves      {run.path / 'curves.png'}")
    print(f"next        {program()} predict {shlex.quote(str(run.path))} PICTURE.png")
