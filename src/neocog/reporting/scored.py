"""Scores with what they are worth: intervals, both splits, every class, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from neocog.analysis.answers import answers
from neocog.analysis.calibration import Bin, reliability
from neocog.analysis.intervals import wilson
from neocog.report import diagram
from neocog.report.diagram import Words
from neocog.reporting.facts import Facts
from neocog.reporting.pieces import (
    Column,
    Place,
    Section,
    count,
    fold,
    hundredths,
    name,
    paragraph,
    share,
    table,
    text,
)

WHOLE = 30  # classes whose table stands open
WORST = 12  # classes that stand open of more
DOTS = 144  # pixels of a class's interval
PASSES = {"single": 1, "mirror": 2, "six-view": 6}  # of what a recipe names


def scores(run: Facts, at: Place) -> Section | None:
    """All scores of both splits, other protocols, and every class."""
    if run.split not in run.scores:
        return None
    parts = [at.p("scores_about"), _scores(run, at)]
    parts += [at.p("intervals_about", kind="weak")]
    parts += list(_calibrated(run, at))
    if run.protocols:
        parts += [_protocols(run, at)]
        if any(each["stale"] for each in run.protocols):
            parts += [at.p("stale", kind="weak")]
    parts += list(_classes(run, at))
    return Section("scores", "\n".join(parts))


def _scores(run: Facts, at: Place) -> str:
    """Rows are scores, columns the splits."""
    splits = [split for split in ("test", "validation") if split in run.scores]
    columns = [Column(at.say("score"))]
    for split in splits:
        columns += [Column(at.say(f"split_{split}"), number=True), Column(at.say("ninety_five"))]
        columns[-1] = Column(at.say("ninety_five"), kind="span")
    columns += [Column(at.say("method"), kind="span")]
    rows = []
    for key in ("top1", "top5", "balanced", "f1", "loss"):
        made = [run.scores[split].get(key) for split in splits]
        if made[0] is None:
            continue
        shown, method = [], ""
        for split, value in zip(splits, made, strict=True):
            span = run.scores[split]["intervals"].get(key)
            shown += [_number(key, value), _span(key, span)]
            method = method or (_method(span, at) if span else "–")
        rows += [[text(at.say(key)), *shown, text(method)]]
    rows += [
        [
            text(at.say("pictures_word")),
            *(cell for s in splits for cell in (count(run.scores[s]["n"]), "")),
            "",
        ]
    ]
    return table(at.say("scores_table"), columns, rows, hidden=True)


def _number(key: str, value: float | None) -> str:
    return f"{value:.4f}" if key == "loss" and value is not None else share(value)


def _span(key: str, span: dict[str, Any] | None) -> str:
    if span is None:
        return "–"
    low, high = span["low"], span["high"]
    if key == "loss":
        return f"{low:.4f} – {high:.4f}"
    return f"{hundredths(low)} – {hundredths(high)}"


def _method(span: dict[str, Any], at: Place) -> str:
    word = at.say("method_" + span["method"].replace(" ", "_"))
    if span.get("resamples"):
        word += f", B {span['resamples']:,}"
    return f"{word}, n {span['n']:,}"


def _calibrated(run: Facts, at: Place) -> Iterator[str]:
    """How far confidence is from being right, before and after a temperature."""
    made = run.scores[run.split]["calibration"]
    found = made["temperature"]
    columns = [Column(at.say("calibration")), Column(at.say("as_it_is"), number=True)]
    rows = [
        [text(at.say("ece")), share(made["ece"]["equal_mass"])],
        [text(at.say("loss")), f"{run.scores[run.split]['loss']:.4f}"],
        [text(at.say("ece_chance")), share(made["ece_if_calibrated"]["equal_mass"])],
    ]
    if found and found.get("value") is not None:
        columns += [
            Column(at.say("with_temperature").format(value=f"{found['value']:.3g}"), number=True)
        ]
        rows[0] += [share(found["ece"]["equal_mass"])]
        rows[1] += [f"{found['loss']:.4f}"]
        rows[2] += [""]
    yield table(at.say("calibration_table"), columns, rows)
    if found and found.get("value") is not None:
        yield paragraph(at.say("temperature_about").format(n=count(found["n"])), kind="weak")
    elif found:
        yield at.p("no_temperature", kind="weak")


def _protocols(run: Facts, at: Place) -> str:
    columns = [
        Column(at.say("protocol")),
        Column(at.say("top1"), number=True),
        Column(at.say("ninety_five"), kind="span"),
        Column(at.say("top5"), number=True),
        Column(at.say("balanced"), number=True),
        Column(at.say("loss"), number=True),
        Column(at.say("pictures_word"), number=True),
        Column(at.say("passes"), number=True),
    ]
    own = run.scores[run.split]
    made = [
        {**own, "protocol": own["protocol"], "passes": PASSES.get(own["protocol"]), "stale": False},
        *run.protocols,
    ]
    rows = [
        [
            name(each["protocol"]) + (" *" if each["stale"] else ""),
            share(each["top1"]),
            _span("top1", wilson(round(each["top1"] * each["n"]), each["n"]).to_json()),
            share(each["top5"]),
            share(each["balanced"]),
            f"{each['loss']:.4f}",
            count(each["n"]),
            "" if not isinstance(each["passes"], int) else count(each["passes"]),
        ]
        for each in made
    ]
    return table(at.say("protocols_table"), columns, rows)


# -- class by class


def _classes(run: Facts, at: Place) -> Iterator[str]:
    made = run.scores[run.split]["classes"]
    having = sorted((each for each in made if each["n"]), key=lambda each: each["recall"])
    without = [each["class"] for each in made if not each["n"]]
    yield at.heading("by_class")
    yield at.p("classes_about")
    first = having if len(having) <= WHOLE else having[:WORST]
    caption = at.say("classes_table" if len(first) == len(having) else "worst_classes").format(
        n=len(first)
    )
    yield _class_table(first, caption, at)
    if len(first) < len(having):
        summary = at.say("all_classes").format(n=count(len(having)))
        yield fold(summary, _class_table(having, summary, at), kind="long")
    if without:
        few = at.joined(without[:12]) + ("…" if len(without) > 12 else "")
        yield paragraph(
            at.say("without_pictures").format(n=count(len(without)), names=few), kind="weak"
        )


def _class_table(made: Sequence[dict[str, Any]], caption: str, at: Place) -> str:
    columns = [
        Column(at.say("class")),
        Column(at.say("recall"), number=True),
        Column(at.say("ninety_five"), kind="span"),
        Column(""),
        Column(at.say("precision"), number=True),
        Column("F1", number=True),
        Column(at.say("pictures_word"), number=True),
    ]
    rows = [
        [
            name(each["class"], 40),
            share(each["recall"], 1),
            " – ".join(hundredths(each["interval"][end], 1) for end in ("low", "high")),
            _dot(each),
            share(each["precision"], 1),
            share(each["f1"], 1),
            count(each["n"]),
        ]
        for each in made
    ]
    return table(caption, columns, rows)


def _dot(each: dict[str, Any]) -> str:
    """Recall on a rail from 0 to 1, and its interval; the numbers stand beside it."""
    low, mid, high = (
        round(3 + value * (DOTS - 6), 1)
        for value in (each["interval"]["low"], each["recall"], each["interval"]["high"])
    )
    return (
        f'<svg class="dots c0" viewBox="0 0 {DOTS} 18" aria-hidden=true>'
        f'<path class=rail d="M3 9H{DOTS - 3}"/><path class=reach d="M{low} 9H{high}"/>'
        f'<circle class=at cx="{mid}" cy="9" r="3.6"/></svg>'
    )


# -- as sure as it is right?


def sure(run: Facts, at: Place) -> Section | None:
    """Reliability, before and after a temperature."""
    if run.choice is None:
        return None
    bins = reliability(run.choice.answers, binning="equal width")
    after = _after(run)
    n = sum(each.n for each in bins)
    confident = sum(each.n * each.confidence for each in bins) / n
    right = sum(each.n * each.accuracy for each in bins) / n
    leans = "even" if abs(confident - right) < 0.005 else "over" if confident > right else "under"
    sentence = at.say(f"sure_{leans}").format(sure=share(confident, 1), right=share(right, 1))
    words = Words(
        title=at.say("reliability"),
        desc=f"{sentence} {at.say('reliability_about')}",
        x_label=at.say("confidence"),
        y_label=at.say("accuracy"),
        bars=at.say("pictures_word"),
        point=at.say("bin"),
    )
    drawn = diagram.svg(bins, after, key=at.id("reliable"), words=words)
    legend = _legend(bool(after), at)
    body = (
        f"{at.p('reliability_about')}<p>{text(sentence)}</p>"
        f"<figure>{drawn}{legend}</figure>{fold(at.say('numbers'), _bins(bins, at))}"
    )
    return Section("reliability", body)


def _after(run: Facts) -> list[Bin]:
    """The bins with the temperature that was fitted to validation, of a test that has one."""
    found = run.scores[run.split]["calibration"]["temperature"]
    if not found or found["value"] is None:
        return []
    cooled = answers(run.said[run.split], temperature=found["value"])
    return reliability(cooled, binning="equal width")


def _legend(cooled: bool, at: Place) -> str:
    marks = [("c0", '<circle class=mark cx="15" cy="6" r="3.2"/>', "as_it_is")]
    if cooled:
        marks += [("c1", '<path class="mark hollow" d="M12 3h6v6h-6z"/>', "with_a_temperature")]
    items = "".join(
        f'<li><svg class={colour} width="30" height="12" aria-hidden=true>{mark}</svg>'
        f"{text(at.say(word))}"
        for colour, mark, word in marks
    )
    return f"<ul class=legend>{items}</ul>"


def _bins(bins: Sequence[Bin], at: Place) -> str:
    columns = [
        Column(at.say(word), number=True)
        for word in ("confidence", "mean_confidence", "accuracy", "pictures_word")
    ]
    rows = [
        [
            f"{100 * each.low:.0f} – {share(each.high, 0)}",
            share(each.confidence, 1),
            share(each.accuracy, 1),
            count(each.n),
        ]
        for each in bins
    ]
    return table(at.say("bins_table"), columns, rows, hidden=True)
