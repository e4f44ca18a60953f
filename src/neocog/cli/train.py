"""`neocog train` and `neocog resume`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from neocog import api
from neocog.announced import machine_lines
from neocog.cli.devices import process
from neocog.cli.output import Transfers, emit, plan_lines, program, score_lines, tell
from neocog.errors import UsageError
from neocog.stopping import quoted


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
        skip=options.skip,
        out=options.out,
        save_every=options.save_every,
        log=options.log,
        **_how(options),
    )
    _report(run, as_json=options.json)


def _plan(options: argparse.Namespace) -> None:
    plan = api.plan(
        options.network,
        [options.data, *options.instead],
        recipe=options.recipe,
        minutes=options.minutes,
        changes=_changes(options),
        skip=options.skip,
        **_how(options),
    )
    if options.json:
        emit(plan.to_json())
        return
    for line in [*plan_lines(plan), *machine_lines(plan.hardware)]:
        print(line)


def resume(options: argparse.Namespace) -> None:
    run = api.resume(
        options.run,
        epochs=options.epochs,
        save_every=options.save_every,
        log=options.log,
        **_how(options),
    )
    _report(run, as_json=options.json)


def _how(options: argparse.Namespace) -> dict[str, Any]:
    """What training, planning and resuming are all told: on what, from where, and who listens."""
    names = ["device", "precision", "layout", "compile", "threads", "accumulate"]
    names += ["from_dir", "cache_size"]
    told = {name: getattr(options, name) for name in names}
    return {**told, "tell": tell, "progress": Transfers(sys.stderr)}


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
    if (process() or (0, 1))[0] > 0:
        return  # the first of several processes says it
    scores = run.scores
    if as_json:
        emit(scores)
        return
    for line in score_lines(scores, chosen=run.recipe.select == "best"):
        print(line)
    print(f"run         {run.path}")
    print(f"curves      {run.path / 'curves.png'}")
    print(f"next        {program()} predict {quoted(run.path)} PICTURE.png")
