"""The skeleton of a page that needs nothing beside itself: colours, tables, figures, and what it
may load, which is nothing.

Light and dark follow the reader's system. A page has no `style` attributes: its policy lets in the
one style sheet and the one script whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

# Of lines, on light and on dark ground: after Okabe and Ito, told apart by colour-blind eyes too,
# each with a contrast of at least 3 to 1 to its ground (WCAG 2.2, 1.4.11).
COLOURS = (
    ("#0072b2", "#5cb8f0"),
    ("#c65300", "#ff9c55"),
    ("#007a58", "#2fd1a0"),
    ("#a8488a", "#ee9fd0"),
    ("#7a6a00", "#eadf3e"),
    ("#444444", "#d8d8d8"),
    ("#5a50c8", "#b3abff"),
    ("#b3261e", "#ff8a80"),
)
LIGHT, DARK = ("#ffffff", "#1b1b1b", "#5c5c5c"), ("#16181c", "#ececec", "#a9adb3")


def _ground(which: int) -> str:
    """The variables of a ground: 0 light, 1 dark."""
    paper, ink, weak = (LIGHT, DARK)[which]
    lines = "".join(f" --c{n}: {pair[which]};" for n, pair in enumerate(COLOURS))
    return f"--paper: {paper}; --ink: {ink}; --weak: {weak};{lines}"


STYLE = (
    f"""
:root {{ color-scheme: light dark; --line: #8886; --back: #8881; {_ground(0)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_ground(1)} }} }}
"""
    + "".join(f".c{n} {{ color: var(--c{n}); }}\n" for n in range(len(COLOURS)))
    + """\
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; background: var(--paper); color: var(--ink);
  margin: 0 auto; max-width: 76rem; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; }
h1, h2, p, li, td, th { overflow-wrap: break-word; }
p { margin: .4rem 0; max-width: 45rem; } .weak { color: var(--weak); }
a { color: inherit; } :focus-visible { outline: 3px solid var(--c0); outline-offset: 2px; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
caption { text-align: left; font-weight: 600; padding: .8rem 0 .2rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .9rem .25rem 0; text-align: left;
  vertical-align: top; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 600; }
figcaption::first-letter { text-transform: uppercase; }
.figures { display: grid; gap: 1.5rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
svg.lines { display: block; width: 100%; max-width: 38rem; height: auto; }
svg.lines text { fill: var(--weak); font-size: 12px; }
svg.lines .grid { stroke: var(--line); stroke-width: 1; }
svg.lines .line { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linejoin: round; }
svg.lines .faint { stroke-width: 1; opacity: .55; }
svg .mark { fill: currentColor; stroke: currentColor; stroke-width: 1.5; }
svg .hollow { fill: var(--paper); }
@media print { .figures { display: block; } figure, tr { break-inside: avoid; } }
"""
    + f"@media print {{ :root {{ color-scheme: light; {_ground(0)} }} }}\n"
)


def page(
    *, title: str, lang: str, body: str, style: str = "", script: str = "", mark: str = ""
) -> str:
    """A whole page in HTML around `body`; `style` comes after STYLE, `script` is run at the end.
    `mark`, a comment, says whose page it is.
    """
    sheet = STYLE + style
    parts = [
        f"<!doctype html>\n{mark}<html lang={lang}><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width, initial-scale=1">',
        f'<meta http-equiv=Content-Security-Policy content="{policy(style, script)}">',
        f'<link rel=icon href="data:,"><title>{escape(title)}</title>',
        f"<style>{sheet}</style></head><body>",
        body,
        f"<script>{script}</script>" if script else "",
        "</body></html>\n",
    ]
    return "\n".join(parts)


def policy(style: str, script: str) -> str:
    """What such a page may load: its own style and script, and answers of whoever served it."""
    scripts = f"script-src {_hash(script)}; connect-src 'self'; " if script else ""
    return (
        f"default-src 'none'; style-src {_hash(STYLE + style)}; {scripts}img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def printable(name: str) -> str:
    """A file's name without what would steer a terminal or a page, or is no text at all."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name
    )
