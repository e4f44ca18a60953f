"""Data, engine and run folder put together: one training run, from its start or from a save."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import OutOfMemoryError, nn

from neocog import choosing
from neocog.aftermath import left_over
from neocog.data.dataset import Dataset
from neocog.data.recorded import record
from neocog.data.spec import InputSpec
from neocog.engine.evaluate import predictions
from neocog.engine.fit import fit
from neocog.engine.hardware import Hardware, Wanted, choose
from neocog.engine.health import check_logits, check_state
from neocog.engine.ranks import ALONE, Ranks
from neocog.engine.saved import check_same_run, check_saved
from neocog.engine.schedules import epoch_count, lengthened
from neocog.engine.state import Training
from neocog.environment import environment_of, versions
from neocog.errors import DivergedError, NeocogError, UsageError
from neocog.fitting import known
from neocog.planning import batches_of, name_of, paced, prepared
from neocog.recipe import Recipe
from neocog.records import Epoch, Step
from neocog.room import check_disk, check_memory
from neocog.run import RunFolder
from neocog.rundata import data_facts, dataset_of
from neocog.saving import EVERY, Saver, made_good
from neocog.stopping import Interrupted, Stop, quoted, signals


@dataclass(eq=False)
class Job:
    """A run that is ready to go on: everything but the going."""

    network: nn.Module
    dataset: Dataset
    recipe: Recipe
    spec: InputSpec
    folder: RunFolder
    hardware: Hardware
    training: Training
    until: float = math.inf  # of time.monotonic: then training ends, wherever it is
    done: float = 1.0  # the share of its steps that was done when it ended
    save_every: float = EVERY  # seconds
    # that train it together; only the first writes into the folder
    ranks: Ranks = field(default_factory=Ranks)
    begins: dict[str, Any] | None = None  # the state it goes on from, until it was lent to others


def begin(
    network: nn.Module,
    dataset: Dataset,
    *,
    recipe: Recipe,
    out: Path | None = None,
    wanted: Wanted | None = None,
    minutes: float | None = None,
    save_every: float = EVERY,
    ranks: Ranks | None = None,
    tell: Callable[[str], None] | None = None,
) -> Job:
    """A new run of `network` on `dataset`, with its folder made and its start written.

    With `minutes` its schedule is stretched or shortened to end, scores and all, so many minutes
    from now. Raises `UsageError` if network, data and recipe do not fit, before any folder is made.
    """
    began, until, ranks = time.monotonic(), math.inf, ranks or Ranks()
    ranks.check_share(recipe.batch_size)
    spec, hardware = prepared(network, dataset, recipe, wanted, tell, began, minutes)
    if minutes is not None:
        recipe, measured, length = paced(network, dataset, recipe, spec, hardware, began, minutes)
        last = length.check * measured.picture + length.final * measured.scored
        until = began + 60 * minutes - last
    training = Training.begin(network, recipe)
    name = name_of(network)
    dataset.check_outside(out or Path("runs"), "Name another with --out, or start elsewhere")
    check_disk(out or Path("runs"), network, dataset, recipe)
    folder = RunFolder.create(out, name=f"{name}-{dataset.name}")
    folder.hold()
    folder.write_start(
        recipe,
        spec,
        network=known(network) or name,
        data=data_facts(dataset),
        environment=environment_of(dataset, hardware),
    )
    if dataset.listing:
        folder.write_pictures(record(dataset))
    return Job(
        network,
        dataset,
        recipe,
        spec,
        folder,
        hardware,
        training,
        until,
        save_every=save_every,
        ranks=ranks,
    )


def resume(
    folder: RunFolder,
    *,
    network: nn.Module | None = None,
    dataset: Dataset | None = None,
    from_dir: str | Path | None = None,
    cache_size: int | None = None,
    wanted: Wanted | None = None,
    epochs: float | None = None,
    save_every: float = EVERY,
    ranks: Ranks | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Job:
    """A run as it was saved. A network that is not neocog's must be given again. `epochs` may be
    raised where the schedule does not follow from them.
    """
    recipe, ranks = folder.recipe, ranks or Ranks()
    longer = recipe if epochs is None else lengthened(recipe, epochs)
    if folder.finished:
        raise UsageError(
            f"{folder.path}: this run is finished; `neocog eval {quoted(folder.path)}` shows its "
            "scores"
        )
    ranks.check_share(longer.batch_size)
    folder.hold()
    try:
        state = folder.state(tell)
        network = folder.new_network() if network is None else network
        dataset = dataset_of(
            folder,
            dataset=dataset,
            from_dir=from_dir,
            cache_size=cache_size,
            tell=tell,
            progress=progress,
        )
        job = _resumed(folder, state, network, dataset, longer, wanted or Wanted(), ranks, tell)
        folder.write_history(state)  # it may have been killed just before that
        made_good(
            folder,
            network,
            job.training.history,
            at_end=job.training.step == 0,
            last=recipe.select == "last",
            tell=tell,
        )
        if longer != recipe:
            folder.write_recipe(longer)
            if tell:
                tell(
                    f"epochs {recipe.epochs:g} then, {longer.epochs:g} now: from here on it is the "
                    f"run that would have begun with {longer.epochs:g}"
                )
    except BaseException:
        folder.let_go()
        raise
    job.save_every = save_every
    return job


def _resumed(
    folder: RunFolder,
    state: dict[str, Any],
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    wanted: Wanted,
    ranks: Ranks,
    tell: Callable[[str], None] | None,
) -> Job:
    network.to(choose(wanted).device)
    training = Training.begin(network, recipe)
    try:
        check_same_run(state, recipe, folder.spec)
        check_saved(state, training.optimizer, recipe)
        training.restore(state, ranks)
    except Exception as error:  # whatever a wrong or damaged state makes torch raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NeocogError(f"{folder.path / 'last.pt'}: cannot be resumed: {reason}") from error
    check_disk(folder.path, network, dataset, recipe, begun=True)
    hardware = choosing.resumed(
        folder,
        network,
        wanted,
        pictures=len(dataset.train),
        at=(training.epoch, training.step),
        versions=versions(),
        tell=tell,
    )
    wanted = dataclasses.replace(wanted, accumulate=hardware.accumulate)
    check_memory(network, dataset, recipe, folder.spec, wanted, tell)
    return Job(
        network,
        dataset,
        recipe,
        folder.spec,
        folder,
        hardware,
        training,
        ranks=ranks,
        begins=state if ranks.world > 1 else None,
    )


def run(job: Job) -> Iterator[Step | Epoch]:
    """Train to the end, saving as it goes; then score the test split, once.

    Ctrl-C and SIGTERM end the step, save and raise `Interrupted`; a second one does not wait for
    the step. Of several processes one that is asked to stop ends all of them.
    """
    folder, saver = job.folder, Saver(job.folder, job.save_every)
    with signals() as stop:
        try:
            if job.ranks.first and not folder.saved:
                saver.save(state_of(job))  # from here on there is something to resume
                saver.wait()
            yield from _train(job, saver, stop)
            saver.wait()
            _score(job)
            if job.ranks.first:
                folder.finish()
        except (DivergedError, OutOfMemoryError) as error:
            saver.end()
            how = job.hardware.precision, job.hardware.accumulate, job.recipe.batch_size
            raise left_over(error, folder, *how) from error
        except Interrupted:
            raise
        except KeyboardInterrupt:
            if folder.saved:
                raise Interrupted(folder.path, terminated=stop.terminated) from None
            raise
        finally:
            job.dataset.finish()
            saver.end()
            folder.let_go()


def _train(job: Job, saver: Saver, stop: Stop) -> Iterator[Step | Epoch]:
    recipe, device, ranks = job.recipe, job.hardware.device, job.ranks
    ranks.wishes = {
        "stop": lambda: stop.asked,
        "terminated": lambda: stop.asked and stop.terminated,
        "save": lambda: ranks.first and saver.due(),
    }
    facts = fit(
        job.training,
        batches_of(job.dataset, recipe, job.spec, device, ranks),
        job.dataset.val.to(device),
        recipe=recipe,
        until=job.until,
        hardware=job.hardware,
        ranks=ranks,
    )
    with stop.waiting(), closing(facts):  # whatever ends it, torch is put back at once
        for fact in facts:
            heard = ranks.heard
            if isinstance(fact, Epoch):
                _finish_pictures(job)
                chosen = fact.best or recipe.select == "last"
                _save(job, saver, job.network if chosen else None, fact.epoch)
            else:
                job.done = fact.done
                if "save" in heard:
                    _save(job, saver)
            yield fact
            stopping = "stop" in heard or (ranks.world == 1 and stop.asked)
            if stopping and job.training.epoch < epoch_count(recipe):
                _save(job, saver)
                saver.wait()
                ranks.wait()  # one that ends sooner has the others ended, this one while it writes
                raise Interrupted(
                    job.folder.path, terminated=stop.terminated or "terminated" in heard
                )


def _save(job: Job, saver: Saver, network: nn.Module | None = None, epoch: int = 0) -> None:
    if job.ranks.first:
        check_state(job.training, job.recipe)  # what is no number is never saved
    state = state_of(job, job.ranks)
    if job.ranks.first:
        saver.save(state, network, epoch)


def state_of(job: Job, ranks: Ranks = ALONE) -> dict[str, Any]:
    """All that changes; of several processes all call it with their `ranks`."""
    what = {"recipe": job.recipe.to_json(), "input": job.spec.to_json()}
    return {**job.training.state(ranks), **what}


def _finish_pictures(job: Job) -> None:
    """What the processes have decoded is kept, and there for all of them."""
    job.dataset.finish(wait=job.ranks.world > 1)
    if job.ranks.world > 1:
        job.ranks.wait()
        job.dataset.look_again()


def _score(job: Job) -> None:
    """The weights that the recipe selects into the network, and what they say of val and test."""
    if job.ranks.first:
        job.folder.load_weights(job.network)
    job.ranks.alike(job.network)
    job.network.eval()
    network, views, laid = job.network, job.recipe.views, job.hardware.layout
    for name, split in (("validation", job.dataset.val), ("test", job.dataset.test)):
        if len(split):
            split = split.to(job.hardware.device)
            said = predictions(network, split, job.spec, views=views, layout=laid, ranks=job.ranks)
            check_logits(said, f"the {name} split", job.network)
            if job.ranks.first:
                job.folder.write_predictions(name, said)
