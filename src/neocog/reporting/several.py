"""Several runs beside each other: scores, differences on the same pictures, spread over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neocog.analysis.against import over_seeds, same_pictures
from neocog.analysis.paired import Difference, difference, holm
from neocog.reporting.facts import Facts
from neocog.reporting.pieces import (
    Column,
    Place,
    Section,
    count,
    hundredths,
    millions,
    name,
    paragraph,
    share,
    table,
    text,
)
from neocog.watching.words import spell


def beside(runs: Sequence[Facts], repeated: Sequence[str], at: Place) -> Section:
    """One table of all runs, and how far each is from the first."""
    parts = [paragraph(at.say("beside_about").format(n=len(runs)))]
    if repeated:
        twice = paragraph(at.say("twice").format(names=at.joined(repeated)))
        parts += [f"<div class=note role=note>{twice}</div>"]
    parts += [_scores(runs, at), *_differences(runs, at), *_seeds(runs, at)]
    return Section("beside", "\n".join(parts))


def _scores(runs: Sequence[Facts], at: Place) -> str:
    words = ("top1", "interval_word", "balanced", "loss", "parameters", "work_short")
    columns = [Column(at.say("run")), Column(at.say("network"))]
    columns += [
        Column(at.say(w), number=w != "interval_word", kind="span" if w == "interval_word" else "")
        for w in (*words, "time", "pictures_word")
    ]
    rows = [[_link(run, n, at), name(run.network), *_row(run, at)] for n, run in enumerate(runs)]
    return table(at.say("beside_table"), columns, rows)


def _link(run: Facts, number: int, at: Place) -> str:
    return f'<a href="#run-{number + 1}">{name(run.name, 40)}</a>'


def _row(run: Facts, at: Place) -> list[str]:
    made, network = run.scores.get(run.split), run.looked.get("network")
    sizes = [millions(network[key]) if network else "–" for key in ("parameters", "multiply_adds")]
    taken = [text(spell(at.lang, run.seconds))]
    if made is None:
        ended = "unfinished_word" if run.diverged is None else "diverged_word"
        state = at.say("damaged_word" if run.finished else ended)
        return [text(state), "–", "–", "–", *sizes, *taken, "–"]
    span = made["intervals"]["top1"]
    split = "" if run.split == "test" else f" ({text(at.say('split_' + run.split))})"
    return [
        share(made["top1"]),
        f"{hundredths(span['low'])} – {hundredths(span['high'])}",
        share(made["balanced"]),
        f"{made['loss']:.4f}",
        *sizes,
        *taken,
        f"{count(made['n'])}{split}",
    ]


# -- differences


def comparable(first: Facts, other: Facts) -> bool:
    """Whether both were scored on one test set, by its fingerprint, and in one order."""
    split = first.split
    if split != other.split or not {split} <= first.scores.keys() & other.scores.keys():
        return False
    if not same_pictures([first.folder, other.folder], split):
        return False
    return np.array_equal(first.said[split].labels, other.said[split].labels)


def _differences(runs: Sequence[Facts], at: Place) -> Iterator[str]:
    first, *others = runs
    if first.split not in first.scores or not others:
        return
    alike = [run for run in others if comparable(first, run)]
    left = [run.name for run in others if run not in alike]
    yield at.heading("differences")
    if alike:
        yield paragraph(at.say("differences_about").format(first=first.name))
        yield _paired(first, alike, at)
        if len({run.scores[run.split]["protocol"] for run in (first, *alike)}) > 1:
            yield at.p("other_views", kind="weak")
    if left:
        yield paragraph(at.say("not_same").format(names=at.joined(left), first=first.name))


def _paired(first: Facts, others: Sequence[Facts], at: Place) -> str:
    found = [_difference(first, run) for run in others]
    adjusted = holm([each.mcnemar.p for each in found])
    words = ("points", "interval_word", "only_this", "only_first", "p", "holm_p")
    columns = [Column(at.say("run"))]
    columns += [
        Column(at.say(w), number=w != "interval_word", kind="span" if w == "interval_word" else "")
        for w in words
    ]
    rows = [
        [name(run.name, 40), *_apart(each), _p(each.mcnemar.p), _p(p)]
        for run, each, p in zip(others, found, adjusted, strict=True)
    ]
    return table(at.say("paired_table").format(first=first.name), columns, rows)


def _difference(first: Facts, other: Facts) -> Difference:
    assert first.choice is not None
    assert other.choice is not None
    return difference(first.choice.answers, other.choice.answers)


def _apart(found: Difference) -> list[str]:
    span = found.top1_interval
    return [
        f"{100 * found.top1:+.2f}",
        "–" if span is None else f"{100 * span.low:+.2f} … {100 * span.high:+.2f}",
        count(found.mcnemar.only_other),
        count(found.mcnemar.only_first),
    ]


def _p(value: float) -> str:
    return "&lt;0.0001" if value < 0.0001 else f"{value:.4f}"


# -- seeds


def _seeds(runs: Sequence[Facts], at: Place) -> Iterator[str]:
    scored = [run for run in runs if run.split in run.scores and run.recipe is not None]
    groups = over_seeds([run.folder for run in scored], [run.as_evaluated() for run in scored])
    if not groups:
        return
    yield at.heading("seeds") + at.p("seeds_about")
    words = ("score", "mean", "sd", "interval_word")
    columns = [Column(at.say(w), number=w in ("mean", "sd")) for w in words]
    for group in groups:
        rows = [
            _spread(key, group[key], at)
            for key in ("top1", "top5", "balanced", "loss")
            if group[key]
        ]
        caption = at.say("seeds_table").format(
            network=group["network"],
            data=group["data"],
            n=group["n"],
            seeds=at.joined(map(str, group["seeds"])),
        )
        yield table(caption, columns, rows)
        if group["same_pictures"] is not True:
            known = group["same_pictures"] is not None
            yield at.p("other_pictures" if known else "pictures_unknown", kind="weak")


def _spread(key: str, found: dict[str, Any], at: Place) -> list[str]:
    span = found["interval"]
    if key == "loss":
        numbers = [f"{found['mean']:.4f}", f"{found['sd']:.4f}"]
        return [text(at.say(key)), *numbers, f"{span['low']:.4f} – {span['high']:.4f}"]
    numbers = [share(found["mean"]), f"{100 * found['sd']:.2f}"]
    between = f"{hundredths(span['low'])} – {hundredths(span['high'])}"
    return [text(at.say(key)), *numbers, between]
