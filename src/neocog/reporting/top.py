"""The beginning and the end of a run's part: how good it is, what it is, how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from neocog.recipe import Recipe
from neocog.recipes import described
from neocog.reporting.facts import Facts, relative
from neocog.reporting.pieces import (
    Column,
    Place,
    Section,
    command,
    count,
    facts,
    fold,
    hundredths,
    millions,
    name,
    paragraph,
    share,
    table,
    text,
)
from neocog.stopping import quoted
from neocog.watching.words import spell

TOO_FEW = 30  # pictures: then the score says little, and that is said
LANGUAGE = {"en": "en", "zh": "zh"}


def title(run: Facts, at: Place) -> str:
    return at.say("title").format(network=run.network, data=run.data["name"])


def when(run: Facts) -> str:
    """The beginning of the run, as 2026-11-23 11:53 UTC."""
    started = (run.environment or {}).get("started")
    try:
        moment = datetime.fromisoformat(str(started)).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def result(run: Facts, at: Place) -> Section:
    """The score with all that makes it one, and where it fails most."""
    return Section("result", "\n".join([*_state(run, at), *_hero(run, at), *_fails(run, at)]))


def lead(run: Facts, at: Place) -> str:
    pictures = run.data["pictures"]["train"]
    classes = count(len(run.classes)) if run.classes else "?"
    return at.say("lead").format(classes=classes, n=count(pictures))


def _state(run: Facts, at: Place) -> Iterator[str]:
    """What has to be known before any number is read."""
    said = []
    if not run.finished and run.diverged is not None:
        said += [at.p("diverged"), paragraph(relative(run.diverged, run.folder))]
    elif not run.finished:
        done, of = len(run.history or []), f"{run.recipe.epochs:g}" if run.recipe else "?"
        said += [
            paragraph(at.say("unfinished").format(done=done, of=of)),
            command(f"neocog resume {_called(run)}"),
        ]
    elif run.split == "validation":
        said += [at.p("no_test")]
    if run.split in run.scores and run.scores[run.split]["n"] < TOO_FEW:
        said += [paragraph(at.say("few").format(n=run.scores[run.split]["n"]))]
    if len(run.classes) == 1:
        said += [at.p("one_class")]
    if run.gathered.lacking:
        said += [at.p(f"lacking_{run.gathered.lacking.replace(' ', '_')}")]
        if run.gathered.lacking != "network":
            said += [command(f"neocog report {_called(run)} --from DIR")]
        elif run.gathered.why:
            said += [paragraph(relative(run.gathered.why, run.folder), kind="weak")]
    if run.troubles:
        said += [paragraph(why, kind="weak") for why in run.troubles.values()]
        said += [at.p("damaged"), command(f"neocog verify {_called(run)}")]
    if said:
        yield f"<div class=note role=note>{''.join(said)}</div>"


def _hero(run: Facts, at: Place) -> Iterator[str]:
    tiles = facts(_tiles(run, at), kind="tiles")
    if run.split not in run.scores:
        yield f"<div class=hero>{tiles}</div>"
        return
    made = run.scores[run.split]
    span = made["intervals"]["top1"]
    split = at.say(f"of_{run.split}").format(n=count(made["n"]))
    yield (
        f"<div class=hero><div><p class=big>{hundredths(made['top1'])}<small>%</small></p>"
        f"<p><strong>{text(at.say('top1_of').format(split=split))}</strong></p>"
        f"{paragraph(at.say('interval').format(low=share(span['low']), high=share(span['high'])))}"
        f"{paragraph(at.say('views').format(views=made['protocol']), kind='weak')}</div>"
        f"{tiles}</div>"
    )
    right = round(made["top1"] * made["n"])
    seen = "unseen" if run.split == "test" else "chosen_by"
    yield paragraph(at.say("answers").format(right=count(right), n=count(made["n"]))) + at.p(
        seen, kind="weak"
    )


def _tiles(run: Facts, at: Place) -> Iterator[tuple[str, str]]:
    network = run.looked.get("network")
    if network:
        yield at.say("parameters"), millions(network["parameters"])
        yield at.say("multiply_adds"), millions(network["multiply_adds"])
    if run.history is not None:
        yield at.say("epochs"), f"{len(run.history)}"
        yield at.say("time"), text(spell(at.lang, run.seconds))
    top5 = run.scores.get(run.split, {}).get("top5")
    if top5 is not None:
        yield at.say("top5"), share(top5)


def _fails(run: Facts, at: Place) -> Iterator[str]:
    """Where it fails most, in two sentences."""
    made = run.scores.get(run.split)
    if made is None or not made["confused"]:
        return
    pair = made["confused"][0]
    worst = min((each for each in made["classes"] if each["n"]), key=lambda each: each["recall"])
    yield at.heading("fails")
    (size,) = {each["n"] for each in made["classes"] if each["class"] == pair["class"]}
    yield paragraph(
        at.say("most_confused").format(
            shown=pair["class"],
            taken=pair["as"],
            n=count(pair["n"]),
            size=count(size),
            share=share(pair["share"], 1),
        )
    )
    yield paragraph(
        at.say("worst_class").format(name=worst["class"], share=share(worst["recall"], 1))
    )


# -- what and how


def setup(run: Facts, at: Place) -> Section:
    """Data, recipe, hardware."""
    parts = [at.p("setup_about"), at.heading("data"), facts(_data(run, at))]
    if run.classes:
        classes = at.joined(run.classes[:40])
        more = (
            at.say("and_more").format(n=count(len(run.classes) - 40))
            if len(run.classes) > 40
            else ""
        )
        listed = f"<p><bdi>{text(classes)}</bdi>{text(more)}</p>"
        summary = at.say("classes_of").format(n=count(len(run.classes)))
        parts += [fold(summary, listed, is_open=len(run.classes) <= 12)]
    if run.recipe is not None:
        parts += [at.heading("recipe"), *_recipe(run.recipe, at)]
    parts += [at.heading("carried_out"), facts(_carried_out(run, at))]
    return Section("setup", "\n".join(parts))


def _data(run: Facts, at: Place) -> Iterator[tuple[str, str]]:
    yield at.say("name"), name(run.data["name"])
    counts = run.data["pictures"]
    for split in ("train", "validation", "test"):
        yield at.say(f"split_{split}"), at.say("pictures").format(n=count(counts[split]))
    for key in ("fingerprint", "test_fingerprint"):
        if run.data.get(key) and (counts["test"] or key == "fingerprint"):
            yield at.say(key), f"<code>{text(run.data[key][:16])}…</code>"


def _recipe(recipe: Recipe, at: Place) -> Iterator[str]:
    told, usual = recipe.to_json(), Recipe().to_json()
    rows = [[f"<code>{text(key)}</code>", _value(told[key]), _value(usual[key])] for key in told]
    changed = [row for row in rows if row[1] != row[2]]
    columns = [Column(at.say("field")), Column(at.say("value")), Column(at.say("usual"))]
    yield paragraph(at.say("recipe_about").format(recipe=described(recipe)))
    yield table(at.say("recipe_changed"), columns, changed, hidden=True)
    rest = [row[:2] for row in rows if row[1] == row[2]]
    if rest:
        summary = at.say("recipe_rest").format(n=len(rest))
        yield fold(summary, table(summary, columns[:2], rest, hidden=True), kind="long")


def _value(value: object) -> str:
    if isinstance(value, list):
        return text(", ".join(f"{each:g}" for each in value) or "–")
    return text(f"{value:g}" if isinstance(value, float) else value)


def _carried_out(run: Facts, at: Place) -> Iterator[tuple[str, str]]:
    of = _within(run.environment or {}, "hardware")
    if of.get("name"):
        yield at.say("hardware"), text(of["name"])
    if run.history:
        yield at.say("time"), text(spell(at.lang, run.seconds))
        speed = sum(epoch.images_per_second for epoch in run.history) / len(run.history)
        yield at.say("speed"), at.say("images_per_second").format(n=count(speed))
    if run.recipe is not None:
        yield at.say("seed"), text(run.recipe.seed)
    network = run.looked.get("network")
    if network:
        yield at.say("parameters"), count(network["parameters"])
        adds = count(network["multiply_adds"])
        yield at.say("multiply_adds"), adds
        if run.history:
            each = network["multiply_adds"] * run.data["pictures"]["train"] * len(run.history)
            yield at.say("work"), f"{3 * each:.2e}"


# -- the end


def again(run: Facts, at: Place) -> Section:
    """How to make and to check it again, and where it was made."""
    line = typed(run.environment or {})
    parts = [at.p("again_about")]
    if line is None:
        parts += [at.p("from_python")]
    else:
        parts += [at.p("typed"), command(line)]
    parts += [at.p("verify_about"), command(f"neocog verify {_called(run)} --retrain")]
    rows = list(_environment(run.environment or {}))
    if rows:
        columns = [Column(at.say("what")), Column(at.say("value"))]
        made = [[text(what), text(value)] for what, value in rows]
        parts += [table(at.say("environment"), columns, made)]
    return Section("again", "\n".join(parts))


def typed(environment: dict[str, Any]) -> str | None:
    """The command that began the run, quoted for a shell; None where it was none of neocog's."""
    given = environment.get("command")
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        return None
    program = PurePath(given[0]).name if given else ""
    if program not in ("neocog", "neocog.exe", "__main__.py") or len(given) < 2:
        return None
    return shlex.join(["neocog", *given[1:]])


def _environment(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for what, value in {**_within(told, "versions"), "system": told.get("system")}.items():
        if value:
            yield str(what), str(value)
    for what, value in _within(told, "hardware").items():
        if isinstance(value, str | int | float) and value != "":
            yield str(what), str(value)


def _within(told: dict[str, Any], what: str) -> dict[str, Any]:
    found = told.get(what)
    return found if isinstance(found, dict) else {}


def _called(run: Facts) -> str:
    return quoted(run.name)
