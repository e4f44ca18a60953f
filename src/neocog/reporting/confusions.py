"""What is taken for what: a matrix whose wrong cells open the pictures behind them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neocog.report import thumbs
from neocog.report.names import cut
from neocog.report.page import printable
from neocog.reporting.choice import MATRIX, Cell, Choice
from neocog.reporting.facts import Facts
from neocog.reporting.pieces import (
    Column,
    Place,
    Section,
    count,
    figure,
    image,
    name,
    paragraph,
    share,
    table,
    text,
)
from neocog.reporting.style import LEVELS

NAME = 18  # columns of a name beside the matrix
PRINTED = 9  # cells whose pictures are on paper too
BLUE, ORANGE = (0, 114, 178), (198, 83, 0)


def confusions(run: Facts, at: Place) -> Section | None:
    """The matrix; of many classes a picture of it, and the pairs that are confused most."""
    choice = run.choice
    if choice is None or len(run.classes) < 2:
        return None
    parts = [at.p("confusion_about"), *_sentence(choice, at)]
    if len(run.classes) <= MATRIX:
        parts += [at.p("open_cell", kind="on-screen weak")] if choice.pairs else []
        parts += [_matrix(run, choice, at)]
    else:
        parts += [_picture(run, choice, at), _pairs(run, choice, at)]
    parts += [_behind(run, choice, pair, n, at) for n, pair in enumerate(choice.pairs)]
    return Section("confusion", "\n".join(parts))


def _sentence(choice: Choice, at: Place) -> Iterator[str]:
    n, right = int(choice.counts.sum()), int(np.trace(choice.counts))
    word = "diagonal" if right < n else "all_right"
    yield paragraph(at.say(word).format(right=count(right), n=count(n), wrong=count(n - right)))


def _matrix(run: Facts, choice: Choice, at: Place) -> str:
    counts, classes = choice.counts, run.classes
    sizes = np.maximum(counts.sum(1, keepdims=True), 1)
    shares = counts / sizes
    most = max(float((shares - np.diag(shares.diagonal())).max()), 0.01)
    heads = "".join(f"<th scope=col>{name(each, NAME)}" for each in classes)
    corner = f"<td class=corner>{text(at.say('corner_shown'))}<br>{text(at.say('corner_answered'))}"
    rows = []
    for row, each in enumerate(classes):
        cells = "".join(
            _cell(
                run, (row, column), int(counts[row, column]), float(shares[row, column]), most, at
            )
            for column in range(len(classes))
        )
        rows.append(f"<tr><th scope=row>{name(each, NAME)}{cells}</tr>")
    caption = at.say("confusion_table")
    return (
        f'<div class=wide tabindex=0 role=region aria-label="{text(caption)}"><table class=matrix>'
        f"<caption class=aloud>{text(caption)}</caption>"
        f"<thead><tr>{corner}{heads}</thead><tbody>{''.join(rows)}</tbody>"
        "</table></div>"
    )


def _cell(run: Facts, cell: Cell, n: int, of: float, most: float, at: Place) -> str:
    row, column = cell
    if not n:
        return "<td class=none>"
    if row == column:
        return f"<td class=right{_level(of)}>{count(n)}"
    said = at.say("cell").format(n=count(n), shown=run.classes[row], taken=run.classes[column])
    return (
        f"<td class=wrong{_level((of / most) ** 0.5)}><button type=button"
        f' popovertarget={at.id(_key(cell))} aria-label="{text(said)}">{count(n)}</button>'
    )


def _level(part: float) -> int:
    """One of LEVELS, none but 0 for what is more than nothing."""
    return max(1, min(len(LEVELS) - 1, round(part * (len(LEVELS) - 1))))


def _key(cell: Cell) -> str:
    return f"cell-{cell[0]}-{cell[1]}"


def _behind(run: Facts, choice: Choice, pair: Cell, number: int, at: Place) -> str:
    """The pictures of a cell, which its button opens; on paper those of the first few."""
    row, column = pair
    n, size = int(choice.counts[pair]), int(choice.counts[row].sum())
    key = at.id(_key(pair))
    shown, taken = run.classes[row], run.classes[column]
    head = at.say("taken_for").format(
        shown=cut(printable(shown), 60), taken=cut(printable(taken), 60)
    )
    places = choice.cells[pair]
    cards = "".join(card(run, choice, place, at, answer=False) for place in places)
    told = paragraph(
        at.say("cell_about").format(n=count(n), size=count(size), share=share(n / size, 1)),
        kind="weak",
    )
    some = (
        paragraph(at.say("surest_first").format(n=len(places)), kind="weak")
        if len(places) < n
        else ""
    )
    kind = "" if number < PRINTED else " class=more"
    tag = f"h{at.level + 1}"
    return (
        f"<div popover id={key}{kind} role=dialog aria-labelledby={key}-of>"
        f"<{tag} id={key}-of>{text(head)}</{tag}>{told}{some}<ul class=cards>{cards}</ul>"
        f"<button type=button class=close popovertarget={key} popovertargetaction=hide>"
        f"{text(at.say('close'))}</button></div>"
    )


def card(run: Facts, choice: Choice, place: int, at: Place, *, answer: bool = True) -> str:
    """A picture of the split that is scored: which one, its label, the answer and how sure."""
    of = choice.answers
    label, given = run.classes[int(of.labels[place])], run.classes[int(of.given[place])]
    chance = float(of.confidence[place])
    content = run.file(f"picture {place}")
    called = run.called(place)
    alt = at.say("alt").format(called=called, label=label, answer=given, chance=share(chance, 0))
    shown = "" if content is None else image(content, alt, width=_wide(content))
    said = f"<b>{name(given, 40)}</b> {share(chance, 1)}" if answer else share(chance, 1)
    of_what = (
        f"<span class=of>{text(at.say('labelled'))} {name(label, 40)}</span>" if answer else ""
    )
    return (
        f"<li>{shown}<span class=said>{said}</span>{of_what}"
        f"<span class=is>{name(called, 70)}</span></li>"
    )


def _wide(content: bytes) -> int:
    """Pixels of the screen: small ones are enlarged by whole numbers, to about as many."""
    own = max(thumbs.size(content))
    return thumbs.size(content)[0] * max(1, thumbs.SIDE // own)


# -- of many classes


def _picture(run: Facts, choice: Choice, at: Place) -> str:
    """The whole matrix, a dot a cell."""
    counts = choice.counts
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ground = np.full((*counts.shape, 3), 255.0)
    for which, colour, scale in (
        (np.eye(len(counts), dtype=bool), BLUE, 1.0),
        (~np.eye(len(counts), dtype=bool), ORANGE, 0.5),
    ):
        part = np.where(which, shares, 0)
        part = (part / max(float(part.max()), 1e-9)) ** scale
        ground += part[:, :, None] * (np.array(colour) - 255)
    sheet = np.kron(ground, np.ones((max(1, 360 // len(counts)),) * 2 + (1,)))
    alt = at.say("matrix_alt").format(n=count(len(counts)))
    drawn = image(thumbs.lossless(sheet.clip(0, 255).astype(np.uint8)), alt, kind="small-matrix")
    return figure(drawn, text(at.say("matrix_caption")), kind="quiet")


def _pairs(run: Facts, choice: Choice, at: Place) -> str:
    columns = [
        Column(at.say("shown")),
        Column(at.say("taken")),
        Column(at.say("of_its_class"), number=True),
        Column(at.say("pictures_word"), number=True),
    ]
    rows = []
    for pair in choice.pairs:
        n, size = int(choice.counts[pair]), int(choice.counts[pair[0]].sum())
        said = at.say("cell").format(
            n=count(n), shown=run.classes[pair[0]], taken=run.classes[pair[1]]
        )
        button = (
            f"<button type=button class=open popovertarget={at.id(_key(pair))}"
            f' aria-label="{text(said)}">{count(n)}</button>'
        )
        names = [name(run.classes[place], 40) for place in pair]
        rows.append([*names, share(n / size, 1), button])
    return table(at.say("pairs_table").format(n=len(rows)), columns, rows)
