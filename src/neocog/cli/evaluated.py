"""How the scores of runs look. Names, of any length and script, stand last in their lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neocog.analysis.evaluation import scored_split
from neocog.cli.output import score_head, table
from neocog.report.names import cut_within
from neocog.report.page import printable
from neocog.report.percents import hundredths, percent

WORST = 5  # classes, and pairs, that are shown
NAME, PAIRED = 40, 28  # columns of a name, at most; and of each of two
FLATTERED = "  the weights were chosen by these pictures, which flatters them"
METHODS = {
    "wilson": "Wilson",
    "bootstrap": "bootstrap of pictures, B {resamples:,}",
    "bootstrap within classes": "bootstrap within classes, B {resamples:,}",
    "t": "Student's t",
}


def evaluation_lines(made: dict[str, Any]) -> list[str]:
    """One run: its scores with their intervals, its calibration, its worst classes and pairs."""
    split = scored_split(made)
    said = made[split]
    n, classes = said["n"], len(said["classes"])
    lines = [printable(made["run"]), score_head(made), ""]
    lines += [f"{split}: {_count(n, 'picture')} of {_count(classes, 'class')}, {_views(said)}"]
    if split == "validation":
        lines += ["there is no test split"]
        lines += [FLATTERED] if made["select"] == "best" else []
    lines += _scores(said)
    lines += _calibration(said)
    lines += _worst(said)
    lines += _confused(said)
    if split == "test" and made["validation"] is not None:
        lines += ["", _validation(made["validation"])]
        lines += [FLATTERED] if made["select"] == "best" else []
    return lines


def comparison_lines(found: dict[str, Any]) -> list[str]:
    """Runs beside each other: each one's score, and how far it is from the first."""
    split, runs, differences = found["split"], found["runs"], found["differences"]
    many = len(differences) > 1
    head = ["top-1", "95 % interval", "log loss", "views", "points", "95 % interval", "only", "p"]
    rows = [
        [*_own(run[split]), *cells, printable(run["run"])]
        for run, cells in zip(
            runs,
            [[""] * (5 if many else 4), *(_apart(each, many=many) for each in differences)],
            strict=True,
        )
    ]
    head += ["Holm p", "run"] if many else ["run"]
    lines = [table(head, rows, right=range(len(head) - 1)), ""]
    lines += [
        f"{_count(found['n'], _picture(split))}, the same of every run. 95 % interval of top-1: "
        "Wilson.",
        f"points: top-1 less that of {printable(runs[0]['run'])}; its interval: paired bootstrap, "
        f"{_resamples(differences)}.",
        "only: pictures that this run alone gets right : that the first alone does.",
        f"p: McNemar's test, {_forms(differences)}.",
    ]
    if many:
        lines += [
            f"Holm p: the same, corrected for {len(differences)} comparisons; go by this one."
        ]
    if split == "validation" and "views" not in found:  # where it is said above
        lines += ["There is no test split: these are the validation pictures."]
    if len({run[split]["protocol"] for run in runs}) > 1:
        lines += ["The runs were not scored by the same views, so part of a difference is theirs."]
    return lines


def seed_lines(groups: Sequence[dict[str, Any]]) -> list[str]:
    """Runs that differ in seed alone: mean and spread."""
    lines = []
    for group in groups:
        seeds = ", ".join(map(str, group["seeds"]))
        lines += [
            "",
            f"{group['network']} on {printable(group['data'])}, {group['split']}, {_views(group)}: "
            f"mean ± sd over {group['n']} seeds ({seeds})",
        ]
        for name, label in (("top1", "top-1"), ("balanced", "balanced"), ("top5", "top-5")):
            if group[name] is not None:
                lines += [_spread(label, group[name], shares=True)]
        lines += [_spread("log loss", group["loss"], shares=False)]
        lines += [f"  sd: of the runs; interval: 95 %, Student's t of the mean, n {group['n']}"]
        if group["same_pictures"] is None:
            lines += [
                f"  whether they were scored on the same {group['split']} pictures is not known"
            ]
        elif not group["same_pictures"]:
            lines += [f"  each seed drew its own {group['split']} pictures, which is in the spread"]
    return lines


# -- one run


def _scores(said: dict[str, Any]) -> list[str]:
    lines = []
    for name, label in (("top1", "top-1"), ("balanced", "balanced"), ("top5", "top-5")):
        if said[name] is not None:
            lines += [_score(label, percent(said[name]), said["intervals"][name], shares=True)]
    return [*lines, _score("log loss", f"{said['loss']:.4f}", said["intervals"]["loss"])]


def _score(label: str, value: str, interval: dict[str, Any] | None, *, shares: bool = False) -> str:
    if interval is None:
        return f"  {label:<10} {value:>8}   no interval: too few pictures, or all alike"
    method = METHODS[interval["method"]].format(**interval)
    span = _span(interval, shares=shares)
    return f"  {label:<10} {value:>8}   {span:<18} 95 %, {method}, n {interval['n']:,}"


