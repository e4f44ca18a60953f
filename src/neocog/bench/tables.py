"""A result as tables for people, in Markdown: ratios first, then how they came about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neocog.bench import bars
from neocog.bench.bars import Document, Facts
from neocog.bench.plan import ARMS, ARMS_OF

MIB = 2**20


def page(document: Document) -> str:
    """The whole result file."""
    parts = [
        f"# neocog bench, {document['date']}: {machine(document)}",
        _about(document),
        *_section("Training", training(document), _TRAINING),
        *_section("A whole run", whole(document), _WHOLE),
        *_section("Predictions", inference(document), _INFERENCE),
        *_section("Time to an accuracy", accuracy(document), _ACCURACY),
        *_section("The bars", _bars(document), ""),
        *_section("What each measurement was", _details(document), _DETAILS),
    ]
    return "\n\n".join(parts) + "\n"


_TRAINING = (
    "Images a second of training steps with their data, and in brackets how many times faster "
    "neocog is. The share is what neocog's median step reaches of the machine's fastest matrix "
    "product; above 100% it took fewer products than a direct sum has, by which work is counted."
)
_WHOLE = (
    "Seconds of ten epochs with evaluations, from the start of the process to the last of them; in "
    "brackets how many times sooner neocog is there."
)
_INFERENCE = (
    "Images a second, and in brackets how many times faster neocog is; then pictures whose answer "
    "is that of PyTorch in fp32."
)
_ACCURACY = (
    "Seconds from the start of the process until the test accuracy after an epoch is reached; in "
    "brackets how many times sooner neocog is there."
)
_DETAILS = (
    "Each measurement is a process of its own; n rounds, of which the median counts; spread is "
    "(largest - smallest) / median. Warm-up steps are not counted."
)


def machine(document: Document) -> str:
    facts = document["machine"]
    name = str(facts.get("gpu") or facts.get("processor") or "a machine that did not answer")
    return f"{name}, held to AVX2" if document["avx2"] else name


def training(document: Document) -> str:
    """A line a network: neocog's images a second and share of the peak, then each peer."""
    return _side_by_side(document, "train", share=True)


def whole(document: Document) -> str:
    return _side_by_side(document, "whole")


def inference(document: Document) -> str:
    return _side_by_side(document, "inference", agreed=True)


def accuracy(document: Document) -> str:
    return _side_by_side(document, "accuracy")


def _side_by_side(
    document: Document, section: str, *, share: bool = False, agreed: bool = False
) -> str:
    rows = [facts for facts in document["rows"] if facts["section"] == section]
    if not rows:
        return ""
    present = {facts["arm"] for facts in rows}
    arms = [arm.name for arm in ARMS_OF[section] if arm.name in present]
    head = ["network", "batch", *(ARMS[name].title for name in arms)]
    if share and "neocog" in arms:
        head.insert(3, "share of peak")
    lines = []
    for network, batch in dict.fromkeys((facts["network"], facts["batch"]) for facts in rows):
        found = {name: bars.row(document, section, network, name, batch) for name in arms}
        ours = found.get("neocog")
        title = next(facts["title"] for facts in rows if facts["network"] == network)
        cells = [_cell(found[name], ours, agreed=agreed) for name in arms]
        if share and "neocog" in arms:
            cells.insert(1, _percent(bars.share_of_peak(document, ours) if ours else None))
        lines.append([title, str(batch), *cells])
    return _table(head, lines)


def _cell(facts: Facts | None, ours: Facts | None, *, agreed: bool) -> str:
    if facts is None:
        return ""
    if facts["value"] is None:
        return str(facts["status"])
    text = _number(facts["value"])
    times = bars.ratio(ours, facts)
    if times is not None and facts is not ours:
        text += f" ({times:.2f}x)"
    counts = bars.agreement(facts) if agreed else None
    return f"{text}, {counts[0]} of {counts[1]}" if counts else text


def _bars(document: Document) -> str:
    lines = [
        [
            _bar_name(bar),
            _measure(bar["kind"], bar["least"]),
            _measure(bar["kind"], bar["aim"]),
            _measure(bar["kind"], bar["measured"]),
            bar["verdict"],
        ]
        for bar in bars.judged(document)
    ]
    return _table(["what", "bar", "aim", "measured", ""], lines) if lines else ""


def bar_lines(document: Document) -> list[str]:
    """The bars for a terminal: "bar 3.7x, measured 4.1x: met"."""
    lines = []
    for bar in bars.judged(document):
        text = f"{_bar_name(bar)}: bar {_measure(bar['kind'], bar['least'])}, "
        if bar["measured"] is not None:
            text += f"measured {_measure(bar['kind'], bar['measured'])}, "
        lines.append(text + bar["verdict"])
    return lines


