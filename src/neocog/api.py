"""What `import neocog` gives beside networks and data: train, resume, plan, and a run in hand.

The command line and a notebook go the same way: through here.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from neocog import planning, training
from neocog.announced import about, clock_of, not_started, seconds_of_scoring
from neocog.asked import changed, dataset_for, in_bytes, network_for, recipe_for
from neocog.data.dataset import Dataset
from neocog.engine import memory
from neocog.engine.hardware import Wanted, choose
from neocog.engine.meeting import device_of, joined, launched
from neocog.engine.ranks import Ranks
from neocog.errors import UsageError
from neocog.events import check_log, logged
from neocog.live import told
from neocog.opened import Run, open_run
from neocog.progress import (
    Clock,
    Nobody,
    Notebook,
    Several,
    Terminal,
    Watcher,
    in_notebook,
    watched,
)
from neocog.recipe import Recipe
from neocog.records import Epoch
from neocog.run import RunFolder
from neocog.rundata import dataset_of
from neocog.saving import EVERY
from neocog.together import borrowed, earlier, follow, lend

__all__ = ["Run", "open_run", "plan", "resume", "train"]


def train(
    network: nn.Module | str,
    data: Dataset | str | Sequence[str],
    *,
    recipe: Recipe | str | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    changes: dict[str, Any] | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    layout: str = "auto",
    compile: str = "auto",
    threads: int | None = None,
    accumulate: int | None = None,
    from_dir: str | Path | None = None,
    skip: str | Path | None = None,
    cache_size: float | None = None,
    save_every: float = EVERY,
    log: str | None = None,
    watcher: Watcher | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Run:
    """Train a network and give its run.

    `network`: a name, or an nn.Module (its weights are trained in place). `data`: a name, a folder
    of pictures or a list of them, several of which the first that can be had is taken, or a
    `Dataset`; of a folder the paths in the file `skip` are left out, and at most `cache_size` GB of
    decoded pictures are kept on disk. `recipe`: a Recipe, its name, or
    None for the network's own; `epochs` and `changes` ({"lr": 0.05}) alter it, `minutes` stretches
    or shortens its schedule to that time, scores included. `out` is the run folder, else one is
    made in runs/. Progress goes to stderr, or into the notebook's cell; `watcher`, `tell` and
    `progress` replace that. It is saved every `save_every` seconds and after each epoch,
    less often where that would take a twentieth of the time; Ctrl-C and SIGTERM save and raise
    `Interrupted`. Started by torchrun, the processes train together;
    what comes back is whole in the first of them, which writes the run folder. `log="tensorboard"`
    writes TensorBoard's event files into it too.

    How fast it goes, and of the outcome no more than rounding, follows from `device`, `precision`
    ("fp32", "bf16"), `layout` ("contiguous", "channels_last"), `compile` ("yes", "no"), `threads`
    and `accumulate` (pieces of a batch, one after the other, for less memory); what is left to
    "auto" is chosen by timing a few steps of a longer run.
    """
    check_log(log)
    wanted = _wanted(device, precision, layout, compile, threads, accumulate)
    with joined(wanted.device) as ranks:
        say = _voice(ranks, tell)
        wanted = dataclasses.replace(wanted, processes=ranks.world)
        choose(
            wanted
        )  # a device that is not there, and a folder in use, are said before a download
        chosen = changed(recipe_for(network, data, recipe), changes, epochs=epochs, minutes=minutes)

        def data_and_network() -> tuple[Dataset, nn.Module]:
            dataset = dataset_for(
                data,
                chosen,
                from_dir=from_dir,
                skip=skip,
                cache_size=in_bytes(cache_size),
                tell=say,
                progress=progress if ranks.first else None,
            )
            return dataset, network_for(network, dataset, chosen)

        if not ranks.first:
            with borrowed(ranks) as lent:
                dataset, made = data_and_network()
                return _go(follow(lent, made, dataset, ranks), say, Nobody(), None)
        before = earlier(out)
        if before is None:
            RunFolder.check_unused(out)
        dataset, made = data_and_network()
        if before is not None:
            say(f"started again: going on with {before.path}")
            job = training.resume(
                before,
                network=made,
                dataset=dataset,
                wanted=wanted,
                save_every=_seconds(save_every),
                ranks=ranks,
                tell=say,
            )
        else:
            job = training.begin(
                made,
                dataset,
                recipe=chosen,
                out=None if out is None else Path(out),
                wanted=wanted,
                minutes=minutes,
                save_every=_seconds(save_every),
                ranks=ranks,
                tell=say,
            )
        lend(job)
        return _go(job, say, watcher, log)


def plan(
    network: nn.Module | str,
    data: Dataset | str | Sequence[str],
    *,
    recipe: Recipe | str | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    changes: dict[str, Any] | None = None,
    device: str = "auto",
    precision: str = "auto",
    layout: str = "auto",
    compile: str = "auto",
    threads: int | None = None,
    accumulate: int | None = None,
    from_dir: str | Path | None = None,
    skip: str | Path | None = None,
    cache_size: float | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> planning.Plan:
    """What `train` with the same arguments would take: time, memory, and the choices it makes.

    A few steps are taken with a copy of the network; nothing is trained and no run is written.
    """
    if launched():
        raise UsageError("--plan measures one process: leave out torchrun and --devices")
    say = tell or _to_stderr
    wanted = _wanted(device, precision, layout, compile, threads, accumulate)
    choose(wanted)
    chosen = changed(recipe_for(network, data, recipe), changes, epochs=epochs, minutes=minutes)
    dataset = dataset_for(
        data,
        chosen,
        from_dir=from_dir,
        skip=skip,
        cache_size=in_bytes(cache_size),
        tell=say,
        progress=progress,
    )
    made = network_for(network, dataset, chosen)
    if made is network:  # a user's own stays as it is: `plan` may whiten and move it
        made = copy.deepcopy(made)
    return planning.plan(made, dataset, recipe=chosen, wanted=wanted, minutes=minutes, tell=say)


def resume(
    path: str | Path,
    *,
    network: nn.Module | None = None,
    data: Dataset | None = None,
    from_dir: str | Path | None = None,
    cache_size: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    layout: str = "auto",
    compile: str = "auto",
    threads: int | None = None,
    accumulate: int | None = None,
    epochs: float | None = None,
    save_every: float = EVERY,
    log: str | None = None,
    watcher: Watcher | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Run:
    """Go on with a run that was stopped, to the weights it would have reached.

    A network that is not neocog's, and a data set that was not had by name, must be given again;
    `from_dir` is where the data lie now, if they have moved. It goes on with the precision, layout
    and so on that it began with, unless others are asked for or the machine is another one.
    `epochs` may be raised where the schedule does not follow from their number.
    """
    check_log(log)
    wanted = _wanted(device, precision, layout, compile, threads, accumulate)
    with joined(wanted.device) as ranks:
        say = _voice(ranks, tell)
        where: dict[str, Any] = {"from_dir": from_dir, "cache_size": in_bytes(cache_size)}
        if not ranks.first:
            with borrowed(ranks) as lent:
                made = lent.new_network() if network is None else network
                dataset = dataset_of(lent, dataset=data, **where, tell=say)
                return _go(follow(lent, made, dataset, ranks), say, Nobody(), None)
        job = training.resume(
            RunFolder.open(path),
            network=network,
            dataset=data,
            **where,
            wanted=dataclasses.replace(wanted, processes=ranks.world),
            epochs=epochs,
            save_every=_seconds(save_every),
            ranks=ranks,
            tell=say,
            progress=progress,
        )
        lend(job)
        return _go(job, say, watcher, log)


def _seconds(given: float) -> float:
    if not isinstance(given, int | float) or not given > 0:
        raise UsageError(f"save-every: {given!r} was given; it takes seconds, above 0")
    return float(given)


def _go(
    job: training.Job, tell: Callable[[str], None], watcher: Watcher | None, log: str | None
) -> Run:
    for line in about(job):
        tell(line)
    name = f"{job.folder.network_name} on {job.dataset.name}"
    scoring = seconds_of_scoring(job)
    seen = watcher or _watcher(clock_of(job, scoring), name)
    said = False
    with told(job, clock_of(job, scoring)) as now, logged(job, log, tell) as events:
        for fact in watched(training.run(job), Several(seen, now, events)):
            if isinstance(fact, Epoch) and not said:
                note = not_started(fact, len(job.dataset.classes), job)
                said = note is not None
                if note:
                    tell(note)
    memory.give_back()
    if job.done < 1:
        tell(
            f"time was up after {job.done:.0%} of the steps that were planned: the schedule did "
            "not reach its end, and the scores are lower for it"
        )
    run = Run(job.folder, job.network)
    if job.ranks.first:
        run.save_plot()
    job.ranks.wait()
    return run


def _wanted(
    device: str,
    precision: str,
    layout: str,
    compile: str,
    threads: int | None,
    accumulate: int | None,
) -> Wanted:
    wanted = Wanted(device, precision, layout, compile, threads, accumulate)
    return dataclasses.replace(wanted, device=device_of(device))


def _voice(ranks: Ranks, tell: Callable[[str], None] | None) -> Callable[[str], None]:
    """Only the first of several processes talks."""
    return (tell or _to_stderr) if ranks.first else _nothing


def _nothing(line: str) -> None:
    """Says nothing."""


def _watcher(clock: Clock, title: str) -> Watcher:
    return Notebook(clock, title=title) if in_notebook() else Terminal(sys.stderr, clock)


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
