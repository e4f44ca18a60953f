"""Convolution, ReLU and pooling as one, beside torch's three: numbers, gradients, bad input."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.compilers import needs_compiler
from tests.threads import threads_of
from torch import Tensor, nn

from neocog.engine import native
from neocog.engine.fused import norms_fused
from neocog.engine.hardware import Hardware, Wanted, choose, plain, with_stages
from neocog.engine.stages import Stage, has_stages, is_stage, library
from neocog.networks import create

LAST = torch.channels_last
EXACT = {"rtol": 1e-5, "atol": 1e-5}  # sums in another order

# pictures, channels, high, wide; maps, kernel, padding, bias
SHAPES = [
    (7, 1, 28, 28, 6, (5, 5), 2, True),  # LeNet's first stage
    (5, 6, 14, 14, 16, (5, 5), 0, True),  # and its second
    (3, 3, 33, 31, 32, (3, 3), 1, True),  # odd: no window sees the last row
    (2, 2, 9, 10, 20, (3, 5), (1, 2), True),
    (1, 1, 5, 5, 9, (1, 1), 0, True),
    (4, 16, 12, 12, 64, (3, 3), 1, False),
    (2, 32, 6, 7, 17, (3, 3), 1, True),
    (2, 3, 20, 30, 8, (11, 2), 5, True),
    (1, 10, 6, 40, 33, (5, 5), (4, 0), True),
    (2, 4, 10, 10, 12, (4, 5), 1, True),
    (1, 8, 9, 9, 10, (5, 5), 2, True),
    (3, 1, 8, 8, 4, (2, 3), 0, True),
]


def layers_of(channels: int, maps: int, kernel: Any, padding: Any, bias: bool) -> list[nn.Module]:
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, maps, kernel, padding=padding, bias=bias)
    return [conv, nn.ReLU(), nn.MaxPool2d(2)]


def stage(layers: list[nn.Module]) -> Stage:
    assert is_stage(layers)
    return Stage(layers, library())


def both(layers: list[nn.Module], x: Tensor, g: Tensor | None = None) -> list[list[Tensor]]:
    """Outputs and gradients of x and of the weights: as one, and one after the other."""
    found = []
    for way in (stage(layers), nn.Sequential(*layers)):
        one = x.detach().clone().requires_grad_()
        y = way(one)
        slope = torch.ones_like(y) if g is None else g
        weights = list(layers[0].parameters())
        found.append([y.detach(), *torch.autograd.grad(y, [one, *weights], slope)])
    return found


@needs_compiler
@pytest.mark.parametrize(
    ("n", "channels", "high", "wide", "maps", "kernel", "padding", "bias"), SHAPES
)
@pytest.mark.parametrize("threads", [1, 3])
def test_as_one_gives_what_the_three_give(
    n: int,
    channels: int,
    high: int,
    wide: int,
    maps: int,
    kernel: Any,
    padding: Any,
    bias: bool,
    threads: int,
) -> None:
    layers = layers_of(channels, maps, kernel, padding, bias)
    x = torch.randn(n, channels, high, wide)
    g = torch.randn_like(nn.Sequential(*layers)(x))
    with threads_of(threads):
        ours, theirs = both(layers, x, g)
    assert ours[0].is_contiguous(memory_format=LAST)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@needs_compiler
@pytest.mark.parametrize("way", ["last", "apart", "shared"])
def test_its_weights_may_lie_in_any_way(way: str) -> None:
    layers = layers_of(3, 12, 5, 2, True)
    usual = layers[0].weight.detach()
    laid = {
        "last": usual.contiguous(memory_format=LAST),
        "apart": usual.repeat_interleave(2, 3)[..., ::2],
        "shared": usual[:, :1].expand(-1, 3, -1, -1),
    }[way]
    layers[0].weight = nn.Parameter(laid)
    assert not layers[0].weight.is_contiguous()
    ours, theirs = both(layers, torch.randn(4, 3, 16, 16))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@needs_compiler
def test_in_float64_the_formula_holds() -> None:
    layers = layers_of(3, 12, 5, 2, True)
    x = torch.randn(4, 3, 16, 16)
    ours, _ = both(layers, x)
    exact = [copy.deepcopy(layer).double() for layer in layers]
    wide = x.double().requires_grad_()
    y = nn.Sequential(*exact)(wide)
    slopes = torch.autograd.grad(y.sum(), [wide, *exact[0].parameters()])
    for one, other in zip(ours, [y, *slopes], strict=True):
        torch.testing.assert_close(one.double(), other.detach(), rtol=1e-4, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_comes_out_where_torch_has_it(bad: float) -> None:
    layers = layers_of(1, 6, 5, 2, True)
    x = torch.randn(3, 1, 12, 12)
    x[1, 0, 3, 4] = bad
    made, expected = stage(layers)(x), nn.Sequential(*layers)(x)
    assert not expected.isfinite().all()
    torch.testing.assert_close(made, expected, equal_nan=True, **EXACT)


@needs_compiler
def test_of_equal_numbers_the_first_has_the_gradient_and_zeros_have_none() -> None:
    layers = layers_of(1, 2, 1, 0, True)
    conv = layers[0]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([1.0, 0.0]).view(2, 1, 1, 1))
        conv.bias.zero_()
    ours, theirs = both(layers, torch.ones(1, 1, 4, 4))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
    assert ours[1].count_nonzero() == 4  # of 16 places: one of each window, of one map


@needs_compiler
@pytest.mark.parametrize("given", ["strided", "expanded", "channels last", "bfloat16"])
def test_maps_may_lie_otherwise(given: str) -> None:
    layers = layers_of(4, 8, 3, 1, True)
    x = torch.randn(3, 4, 10, 8)
    if given == "strided":
        x = torch.randn(3, 8, 10, 16)[:, ::2, :, ::2]
    elif given == "expanded":
        x = x[:, :1].expand(-1, 4, -1, -1)
    elif given == "channels last":
        x = x.to(memory_format=LAST)
    with torch.no_grad():
        expected = nn.Sequential(*layers)(x)
    one = x.bfloat16().float() if given == "bfloat16" else x
    leaf = (x.bfloat16() if given == "bfloat16" else x).detach().requires_grad_()
    made = stage(layers)(leaf)
    expected = nn.Sequential(*layers)(one)
    torch.testing.assert_close(made, expected, **EXACT)
    g = torch.randn(8, 1, 5, 4).expand(8, 3, 5, 4).transpose(0, 1)
    made.backward(g)
    assert leaf.grad is not None
    assert leaf.grad.dtype == leaf.dtype
    again = one.detach().requires_grad_()
    (slope,) = torch.autograd.grad(nn.Sequential(*layers)(again), again, g)
    near = {"rtol": 2**-7, "atol": 2**-7} if given == "bfloat16" else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(leaf.grad.float(), slope, **near)


@needs_compiler
def test_the_same_threads_give_the_same_bits() -> None:
    layers = layers_of(6, 16, 5, 0, True)
    x = torch.randn(33, 6, 14, 14)
    first, again = (both(layers, x)[0] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_what_is_a_stage() -> None:
    conv, relu, pool = nn.Conv2d(3, 6, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2)
    assert is_stage([conv, relu, pool])
    assert is_stage([conv, relu, pool, nn.Flatten()])
    others: list[list[nn.Module]] = [
        [],
        [conv, relu],
        [relu, conv, pool],
        [conv, nn.Sigmoid(), pool],
        [conv, relu, nn.AvgPool2d(2)],
        [conv, relu, nn.MaxPool2d(3, 2)],
        [conv, relu, nn.MaxPool2d(2, 1)],
        [conv, relu, nn.MaxPool2d(2, ceil_mode=True)],
        [conv, relu, nn.MaxPool2d(2, return_indices=True)],
        [nn.Conv2d(3, 6, 5, stride=2), relu, pool],
        [nn.Conv2d(3, 6, 5, dilation=2), relu, pool],
        [nn.Conv2d(3, 6, 5, groups=3), relu, pool],
        [nn.Conv2d(3, 6, 5, padding="same"), relu, pool],
        [nn.Conv2d(3, 6, 5, padding=2, padding_mode="reflect"), relu, pool],
        [nn.Conv2d(33, 6, 1), relu, pool],
        [nn.Conv2d(3, 65, 5), relu, pool],
        [nn.Conv2d(32, 6, 5), relu, pool],  # too many numbers at once for stages.c
    ]
    assert not any(is_stage(layers) for layers in others)


@needs_compiler
@pytest.mark.parametrize("what", ["large", "one row", "heard", "eval", "half", "many"])
def test_what_does_not_suit_goes_the_usual_way(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = layers_of(1, 6, 5, 0, True)
    x = torch.randn(2, 1, 12, 12)
    made = stage(layers)
    if what != "many":
        monkeypatch.setattr(native, "Stage", None)  # whatever calls it fails
    if what == "large":
        x = torch.randn(1, 1, 200, 200)
    elif what == "one row":
        with pytest.raises(RuntimeError, match="too small"):
            made(torch.randn(1, 1, 5, 12))
        return
    elif what == "heard":
        layers[1].register_forward_hook(lambda *_: None)
    elif what == "eval":
        layers[0].eval()
    elif what == "many":  # channels, for which bfloat16 is quicker
        layers = layers_of(8, 6, 5, 0, True)
        x = torch.randn(2, 8, 12, 12)
        made = Stage(layers, object())
        with torch.autocast("cpu", torch.bfloat16):
            assert made(x).dtype == torch.bfloat16
        with pytest.raises(AttributeError, match="neocog_stage"):
            made(x)
        return
    else:
        layers[0].half()
        x = x.half()
    torch.testing.assert_close(made(x), nn.Sequential(*layers)(x))


@needs_compiler
def test_no_second_derivative_is_made_up() -> None:
    x = torch.randn(1, 1, 12, 12, requires_grad=True)
    y = stage(layers_of(1, 6, 5, 0, True))(x)
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@needs_compiler
def test_held_to_avx2_it_is_compiled_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half as wide vectors: the other half of the source, on whatever machine this runs."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    narrow = library.__wrapped__()  # computes rightly, or it would be None
    assert narrow is not None
    for n, channels, high, wide, maps, kernel, padding, bias in SHAPES:
        layers = layers_of(channels, maps, kernel, padding, bias)
        x = torch.randn(n, channels, high, wide, requires_grad=True)
        weights = [x, *layers[0].parameters()]
        expected, made = nn.Sequential(*layers)(x), Stage(layers, narrow)(x)
        torch.testing.assert_close(made, expected, **EXACT)
        g = torch.randn_like(made)
        theirs = torch.autograd.grad(expected, weights, g)
        for one, other in zip(torch.autograd.grad(made, weights, g), theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@needs_compiler
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("dead = best <= 0", "dead = best <= 0.1f"),
        ("total += at == DEAD ? 0 : s->g[place]", "total += s->g[place]"),
        ("2 * o + (at & 1)", "2 * o"),
    ],
)
def test_what_computes_wrongly_is_not_used(
    right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = native.STAGES.read_text(encoding="utf-8")
    assert right in source
    changed = tmp_path / "stages.c"
    changed.write_text(source.replace(right, wrong))
    monkeypatch.setattr(native, "STAGES", changed)
    assert library.__wrapped__() is None


@needs_compiler
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_learns_the_same(precision: str) -> None:
    torch.manual_seed(0)
    x, labels = torch.randn(16, 1, 28, 28), torch.arange(16) % 10
    losses = []
    for way in ("plain", "fused"):
        network = create("lenet_relu", num_classes=10, in_channels=1, seed=0)
        hardware = Hardware("cpu", "x", 2, precision=precision, stages=way)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.001)
        seen = []
        with hardware.in_force(network):
            assert ("forward" in vars(network)) == (way == "fused")
            passes = hardware.passes(network, batch_size=16)
            for _ in range(20):
                optimizer.zero_grad()
                loss, _ = passes.loss(x, labels, F.cross_entropy)
                loss.backward()
                optimizer.step()
                seen.append(loss.item())
            network.eval()
            with torch.no_grad():
                seen.append(float(passes.logits(x).std()))
        assert "forward" not in vars(network)
        losses.append(seen)
    assert losses[0][-2] < 0.9 * losses[0][0]
    within = 1e-4 if precision == "fp32" else 0.08
    assert losses[1] == pytest.approx(losses[0], rel=within)


@needs_compiler
def test_chosen_where_a_network_has_stages() -> None:
    small, large = create("lenet_relu", seed=0), create("resnet20_cifar", seed=0)
    assert has_stages(small)
    assert not has_stages(large)
    here = choose("cpu")
    assert with_stages(here, small).stages == "fused"
    assert "fused stages" in str(with_stages(here, small))
    assert with_stages(here, large).stages == "plain"
    assert with_stages(dataclasses.replace(here, compile=True), small).stages == "plain"
    assert with_stages(dataclasses.replace(here, device="cuda"), small).stages == "plain"
    assert plain(with_stages(here, small), Wanted()).stages == "plain"


def test_without_a_compiler_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    network = create("lenet_relu", seed=0)
    monkeypatch.setattr("neocog.engine.stages.library", lambda: None)
    assert with_stages(choose("cpu"), network).stages == "plain"
    with norms_fused(network, norms=False, stages=True):
        assert "forward" not in vars(network)


def test_what_is_recorded_can_be_read() -> None:
    hardware = Hardware("cpu", "x", 2, stages="fused")
    assert Hardware.from_json(hardware.to_json()) == hardware
    before = {k: v for k, v in hardware.to_json().items() if k != "stages"}  # an earlier neocog's
    assert Hardware.from_json(before).stages == "plain"
    with pytest.raises(ValueError, match="sound"):
        Hardware.from_json({**hardware.to_json(), "stages": "half"})
