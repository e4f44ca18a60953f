"""How the page looks, after `report.page.STYLE`: on paper, in the dark, on a phone."""

from __future__ import annotations

# Of a cell's share: how much colour is in its ground, in percent, and whether its sign is then the
# paper's colour. Between 42 and 72 neither sign would be told well from the ground, so none is.
LEVELS = (0, 7, 14, 21, 28, 35, 42, 72, 81, 90, 100)


def _levels() -> str:
    rules = []
    for kind, colour in (("right", "var(--c0)"), ("wrong", "var(--c1)")):
        for level, part in enumerate(LEVELS):
            ink = " color: var(--paper);" if part > 50 else ""
            ground = f"color-mix(in srgb, {colour} {part}%, var(--paper))"
            rules.append(f".{kind}{level} {{ background: {ground};{ink} }}")
    return "\n".join(rules)


STYLE = """\
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { max-width: 82rem; padding: 0 1.25rem 4rem; line-height: 1.55; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--paper); padding: .5rem 1rem; z-index: 9; }
.aloud { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; padding: 0; }
header.top { padding: 3.5rem 0 1.5rem; }
.kicker { color: var(--weak); font-size: .85rem; letter-spacing: .02em; margin: 0 0 .3rem; }
h1 { font-size: clamp(1.7rem, 4.5vw, 2.5rem); line-height: 1.15; font-weight: 650;
  letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { font-size: 1.45rem; font-weight: 650; letter-spacing: -.01em; margin: 0 0 .5rem; }
h3 { font-size: 1.05rem; font-weight: 650; margin: 2rem 0 .4rem; }
h4 { font-size: .95rem; font-weight: 650; margin: 1.4rem 0 .3rem; }
p { max-width: 42rem; } p.lead { font-size: 1.15rem; margin: .8rem 0 0; max-width: 44rem; }
section { margin: 0 0 4.5rem; scroll-margin-top: 1rem; min-width: 0; }
nav.toc { font-size: .92rem; margin: 0 0 2.5rem; }
nav.toc h2 { font-size: .8rem; color: var(--weak); font-weight: 600; letter-spacing: .02em; }
nav.toc ol { list-style: none; margin: 0; padding: 0; columns: 2; column-gap: 1.5rem; }
nav.toc a { display: block; padding: .22rem 0; text-decoration: none; color: var(--weak); }
nav.toc a:hover, nav.toc a:focus-visible { color: var(--ink); text-decoration: underline; }
main { min-width: 0; }
@media (min-width: 62rem) {
  .frame { display: grid; grid-template-columns: 11.5rem minmax(0, 1fr); gap: 0 3.5rem; }
  nav.toc { position: sticky; top: 1.5rem; align-self: start; max-height: calc(100vh - 3rem);
    overflow: auto; }
  nav.toc ol { columns: 1; }
}
.hero { display: flex; flex-wrap: wrap; gap: 1.5rem 4rem; align-items: flex-start;
  margin: 0 0 2rem; }
.big { font-size: clamp(3rem, 9vw, 4.6rem); font-weight: 650; line-height: 1; margin: 0 0 .5rem;
  letter-spacing: -.03em; font-variant-numeric: tabular-nums; }
.big small { font-size: .5em; font-weight: 500; letter-spacing: 0; margin-left: .1em; }
.hero p { margin: .15rem 0; }
dl.tiles { display: grid; gap: 1rem 2.5rem; margin: .3rem 0 0; flex: 1 1 20rem;
  grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); }
dl dt { color: var(--weak); font-size: .85rem; }
dl dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
dl.tiles dd { font-size: 1.15rem; font-weight: 600; }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr));
  gap: .9rem 2.5rem; margin: 1rem 0 1.5rem; }
.note { border-left: 3px solid var(--c1); padding: .15rem 0 .15rem .9rem; margin: 1rem 0; }
.note p { margin: .2rem 0; }
table { font-size: .93rem; } caption { font-size: .93rem; padding: 1rem 0 .35rem; }
thead th { color: var(--weak); font-weight: 500; font-size: .85rem; vertical-align: bottom; }
tbody th { font-weight: 500; } th, td { padding: .34rem 1.4rem .34rem 0; }
tbody tr:last-child > * { border-bottom: 0; } td.n, th.n { white-space: nowrap; }
td.span { white-space: nowrap; color: var(--weak); font-variant-numeric: tabular-nums; }
.wide:focus-visible { outline-offset: 4px; }
details { margin: 1rem 0; } summary { cursor: pointer; padding: .35rem 0; width: fit-content; }
summary::marker { color: var(--weak); }
pre { background: var(--back); border-radius: 6px; padding: .7rem .9rem; overflow-x: auto;
  font: .88rem/1.5 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace;
  margin: .5rem 0 1rem; }
code { font: .92em ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
pre code { font-size: 1em; overflow-wrap: normal; }
.figures { gap: 2.5rem 3rem; margin-top: 1.2rem; } figcaption { font-size: .93rem; }
.figures figcaption { margin-bottom: .4rem; } svg.square { max-width: 29rem; }
svg.lines .ideal { stroke-dasharray: 2 4; stroke: var(--weak); }
svg .bar { fill: currentColor; opacity: .45; } svg .span { stroke: currentColor;
  stroke-width: 1.4; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; list-style: none; padding: 0;
  margin: .4rem 0; font-size: .88rem; } .legend li { display: flex; align-items: center;
  gap: .4rem; }
img { display: block; max-width: 100%; height: auto; } img.crisp { image-rendering: pixelated; }
ul.cards { list-style: none; padding: 0; margin: 1rem 0 0; display: grid; gap: 1.5rem 1.25rem;
  grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
ul.cards li { min-width: 0; font-size: .85rem; line-height: 1.4; }
ul.cards img { border-radius: 4px; margin: 0 0 .45rem; background: var(--back); }
ul.cards .said, ul.cards .is, ul.cards .of { display: block; overflow-wrap: anywhere; }
.said b { font-weight: 600; } .of, .is { color: var(--weak); }
.trio { display: grid; grid-template-columns: repeat(3, minmax(0, 9rem)); gap: .7rem; }
.trio figure { font-size: .82rem; } .trio img { width: 100%; }
.quiet figcaption { color: var(--weak); font-weight: 400; margin-top: .4rem; }
.sheet figcaption::first-letter { text-transform: none; }
.trio figcaption { margin-top: .25rem; font-weight: 400; color: var(--weak); font-size: .8rem; }
ul.explained { list-style: none; padding: 0; display: grid; gap: 1.8rem 1.5rem; margin: .6rem 0 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 28.5rem), 1fr)); }
ul.explained p { margin: 0 0 .4rem; font-size: .9rem; }
.matrix { font-size: .85rem; border-collapse: separate; border-spacing: 2px; }
.matrix th, .matrix td { border: 0; padding: 0; }
.matrix tbody th { text-align: right; padding-right: .5rem; white-space: nowrap;
  vertical-align: middle; position: sticky; left: 0; background: var(--paper); z-index: 1; }
.matrix thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  vertical-align: middle; padding: .4rem 0; white-space: nowrap; color: var(--ink); }
.matrix td { width: 2.6rem; min-width: 2.3rem; height: 2.1rem; text-align: center;
  vertical-align: middle; font-variant-numeric: tabular-nums; border-radius: 3px; }
.matrix td.corner { vertical-align: bottom; color: var(--weak); text-align: right; height: auto;
  padding: 0 .5rem .4rem 0; line-height: 1.3; white-space: nowrap; }
.matrix td.none { background: var(--back); }
.matrix button { all: unset; box-sizing: border-box; display: grid; place-items: center;
  width: 100%; height: 2.1rem; cursor: pointer; border-radius: 3px; }
.matrix button:hover { outline: 2px solid currentColor; outline-offset: -2px; }
.matrix button:focus-visible { outline: 3px solid var(--c0); outline-offset: 1px; }
button.open { font: inherit; color: inherit; background: var(--back); cursor: pointer;
  border: 1px solid var(--line); border-radius: 6px; padding: .1rem .6rem; }
[popover] { border: 1px solid var(--line); border-radius: 10px; background: var(--paper);
  color: var(--ink); padding: 1.4rem 1.6rem; width: min(44rem, calc(100vw - 2rem));
  max-height: calc(100vh - 4rem); overflow: auto; box-shadow: 0 12px 48px #0005; }
[popover]::backdrop { background: #0004; } [popover] > :is(h3, h4) { margin: 0 0 .2rem;
  font-size: 1.05rem; }
[popover] .close { font: inherit; background: none; color: inherit; cursor: pointer;
  border: 1px solid var(--line); border-radius: 6px; padding: .2rem .8rem; margin-top: 1.2rem; }
.small-matrix { background: #fff; }
svg.dots { display: block; width: 9rem; height: 1.1rem; margin-top: .2rem; }
svg.dots .rail { stroke: var(--line); } svg.dots .reach { stroke: currentColor; stroke-width: 2; }
svg.dots .at { fill: currentColor; } footer { color: var(--weak); font-size: .85rem; }
.run > h2 { border-top: 1px solid var(--line); padding-top: 2.5rem; }
.run section { margin-bottom: 3rem; }
@media (max-width: 34rem) {
  header.top { padding-top: 1.8rem; } section { margin-bottom: 3.2rem; }
  th, td { padding-right: .9rem; } ul.cards { grid-template-columns: repeat(2, 1fr); }
  .matrix td, .matrix button { height: 1.9rem; }
}
@media print {
  @page { margin: 16mm 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; } .frame { display: block; }
  nav.toc, .skip, .close, .on-screen { display: none; } header.top { padding: 0 0 1rem; }
  section { margin-bottom: 1.6rem; } h2, h3, h4, caption { break-after: avoid; }
  .wide { overflow: visible; } table { font-size: 8.5pt; } thead { display: table-header-group; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  .figures { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
  ul.cards { grid-template-columns: repeat(6, 1fr); gap: .8rem; }
  ul.cards li, ul.explained > li, figure, .matrix { break-inside: avoid; }
  [popover] { display: block; position: static; border: 0; border-radius: 0; box-shadow: none;
    padding: .6rem 0; width: auto; max-height: none; overflow: visible; break-inside: avoid; }
  [popover].more { display: none; }
  details:not(.long)::details-content { content-visibility: visible; block-size: auto; }
  .matrix td, .big, .small-matrix, .filters, svg { print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  .matrix thead th, .matrix tbody th { position: static; }
}
""" + _levels()
