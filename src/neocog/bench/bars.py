"""The ratios that neocog is to reach, beside those that were measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

Document = dict[str, Any]  # what Results.to_json gives
Facts = dict[str, Any]  # a row of it


@dataclass(frozen=True)
class Bar:
    """`kind`: ratio to an arm, share of the peak, agreement, images/s, or seconds to start."""

    kind: str
    section: str
    network: str
    against: str  # an arm; what is started; or nothing
    least: float
    aim: float | None
    on: str  # amx, avx2, cuda: where it is meant; "any" everywhere
    batch: int | None = None
    lower: bool = False  # less is better


def _three(
    section: str, network: str, least: tuple[float, ...], aim: tuple[float, ...]
) -> list[Bar]:
    peers = ("keras", "keras-bf16", "torch-bf16")
    return [
        Bar("ratio", section, network, arm, low, high, "amx")
        for arm, low, high in zip(peers, least, aim, strict=True)
    ]


# Ratios on two cores with AMX (issue 4). On AVX2 nothing may be slower than Keras or plain PyTorch.
NETWORKS = (
    "lenet_relu",
    "alexnet_book",
    "resnet18_cifar",
    "vgg11",
    "resnet50",
    "resnet18",
    "mobilenet_v2",
    "densenet121",
)
BARS = (
    *_three("train", "alexnet_book", (3.7, 1.3, 1.4), (4.5, 1.6, 1.7)),
    *_three("train", "resnet18_cifar", (5, 2.5, 1.25), (8, 4, 2)),
    *_three("whole", "lenet_relu", (1.5, 1.5, 3), (3, 3, 6)),
    Bar("ratio", "whole", "lenet_relu", "torchvision-bf16", 3, 6, "amx"),
    Bar("peak", "train", "alexnet_book", "", 0.6, 0.75, "amx"),
    Bar("peak", "train", "vgg11", "", 0.5, 0.7, "amx"),
    Bar("peak", "train", "resnet50", "", 0.3, 0.45, "amx"),
    Bar("ratio", "inference", "resnet50", "onnxruntime", 4, 5.5, "amx", batch=16),
    Bar("ratio", "inference", "resnet50", "openvino", 0.85, 1.05, "amx", batch=16),
    Bar("agreement", "inference", "resnet50", "", 0.999, None, "amx", batch=16),
    *(
        Bar("ratio", "train", n, arm, 1, None, "avx2")
        for n in NETWORKS
        for arm in ("keras", "torch")
    ),
    *(Bar("ratio", "whole", "lenet_relu", arm, 1, None, "avx2") for arm in ("keras", "torch")),
    Bar("rate", "train", "alexnet_book", "", 60_000, None, "cuda"),
    Bar("peak", "train", "resnet50", "", 0.4, None, "cuda"),
    Bar("start", "start", "neocog --help", "help", 0.15, None, "any", lower=True),
    Bar("start", "start", "import neocog", "import", 0.05, None, "any", lower=True),
)
LACK = {"amx": "no AMX", "avx2": "this machine is not held to AVX2", "cuda": "no GPU"}


def judged(document: Document) -> list[dict[str, Any]]:
    """The bars of this sort of machine for what was asked to be measured: `measured`, and `verdict`
    met, missed or why neither.
    """
    if document["quick"]:
        return []
    asked = {(found["section"], found["network"]) for found in document["rows"]}
    shown = [
        bar
        for bar in BARS
        if (bar.on == "any" or _concerns(bar.on, document))
        and (bar.kind == "start" or (bar.section, bar.network) in asked)
    ]
    return [{**asdict(bar), **_judgement(bar, document)} for bar in shown]


def row(
    document: Document, section: str, network: str, arm: str, batch: int | None = None
) -> Facts | None:
    """The row of an arm, if the run had one."""
    for found in document["rows"]:
        same = (found["section"], found["network"], found["arm"]) == (section, network, arm)
        if same and batch in (None, found["batch"]):
            return found  # type: ignore[no-any-return]
    return None


def ratio(ours: Facts | None, theirs: Facts | None) -> float | None:
    """How many times faster ours is: of images a second, or of seconds the other way round."""
    if not (ours and theirs and ours["value"] and theirs["value"]):
        return None
    more = float(ours["value"] / theirs["value"])
    return 1 / more if ours["unit"] == "s" else more


def share_of_peak(document: Document, facts: Facts) -> float | None:
    """Of the machine's fastest matrix product, what a training step of ours does: 3 passes, 2 FLOPs
    a multiply-add. A step is the median one: checkpoints, written beside a few of them, are in what
    is said of images a second, and are no part of the step.
    """
    done = [m for m in facts["measurements"] if m.get("multiply_adds")]
    if not done or not facts["value"] or not document["peaks"]:
        return None
    rate = median(m["value"] * m["seconds"] / m["steps"] / m["median_step"] for m in done)
    flops = 3 * 2 * done[-1]["multiply_adds"] * rate
    return float(flops / (max(document["peaks"].values()) * 1e9))


def agreement(facts: Facts) -> tuple[int, int] | None:
    """Pictures answered as PyTorch's fp32 does, and pictures asked; of the round with the most."""
    counts = [m["agreement"] for m in facts["measurements"] if "agreement" in m]
    if not counts:
        return None
    most = max(counts, key=lambda count: count["pictures"])
    return most["agreed"], most["pictures"]


def _concerns(on: str, document: Document) -> bool:
    """Whether bars for such machines are shown: AMX's on every CPU left as it is."""
    machine = document["machine"]
    device = str(machine.get("device", "cpu"))
    if device.startswith("cuda"):
        return on == "cuda"
    held = document["avx2"]
    return {"amx": not held, "avx2": held or not machine.get("bf16"), "cuda": False}[on]


def _judgement(bar: Bar, document: Document) -> dict[str, Any]:
    if bar.on == "amx" and not document["machine"].get("amx"):
        return {"measured": None, "verdict": f"not measured: {LACK['amx']}"}
    measured, reason = _measured(bar, document)
    if measured is None:
        return {"measured": None, "verdict": f"not measured: {reason}"}
    met = measured <= bar.least if bar.lower else measured >= bar.least
    return {"measured": measured, "verdict": "met" if met else "missed"}


def _measured(bar: Bar, document: Document) -> tuple[float | None, str]:
    if bar.kind == "start":
        return document["start_up"].get(bar.against), "it was not timed"
    ours = row(document, bar.section, bar.network, "neocog", bar.batch)
    if ours is None or ours["status"] != "measured":
        return None, _why("neocog", ours)
    if bar.kind == "ratio":
        theirs = row(document, bar.section, bar.network, bar.against, bar.batch)
        return ratio(ours, theirs), _why(bar.against, theirs)
    if bar.kind == "peak":
        return share_of_peak(document, ours), "no peak was measured"
    if bar.kind == "agreement":
        counts = agreement(ours)
        return (counts[0] / counts[1] if counts else None), "nothing was compared"
    return ours["value"], ""


def _why(arm: str, facts: Facts | None) -> str:
    return f"{arm} was left out" if facts is None else f"{arm}: {facts['status']}"