def _bar_name(bar: dict[str, Any]) -> str:
    network, against = bar["network"], bar["against"]
    batch = f", batch {bar['batch']}" if bar["batch"] else ""
    if bar["kind"] == "ratio":
        verb = {"train": "training", "whole": "ten epochs", "inference": "predicting"}
        return f"{network}, {verb[bar['section']]}{batch}, against {ARMS[against].title}"
    return {
        "peak": f"{network}, training, share of the peak",
        "agreement": f"{network}, predicting{batch}, agreement",
        "rate": f"{network}, training, images/s",
        "start": f"`{network}`, at most",
    }[bar["kind"]]


def _measure(kind: str, value: float | None) -> str:
    if value is None:
        return "-"
    return {
        "ratio": f"{value:.2f}x",
        "peak": f"{value:.2f}",
        "agreement": f"{value:.1%}",
        "rate": f"{value:,.0f}",
        "start": f"{value:.3f} s",
    }[kind]


def _details(document: Document) -> str:
    head = [
        "measurement",
        "who",
        "value",
        "n",
        "spread",
        "steps",
        "warm-up",
        "memory",
        "faults a step",
        "how",
    ]
    return _table(head, [_detail(facts) for facts in document["rows"]])


def _detail(facts: Facts) -> list[str]:
    name = f"{facts['section']}: {facts['title']}, batch {facts['batch']}"
    done = [m for m in facts["measurements"] if m["status"] == "measured"]
    if not done:
        return [name, facts["who"], facts["status"], "0", *[""] * 5, facts["reason"]]
    last = done[-1]
    memory = [m["peak_memory"] for m in done if m.get("peak_memory")]
    faults = last.get("faults_per_step")
    return [
        name,
        facts["who"],
        f"{_number(facts['value'])} {facts['unit']}",
        str(facts["n"]),
        f"{facts['spread']:.1%}" if facts["n"] > 1 else "",
        ", ".join(map(str, facts["steps"])) or f"{last.get('epochs', '')} epochs",
        f"{last['warm_steps']} in {last['warm_seconds']:.1f} s" if "warm_steps" in last else "",
        f"{max(memory) / MIB:,.0f} MiB" if memory else "",
        "" if faults is None else f"{faults:,.0f}",
        _how(last),
    ]


def _how(measurement: dict[str, Any]) -> str:
    """What was chosen, in a few words: neocog's hardware record, or an arm's precision."""
    hardware = measurement.get("hardware", {})
    told = ("device", "precision", "layout", "compile", "compiled", "kernels", "memory", "threads")
    words = [f"{key} {hardware[key]}" for key in told if hardware.get(key) not in (None, "")]
    if "begin_seconds" in measurement:
        words.append(f"begun in {measurement['begin_seconds']:.0f} s")
    if "recipe" in measurement:
        words.append(f"recipe {measurement['recipe']}")
    return ", ".join(words)


def _about(document: Document) -> str:
    facts, peaks = document["machine"], document["peaks"]
    memory = f"{facts['memory'] / 2**30:.0f} GiB" if facts.get("memory") else "?"
    bf16 = "AMX" if facts.get("amx") else "yes" if facts.get("bf16") else "no units"
    rates = ", ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in peaks.items())
    lines = [
        f"- Machine: {machine(document)}; threads {facts.get('threads', '?')}, {memory}, "
        f"{facts.get('vectors', '?')}, bf16: {bf16}; {facts.get('system', '?')}",
        f"- Command: `{document['command']}`, at most {document['rounds']} rounds in "
        f"{document['seconds'] / 60:.0f} min, {document['seconds_each']:g} s measured in each "
        "process",
        f"- Matrix products, the best of all rounds: {rates or 'not measured'}",
        "- Versions: " + ", ".join(f"{k} {v}" for k, v in document["versions"].items()),
    ]
    told = ", ".join(f"{k}={v}" for k, v in document["environment"].items())
    if told:
        lines.append(f"- Set from outside: {told}")
    if document["avx2"]:
        lines.append(
            "- oneDNN, torch and MKL were held to AVX2; ONNX Runtime has no such setting and takes "
            "what the processor has."
        )
    if document["quick"]:
        lines.append("- A quick run, to see that all works: its figures mean nothing.")
    return "\n".join(lines)


def _section(title: str, table: str, about: str) -> list[str]:
    return [part for part in (f"## {title}", about, table) if part] if table else []


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
