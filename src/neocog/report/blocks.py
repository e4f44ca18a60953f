"""A table of layers as the blocks of a diagram: what gets a box, and what the box says.

A box is a layer with weights, a pooling, or a joining of branches. Norms, activations, dropout and
other layers without weights are folded into the box they follow. Where something else reads the
value before them, as the shortcuts of pre-activation networks do, they fold into the box they lead
to, or become a box.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import zip_longest

from neocog.analysis import cost
from neocog.report.words import (
    JOININGS,
    SHAPELESS,
    extra_of,
    folds,
    kind_of,
    short,
    sides,
    words_of,
)

PICTURE = -1  # of the nodes of a table
ALIASES = ("Identity", "Sequential")  # layers that do nothing, where they are empty


@dataclass(frozen=True)
class Block:
    """One box of the diagram; `inputs` are the positions of the blocks it reads."""

    kind: str  # "conv", "depthwise", "dense", "pool", "join", "other", "picture" or "end"
    words: str  # what it is: "3x3 conv, 64 /2"
    inputs: tuple[int, ...] = ()
    before: str = ""  # what is folded into it from before: "BN ReLU →"
    after: str = ""  # how else it is to be described, and what is folded into it: "2 groups, ReLU"
    shape: str = ""  # of its output: "64x56x56"
    about: str = ""  # all there is to say, a fact a line
    path: str = ""  # of its layer; of a joining, of the layer that ran before it
    layer: cost.Layer | None = None

    @property
    def lines(self) -> list[str]:
        """The text in its box."""
        return [line for line in (self.before, self.words, self.after, self.shape) if line]

    @property
    def stage(self) -> str:
        """The top-level child that it is in."""
        return self.path.split(".")[0]

    @property
    def side_by_side(self) -> bool:
        """Whether it puts branches beside each other, where others add to a trunk."""
        return self.words == "concat"


def blocks(table: cost.Table) -> list[Block]:
    """The picture, the blocks in the order in which they ran, and the end of a partial pass."""
    made = _Folding(table).blocks()
    if table.why:
        read = {position for block in made for position in block.inputs}
        tips = tuple(i for i in range(len(made)) if i not in read)
        made.append(Block("end", "not followed", tips, shape="further", about=_lost(table)))
    return made


def _lost(table: cost.Table) -> str:
    return f"{table.why}\nnot seen: {', '.join(table.unseen)}"


@dataclass
class _Box:
    """A box being filled: the node it is, and the nodes folded into it."""

    node: int
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)


class _Folding:
    """Which node goes into which box."""

    def __init__(self, table: cost.Table) -> None:
        self.nodes = table.nodes
        self.reads = {i: self._true_inputs(i) for i in range(len(self.nodes))}
        self.readers: defaultdict[int, list[int]] = defaultdict(list)
        for i, sources in self.reads.items():
            for source in sources:
                self.readers[source].append(i)
        self.boxes = [_Box(PICTURE)]
        self.home: dict[int, int] = {PICTURE: 0}  # the box that a node's value comes out of
        self.waiting: dict[int, list[int]] = {}  # nodes to be folded into a box yet to come
        self.shapes = self._shapes()
        for i in range(len(self.nodes)):
            self._take(i)

    def blocks(self) -> list[Block]:
        return [self._block(box) for box in self.boxes]

    def _true_inputs(self, i: int) -> tuple[int, ...]:
        """What a node reads; nothing, where a module's own arithmetic surrounds other layers."""
        layer = self.nodes[i].layer
        if layer is None:
            return self.nodes[i].inputs
        inside = f"{layer.name}." if layer.name else ""
        earlier = (node.layer for node in self.nodes[:i] if node.layer is not None)
        around = any(one.name != layer.name and one.name.startswith(inside) for one in earlier)
        return () if around else self.nodes[i].inputs

    def _take(self, i: int) -> None:
        """Give node i a box, fold it, or let it wait for the box to come."""
        sources, node = self.reads[i], self.nodes[i]
        source = sources[0] if len(sources) == 1 else None
        if source is None or not folds(node):
            self._open(i)
        elif source in self.waiting:
            self.waiting[i] = [*self.waiting.pop(source), i]
            self.home[i] = self.home[source]
        elif node.kind in ALIASES:
            self.home[i] = self.home[source]
        elif self._read_once(source):
            self.home[i] = self.home[source]
            self.boxes[self.home[i]].after.append(i)
        elif self._leads_to_a_box(i):
            self.home[i], self.waiting[i] = self.home[source], [i]
        else:
            self._open(i)

    def _open(self, i: int) -> None:
        sources = self.reads[i]
        before = [n for source in sources for n in self.waiting.pop(source, [])]
        self.home[i] = len(self.boxes)
        self.boxes.append(_Box(i, before))

    def _read_once(self, i: int) -> bool:
        while i != PICTURE and self.nodes[i].kind in ALIASES and len(self.readers[i]) == 1:
            i = self.reads[i][0]
        return len(self.readers[i]) == 1

    def _leads_to_a_box(self, i: int) -> bool:
        """Whether only one box, with only this input, comes of it."""
        while len(self.readers[i]) == 1:
            i = self.readers[i][0]
            if len(self.reads[i]) != 1:
                return False
            if not folds(self.nodes[i]):
                return True
        return False

    def _shapes(self) -> dict[int, tuple[int, ...]]:
        """What each node puts out; () for a joining of which it cannot be known.

        Operators that are no nodes may have changed what a joining reads. Its shape is known where
        what should come of its inputs is what its readers were given, each all of it or each a
        part, or where it can be known of a joining that reads it.
        """
        shapes: dict[int, tuple[int, ...]] = {}
        for i, node in enumerate(self.nodes):
            parts = [shapes[source] for source in self.reads[i] if source != PICTURE]
            shapes[i] = node.layer.output if node.layer else _together(node.kind, parts)
        for i in reversed(shapes):
            if self.nodes[i].layer is None:
                readers = [(self.nodes[k].layer, shapes[k]) for k in self.readers[i]]
                given = [layer.given for layer, _ in readers if layer]
                known = shapes[i] in given or shapes[i] == _together("cat", given)
                if not known and not any(layer is None and shape for layer, shape in readers):
                    shapes[i] = ()
        return shapes

    def _block(self, box: _Box) -> Block:
        before, after = self._names(box.before), self._names(box.after)
        if box.node == PICTURE:
            return Block("picture", "picture", after=" ".join(after), about="the picture")
        node, shape = self.nodes[box.node], self.shapes[box.node]
        for i in box.after:
            if math.prod(self.shapes[i]) != math.prod(shape):
                shape = self.shapes[i]
        return Block(
            kind_of(node),
            words_of(node),
            tuple(dict.fromkeys(self.home[source] for source in self.reads[box.node])),
            before=" ".join([*before, "→"]) if before else "",
            after=" ".join([*extra_of(node.layer), *after]).rstrip(","),
            shape=sides(shape),
            about=self._about(box, shape),
            path=self._path(box.node),
            layer=node.layer,
        )

    def _path(self, i: int) -> str:
        """The layer's path; that of the last layer before it for a joining."""
        before = (self.nodes[k].layer for k in range(i, -1, -1))
        return next((layer.name for layer in before if layer is not None), "")

    def _names(self, folded: list[int]) -> list[str]:
        kinds = [self.nodes[i].kind for i in folded]
        return [short(kind) for kind in kinds if kind not in SHAPELESS]

    def _about(self, box: _Box, shape: tuple[int, ...]) -> str:
        layer = self.nodes[box.node].layer
        facts = [f"{layer.name}: {layer.kind} {layer.note}".strip()] if layer else []
        facts += [] if layer else [f"{self.nodes[box.node].kind} of its inputs"]
        facts += [f"output {sides(shape)}"] if shape else []
        if layer:
            facts += [f"{layer.parameters:,} weights, {layer.multiply_adds:,} multiply-adds"]
        for lead, folded in (("after", box.before), ("then", box.after)):
            layers = [one for i in folded if (one := self.nodes[i].layer)]
            facts += [f"{lead} {one.name}: {one.kind}" for one in layers]
        return "\n".join(facts)


def _together(kind: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a sum, product or concatenation of whole maps; () where they do not fit."""
    if kind not in JOININGS or not shapes or not all(shapes):
        return ()
    if kind == "cat":
        alike = len({shape[1:] for shape in shapes}) == 1
        return (sum(shape[0] for shape in shapes), *shapes[0][1:]) if alike else ()
    each = [set(side) - {1} for side in zip_longest(*shapes, fillvalue=0)]
    return tuple(max(side, default=1) for side in each) if max(map(len, each)) < 2 else ()
