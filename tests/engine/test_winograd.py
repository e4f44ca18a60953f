"""3x3 and 5x5 convolutions by fewer products, beside torch: numbers, gradients, choice, misuse."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.compilers import needs_compiler
from torch import Tensor, nn

from neocog.compiled import compiled
from neocog.engine import inference, machine, native, winograd
from neocog.engine.hardware import Hardware, Wanted, choose, fitted, plain
from neocog.engine.winograd import convolved, fewer_products, has_winograd, is_worth, library
from neocog.networks import create

LAST = torch.channels_last
FULL, HALF = torch.float32, torch.bfloat16
ROUNDED = 3e-6  # of all numbers together; a direct sum in float32 loses 1e-6 of them
# Of maps in bfloat16, each number of which is rounded once: by 2^-8 of it at most, together by less
HALVED = 2.0**-9

# pictures, channels, high, wide; maps, taps, padding, bias; groups where there are some
ALL = [
    (8, 16, 32, 32, 16, 3, 1, False),  # ResNet-20's first stage
    (40, 64, 7, 7, 48, 3, 1, True),  # tiles that reach beyond the map
    (5, 24, 13, 9, 40, 3, 0, True),  # vectors that are no pairs, maps that are no squares
    (33, 16, 4, 6, 80, 3, 2, True),
    (3, 144, 12, 16, 16, 3, 1, False),  # more channels in than out
    (2, 16, 90, 70, 16, 3, 1, True),  # many tiles of one picture
    (1, 256, 28, 25, 32, 3, 1, True),
    (2, 96, 26, 26, 256, 5, 2, True),  # AlexNet's second layer
    (5, 24, 13, 9, 40, 5, 0, True),
    (9, 32, 5, 7, 16, 5, 1, False),
    (33, 16, 4, 3, 80, 5, 4, True),  # squares that begin beyond a map
    (3, 144, 12, 16, 16, 5, 3, False),
    (2, 96, 27, 27, 256, 5, 2, True, 2),  # AlexNet's as printed, of two GPUs
    (3, 48, 13, 13, 96, 3, 1, False, 3),
    # fewer tiles than kernels, of which a strip is taken at a time
    (4, 32, 9, 7, 80, 3, 1, True),  # 24 tiles
    (4, 40, 9, 7, 72, 3, 1, True),
    (50, 16, 8, 7, 256, 3, 1, True),  # 200, in three blocks
    (16, 48, 8, 8, 64, 3, 1, False),  # as many as kernels
    (3, 32, 6, 5, 48, 5, 2, True),
    (9, 32, 4, 4, 288, 5, 1, True, 2),
]


def groups_of(shape: tuple[Any, ...]) -> int:
    return shape[8] if len(shape) > 8 else 1


def is_of(lanes: int, shape: tuple[Any, ...]) -> bool:
    """Whether channels and maps, those of a group as well, are whole vectors of so many."""
    return not any(count // groups_of(shape) % lanes for count in (shape[1], shape[4]))


SHAPES = [shape for shape in ALL if is_of(16, shape)]  # on whatever machine


def given_of(shape: tuple[Any, ...]) -> tuple[list[Tensor], Tensor, int]:
    """Pictures, weights and bias, the slopes of what is made of them, and the padding."""
    n, channels, high, wide, maps, taps, pad, bias = shape[:8]
    torch.manual_seed(0)
    x = torch.randn(n, channels, high, wide)
    weight = torch.randn(maps, channels // groups_of(shape), taps, taps)
    weight /= math.sqrt(taps**2 * weight.shape[1])
    g = torch.randn(n, maps, high + 2 * pad + 1 - taps, wide + 2 * pad + 1 - taps)
    return [x, weight, *([torch.randn(maps)] if bias else [])], g, pad


def found_of(shape: tuple[Any, ...], lib: Any, dtype: torch.dtype = FULL) -> list[Tensor]:
    """Outputs and gradients of maps in `dtype`: by fewer products, or, without `lib`, directly in
    float64.
    """
    leaves, g, pad = given_of(shape)
    leaves[0], g = leaves[0].to(dtype), g.to(dtype)
    mine = [(t.double() if lib is None else t).requires_grad_() for t in leaves]
    x, weight, *rest = mine
    bias = rest[0] if rest else None
    if lib is None:
        y = F.conv2d(x, weight, bias, padding=pad, groups=groups_of(shape))
    else:
        y = convolved(x, weight, bias, pad, lib, groups_of(shape))
    return [y.detach(), *torch.autograd.grad(y, mine, g.to(y.dtype))]


def error(given: Tensor, wanted: Tensor) -> float:
    assert given.shape == wanted.shape
    return float((given - wanted).norm() / wanted.norm())


def assert_direct(layer: nn.Conv2d, x: Tensor) -> None:
    wanted = F.conv2d(x, layer.weight, layer.bias, padding=1, groups=layer.groups)
    torch.testing.assert_close(layer(x), wanted)


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_and_gradients_are_those_of_a_direct_sum(shape: tuple[Any, ...]) -> None:
    made, wanted = found_of(shape, library(FULL)), found_of(shape, None)
    assert made[0].is_contiguous(memory_format=LAST)
    assert max(map(error, made, wanted)) < ROUNDED
    # nowhere is one number far off, as at the edge of a map or of a tile
    for one, other in zip(made, wanted, strict=True):
        assert float((one - other).abs().max()) < 20 * ROUNDED * float(other.std())


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_maps_in_bfloat16_are_rounded_once(shape: tuple[Any, ...]) -> None:
    """What is computed of them is float32: of weights, and of their gradients, nothing is lost."""
    made, wanted = found_of(shape, library(HALF), HALF), found_of(shape, None, HALF)
    y, of_x, *rest = made
    assert {y.dtype, of_x.dtype} == {HALF}
    assert {t.dtype for t in rest} == {FULL}
    assert y.is_contiguous(memory_format=LAST)
    assert max(map(error, made, wanted)) < HALVED
    assert max(map(error, rest, wanted[2:])) < ROUNDED
    for one, other in zip(made[:2], wanted[:2], strict=True):
        left = (one - other).abs() - 2 * HALVED * other.abs()
        assert float(left.max()) < 20 * ROUNDED * float(other.std())


@needs_compiler
def test_in_bfloat16_it_is_rounded_less_than_torch_rounds() -> None:
    """Which rounds the weights as well."""
    (x, weight), _, pad = given_of((4, 256, 16, 16, 64, 3, 1, False))
    exact = F.conv2d(x.bfloat16().double(), weight.double(), padding=pad)
    ours = convolved(x.bfloat16(), weight, None, pad, library(HALF))
    usual = F.conv2d(x.bfloat16(), weight.bfloat16(), padding=pad)
    assert error(ours, exact) < 0.8 * error(usual, exact)


@needs_compiler
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("lanes", [8, 16])
def test_vectors_of_either_length_give_the_same(lanes: int, half: bool) -> None:
    """What is compiled where there is AVX-512 and where there is not, on whatever machine."""
    openmp = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    told = (f"-DLANES={lanes}", "-O1", "-fopenmp", str(openmp), *(["-DHALF"] if half else []))
    made_for, kind = compiled(native.WINOGRAD, told), HALF if half else FULL
    assert made_for.neocog_winograd_lanes() == lanes
    whole = [shape for shape in ALL if is_of(lanes, shape)]
    assert {shape[5] for shape in whole} == {3, 5}
    assert len(whole) >= 8
    for shape in whole:
        made, wanted = found_of(shape, made_for, kind), found_of(shape, None, kind)
        assert max(map(error, made, wanted)) < (HALVED if half else ROUNDED)


@needs_compiler
@pytest.mark.parametrize("taps", [3, 5])
def test_it_is_hardly_rounded_more_than_torch_rounds(taps: int) -> None:
    """Points of 0, 1 and 2, which are mostly printed, would lose two and a half times as much."""
    leaves, _, pad = given_of((4, 256, 16, 16, 64, taps, 1, False))
    x, weight = leaves
    exact = F.conv2d(x.double(), weight.double(), padding=pad)
    ours = error(convolved(x, weight, None, pad, library(FULL)), exact)
    assert ours < 2e-6
    assert ours < 8 * error(F.conv2d(x, weight, padding=pad), exact)


@needs_compiler
@pytest.mark.parametrize(
    ("shape", "few"),
    [
        # with so many channels no more than three threads have sums of their own
        ((34, 2048, 5, 8, 128, 3, 1, True), False),
        ((34, 64, 4, 4, 256, 3, 1, True), True),
    ],
    ids=["more tiles than kernels", "fewer"],
)
def test_threads_share_tiles_and_channels(shape: tuple[Any, ...], few: bool) -> None:
    found = {}
    wanted, before = found_of(shape, None), torch.get_num_threads()
    try:
        for threads in (1, 2, 5, 8):
            torch.set_num_threads(threads)
            found[threads], again = (found_of(shape, library(FULL)) for _ in range(2))
            assert max(map(error, found[threads], wanted)) < ROUNDED
            assert all(map(torch.equal, found[threads], again))
    finally:
        torch.set_num_threads(before)
    for made in found.values():  # where tiles are shared, other sums are taken of the weights
        same = len(made) if few else 2
        assert all(map(torch.equal, made[:same], found[1][:same]))


@needs_compiler
@pytest.mark.parametrize("given", ["strided", "expanded", "channels last", "contiguous"])
def test_maps_and_weights_may_lie_otherwise(given: str) -> None:
    leaves, g, pad = given_of((6, 16, 12, 12, 48, 3, 1, False))
    x, weight = leaves
    if given == "strided":
        x = torch.randn(6, 32, 12, 24)[:, ::2, :, ::2]
    elif given == "expanded":
        x, g = x[:, :1].expand(-1, 16, -1, -1), g[:1].expand(6, -1, -1, -1)
    elif given == "channels last":
        x, weight = x.to(memory_format=LAST), weight.to(memory_format=LAST)
    found = []
    for way in (
        lambda x, w: convolved(x, w, None, pad, library(FULL)),
        lambda x, w: F.conv2d(x, w, padding=pad),
    ):
        mine = [x.detach().requires_grad_(), weight.detach().requires_grad_()]
        y = way(*mine)
        found.append([y.detach(), *torch.autograd.grad(y, mine, g)])
    assert max(map(error, *found)) < ROUNDED


@needs_compiler
def test_what_needs_no_gradient_gets_none() -> None:
    (x, weight, bias), g, pad = given_of((6, 16, 12, 12, 48, 3, 1, True))
    y = convolved(x, weight.requires_grad_(), bias, pad, library(FULL))
    y.backward(g)
    assert x.grad is None
    assert bias.grad is None
    (wanted,) = torch.autograd.grad(F.conv2d(x, weight, bias, padding=pad), weight, g)
    assert weight.grad is not None
    assert error(weight.grad, wanted) < ROUNDED


@needs_compiler
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_not_lost(bad: float) -> None:
    """It spreads over a tile, and no further; a direct sum gives it to nine outputs."""
    (x, weight), _, pad = given_of((2, 16, 16, 16, 16, 3, 1, False))
    x[1, 3, 5, 6] = bad
    wanted, made = F.conv2d(x, weight, padding=pad), convolved(x, weight, None, pad, library(FULL))
    assert not made[~wanted.isfinite()].isfinite().any()
    assert torch.equal(made.isfinite()[:, :, 8:, 8:], wanted.isfinite()[:, :, 8:, 8:])
    assert made[0].isfinite().all()


@needs_compiler
def test_no_second_derivative_is_made_up() -> None:
    (x, weight), _, pad = given_of((6, 16, 12, 12, 48, 3, 1, False))
    y = convolved(x.requires_grad_(), weight, None, pad, library(FULL))
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_which_layers_have_fewer_products() -> None:
    assert has_winograd(nn.Sequential(nn.Conv2d(16, 16, 3)))
    assert has_winograd(nn.Conv2d(64, 128, 3, padding=1, bias=False))
    assert has_winograd(create("resnet20_cifar", seed=0))
    assert has_winograd(nn.Conv2d(32, 48, 3, groups=2))
    assert has_winograd(nn.Conv2d(96, 256, 5, padding=2))
    assert not has_winograd(create("lenet5", seed=0))
    others = [
        nn.Conv2d(16, 16, 1),
        nn.Conv2d(16, 16, 4),
        nn.Conv2d(16, 16, 7, padding=3),
        nn.Conv2d(16, 120, 5),
        nn.Conv2d(32, 32, 5, padding=5),
        nn.Conv2d(32, 32, 5, stride=2),
        nn.Conv2d(32, 32, (5, 3)),
        nn.Conv2d(16, 16, (3, 1)),
        nn.Conv2d(16, 16, 3, stride=2),
        nn.Conv2d(16, 16, 3, dilation=2),
        nn.Conv2d(32, 32, 3, groups=4),
        nn.Conv2d(32, 32, 3, groups=32),
        nn.Conv2d(16, 16, 3, padding="same"),
        nn.Conv2d(16, 16, 3, padding=(1, 0)),
        nn.Conv2d(16, 16, 3, padding=3),
        nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 64, 3),
        nn.Conv2d(64, 10, 3),
        nn.Conv2d(16, 16, 3).double(),
        nn.ConvTranspose2d(16, 16, 3),
        type("Own", (nn.Conv2d,), {})(16, 16, 3),
    ]
    assert not any(map(has_winograd, others))
    for layer, fewer in (((64, 32, 3), True), ((32, 32, 3), False), ((96, 256, 5), True)):
        assert has_winograd(nn.Conv2d(*layer), HALF) is fewer
    assert not has_winograd(nn.Conv2d(64, 192, 5), HALF)


def test_where_they_are_worth_it() -> None:
    assert is_worth(32, 32, 1)
    assert is_worth(7, 7, 32)  # four tiles of four pixels reach one pixel beyond
    assert is_worth(13, 13, 8)
    assert is_worth(6, 6, 128)
    assert is_worth(3, 3, 128)
    assert not is_worth(5, 5, 128)  # 2.56 times as many products as outputs need
    assert not is_worth(2, 2, 128)
    assert not is_worth(1, 1, 128)
    assert not is_worth(7, 7, 4)  # the weights would be looked at for sixteen tiles
    assert not is_worth(0, 32, 8)
    assert is_worth(26, 26, 1, 5)
    assert is_worth(6, 6, 8, 5)
    assert not is_worth(5, 5, 64, 5)  # three tiles of two pixels reach one beyond: 1.93 times
    assert not is_worth(1, 1, 512, 5)
    # in bfloat16 only where hardly a tile reaches beyond
    assert is_worth(32, 32, 1, half=True)
    assert is_worth(15, 31, 8, half=True)
    assert not is_worth(14, 14, 128, half=True)
    assert is_worth(26, 26, 1, 5, half=True)
    assert not is_worth(27, 27, 64, 5, half=True)


@needs_compiler
@pytest.mark.parametrize(
    "what", ["few", "half", "autocast", "picture", "channels", "own", "slim", "slim groups"]
)
def test_what_does_not_suit_goes_the_usual_way(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = nn.Conv2d(16, 16, 3, padding=1), torch.randn(4, 16, 16, 16)
    library(FULL)  # made, before nothing can be
    if what == "slim":
        layer = nn.Conv2d(20, 16, 3, padding=1)  # no whole number of vectors
        x = torch.randn(4, 20, 16, 16)
    if what == "slim groups":
        layer, x = nn.Conv2d(40, 80, 3, padding=1, groups=2), torch.randn(4, 40, 16, 16)
    if what == "few":
        x = x[:, :, :5, :5]
    if what == "own":  # a forward that somebody else gave it, and that ends here
        vars(layer)["forward"] = lambda x: x + 1
        with fewer_products(layer):
            assert_direct(layer, x)
        assert torch.equal(layer(x), x + 1)
        return
    monkeypatch.setattr(native, "Convolution", None)  # whatever calls it fails
    with fewer_products(layer):
        if what == "half":
            with pytest.raises(RuntimeError, match="type"):
                layer(x.half())
        elif what == "autocast":
            with torch.autocast("cpu", torch.bfloat16):
                assert layer(x).dtype == torch.bfloat16
        elif what == "picture":
            assert layer(x[0]).shape == (16, 16, 16)
        elif what == "channels":
            with pytest.raises(RuntimeError, match="channels"):
                layer(x[:, :8])
        else:
            assert_direct(layer, x)
    assert "forward" not in vars(layer)


@needs_compiler
def test_channels_that_are_no_whole_vectors_are_refused() -> None:
    (x, weight), _, pad = given_of((4, 20, 16, 16, 16, 3, 1, False))
    with pytest.raises(ValueError, match="multiple"):
        convolved(x, weight, None, pad, library(FULL))
    with pytest.raises(ValueError, match="multiple"):
        convolved(x[:, :16], weight[:12, :16], None, pad, library(FULL))


@needs_compiler
@pytest.mark.parametrize("given", ["float32", "bfloat16", "held", "no autocast"])
def test_in_bfloat16_is_what_autocast_has_in_it(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = nn.Conv2d(48, 48, 3, padding=1), torch.randn(4, 48, 16, 16)
    held = ("0",) if given == "held" else ()
    hardware = Hardware("cpu", "x", 2, layout="channels_last", precision="bf16", held=held)
    hardware = dataclasses.replace(hardware, convolutions="winograd")
    network, called = nn.Sequential(layer), []

    def noted(*given: Any) -> Tensor:
        called.append(given)
        return convolved(*given)

    wanted = layer(x)
    monkeypatch.setattr(winograd, "convolved", noted)
    with hardware.in_force(network):
        if given == "no autocast":
            torch.testing.assert_close(network(x), wanted)
        elif given == "bfloat16":
            with torch.autocast("cpu", HALF):
                assert network(x.bfloat16()).dtype == HALF
        else:
            made = hardware.passes(network, batch_size=4).logits(x)
            within = 1e-5 if given == "held" else 1e-2
            torch.testing.assert_close(made, wanted, rtol=within, atol=within)
    assert len(called) == (given in ("float32", "bfloat16"))


@needs_compiler
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("near = d4 - 2 * d2", "near = d4 - d2"),
        pytest.param("- 2.5f * d3", "- 2.5f * d2", marks=pytest.mark.slow),
        ("w[taps * taps - 1 - t]", "w[t]"),
        pytest.param("far += 4 * w[4 * step]", "far += 2 * w[4 * step]", marks=pytest.mark.slow),
        pytest.param("0.25f * near + 4 * far", "near + 4 * far", marks=pytest.mark.slow),
        pytest.param("t.side = SIDE + 1 - c->taps", "t.side = OUT", marks=pytest.mark.slow),
        pytest.param("line[j] + bias", "line[j]", marks=pytest.mark.slow),
        ("sum += g[i]", "sum -= g[i]"),
        pytest.param("p.x - c->pad", "p.x", marks=pytest.mark.slow),
        ("x + j < wide", "x + j < wide - 1"),
        ("tile % t->some * c->in)", "tile % t->some)"),
        pytest.param("b * t.some, many_of(&t, b), o, width, sums", "b * t.some, 1, o, width, sums"),
    ],
)
def test_what_computes_wrongly_is_not_used(
    right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = native.WINOGRAD.read_text(encoding="utf-8")
    assert source.count(right) == 1
    changed = tmp_path / "winograd.c"
    changed.write_text(source.replace(right, wrong))
    monkeypatch.setattr(native, "WINOGRAD", changed)
    assert library.__wrapped__(FULL) is None


@needs_compiler
@pytest.mark.parametrize(("precision", "within"), [("fp32", 1e-3), ("bf16", 3e-2)])
def test_a_network_learns_the_same(precision: str, within: float) -> None:
    torch.manual_seed(0)
    x, labels = torch.randn(8, 3, 32, 32), torch.arange(8)
    losses = []
    for way in ("plain", "winograd"):
        network = create("resnet20_cifar", seed=0)
        hardware = Hardware(
            "cpu", "x", 2, layout="channels_last", precision=precision, convolutions=way
        )
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        seen = []
        with hardware.in_force(network):
            layers = [layer for layer in network.modules() if type(layer) is nn.Conv2d]
            changed = sum("forward" in vars(layer) for layer in layers)
            # of 19, of which two have strides; in bfloat16 those of 64 channels
            many = 16 if precision == "fp32" else 5
            assert changed == (many if way == "winograd" else 0)
            passes = hardware.passes(network, batch_size=8)
            for _ in range(4):
                optimizer.zero_grad()
                loss, _ = passes.loss(x, labels, F.cross_entropy)
                loss.backward()
                optimizer.step()
                seen.append(loss.item())
            network.eval()
            with torch.inference_mode():
                seen.append(float(passes.logits(x).std()))
        assert not any("forward" in vars(layer) for layer in network.modules())
        losses.append(seen)
    assert losses[0][-2] < 0.9 * losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=within)


@needs_compiler
def test_chosen_where_a_network_has_such_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Hardware("cpu", "x", 2, layout="channels_last")
    network, without = create("resnet20_cifar", seed=0), create("lenet_relu", seed=0)
    found = fitted(here, network)
    assert str(found) == "2 threads, fp32, channels_last, Winograd convolutions, fused norms"
    assert str(dataclasses.replace(found, compile=True)).endswith("channels_last, compiled")
    assert Hardware.from_json(found.to_json()) == found
    assert plain(found, Wanted()).convolutions == "plain"
    assert fitted(here).convolutions == "plain"
    assert fitted(here, without).convolutions == "plain"
    # in bfloat16 where no matrix unit is quicker by more than there are fewer products
    half = dataclasses.replace(here, precision="bf16")
    for tiles, way in ((True, "tiled"), (False, "winograd")):
        monkeypatch.setattr(machine, "has_tiles", lambda tiles=tiles: tiles)
        assert fitted(half, network).convolutions == way
    for other in ({"layout": "contiguous"}, {"device": "cuda"}):
        assert fitted(dataclasses.replace(here, **other), network).convolutions != "winograd"  # type: ignore[arg-type]


def test_without_a_compiler_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    network = create("resnet20_cifar", seed=0)
    monkeypatch.setattr("neocog.engine.winograd.library", lambda dtype: None)
    monkeypatch.setattr("neocog.engine.hardware.winograd_library", lambda dtype: None)
    monkeypatch.setattr(machine, "has_tiles", lambda: False)
    for precision, kind in (("fp32", FULL), ("bf16", HALF)):
        assert fitted(choose(Wanted(precision=precision)), network).convolutions == "plain"
        with fewer_products(network, kind):
            assert not any("forward" in vars(layer) for layer in network.modules())


@needs_compiler
def test_a_network_that_only_predicts_is_tried_so(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = create("resnet20_cifar", seed=0).eval(), torch.randn(8, 3, 32, 32)
    made = inference._candidates(network, x, "fp32", False)
    assert [one.convolutions for one in made] == ["plain", "winograd"]
    with torch.no_grad():
        wanted = network(x)
    for one in made:
        assert error(one(x), wanted) < 1e-5
    assert not any("forward" in vars(layer) for layer in network.modules())
    monkeypatch.setattr(
        inference,
        "_timed",
        lambda made, x: dataclasses.replace(made, seconds=float(made.convolutions == "plain")),
    )
    best = inference.prepared(network, x, precision="fp32", compiled=False)
    assert best.convolutions == best.to_json()["convolutions"] == "winograd"
    assert library(FULL) is not None
