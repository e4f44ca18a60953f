"""The page of `neocog watch`: its skeleton, and the pieces of it that change.

Figures are drawn here and not in the browser: it is the drawing that reports use too, and what is
left for the page to do is to fetch pieces and put them in their places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

from neocog.records import Epoch
from neocog.report.lines import Line, in_steps, svg, swatch
from neocog.report.page import page, policy, printable
from neocog.report.percents import percent
from neocog.watching.seen import Look, Seen
from neocog.watching.words import say, spell

DRAWN = 8  # runs, unless others are asked for
ROWS = 200  # epochs of a run in the table of numbers
FIGURES = {"loss": "loss", "accuracy": "accuracy", "lr": "learning_rate"}  # and their words
COLUMNS = (
    *("run", "state", "epoch", "step", "left", "train_loss", "train_accuracy", "val_loss"),
    *("val_accuracy", "best", "rate", "lr"),
)
COUNTED = set(COLUMNS[2:])  # columns of numbers

STYLE = """\
header { display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; align-items: baseline; }
#said { margin: 0; } #said.away { color: var(--c7); font-weight: 600; }
#table tbody th { min-width: 13rem; }
#table th, #table td { padding-right: .7rem; } #table td { white-space: nowrap; }
#table thead th { word-break: keep-all; }
#table label { display: inline-flex; align-items: center; gap: .4rem; min-height: 1.5rem; }
#table input { width: 1.1rem; height: 1.1rem; margin: 0; flex: none; }
#table svg { flex: none; } #table small { display: block; color: var(--weak); font-weight: 400; }
#notes { padding-left: 1.2rem; margin: .8rem 0; }
.running { color: var(--c2); } .diverged, .damaged { color: var(--c7); }
.running, .diverged, .damaged { font-weight: 600; }
summary { cursor: pointer; margin-top: 1.5rem; padding: .3rem 0; }
#numbers { display: flex; flex-wrap: wrap; gap: 0 3rem; }
@media (max-width: 44rem) {
  #table, #table tbody, #table tr, #table th, #table td { display: block; }
  #table thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  #table tr { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem;
    margin-bottom: .8rem; }
  #table tbody th, #table td { border: 0; padding: .1rem 0; text-align: left; }
  #table td { display: flex; gap: 1rem; white-space: normal; justify-content: space-between; }
  #table td::before { content: attr(data-of); color: var(--weak); }
  #table td.none { display: none; }
}
"""

# Pieces are put where their names say. What has not changed is not touched: nobody loses a place.
SCRIPT = """\
const main = document.querySelector("main"), said = document.getElementById("said");
let tag = null, timer = 0, seen = {};
function say(words, away) {
  if (said.textContent !== words) said.textContent = words;
  said.classList.toggle("away", away);
}
function put(pieces) {
  const held = document.activeElement && document.activeElement.id;
  for (const [name, html] of Object.entries(pieces)) {
    if (seen[name] !== html) document.getElementById(name).innerHTML = seen[name] = html;
  }
  if (held && document.activeElement.id !== held) document.getElementById(held)?.focus();
}
async function look() {
  clearTimeout(timer);
  const asked = location.search;
  try {
    const answer = await fetch("view.json" + asked, {
      headers: tag ? { "If-None-Match": tag } : {}, signal: AbortSignal.timeout(20000) });
    if (answer.status === 200) {
      const told = await answer.json();
      if (asked !== location.search) return;  // meanwhile other runs were chosen
      put(told.pieces);
      tag = answer.headers.get("ETag");
    } else if (answer.status !== 304) throw new Error(answer.status);
    say(main.dataset.live, false);
  } catch (error) { say(main.dataset.away, true); }
  clearTimeout(timer);
  timer = setTimeout(look, 1000);
}
main.addEventListener("change", () => {
  const asked = new URLSearchParams(location.search);
  asked.set("show", [...document.querySelectorAll("#runs input:checked")]
    .map((box) => box.value).join(","));
  history.replaceState(null, "", "?" + asked);
  look();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
"""
POLICY = policy(STYLE, SCRIPT)


def whole(look: Look, lang: str, shown: Sequence[str] | None) -> str:
    """The page, with all its pieces in it; `shown`: the keys of the runs that are drawn."""
    made = pieces(look, lang, shown)
    heads = "".join(
        f"<th scope=col role=columnheader{' class=n' if name in COUNTED else ''}>{say(lang, name)}"
        for name in COLUMNS
    )
    figures = "".join(
        f"<figure><figcaption>{say(lang, word)}</figcaption><div id={name}>{made[name]}</div>"
        "</figure>"
        for name, word in FIGURES.items()
    )
    words = {name: escape(say(lang, name)) for name in ("live", "away")}
    body = [
        f'<main data-live="{words["live"]}" data-away="{words["away"]}">',
        f"<header><h1>{say(lang, 'title')}</h1><p id=said role=status class=weak></p></header>",
        f"<noscript><p>{say(lang, 'still')}</p></noscript>",
        f"<h2 id=of>{say(lang, 'runs')}</h2><div class=wide role=region aria-labelledby=of"
        f" tabindex=0><table id=table role=table aria-labelledby=of><thead role=rowgroup>"
        f"<tr role=row>{heads}</tr></thead>",
        f"<tbody id=runs role=rowgroup>{made['runs']}</tbody></table></div>",
        f"<ul id=notes>{made['notes']}</ul>",
        f"<p class=weak>{say(lang, 'key')}</p><div class=figures>{figures}</div>",
        f"<details><summary>{say(lang, 'numbers')}</summary>",
        f"<div id=numbers>{made['numbers']}</div></details></main>",
    ]
    return page(
        title=say(lang, "title"),
        lang="zh-Hans" if lang == "zh" else lang,
        body="\n".join(body),
        style=STYLE,
        script=SCRIPT,
    )


def pieces(look: Look, lang: str, shown: Sequence[str] | None) -> dict[str, str]:
    """What of the page changes, by the place that it goes to."""
    drawn = chosen(look.runs, shown)
    colours = {run.key: colour for colour, run in enumerate(drawn)}
    rows = [_row(run, lang, colours.get(run.key)) for run in look.runs]
    figures = {name: _figure(name, drawn, lang) for name in FIGURES}
    numbers = "".join(_numbers(run, lang) for run in drawn)
    notes = "".join(_note(run) for run in look.runs if run.why)
    return {"runs": "".join(rows), "notes": notes, **figures, "numbers": numbers}


def chosen(runs: Sequence[Seen], shown: Sequence[str] | None) -> list[Seen]:
    """The runs that are drawn: those asked for, else those that said something last."""
    if shown is not None:
        return [run for run in runs if run.key in shown]
    having = [run for run in runs if run.history or run.now]
    latest = sorted(having, key=lambda run: run.changed)[-DRAWN:]
    return [run for run in runs if run in latest]


def _row(run: Seen, lang: str, colour: int | None) -> str:
    cells = _cells(run, lang)
    checked = "" if colour is None else " checked"
    about = ", ".join(_text(name) for name in (run.network, run.data, run.recipe) if name)
    name = (
        f'<th scope=row role=rowheader title="{_text(str(run.path))}"><label>'
        f"<input type=checkbox id=draw-{run.key} value={run.key}{checked}"
        f' aria-label="{say(lang, "draw")} {_text(run.name)}">'
        f"{'' if colour is None else swatch(colour)}<bdi>{_text(run.name)}</bdi></label>"
        f"<small>{about}</small></th>"
    )
    told = "".join(_cell(column, cells[column], lang) for column in COLUMNS[1:])
    return f"<tr role=row>{name}{told}</tr>"


def _cell(column: str, text: str, lang: str) -> str:
    kind = ("n" if column in COUNTED else "") + ("" if text else " none")
    of = say(lang, column)
    return f'<td role=cell class="{kind.strip()}" data-of="{of}"><span>{text}</span></td>'


def _cells(run: Seen, lang: str) -> dict[str, str]:
    """What a row says, as HTML."""
    told, last = run.to_json(), run.last
    best = next((epoch for epoch in reversed(run.history) if epoch.best), None)
    return {
        "state": _state(run, lang),
        "epoch": _epoch(run),
        "step": f"{told['step']:,}/{told['steps']:,}" if told["steps"] else "",
        "left": "" if told["seconds_left"] is None else spell(lang, told["seconds_left"]),
        "train_loss": _loss(told["loss"]),
        "train_accuracy": _share(told["accuracy"]),
        "val_loss": _loss(last.val_loss if last else None),
        "val_accuracy": _share(last.val_accuracy if last else None),
        "best": f"{_share(best.val_accuracy)} ({best.epoch + 1})"
        if best and best.val_accuracy is not None
        else "",
        "rate": "" if told["images_per_second"] is None else f"{told['images_per_second']:,.0f}",
        "lr": "" if told["lr"] is None else f"{told['lr']:.3g}",
    }


def _state(run: Seen, lang: str) -> str:
    state = "validating" if run.validating else run.state
    return f"<span class={run.state}>{say(lang, state)}</span>"


def _note(run: Seen) -> str:
    """What ended a run, or is damaged in it."""
    assert run.why is not None
    return f"<li><b><bdi>{_text(run.name)}</bdi></b>: <bdi>{_text(run.why)}</bdi></li>"


def _epoch(run: Seen) -> str:
    if run.epochs is None:
        return ""
    under_way = run.now is not None and run.state != "finished"
    return f"{min(len(run.history) + under_way, run.epochs)}/{run.epochs}"


def _figure(name: str, runs: Sequence[Seen], lang: str) -> str:
    percent = name == "accuracy"
    lines = [line for colour, run in enumerate(runs) for line in _lines(name, run, colour, lang)]
    told = _share if percent else (lambda value: f"{value:.4g}")
    return svg(
        lines,
        key=name,
        title=say(lang, "by_epoch").format(what=say(lang, FIGURES[name])),
        desc=" ".join(_described(lines, told, lang)) or say(lang, "empty"),
        x_label=say(lang, "epoch"),
        y_label=say(lang, FIGURES[name]),
        percent=percent,
        log=in_steps(lines) if name == "lr" else not percent,
        empty=say(lang, "empty"),
    )


def _lines(name: str, run: Seen, colour: int, lang: str) -> Iterable[Line]:
    """The lines of a run in a figure."""
    if name == "lr":
        yield Line(run.name, _points(run, lambda epoch: epoch.lr), colour)
        return
    train, val = f"train_{name}", f"val_{name}"
    named = {field: f"{run.name}, {say(lang, field.partition('_')[0])}" for field in (train, val)}
    yield Line(named[train], _points(run, lambda e: getattr(e, train)), colour, dashed=True)
    yield Line(named[val], _points(run, lambda e: getattr(e, val)), colour)
    if run.now is not None:
        which = 1 if name == "loss" else 2
        trail = tuple((point[0], point[which]) for point in run.now.trail)
        yield Line(f"{run.name}, {say(lang, 'under_way')}", trail, colour, faint=True)


def _points(run: Seen, value: Callable[[Epoch], float | None]) -> tuple[tuple[float, float], ...]:
    told = ((float(epoch.epoch + 1), value(epoch)) for epoch in run.history)
    return tuple((at, number) for at, number in told if number is not None)


def _described(lines: Sequence[Line], told: Callable[[float], str], lang: str) -> Iterable[str]:
    """The figure in words: where each line begins and where it ends."""
    for line in lines:
        if line.points and not line.faint:
            (one, first), (n, last) = line.points[0], line.points[-1]
            yield say(lang, "from_to").format(
                name=line.name, first=told(first), last=told(last), one=f"{one:g}", n=f"{n:g}"
            )


def _numbers(run: Seen, lang: str) -> str:
    """The epochs of a run as a table."""
    names = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
    heads = "".join(f"<th scope=col class=n>{say(lang, name)}" for name in names)
    epochs = run.history[-ROWS:]
    words = say(lang, "last_ones").format(shown=len(epochs), all=len(run.history))
    cut = f"<p class=weak>{words}</p>" if len(epochs) < len(run.history) else ""
    rows = "".join(
        f"<tr><th scope=row class=n>{epoch.epoch + 1}"
        f"<td class=n>{_loss(epoch.train_loss)}<td class=n>{_share(epoch.train_accuracy)}"
        f"<td class=n>{_loss(epoch.val_loss)}<td class=n>{_share(epoch.val_accuracy)}"
        f"<td class=n>{epoch.lr:.3g}</tr>"
        for epoch in epochs
    )
    if not rows:
        return ""
    name = f"<caption><bdi>{_text(run.name)}</bdi></caption>"
    return f"<div>{cut}<table>{name}<tr>{heads}</tr>{rows}</table></div>"


def _loss(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if abs(value) < 1e4 else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "" if value is None else escape(percent(value))


def _text(text: str) -> str:
    return escape(printable(text))
