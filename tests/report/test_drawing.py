"""The picture of a network: what has a box, where boxes and lines lie, that it is sound XML."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
import torch
from tests.peers import slow_but
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.networks import create, find
from neocog.report.blocks import Block, blocks
from neocog.report.drawing import svg
from neocog.report.layout import Box, Layout, Line, layout
from neocog.report.words import is_box

FAMILIES = [
    "lenet5",
    "alexnet",
    "vgg16",
    "googlenet",
    "inception_v3",
    "resnet50",
    "resnet20_cifar",
    "resnet110_preact_cifar",
    "seresnet20_cifar",
    "resnext29_8x64d_cifar",
    "densenet121",
    "squeezenet1_0",
    "mobilenet_v2",
    "shufflenet_g3",
    "shufflenet_v2_x1_0",
    "fast_cifar",
]
SVG = "{http://www.w3.org/2000/svg}"


class Residual(nn.Module):
    """Joined by operators, with weights of its own beside its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.short = nn.Conv2d(3, 8, 1)
        self.weight = nn.Parameter(torch.zeros(5, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))) + self.short(x))
        return F.linear((x + torch.tanh(x)).mean((2, 3)), self.weight)


class Towers(nn.Module):
    """Two stages beside each other, with an operator before they are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.right = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.head(
            torch.cat([self.left(x).mean((2, 3)), self.right(x).mean((2, 3))], 1)
        )
        return joined


class Ladder(nn.Module):
    """Down and up again, with a line across from each step: more than fits in a row."""

    def __init__(self, steps: int = 6) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 8, 1)
        self.down = nn.ModuleList(nn.Conv2d(8, 8, 2, 2) for _ in range(steps))
        self.up = nn.ModuleList(nn.ConvTranspose2d(8, 8, 2, 2) for _ in range(steps))
        self.mix = nn.ModuleList(
            nn.Sequential(nn.Conv2d(16, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            for _ in range(steps)
        )

    def forward(self, x: Tensor) -> Tensor:
        x, passed = self.enter(x), []
        for down in self.down:
            passed.append(x)
            x = down(x)
        for up, mix in zip(self.up, self.mix, strict=True):
            x = mix(torch.cat([up(x), passed.pop()], 1))
        return x


class AllToAll(nn.Module):
    """Each layer reads all before it: does not fall apart into branches."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 + 4 * i, 4, 3, padding=1) for i in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        made = [x]
        for layer in self.layers:
            made.append(layer(torch.cat(made, 1)))
        return torch.cat(made, 1)


