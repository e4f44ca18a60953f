"""What a layer is called in a diagram, and whether it has a box there."""

from __future__ import annotations

import re

from neocog.analysis import cost

JOININGS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "cat": "concat"}
SHORT = {
    "BatchNorm": "BN",
    "LocalResponseNorm": "LRN",
    "LayerNorm": "LN",
    "GroupNorm": "GN",
    "Dropout": "dropout",
}
SHAPELESS = ("Identity", "Sequential", "Flatten", "Unflatten")  # go without saying


def is_box(layer: cost.Layer) -> bool:
    """Whether a layer has a box of its own wherever it stands: it weighs, or it pools."""
    if "Norm" in layer.kind or layer.kind == "PReLU":
        return False
    return bool(layer.parameters or layer.multiply_adds or "pool" in layer.kind.lower())


def folds(node: cost.Node) -> bool:
    """Whether it goes into the box of another."""
    return node.layer is not None and not is_box(node.layer)


def kind_of(node: cost.Node) -> str:
    """What gives its box a colour."""
    layer, kind = node.layer, node.kind.lower()
    if layer is None or len(node.inputs) > 1:
        return "join"
    if "conv" in kind:
        return "depthwise" if _depthwise(layer) else "conv"
    if "pool" in kind or "subsampl" in kind:
        return "pool"
    return "dense" if "linear" in kind else "other"


def _depthwise(layer: cost.Layer) -> bool:
    return bool(layer.output) and _groups(layer) == layer.output[0] > 1


def _groups(layer: cost.Layer) -> int:
    found = re.search(r"groups (\d+)", layer.note)
    return int(found[1]) if found else 1


def extra_of(layer: cost.Layer | None) -> list[str]:
    """What a convolution is beside its size."""
    if layer is None:
        return []
    groups = [] if _depthwise(layer) or _groups(layer) == 1 else [f"{_groups(layer)} groups,"]
    return groups + [f"{found}," for found in re.findall(r"dilation \S+", layer.note)]


def words_of(node: cost.Node) -> str:
    """What a box is, as the field says it: "3x3 conv, 64 /2"."""
    layer = node.layer
    if layer is None:
        return JOININGS.get(node.kind, node.kind)
    what = re.sub(r"[1-3]d$", "", node.kind)
    size, _, step = layer.note.partition(",")[0].partition(" ")
    kind = kind_of(node)
    if kind in ("conv", "depthwise"):
        step = step.replace("/", "x") if "Transpose" in what else step
        width = f", {layer.output[0]}" if layer.output else ""
        return " ".join(filter(None, (size, _conv(what, kind) + width, step)))
    if kind == "dense":
        return f"{'dense' if what == 'Linear' else _spaced(what)} {sides(layer.output[-1:])}"
    if what.startswith("Adaptive"):
        pooled = _spaced(what.removeprefix("Adaptive"))
        whole = all(side == 1 for side in layer.output[1:])
        return f"global {pooled}" if whole else f"{pooled} to {sides(layer.output[1:])}"
    return " ".join(filter(None, (_spaced(what), size, step)))


def _conv(what: str, kind: str) -> str:
    if what == "Conv":
        return "depthwise" if kind == "depthwise" else "conv"
    return "transposed conv" if what == "ConvTranspose" else _spaced(what)


def _spaced(kind: str) -> str:
    """The words in the name of a class: MaxPool is "max pool", and RBF stays."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", kind)
    return " ".join(part if part.isupper() else part.lower() for part in parts) or kind


def short(kind: str) -> str:
    """What is folded into a box, as it is written there: "BN"."""
    bare = re.sub(r"[1-3]d$", "", kind)
    return SHORT.get(bare, bare if bare.endswith(("LU", "LU6")) or not bare else _spaced(bare))


def sides(shape: tuple[int, ...]) -> str:
    """A shape in words: "64x56x56"."""
    return "x".join(map(str, shape))
