"""Curves: how loss, accuracy, learning rate and the size of weights went from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from neocog.records import Epoch
from neocog.report.lines import Line, in_steps, svg, swatch
from neocog.report.page import COLOURS
from neocog.reporting.facts import Facts
from neocog.reporting.pieces import (
    Column,
    Place,
    Section,
    fold,
    name,
    paragraph,
    share,
    table,
    text,
)

FIGURES = {"loss": "loss", "accuracy": "accuracy", "lr": "learning_rate"}
LAYERS = len(COLOURS)  # lines in a figure of layers
ROWS = 200  # epochs in the table

Value = Callable[[Epoch], float | None]


def curves(runs: Sequence[Facts], at: Place) -> Section | None:
    """Of one run, or of several laid over each other."""
    given = len(runs)
    runs = [run for run in runs if run.history]
    if not runs:
        return None
    drawn = [_figure(what, runs, at) for what in FIGURES]
    if len(runs) == 1:
        drawn += [_norms(runs[0], which, at) for which in (1, 2) if runs[0].norms]
    parts = [at.p("curves_about")]
    if len(runs) > 1:
        named = "".join(
            f"<li>{swatch(n)}{name(run.name)}</li>" for n, run in enumerate(runs[: len(COLOURS)])
        )
        parts += [f"<ul class=legend>{named}</ul>"]
        drawn_runs = min(len(runs), len(COLOURS))
        if drawn_runs < given:
            said = at.say("some_runs").format(n=drawn_runs, of=given)
            parts += [paragraph(said, kind="weak")]
    parts += [f"<div class=figures>{''.join(drawn)}</div>"]
    if len(runs) == 1:
        parts += [fold(at.say("numbers"), _numbers(runs[0], at))]
        best = next((e for e in reversed(runs[0].history or []) if e.best), None)
        if best is not None and best.val_accuracy is not None:
            parts.insert(
                1,
                paragraph(
                    at.say("best").format(epoch=best.epoch + 1, share=share(best.val_accuracy))
                ),
            )
    return Section("curves", "\n".join(parts))


def _figure(what: str, runs: Sequence[Facts], at: Place) -> str:
    percent, several = what == "accuracy", len(runs) > 1
    lines = [
        line
        for colour, run in enumerate(runs[: len(COLOURS)])
        for line in _lines(what, run, colour, at, several=several)
    ]
    told = share if percent else (lambda value: f"{value:.4g}")
    drawn = svg(
        lines,
        key=at.id(what),
        title=at.say("by_epoch").format(what=at.say(FIGURES[what])),
        desc=" ".join(_described(lines, told, at)) or at.say("empty"),
        x_label=at.say("epoch"),
        y_label="",  # it stands above the figure
        percent=percent,
        log=in_steps(lines) if what == "lr" else not percent,
        empty=at.say("empty"),
    )
    legend = "" if what == "lr" or several else _legend(lines)
    return f"<figure><figcaption>{text(at.say(FIGURES[what]))}</figcaption>{drawn}{legend}</figure>"


def _lines(what: str, run: Facts, colour: int, at: Place, *, several: bool) -> Iterable[Line]:
    history = run.history or []
    before = f"{run.name}, " if several else ""
    if what == "lr":
        yield Line(run.name if several else "lr", _points(history, lambda e: e.lr), colour)
        return
    for part, dashed in (("train", True), ("val", False)):
        points = _points(history, lambda e, part=part: getattr(e, f"{part}_{what}"))  # type: ignore[misc]
        shade = colour if several else int(dashed)
        yield Line(before + at.say(part), points, shade, dashed=dashed)


def _points(history: Sequence[Epoch], value: Value) -> tuple[tuple[float, float], ...]:
    told = ((float(epoch.epoch + 1), value(epoch)) for epoch in history)
    return tuple((place, number) for place, number in told if number is not None)


def _described(lines: Sequence[Line], told: Callable[[float], str], at: Place) -> Iterable[str]:
    """The figure in words: where each line begins and where it ends."""
    for line in lines:
        if line.points:
            (one, first), (n, last) = line.points[0], line.points[-1]
            yield at.say("from_to").format(
                name=line.name, first=told(first), last=told(last), one=f"{one:g}", n=f"{n:g}"
            )


def _legend(lines: Sequence[Line]) -> str:
    """Which line is which; hollow marks on dashes are training's."""
    items = (
        f"<li>{swatch(line.colour, hollow=line.dashed)}{text(line.name)}</li>"
        for line in lines
        if line.points
    )
    return f"<ul class=legend>{''.join(items)}</ul>"


def _norms(run: Facts, which: int, at: Place) -> str:
    """Norms of weights (1) or of gradients (2), of at most LAYERS layers from first to last."""
    layers = list(run.norms)
    if len(layers) > LAYERS:
        layers = [layers[round(n * (len(layers) - 1) / (LAYERS - 1))] for n in range(LAYERS)]
    lines = [Line(layer, _values(run, layer, which), colour) for colour, layer in enumerate(layers)]
    word = ("", "norms_weights", "norms_gradient")[which]
    drawn = svg(
        lines,
        key=at.id(word),
        title=at.say("by_epoch").format(what=at.say(word)),
        desc=" ".join(_described(lines, lambda value: f"{value:.3g}", at)),
        x_label=at.say("epoch"),
        y_label="",
    )
    some = at.say("some_layers").format(n=len(layers), of=len(run.norms))
    more = f" <span class=weak>{text(some)}</span>" if len(layers) < len(run.norms) else ""
    return (
        f"<figure><figcaption>{text(at.say(word))}{more}</figcaption>{drawn}"
        f"{_legend(lines)}</figure>"
    )


def _values(run: Facts, layer: str, which: int) -> tuple[tuple[float, float], ...]:
    told = ((row[0], row[which]) for row in run.norms[layer])
    return tuple((epoch, norm) for epoch, norm in told if norm is not None)


def _numbers(run: Facts, at: Place) -> str:
    history = run.history or []
    names = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate")
    columns = [Column(at.say(word), number=True) for word in names]
    rows = [
        [
            f"{epoch.epoch + 1}",
            f"{epoch.train_loss:.4f}",
            share(epoch.train_accuracy),
            "–" if epoch.val_loss is None else f"{epoch.val_loss:.4f}",
            share(epoch.val_accuracy),
            f"{epoch.lr:.3g}",
        ]
        for epoch in history[-ROWS:]
    ]
    caption = at.say("numbers")
    if len(history) > ROWS:
        caption = at.say("last_ones").format(shown=ROWS, all=len(history))
    return table(caption, columns, rows, hidden=len(history) <= ROWS)
