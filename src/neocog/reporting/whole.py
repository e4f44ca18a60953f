"""The page, whole: of one run, or of several with a part for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from neocog.report.page import page
from neocog.reporting import confusions, inside, learning, scored, several, top
from neocog.reporting.facts import Facts
from neocog.reporting.pieces import Place, Section, name, text
from neocog.reporting.style import STYLE

MARK = "<!-- neocog report -->\n"  # pages that begin so are ours to write over


def whole(runs: Sequence[Facts], lang: str, *, repeated: Sequence[str] = ()) -> str:
    """The page; `repeated` are the names of runs that were given more than once."""
    at = Place(lang)
    if len(runs) == 1 and not repeated:
        made, head = of_one(runs[0], at), _head(runs[0], at)
    else:
        made, head = of_several(runs, repeated, at), _common_head(runs, at)
    links = "".join(
        f'<li><a href="#{at.id(each.name)}">{text(_title(each, at))}</a>' for each in made
    )
    body = [
        f"<a class=skip href=#main>{text(at.say('skip'))}</a>",
        head,
        f'<div class=frame><nav class=toc aria-label="{text(at.say("contents"))}">'
        f"<h2>{text(at.say('contents'))}</h2><ol>{links}</ol></nav>",
        f"<main id=main tabindex=-1>{''.join(_section(each, at) for each in made)}",
        f"<footer>{at.p('made_by')}</footer></main></div>",
    ]
    title = top.title(runs[0], at) if len(runs) == 1 else at.say("several").format(n=len(runs))
    return page(
        title=title,
        lang="zh-Hans" if lang == "zh" else lang,
        body="\n".join(body),
        style=STYLE,
        mark=MARK,
    )


def of_one(run: Facts, at: Place) -> list[Section]:
    """All there is to say of it; what there is nothing of is left out."""
    parts = [
        top.result(run, at),
        top.setup(run, at),
        learning.curves([run], at),
        scored.scores(run, at),
        confusions.confusions(run, at),
        scored.sure(run, at),
        inside.filters_and_units(run, at),
        inside.attention(run, at),
        inside.mistakes(run, at),
        inside.layers(run, at),
        top.again(run, at),
    ]
    return [part for part in parts if part is not None]


def of_several(runs: Sequence[Facts], repeated: Sequence[str], at: Place) -> list[Section]:
    """What they have beside each other, then of each what fails."""
    made = [several.beside(runs, repeated, at)]
    curves = learning.curves(runs, at)
    made += [curves] if curves else []
    return made + [_run(run, number, at) for number, run in enumerate(runs, start=1)]


def _run(run: Facts, number: int, at: Place) -> Section:
    """A run's own part, shortened: how good, where it fails, how to make it again."""
    inner = Place(at.lang, f"run-{number}-", at.level + 1)
    parts = [
        top.result(run, inner),
        top.setup(run, inner),
        scored.scores(run, inner),
        confusions.confusions(run, inner),
        scored.sure(run, inner),
        inside.mistakes(run, inner),
        top.again(run, inner),
    ]
    body = f"<p class=lead>{text(top.title(run, at))}</p>"
    body += "".join(_section(part, inner) for part in parts if part is not None)
    return Section(f"run-{number}", body, run.name)


def _title(section: Section, at: Place) -> str:
    return section.title or at.say(section.name)


def _section(section: Section, at: Place) -> str:
    key = at.id(section.name)
    return (
        f"<section id={key} aria-labelledby={key}-h><h{at.level} id={key}-h>"
        f"{text(_title(section, at))}</h{at.level}>{section.body}</section>\n"
    )


def _head(run: Facts, at: Place) -> str:
    began = top.when(run)
    told = (at.say("report"), run.name, at.say("trained").format(when=began) if began else "")
    kicker = " · ".join(filter(None, told))
    return (
        f"<header class=top><p class=kicker>{text(kicker)}</p><h1>{name(top.title(run, at), 200)}"
        f"</h1><p class=lead>{text(top.lead(run, at))}</p></header>"
    )


def _common_head(runs: Sequence[Facts], at: Place) -> str:
    named = at.joined(_each_once(run.network for run in runs))
    data = at.joined(_each_once(run.data["name"] for run in runs))
    return (
        f"<header class=top><p class=kicker>{text(at.say('report'))}</p>"
        f"<h1>{text(at.say('several').format(n=len(runs)))}</h1>"
        f"<p class=lead>{name(at.say('title').format(network=named, data=data), 300)}</p></header>"
    )


def _each_once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
