"""What sections are put together from: text, tables, figures, folds. All text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from neocog.report import percents, thumbs
from neocog.report.names import cut
from neocog.report.page import printable
from neocog.reporting.words import say

LONG = 60  # columns of a name in running text


@dataclass(frozen=True)
class Place:
    """Where on the page, and in which language."""

    lang: str
    key: str = ""  # begins every id: several runs are on one page
    level: int = 2  # of a section's heading

    def say(self, word: str) -> str:
        """Words of the page as text, not yet escaped; what {stands} in them is for `format`."""
        return say(self.lang, word)

    def p(self, word: str, *, kind: str = "") -> str:
        """The same as a paragraph."""
        return paragraph(self.say(word), kind=kind)

    def heading(self, name: str) -> str:
        """A heading within a section."""
        return f"<h{self.level + 1}>{text(self.say(name))}</h{self.level + 1}>"

    def id(self, name: str) -> str:
        return f"{self.key}{name}"

    def joined(self, words: Iterable[str]) -> str:
        return ("、" if self.lang == "zh" else ", ").join(words)


@dataclass(frozen=True)
class Section:
    """A part of the page that the table of contents leads to."""

    name: str  # its id, and a word of `words` where it has no title
    body: str
    title: str = ""


def text(words: object) -> str:
    return escape(printable(str(words)))


def name(words: str, longest: int = LONG) -> str:
    """A name in any script, which turns no sentence around; the whole of it where it is cut."""
    shown = printable(words) or "–"
    short = cut(shown, longest)
    whole = f' title="{escape(shown)}"' if short != shown else ""
    return f"<bdi{whole}>{escape(short)}</bdi>"


def paragraph(words: str, *, kind: str = "") -> str:
    return f"<p{_class(kind)}>{text(words)}</p>"


def fold(summary: str, body: str, *, is_open: bool = False, kind: str = "") -> str:
    """What is seen when it is asked for."""
    opened = " open" if is_open else ""
    return f"<details{_class(kind)}{opened}><summary>{text(summary)}</summary>{body}</details>"


@dataclass(frozen=True)
class Column:
    title: str  # text
    number: bool = False
    kind: str = ""  # a class of the style sheet


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    *,
    kind: str = "",
    hidden: bool = False,
) -> str:
    """A table with its caption; cells are HTML, the first of a row is its heading. `hidden`: the
    caption is only read aloud, for it stands above already.
    """
    kinds = [_class(" ".join(filter(None, ("n" if c.number else "", c.kind)))) for c in columns]
    heads = "".join(
        f"<th scope=col{of}>{text(column.title)}" for column, of in zip(columns, kinds, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<{'td' if place else 'th scope=row'}{kinds[place]}>{cell}"
            for place, cell in enumerate(row)
        )
        for row in rows
    )
    seen = " class=aloud" if hidden else ""
    return (
        f"<div class=wide tabindex=0 role=region aria-label={_quoted(caption)}>"
        f"<table{_class(kind)}><caption{seen}>{text(caption)}</caption>"
        f"<thead><tr>{heads}</thead><tbody>\n{body}</tbody></table></div>"
    )


def facts(rows: Iterable[tuple[str, str]], *, kind: str = "facts") -> str:
    """Names and what they are: the names text, the others HTML."""
    made = "".join(f"<div><dt>{text(what)}<dd>{is_}</div>" for what, is_ in rows)
    return f"<dl{_class(kind)}>{made}</dl>"


def image(content: bytes, alt: str, *, kind: str = "", width: int | None = None) -> str:
    """A picture that the page holds; `width` in pixels of the screen, its own if none is named."""
    own, high = thumbs.size(content)
    wide = own if width is None else width
    shown = round(high * wide / own)
    crisp = "crisp" if wide >= 2 * own else ""
    kinds = _class(" ".join(filter(None, (kind, crisp))))
    return f'<img{kinds} alt="{text(alt)}" width={wide} height={shown} src="{thumbs.url(content)}">'


def figure(body: str, caption: str, *, kind: str = "") -> str:
    """`caption` is HTML."""
    return f"<figure{_class(kind)}>{body}<figcaption>{caption}</figcaption></figure>"


def command(words: str) -> str:
    return f"<pre tabindex=0><code>{text(words)}</code></pre>"


def hundredths(value: float, digits: int = 2) -> str:
    """A share in percent, without its sign; in signs that mean nothing to HTML."""
    return percents.hundredths(value, digits).replace(">", "≥").replace("<", "≤")


def share(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{hundredths(value, digits)} %"


def count(value: float) -> str:
    return f"{value:,.0f}"


def millions(value: float) -> str:
    """A large count as people say it: 61,706; 4.2 M; 1.82 G."""
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}"


def _quoted(words: str) -> str:
    return f'"{text(words)}"'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
