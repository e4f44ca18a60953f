"""What `import neocog` gives beside networks and data: train, resume, open, and a run in hand.

The command line and a notebook go the same way: through here.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import nn

from neocog import planning, training
from neocog.analysis.scores import summary
from neocog.announced import about, clock_of, not_started
from neocog.asked import changed, dataset_for, in_bytes, network_for, recipe_for
from neocog.data.batches import to_input
from neocog.data.dataset import Dataset
from neocog.data.pictures import read
from neocog.engine import memory
from neocog.engine.hardware import Wanted, choose
from neocog.errors import UsageError
from neocog.progress import Clock, Notebook, Terminal, Watcher, in_notebook, watched
from neocog.recipe import Recipe
from neocog.recipes import described
from neocog.records import Epoch
from neocog.report import curves
from neocog.run import RunFolder
from neocog.saving import EVERY


class Run:
    """A run folder in hand: its history, its scores, its network."""

    def __init__(self, folder: RunFolder, network: nn.Module | None = None) -> None:
        self.folder = folder
        self._network = network

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def recipe(self) -> Recipe:
        return self.folder.recipe

    @property
    def history(self) -> list[Epoch]:
        return self.folder.history

    @property
    def scores(self) -> dict[str, Any]:
        """What `neocog eval --json` prints: test and validation scores, time, speed."""
        return summary(self.folder)

    def network(self) -> nn.Module:
        """The network with the weights that were scored, in eval mode."""
        network = self.folder.new_network() if self._network is None else self._network
        self.folder.load_weights(network)
        return network.eval()

    def plot(self) -> Figure:
        """Loss and accuracy of training and validation by epoch, in one figure."""
        what = f"{self.folder.network_name} on {self.folder.data['name']}"
        return curves.figure(self.history, title=f"{what}, recipe {described(self.recipe)}")

    def save_plot(self) -> Path:
        """The same as curves.png in the run folder; gives its path."""
        path = self.path / "curves.png"
        content = curves.png(self.plot(), dpi=150)
        self.folder.write("curves.png", lambda file: file.write(content))
        return path

    def predict(self, *files: str | Path) -> list[dict[str, Any]]:
        """[{"file", "ranked": [{"class", "probability"}, ...]}], the likeliest class first.

        Every file is read before the first is classified, so a wrong one is said at once.
        """
        spec, network = self.folder.spec, self.network()
        shorter = spec.resize if spec.placing == "resize" else 0
        channels = 1 if spec.channels == 1 else 3
        pictures = [read(Path(file), channels, shorter=shorter) for file in files]
        answers = []
        for file, pixels in zip(files, pictures, strict=True):
            device = next(network.parameters()).device
            with torch.inference_mode():
                chances = network(to_input(pixels[None], spec).to(device))[0].softmax(0)
            order = chances.argsort(descending=True).tolist()
            ranked = [{"class": spec.classes[k], "probability": float(chances[k])} for k in order]
            answers.append({"file": str(file), "ranked": ranked})
        return answers


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
    from_dir: str | Path | None = None,
    skip: str | Path | None = None,
    cache_size: float | None = None,
    save_every: float = EVERY,
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
    `progress` replace that. It is saved every `save_every` seconds and after each epoch; Ctrl-C
    and SIGTERM save and raise `Interrupted`.

    How fast it goes, and of the outcome no more than rounding, follows from `device`, `precision`
    ("fp32", "bf16"), `layout` ("contiguous", "channels_last"), `compile` ("yes", "no") and
    `threads`; what is left to "auto" is chosen by timing a few steps of a longer run.
    """
    say = tell or _to_stderr
    wanted = Wanted(device, precision, layout, compile, threads)
    choose(wanted)  # a device that is not there, and a folder in use, are said before a download
    RunFolder.check_unused(out)
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
    job = training.begin(
        network_for(network, dataset, chosen),
        dataset,
        recipe=chosen,
        out=None if out is None else Path(out),
        wanted=wanted,
        minutes=minutes,
        save_every=_seconds(save_every),
        tell=say,
    )
    return _go(job, say, watcher)


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
    from_dir: str | Path | None = None,
    skip: str | Path | None = None,
    cache_size: float | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> planning.Plan:
    """What `train` with the same arguments would take: time, memory, and the choices it makes.

    A few steps are taken with a copy of the network; nothing is trained and no run is written.
    """
    say = tell or _to_stderr
    wanted = Wanted(device, precision, layout, compile, threads)
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
    epochs: float | None = None,
    save_every: float = EVERY,
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
    job = training.resume(
        RunFolder.open(path),
        network=network,
        dataset=data,
        from_dir=from_dir,
        cache_size=in_bytes(cache_size),
        wanted=Wanted(device, precision, layout, compile, threads),
        epochs=epochs,
        save_every=_seconds(save_every),
        tell=tell or _to_stderr,
        progress=progress,
    )
    return _go(job, tell or _to_stderr, watcher)


def open_run(path: str | Path, *, network: nn.Module | None = None) -> Run:
    """A run that exists; `neocog.open` in Python. A network that is not neocog's is given again."""
    return Run(RunFolder.open(path), network)


def _seconds(given: float) -> float:
    if not isinstance(given, int | float) or not given > 0:
        raise UsageError(f"save-every: {given!r} was given; it takes seconds, above 0")
    return float(given)


def _go(job: training.Job, tell: Callable[[str], None], watcher: Watcher | None) -> Run:
    for line in about(job):
        tell(line)
    name = f"{job.folder.network_name} on {job.dataset.name}"
    seen = watcher or _watcher(clock_of(job), name)
    said = False
    for fact in watched(training.run(job), seen):
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
    run.save_plot()
    return run


def _watcher(clock: Clock, title: str) -> Watcher:
    return Notebook(clock, title=title) if in_notebook() else Terminal(sys.stderr, clock)


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