def _calibration(said: dict[str, Any]) -> list[str]:
    found = said["calibration"]
    ece, chance = found["ece"]["equal_mass"], found["ece_if_calibrated"]["equal_mass"]
    lines = [
        f"  {'ECE':<10} {percent(ece):>8}   {found['bins']} bins of equal mass; a calibrated "
        f"network would show about {percent(chance)}"
    ]
    fitted = found["temperature"]
    if fitted is None:
        return lines
    if fitted["value"] is None:
        return [*lines, f"  temperature    none   validation, n {fitted['n']:,}: {fitted['why']}"]
    return [
        *lines,
        f"  temperature {fitted['value']:>7.3g}   fitted to validation, n {fitted['n']:,}: "
        f"log loss {said['loss']:.4f} -> {fitted['loss']:.4f}, ECE {percent(ece)} -> "
        f"{percent(fitted['ece']['equal_mass'])}",
    ]


def _worst(said: dict[str, Any]) -> list[str]:
    with_pictures = [each for each in said["classes"] if each["n"]]
    wrong = [each for each in with_pictures if each["right"] < each["n"]]
    without = len(said["classes"]) - len(with_pictures)
    lines = []
    if without:
        few = ", ".join(_name(each["class"]) for each in said["classes"] if not each["n"])
        named = f": {few}" if without <= 3 else ""
        lines = ["", f"{_count(without, 'class')} without pictures, left out of balanced{named}"]
    if not wrong or len(said["classes"]) < 2:
        return lines
    shown = sorted(wrong, key=lambda each: (each["recall"], -each["n"]))[:WORST]
    rows = [
        [
            percent(each["recall"]),
            _span(each["interval"], shares=True),
            "-" if each["precision"] is None else percent(each["precision"]),
            percent(each["f1"]),
            f"{each['n']:,}",
            _name(each["class"]),
        ]
        for each in shown
    ]
    head = ["recall", "95 % interval", "precision", "F1", "pictures", _of(shown, wrong, "class")]
    return [*lines, "", table(head, rows, right=range(5))]


def _confused(said: dict[str, Any]) -> list[str]:
    pairs = said["confused"]
    if not pairs:
        return []
    rows = [
        [f"{pair['n']:,}", percent(pair["share"]), f"{_name(pair['class'], PAIRED)} taken for "]
        for pair in pairs[:WORST]
    ]
    for row, pair in zip(rows, pairs, strict=False):
        row[2] += _name(pair["as"], PAIRED)
    head = ["pictures", "of its class", _of(rows, pairs, "confused pair")]
    return ["", table(head, rows, right=(0, 1))]


def _validation(said: dict[str, Any]) -> str:
    return (
        f"validation: {_count(said['n'], 'picture')}, {_views(said)}: "
        f"top-1 {percent(said['top1'])}, balanced {percent(said['balanced'])}, "
        f"log loss {said['loss']:.4f}"
    )


# -- several


def _own(said: dict[str, Any]) -> list[str]:
    span = _span(said["intervals"]["top1"], shares=True)
    return [percent(said["top1"]), span, f"{said['loss']:.4f}", said["protocol"]]


def _apart(found: dict[str, Any], *, many: bool) -> list[str]:
    top1, test = found["top1"], found["mcnemar"]
    span = top1["interval"]
    cells = [
        f"{100 * top1['difference']:+.2f}",
        "-" if span is None else f"{100 * span['low']:+.2f} to {100 * span['high']:+.2f}",
        f"{test['only_this']:,} : {test['only_first']:,}",
        _p(test["p"]),
    ]
    return [*cells, _p(test["holm"])] if many else cells


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _picture(split: str) -> str:
    return "picture" if split == "all" else f"{split} picture"


def _resamples(differences: Sequence[dict[str, Any]]) -> str:
    found = [each["top1"]["interval"] for each in differences if each["top1"]["interval"]]
    return f"B {found[0]['resamples']:,}" if found else "none where no picture differs"


def _forms(differences: Sequence[dict[str, Any]]) -> str:
    words = {"exact": "exact binomial (few differ)", "mid-p": "mid-p form of the exact binomial"}
    return ", ".join(
        words[form] for form in dict.fromkeys(d["mcnemar"]["form"] for d in differences)
    )


def _spread(label: str, found: dict[str, Any], *, shares: bool) -> str:
    mean, sd, span = found["mean"], found["sd"], _span(found["interval"], shares=shares)
    shown = f"{percent(mean)} ± {100 * sd:.2f}" if shares else f"{mean:.4f} ± {sd:.4f}"
    return f"  {label:<10} {shown:<18} {span}"


# -- words


def _span(interval: dict[str, Any], *, shares: bool) -> str:
    low, high = interval["low"], interval["high"]
    return f"{hundredths(low)} to {percent(high)}" if shares else f"{low:.4f} to {high:.4f}"


def _views(said: dict[str, Any]) -> str:
    return f"views {said['protocol']}"


def _name(name: str, longest: int = NAME) -> str:
    return cut_within(printable(name), longest) or "(no name)"


def _of(shown: Sequence[object], among: Sequence[object], what: str) -> str:
    """What a table is of: all of them, or how many of how many."""
    if len(shown) == len(among):
        return f"{what} with mistakes" if what == "class" else what
    if what == "class":
        return f"the {len(shown)} worst of {_count(len(among), what)} with mistakes"
    return f"the {len(shown)} most confused of {len(among):,} pairs"


def _count(count: int, what: str) -> str:
    plural = f"{what}{'es' if what.endswith('s') else 's'}"
    return f"{count:,} {what if count == 1 else plural}"
