"""What the doctor found, as one HTML page that needs nothing beside itself.

Small copies of the pictures are in it: at most SHOWN things of a kind, with OTHERS more each, so
the page of a folder of any size has a few megabytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from neocog.data import pictures
from neocog.data.doctor import Checkup, Problem
from neocog.data.kinds import KINDS
from neocog.errors import DataError
from neocog.report.page import printable

MARK = "<!-- neocog data doctor -->"  # pages that begin so are ours to write over
SHOWN = 24  # things of a kind
OTHERS = 3  # pictures that one is shown with
ROWS = 1000  # classes in the table
SIDE = 160  # pixels of the small copies
QUALITY = 70
WITHOUT = {"unreadable", "truncated", "empty", "not_a_picture", "missing", "enormous", "unused"}
WITHOUT |= {"no_data_set", "class_missing", "class_small", "imbalance"}  # nothing can be shown

STYLE = """
:root { color-scheme: light dark; --line: #8885; --weak: #666; --bad: #b3261e; --back: #8881; }
@media (prefers-color-scheme: dark) { :root { --weak: #aaa; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .2rem; }
h1, h2, p, li, figcaption { overflow-wrap: anywhere; }
p { margin: .4rem 0; max-width: 45rem; } .weak, figcaption { color: var(--weak); }
.problem { color: var(--bad); font-weight: 600; } td.problem, td.note { white-space: nowrap; }
a { color: inherit; } a:focus-visible, summary:focus-visible { outline: 3px solid; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .8rem .2rem 0; text-align: left; }
th { vertical-align: bottom; } .n { text-align: right; font-variant-numeric: tabular-nums; }
ul.things { list-style: none; margin: .8rem 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .8rem; }
ul.things > li { display: flex; flex-wrap: wrap; gap: .4rem; background: var(--back);
  padding: .5rem; border-radius: 6px; max-width: 100%; }
figure { margin: 0; width: 160px; max-width: 100%; }
img { display: block; max-width: 100%; height: auto; }
figcaption { font-size: .8rem; line-height: 1.35; margin-top: .2rem; }
.detail { flex-basis: 100%; font-size: .85rem; margin: 0; max-width: 30rem; }
figure ~ .detail { contain: inline-size; max-width: none; }
@media print { body { max-width: none; font-size: 11px; padding: 0; } nav { display: none; }
  ul.things > li, figure, tr { break-inside: avoid; } h2 { break-after: avoid; }
  details > * { display: block; } }
"""


def page(found: Checkup) -> str:
    """The page, whole. It reads the pictures that it shows."""
    root = found.listing.root
    name = escape(printable(root.name or str(root)))
    parts = [
        f"<!doctype html>\n{MARK}\n<html lang=en><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f"<title>{name}: what is in it</title><style>{STYLE}</style></head><body>",
        f"<h1><bdi>{name}</bdi></h1><main>",
        *_overview(found),
        *_classes(found),
    ]
    for kind, count in found.counts().items():
        problems = [each for each in found.problems if each.kind == kind]
        parts += _kind(root, kind, count, problems)
    return "\n".join([*parts, "</main></body></html>", ""])


def _name(name: str) -> str:
    return f"<bdi>{escape(printable(name))}</bdi>"


def _overview(found: Checkup) -> Iterator[str]:
    listing = found.listing
    splits = ", ".join(f"{name} {len(files):,}" for name, files in listing.splits.items())
    yield f"<p>{len(listing):,} pictures of {len(listing.classes):,} classes ({splits}).</p>"
    if found.sound:
        yield "<p><strong>Nothing is wrong with it.</strong></p>"
    if found.problems:
        yield "<nav aria-label='What was found'><div class=wide><table>"
        yield "<tr><th class=n>how often<th>what<th>it is a</tr>"
        for kind, count in found.counts().items():
            yield (
                f'<tr><td class=n>{count:,}<td><a href="#{kind}">{_title(kind)}</a>'
                f"<td class={KINDS[kind].severity}>{KINDS[kind].severity}</tr>"
            )
        yield "</table></div></nav>"
    notes = [*listing.remarks, *listing.left_out()]
    if notes:
        yield "<h2>Left out, and to be known</h2><ul>"
        yield from (f"<li>{_name(note)}</li>" for note in notes)
        yield "</ul>"


def _classes(found: Checkup) -> Iterator[str]:
    rows = list(found.classes().items())
    splits = list(found.listing.splits)
    yield f"<h2>Classes</h2><details{' open' if len(rows) <= 20 else ''}>"
    yield f"<summary>{len(rows):,} classes</summary><div class=wide><table>"
    yield "<tr><th>class" + "".join(f"<th class=n>{split}" for split in splits) + "</tr>"
    for name, counts in rows[:ROWS]:
        cells = "".join(f"<td class=n>{counts[split]:,}" for split in splits)
        yield f"<tr><td>{_name(name)}{cells}</tr>"
    yield "</table></div>"
    if len(rows) > ROWS:
        yield f"<p class=weak>{len(rows) - ROWS:,} more classes are not shown here.</p>"
    yield "</details>"


def _kind(root: Path, kind: str, count: int, problems: Sequence[Problem]) -> Iterator[str]:
    what = KINDS[kind]
    yield f"<section aria-labelledby={kind}><h2 id={kind}>{_title(kind)} ({count:,})</h2>"
    yield f"<p><span class={what.severity}>{what.severity.capitalize()}.</span>"
    yield f"{escape(what.about)} {escape(what.remedy)}</p><ul class=things>"
    for each in problems[:SHOWN]:
        detail = f"<p class=detail>{_name(each.detail)}</p>"
        if kind in WITHOUT:
            yield f"<li>{_name(each.file)}{detail}</li>"
            continue
        shown = "".join(_figure(root, file) for file in (each.file, *each.others[:OTHERS]))
        yield f"<li>{shown}{detail}</li>"
    yield "</ul>"
    if count > SHOWN:
        yield f"<p class=weak>{SHOWN} of {count:,} are shown; <code>--json</code> has them all.</p>"
    yield "</section>"


def _figure(root: Path, file: str) -> str:
    content = _small(root / file)
    caption = f"<figcaption>{_name(file)}</figcaption>"
    if content is None:
        return f"<figure><em>It cannot be shown.</em>{caption}</figure>"
    data, width, height = content
    return (
        f'<figure><img alt="small copy" loading=lazy width={width} height={height} '
        f'src="data:image/jpeg;base64,{data}">{caption}</figure>'
    )


def _small(path: Path) -> tuple[str, int, int] | None:
    """A small JPEG of a picture in base64, and its size; None where it cannot be read."""
    try:
        made = Image.fromarray(pictures.pixels(pictures.content_of(path), 3, SIDE, path))
    except DataError:
        return None
    made.thumbnail((SIDE, SIDE))
    written = io.BytesIO()
    made.save(written, "JPEG", quality=QUALITY)
    return base64.b64encode(written.getvalue()).decode(), made.width, made.height


def _title(kind: str) -> str:
    return kind.replace("_", " ")
