"""Data, engine and run folder put together: one training run, from its start or from a save."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from neocog import choosing
from neocog.data.dataset import Dataset
from neocog.data.loading import load
from neocog.data.recorded import check_place, from_record, record
from neocog.data.spec import InputSpec
from neocog.engine.evaluate import predictions
from neocog.engine.fit import Training, check_finite_logits, fit
from neocog.engine.hardware import Hardware, Wanted, choose
from neocog.engine.saved import check_saved
from neocog.engine.schedules import epoch_count, lengthened
from neocog.environment import environment_of, versions
from neocog.errors import DataError, NeocogError, UsageError
from neocog.fitting import known
from neocog.planning import batches_of, name_of, paced, prepared
from neocog.recipe import Recipe
from neocog.records import Epoch, Step
from neocog.run import RunFolder
from neocog.saving import EVERY, Saver
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


def begin(
    network: nn.Module,
    dataset: Dataset,
    *,
    recipe: Recipe,
    out: Path | None = None,
    wanted: Wanted | None = None,
    minutes: float | None = None,
    save_every: float = EVERY,
    tell: Callable[[str], None] | None = None,
) -> Job:
    """A new run of `network` on `dataset`, with its folder made and its start written.

    With `minutes` its schedule is stretched or shortened to end, scores and all, so many minutes
    from now. Raises `UsageError` if network, data and recipe do not fit, before any folder is made.
    """
    began, until = time.monotonic(), math.inf
    spec, hardware = prepared(network, dataset, recipe, wanted, tell)
    if minutes is not None:
        recipe, measured, length = paced(network, dataset, recipe, spec, hardware, began, minutes)
        last = (length.check + length.final) * measured.picture
        until = began + 60 * minutes - last
    training = Training.begin(network, recipe)
    name = name_of(network)
    folder = RunFolder.create(out, name=f"{name}-{dataset.name}")
    folder.hold()
    folder.write_start(
        recipe,
        spec,
        network=known(network) or name,
        data=_data_facts(dataset),
        environment=environment_of(dataset, hardware),
    )
    if dataset.listing:
        folder.write_pictures(record(dataset))
    return Job(
        network, dataset, recipe, spec, folder, hardware, training, until, save_every=save_every
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
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Job:
    """A run as it was saved. A network that is not neocog's must be given again. `epochs` may be
    raised where the schedule does not follow from them.
    """
    recipe = folder.recipe
    longer = recipe if epochs is None else lengthened(recipe, epochs)
    if folder.finished:
        raise UsageError(
            f"{folder.path}: this run is finished; `neocog eval {quoted(folder.path)}` shows its "
            "scores"
        )
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
        job = _resumed(folder, state, network, dataset, longer, wanted or Wanted(), tell)
        folder.write_history(job.training.state())  # it may have been killed just before that
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


def dataset_of(
    folder: RunFolder,
    *,
    dataset: Dataset | None = None,
    from_dir: str | Path | None = None,
    cache_size: int | None = None,
    tell: Callable[[str], None] | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Dataset:
    """The data that a run began on, from where they are now; one that is given is checked.

    Raises `DataError` where they are others.
    """
    facts = folder.data
    if dataset is None and facts.get("layout"):
        place = str(from_dir or facts["from"])
        if not from_dir:
            check_place(place)
        dataset = from_record(folder.pictures, place, facts, cache_size=cache_size, tell=tell)
    elif dataset is None:
        try:
            dataset = load(
                facts["name"],
                validation=facts["validation"],
                seed=facts["seed"],
                from_dir=from_dir or facts["from"],
                tell=tell,
                progress=progress,
            )
        except UsageError as error:
            raise UsageError(f"{folder.path / 'recipe.json'}: {error}") from error
    _check_same_data(folder, dataset)
    return dataset


def _resumed(
    folder: RunFolder,
    state: dict[str, Any],
    network: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    wanted: Wanted,
    tell: Callable[[str], None] | None,
) -> Job:
    network.to(choose(wanted).device)
    training = Training.begin(network, recipe)
    try:
        saved = Recipe.from_json(state["recipe"])
        if saved != recipe and lengthened(saved, recipe.epochs) != recipe:
            raise ValueError("it was saved with another recipe than recipe.json has now")
        check_saved(state, training.optimizer, recipe)
        training.restore(state)
    except Exception as error:  # whatever a wrong or damaged state makes torch raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NeocogError(f"{folder.path / 'last.pt'}: cannot be resumed: {reason}") from error
    hardware = choosing.resumed(
        folder,
        network,
        wanted,
        pictures=len(dataset.train),
        at=(training.epoch, training.step),
        versions=versions(),
        tell=tell,
    )
    return Job(network, dataset, recipe, folder.spec, folder, hardware, training)


def run(job: Job) -> Iterator[Step | Epoch]:
    """Train to the end, saving as it goes; then score the test split, once.

    Ctrl-C and SIGTERM end the step, save and raise `Interrupted`; a second one does not wait for
    the step.
    """
    folder, saver = job.folder, Saver(job.folder, job.save_every)
    with signals() as stop:
        try:
            if not folder.saved:
                _save(job)  # from here on there is something to resume
            yield from _train(job, saver, stop)
            saver.wait()
            _score(job)
            folder.finish()
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
    recipe, device = job.recipe, job.hardware.device
    batches = batches_of(job.dataset, recipe, job.spec, device)
    facts = fit(
        job.training,
        batches,
        job.dataset.val.to(device),
        recipe=recipe,
        until=job.until,
        hardware=job.hardware,
    )
    with stop.waiting(), closing(facts):  # whatever ends it, torch is put back at once
        for fact in facts:
            if isinstance(fact, Epoch):
                job.dataset.finish()
                chosen = fact.best or recipe.select == "last"
                saver.save(_state(job), job.network if chosen else None, fact.epoch)
            else:
                job.done = fact.done
                if saver.due():
                    saver.save(_state(job))
            yield fact
            if stop.asked and job.training.epoch < epoch_count(recipe):
                saver.save(_state(job))
                saver.wait()
                raise Interrupted(job.folder.path, terminated=stop.terminated)


def _state(job: Job) -> dict[str, Any]:
    return {**job.training.state(), "recipe": job.recipe.to_json()}


def _save(job: Job) -> None:
    job.folder.save_state(_state(job))


def _score(job: Job) -> None:
    """The weights that the recipe selects into the network, and what they say of val and test."""
    job.folder.load_weights(job.network)
    job.network.eval()
    for name, split in (("validation", job.dataset.val), ("test", job.dataset.test)):
        if len(split):
            split = split.to(job.hardware.device)
            said = predictions(job.network, split, job.spec, views=job.recipe.views)
            check_finite_logits(said, f"the {name} split")
            job.folder.write_predictions(name, said)


def _data_facts(dataset: Dataset) -> dict[str, Any]:
    listing = dataset.listing
    return {
        "name": dataset.name,
        **({"layout": listing.layout, "classes": list(listing.classes)} if listing else {}),
        "mirrors": dataset.mirrors,
        "from": dataset.from_dir,
        "seed": dataset.seed,
        "validation": dataset.validation,
        "fingerprint": dataset.fingerprint(),
        "pictures": {
            "train": len(dataset.train),
            "validation": len(dataset.val),
            "test": len(dataset.test),
        },
    }


def _check_same_data(folder: RunFolder, dataset: Dataset) -> None:
    facts, now = folder.data, _data_facts(dataset)
    if folder.spec.classes != tuple(dataset.classes):
        raise DataError(f"{folder.path / 'input.json'}: it names other classes than the data have")
    if (facts["fingerprint"], facts["pictures"]) != (now["fingerprint"], now["pictures"]):
        raise DataError(
            f"{folder.path}: the run began on other data: {facts['name']} with "
            f"{facts['pictures']}, and this is {now['name']} with {now['pictures']}. If it was a "
            "Dataset of your own, give it again: neocog.resume(run, data=...)"
        )
