"""Inside the network: its first filters, its units, what speaks for its answers, its layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neocog.report import thumbs
from neocog.reporting.choice import SHOWN
from neocog.reporting.confusions import card
from neocog.reporting.facts import Facts
from neocog.reporting.pieces import (
    Column,
    Place,
    Section,
    count,
    figure,
    fold,
    image,
    name,
    paragraph,
    share,
    table,
    text,
)

OPEN = 24  # layers whose table stands open
BAR = 90  # pixels
WIDE = 560  # pixels that a sheet of filters takes at most
DOUBTFUL = 0.3  # of the answers are wrong: too many to believe the network's doubts


def filters_and_units(run: Facts, at: Place) -> Section | None:
    parts = [*_filters(run, at), *_units(run, at)]
    return Section("inside", "\n".join(parts)) if parts else None


def _filters(run: Facts, at: Place) -> Iterator[str]:
    told, content = run.looked.get("filters"), run.file("filters")
    if not told or content is None:
        return
    k, inputs, high, wide = told["shape"]
    what = at.say("filters_of").format(layer=told["layer"], n=k, size=f"{high}×{wide}×{inputs}")
    word = "filters_inputs" if inputs not in (1, 3) else "filters_about"
    own = thumbs.size(content)[0]
    factor = max(1, min(WIDE // own, 12))
    some = "" if told["shown"] == k else " " + at.say("shown_of").format(n=told["shown"], of=k)
    yield at.heading("filters") + at.p(word)
    yield figure(
        image(content, f"{what}. {at.say(word)}", kind="filters", width=factor * own),
        f"{text(what)}{text(some)}",
        kind="sheet",
    )


def _units(run: Facts, at: Place) -> Iterator[str]:
    told = run.looked.get("units")
    if not told or not told["layers"]:
        return
    layers = told["layers"]
    dead = [each for each in layers if each["dead"] > 0]
    full = [each for each in layers if each["saturated"]]
    yield at.heading("units")
    yield paragraph(at.say("units_about").format(n=count(told["pictures"])))
    said = [at.say("no_dead")]
    if dead:
        named = at.joined(f"{each['name']} {share(each['dead'], 1)}" for each in dead[:8])
        more = at.say("and_more").format(n=len(dead) - 8) if len(dead) > 8 else ""
        said = [at.say("dead_in").format(named=named + more)]
    if full:
        named = at.joined(f"{each['name']} {share(each['saturated'], 1)}" for each in full[:8])
        said += [at.say("saturated_in").format(named=named)]
    yield f"<p>{text(' '.join(said))}</p>"
    columns = [Column(at.say("layer")), Column(at.say("kind"))]
    columns += [Column(at.say("units_word"), number=True), Column(at.say("dead"), number=True)]
    columns += [Column(at.say("zero"), number=True), Column(""), Column(at.say("saturated"), True)]
    columns += [Column(at.say("mean_sd"), number=True)]
    body = table(at.say("units_table"), columns, [_unit(each) for each in layers], hidden=True)
    yield body if len(layers) <= OPEN else fold(at.say("units_table"), body)


def _unit(each: dict[str, Any]) -> list[str]:
    return [
        name(each["name"]),
        text(each["kind"]),
        count(each["units"]),
        share(each["dead"], 1),
        share(each["zero"], 1),
        _bar(each["zero"]),
        share(each["saturated"], 1),
        f"{each['mean']:.3g} ± {each['std']:.3g}",
    ]


def _bar(part: float) -> str:
    return (
        f'<svg class="dots c0" viewBox="0 0 {BAR} 14" aria-hidden=true>'
        f'<rect class=grid x="0" y="4" width="{BAR}" height="6" rx="3" fill="var(--back)"/>'
        f'<rect class=bar x="0" y="4" width="{BAR * part:.1f}" height="6" rx="3"/></svg>'
    )


# -- what speaks for its answers


def attention(run: Facts, at: Place) -> Section | None:
    told = [each for each in run.looked.get("explained") or [] if _there(run, each)]
    if not told:
        return None
    layer = told[0]["layer"]
    parts = [at.p("attention_about")]
    parts += [paragraph(at.say("cam_about").format(layer=layer))] if layer else [at.p("no_cam")]
    parts += [at.p("occlusion_about"), at.p("not_picked", kind="weak")]
    for word, right in (("answered_right", True), ("answered_wrong", False)):
        some = [each for each in told if (each["answer"] == each["label"]) == right]
        if some:
            items = "".join(_explained(run, each, at) for each in some)
            parts += [f"{at.heading(word)}<ul class=explained>{items}</ul>"]
    return Section("attention", "\n".join(parts))


def _there(run: Facts, each: dict[str, Any]) -> bool:
    known = range(len(run.classes))
    return (
        run.file(f"whole {each['place']}") is not None
        and each["label"] in known
        and each["answer"] in known
    )


def _explained(run: Facts, each: dict[str, Any], at: Place) -> str:
    place, layer = each["place"], each["layer"]
    label, answer = run.classes[each["label"]], run.classes[each["answer"]]
    called = run.called(place)
    words = {
        "whole": at.say("picture"),
        "cam": at.say("empty_cam" if each["empty"] else "cam_of").format(layer=layer),
        "occlusion": at.say("occlusion_of").format(
            patch=each["patch"], low=share(each["lowest"], 0)
        ),
    }
    shown = []
    for kind, caption in words.items():
        content = run.file(f"{kind} {place}")
        if content is not None:
            alt = f"{called}: {caption}"
            shown.append(figure(image(content, alt, width=_width(content)), text(caption)))
    said = f"<b>{name(answer, 40)}</b> {share(each['chance'], 1)}"
    of = (
        f"<span class=weak>{text(at.say('labelled'))} {name(label, 40)} · {name(called, 60)}</span>"
    )
    return f"<li><p>{said} {of}</p><div class=trio>{''.join(shown)}</div></li>"


def _width(content: bytes) -> int:
    """Of 144 pixels, about, by whole numbers where it is smaller."""
    own, high = thumbs.size(content)
    return (
        own * max(1, 144 // max(own, high))
        if max(own, high) <= 144
        else round(own * 144 / max(own, high))
    )


# -- mistakes


def mistakes(run: Facts, at: Place) -> Section | None:
    """The worst mistakes, and the labels that the network doubts."""
    choice = run.choice
    if choice is None or not choice.worst:
        return None
    parts = [at.p("mistakes_about"), at.heading("worst")]
    cards = "".join(card(run, choice, each.place, at) for each in choice.worst)
    parts += [f"<ul class=cards>{cards}</ul>"]
    found = choice.suspects
    if found is not None and found.found:
        parts += [at.heading("suspects")]
        parts += [
            paragraph(
                at.say("suspects_about").format(
                    n=count(len(found.found)), noise=share(found.noise, 1)
                )
            )
        ]
        if 1 - run.scores[run.split]["top1"] > DOUBTFUL:
            parts += [at.p("doubtful", kind="weak")]
        cards = "".join(card(run, choice, each.place, at) for each in found.found[:SHOWN])
        parts += [f"<ul class=cards>{cards}</ul>"]
    return Section("mistakes", "\n".join(parts))


# -- layers


def layers(run: Facts, at: Place) -> Section | None:
    told = run.looked.get("network")
    if not told or not told["layers"]:
        return None
    columns = [Column(at.say("layer")), Column(at.say("kind")), Column(at.say("window"))]
    columns += [Column(at.say(word), number=True) for word in ("output", "parameters")]
    columns += [Column(at.say("multiply_adds"), number=True)]
    rows = [
        [
            name(each["name"]),
            text(each["kind"]),
            text(each["note"]),
            "×".join(map(str, each["output"])),
            count(each["parameters"]) if each["parameters"] else "",
            count(each["multiply_adds"]) if each["multiply_adds"] else "",
        ]
        for each in told["layers"]
    ]
    sums = [count(told["parameters"]), count(told["multiply_adds"])]
    rows += [[f"<strong>{text(at.say('in_all'))}</strong>", "", "", "", *sums]]
    caption = at.say("layers_table").format(n=len(told["layers"]))
    body = table(caption, columns, rows, hidden=True)
    folded = body if len(rows) <= OPEN else fold(caption, body)
    parts = [at.p("layers_about"), folded]
    parts += (
        [paragraph(at.say("unseen_layers").format(n=told["unseen"]), kind="weak")]
        if told["unseen"]
        else []
    )
    return Section("layers", "\n".join(parts))