class Asks(nn.Module):
    """Decides by its data."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        return self.two(x) if x.sum() > 0 else x


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.aux, self.main = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 1), nn.Conv2d(8, 4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(x)
        return self.aux(x), self.main(x)


OTHERS: dict[str, nn.Module] = {
    "residual": Residual(),
    "towers": Towers(),
    "ladder": Ladder(),
    "all to all": AllToAll(5),
    "all to all, in rows": AllToAll(16),
    "asks": Asks(),
    "two outputs": TwoOutputs(),
    "no layer": nn.Identity(),
    "no branch": nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(60)]),
}


@cache
def table_of(name: str) -> cost.Table:
    if name in OTHERS:
        return cost.table(OTHERS[name], (3, 64, 64))
    with torch.device("meta"):
        network = create(name)
    return cost.table(network, find(name).input)


@cache
def laid_out(name: str) -> Layout:
    return layout(blocks(table_of(name)))


def said(name: str) -> Counter[str]:
    return Counter(block.words for block in blocks(table_of(name)))


def block_of(layer: nn.Module, *, size: tuple[int, int, int] = (8, 16, 16)) -> Block:
    return blocks(cost.table(nn.Sequential(layer), size))[-1]


DEEP = {"inception_v3", "densenet121", "resnet110_preact_cifar", "resnext29_8x64d_cifar"}
every = pytest.mark.parametrize("name", slow_but({*FAMILIES, *OTHERS} - DEEP, [*FAMILIES, *OTHERS]))


@every
def test_every_layer_with_weights_has_one_box(name: str) -> None:
    weighed = [layer for layer in table_of(name).layers if is_box(layer)]
    boxes = [box.block.layer for box in laid_out(name).boxes if box.block.layer]
    own = [layer for layer in boxes if is_box(layer)]
    assert len(own) == len(weighed)
    assert {id(layer) for layer in own} == {id(layer) for layer in weighed}


@every
def test_boxes_do_not_overlap_and_fit(name: str) -> None:
    page = laid_out(name)
    assert page.width < 2450
    for box in page.boxes:
        assert 0 <= box.x < box.x + box.width <= page.width
        assert 0 <= box.y < box.y + box.height <= page.height
    for one, other in combinations(page.boxes, 2):
        beside = one.x + one.width < other.x or other.x + other.width < one.x
        assert beside or one.y + one.height < other.y or other.y + other.height < one.y
    for frame, other_frame in combinations(page.frames, 2):
        beside = (
            frame.x + frame.width <= other_frame.x or other_frame.x + other_frame.width <= frame.x
        )
        assert beside or frame.y != other_frame.y


@every
def test_lines_run_to_the_right_or_wrap(name: str) -> None:
    for line in laid_out(name).lines:
        if line.wraps:
            assert line.points[-1][1] > line.points[0][1]
        else:
            assert all(a[0] <= b[0] for a, b in pairwise(line.points))


@every
def test_no_line_runs_through_a_box(name: str) -> None:
    page = laid_out(name)
    for line in page.lines:
        for (x, y), (end_x, end_y) in pairwise(line.points):
            left, right, top, bottom = min(x, end_x), max(x, end_x), min(y, end_y), max(y, end_y)
            for box in page.boxes:
                beside = right <= box.x + 0.01 or left >= box.x + box.width - 0.01
                assert beside or bottom <= box.y or top >= box.y + box.height, (line, box)


@every
def test_lines_say_what_reads_what(name: str) -> None:
    page = laid_out(name)
    wanted = {(s, i) for i, box in enumerate(page.boxes) for s in box.block.inputs}
    rows_apart = {line.source for line in page.lines if line.wraps}
    whole = {(line.source, line.target) for line in page.lines if line.target is not None}
    assert whole == wanted
    for line in page.lines:
        if line.target is not None:
            assert ends_at(line, page.boxes[line.target])
            assert starts_at(line, page.boxes[line.source]) or line.source in rows_apart


def ends_at(line: Line, box: Box) -> bool:
    return line.points[-1] == pytest.approx((box.x, box.y + box.height / 2))


def starts_at(line: Line, box: Box) -> bool:
    return line.points[0] == pytest.approx((box.x + box.width, box.y + box.height / 2))


@every
def test_it_is_sound_xml_with_words_for_all_it_shows(name: str) -> None:
    root = ElementTree.fromstring(svg(table_of(name), title=name))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == name
    assert root.findtext(f"{SVG}desc")
    assert not list(root.iter(f"{SVG}script"))
    drawn = [text.text for text in root.iter(f"{SVG}text")]
    for block in blocks(table_of(name)):
        assert set(block.lines) <= set(drawn)


def test_titles_and_names_are_escaped() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("<a> & 'b\"", nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))

        def forward(self, x: Tensor) -> Tensor:
            (child,) = self.children()
            made: Tensor = child(x)
            return made

    drawn = svg(cost.table(Odd(), (3, 8, 8)), title='<script> & "more"')
    root = ElementTree.fromstring(drawn)
    assert root.findtext(f"{SVG}title") == '<script> & "more"'
    assert "<script>" not in drawn
    assert "<a> & 'b\"" in [text.text for text in root.iter(f"{SVG}text")]


def test_joinings_of_the_papers() -> None:
    assert said("resnet50")["+"] == 16
    assert said("googlenet")["concat"] == 9
    assert said("densenet121")["concat"] == 58
    assert said("seresnet20_cifar")["×"] == said("seresnet20_cifar")["+"] == 9
    assert said("vgg16")["+"] + said("vgg16")["concat"] == 0


@pytest.mark.parametrize("stage", ["inception3a", "inception4c", "inception5b"])
def test_an_inception_module_has_four_lanes(stage: str) -> None:
    boxes = [box for box in laid_out("googlenet").boxes if box.block.stage == stage]
    middles = {round(b.y + b.height / 2) for b in boxes if b.block.kind != "join"}
    assert len(middles) == 4
    (join,) = [box for box in boxes if box.block.kind == "join"]
    assert sum(middles) / 4 == pytest.approx(join.y + join.height / 2, abs=1)
    assert all(box.x + box.width < join.x for box in boxes if box is not join)


def test_shortcuts_of_a_resnet_go_past_their_block() -> None:
    page = laid_out("resnet50")
    plus = {i for i, box in enumerate(page.boxes) if box.block.words == "+"}
    axis = {i: page.boxes[i].y + page.boxes[i].height / 2 for i in plus}
    past = [
        line
        for line in page.lines
        if line.target in plus and min(y for _, y in line.points) < axis[line.target] - 1
    ]
    assert len(past) == 16  # one for each block, identity or projection


def test_stages_are_framed_once_a_row() -> None:
    labels = [frame.label for frame in laid_out("resnet50").frames]
    assert [label for label in labels if "continued" not in label] == [
        *("conv1", "pool1", "conv2_x", "conv3_x", "conv4_x", "conv5_x", "head"),
    ]
    assert "conv4_x (continued)" in labels
    assert [frame.label for frame in laid_out("towers").frames] == ["left, right", "head"]


def test_what_is_folded_is_named() -> None:
    made = blocks(table_of("resnet50"))
    assert made[1].lines == ["7x7 conv, 64 /2", "BN ReLU", "64x112x112"]
    assert "then norm1: BatchNorm2d" in made[1].about
    assert "9,408 weights" in made[1].about
    assert [b.after for b in made if b.words == "+"] == ["ReLU"] * 16


def test_what_a_shortcut_does_not_go_through_is_folded_forward() -> None:
    made = [b for b in blocks(table_of("resnet110_preact_cifar")) if b.stage == "stage2"]
    conv = next(b for b in made if b.path == "stage2.1.branch.conv1")
    assert conv.lines == ["BN ReLU →", "3x3 conv, 32", "BN ReLU", "32x16x16"]
    assert all(b.after == "" for b in made if b.words == "+")


def test_a_norm_that_several_read_beside_what_it_norms_is_a_box() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.a, self.b = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm(x)
            return self.a(y) + self.b(y) + x

    assert [b.words for b in blocks(cost.table(Shared(), (3, 8, 8)))].count("batch norm") == 1


def test_a_norm_behind_an_identity_stays_off_the_trunk() -> None:
    class Short(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
            self.short = nn.Sequential(nn.Identity(), nn.BatchNorm2d(3))

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            joined: Tensor = self.conv(x) + self.short(x)
            return joined

    made = blocks(cost.table(Short(), (3, 8, 8)))
    assert [b.words for b in made] == ["picture", "1x1 conv, 3", "1x1 conv, 3", "batch norm", "+"]
    assert made[1].after == ""


@pytest.mark.parametrize(
    ("layer", "words", "after", "shape"),
    [
        (nn.Conv2d(8, 16, 3, stride=2, padding=1), "3x3 conv, 16 /2", "", "16x8x8"),
        (nn.Conv2d(8, 16, (1, 7), padding=(0, 3)), "1x7 conv, 16", "", "16x16x16"),
        (nn.Conv2d(8, 16, 3, stride=(1, 2), padding=1), "3x3 conv, 16 /1x2", "", "16x16x8"),
        (nn.Conv2d(8, 16, 3, groups=4), "3x3 conv, 16", "4 groups", "16x14x14"),
        (nn.Conv2d(8, 16, 3, dilation=2), "3x3 conv, 16", "dilation 2", "16x12x12"),
        (nn.Conv2d(8, 8, 3, groups=8), "3x3 depthwise, 8", "", "8x14x14"),
        (nn.ConvTranspose2d(8, 4, 2, stride=2), "2x2 transposed conv, 4 x2", "", "4x32x32"),
        (nn.MaxPool2d(3, stride=2), "max pool 3x3 /2", "", "8x7x7"),
        (nn.AvgPool2d(2), "avg pool 2x2 /2", "", "8x8x8"),
        (nn.AdaptiveAvgPool2d(1), "global avg pool", "", "8x1x1"),
        (nn.AdaptiveMaxPool2d(4), "max pool to 4x4", "", "8x4x4"),
        (nn.Sequential(nn.Flatten(), nn.Linear(2048, 10)), "dense 10", "", "10"),
        (nn.Sequential(nn.Linear(16, 4), nn.GELU()), "dense 4", "GELU", "8x16x4"),
    ],
)  # fmt: skip
def test_words_of_the_field(layer: nn.Module, words: str, after: str, shape: str) -> None:
    block = block_of(layer)
    assert (block.words, block.after, block.shape) == (words, after, shape)


def test_kernels_with_one_and_three_sides() -> None:
    line = nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 6, 5, groups=3), nn.MaxPool1d(2))
    assert [one.note for one in cost.layers(line, (3, 8, 8))] == ["", "5, groups 3", "2 /2"]
    space = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 2, 2), nn.MaxPool3d(2))
    assert [one.note for one in cost.layers(space, (3, 8, 8))] == ["", "2x2x2", "2x2x2 /2"]


def test_shapes_of_joinings_are_given_only_where_known() -> None:
    shapes = [b.shape for b in blocks(table_of("googlenet")) if b.words == "concat"]
    assert (shapes[0], shapes[-1]) == ("256x28x28", "1024x7x7")
    assert all(shapes)
    for name in FAMILIES:
        assert all(b.shape for b in blocks(table_of(name))[1:]), name
    (joined,) = [b for b in blocks(table_of("towers")) if b.words == "concat"]
    assert joined.shape == ""  # a mean lies between, which is no layer


def test_halves_of_a_map_do_not_make_joinings_larger() -> None:
    wide = [b.shape for b in blocks(table_of("shufflenet_v2_x1_0")) if b.words == "concat"]
    assert set(wide) == {"116x28x28", "232x14x14", "464x7x7"}


def test_a_pass_that_ends_early_says_so() -> None:
    table = table_of("asks")
    assert table.why
    made = blocks(table)
    assert made[-1].kind == "end"
    assert made[-1].inputs == (1,)
    assert "two" in made[-1].about
    root = ElementTree.fromstring(svg(table, title="asks"))
    assert table.why in [text.text for text in root.iter(f"{SVG}text")]
    assert "not seen: two" in (root.findtext(f"{SVG}desc") or "")


def test_own_arithmetic_around_layers_has_a_box_by_itself() -> None:
    made = blocks(table_of("residual"))
    (own,) = [b for b in made if b.words == "residual"]
    assert own.inputs == ()
    assert "40 weights" in own.about


def test_rows_are_wrapped_where_modules_end() -> None:
    page = laid_out("densenet121")
    below = [b for a, b in pairwise(page.boxes) if b.x < a.x and b.y > a.y + a.height]
    starts = [box.block.path for box in below if box.block.stage.startswith("denseblock")]
    assert starts
    assert all(path.endswith("conv1") for path in starts)
