"""Stages in bfloat16 by tiles: what float32 makes of the same rounded numbers, and when they are.

A machine without AMX can compile them and no more: there all but the choice is skipped.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.compilers import needs_compiler
from tests.threads import threads_of
from torch import Tensor, nn

from neocog.engine import machine, native, stages
from neocog.engine.hardware import Hardware, Wanted, choose, with_stages
from neocog.engine.precision import to_hold
from neocog.engine.stages import Stage, by_tiles, has_tiles, library, suits_tiles
from neocog.networks import create

needs_tiles = pytest.mark.skipif(
    not (machine.has_tiles() and library()), reason="no AMX, or no C compiler"
)

# pictures, channels, high, wide; maps, kernel, padding, bias
SHAPES = [
    (7, 1, 28, 28, 6, (5, 5), 2, True),  # LeNet's first stage
    (5, 6, 14, 14, 16, (5, 5), 0, True),  # and its second
    (3, 3, 33, 31, 32, (3, 3), 1, True),  # odd: no window sees the last row
    (2, 2, 9, 10, 20, (3, 5), (1, 2), True),  # maps that fill no whole number of tiles
    (1, 1, 5, 5, 9, (1, 1), 0, True),
    (2, 1, 20, 70, 64, (3, 11), 5, True),  # more tiles of a row than are summed at once
    (2, 3, 20, 30, 8, (11, 2), 5, True),
    (2, 8, 10, 10, 12, (4, 4), 1, False),  # as many channels as there may be, an even kernel
    (3, 2, 5, 9, 3, (3, 16), (1, 8), True),  # and as wide a kernel
    (4, 4, 4, 3, 5, (3, 2), 0, True),  # one window
]


def layers_of(channels: int, maps: int, kernel: Any, padding: Any, bias: bool) -> list[nn.Module]:
    """Of weights that are exact in bfloat16."""
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, maps, kernel, padding=padding, bias=bias)
    for weight in conv.parameters():
        weight.data.copy_(weight.detach().bfloat16())
    return [conv, nn.ReLU(), nn.MaxPool2d(2)]


def drawn(*size: int) -> Tensor:
    return torch.randn(size).bfloat16().float()


def in_half(layers: list[nn.Module], x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return Stage(layers, library(), tiles=True)(x)


def both(layers: list[nn.Module], x: Tensor) -> list[list[Tensor]]:
    """Outputs and gradients of x and of the weights: by tiles, and by torch in float32."""
    found, g = [], None
    for half in (True, False):
        one = x.clone().requires_grad_()
        y = in_half(layers, one) if half else nn.Sequential(*layers)(one)
        g = drawn(*y.shape) if g is None else g
        slopes = torch.autograd.grad(y, [one, *layers[0].parameters()], g)
        found.append([y.detach(), *slopes])
    return found


def assert_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@needs_tiles
@pytest.mark.parametrize(
    ("n", "channels", "high", "wide", "maps", "kernel", "padding", "bias"), SHAPES
)
@pytest.mark.parametrize("threads", [1, 3])
def test_of_rounded_numbers_the_sums_are_those_of_float32(
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
    assert suits_tiles(layers[0])  # type: ignore[arg-type]
    with threads_of(threads):
        ours, theirs = both(layers, drawn(n, channels, high, wide))
    assert ours[0].dtype == torch.float32
    assert_close(ours, theirs)


@needs_tiles
def test_what_is_given_is_rounded_to_the_nearest() -> None:
    """The numbers themselves are float32's: rounded once, halves to even, as torch rounds."""
    layers = layers_of(1, 4, 1, 0, False)
    layers[0].weight.data.fill_(1.0)
    odd = torch.tensor([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, 3e38, 1e-30])
    x = odd.repeat_interleave(4).view(1, 6, 2, 2).transpose(0, 1).contiguous()
    made = in_half(layers, x)
    assert torch.equal(made[:, 0].flatten(), odd.bfloat16().float())
    layers[0].weight.data.copy_(odd[:4].view(4, 1, 1, 1))
    made = in_half(layers, torch.ones(1, 1, 2, 2))
    assert torch.equal(made.flatten(), odd[:4].bfloat16().float())


@needs_tiles
def test_weights_may_lie_in_any_way() -> None:
    layers = layers_of(3, 12, 5, 2, True)
    usual = layers[0].weight.detach()
    for laid in (usual.contiguous(memory_format=torch.channels_last), usual.flip(0).flip(0)):
        layers[0].weight = nn.Parameter(laid)
        assert_close(*both(layers, drawn(4, 3, 16, 16)))


@needs_tiles
@pytest.mark.parametrize("tiles", [False, True])
def test_a_bias_may_lie_in_any_way(tiles: bool) -> None:
    layers = layers_of(1, 6, 5, 2, True)
    conv, x = layers[0], drawn(2, 1, 12, 12)
    for bias in (torch.arange(12.0)[::2], torch.tensor(2.0).expand(6)):
        conv.bias = nn.Parameter(bias)
        with torch.autocast("cpu", torch.bfloat16, enabled=tiles):
            made = Stage(layers, library(), tiles=tiles)(x)
        torch.testing.assert_close(made, nn.Sequential(*layers)(x), rtol=1e-4, atol=1e-4)


@needs_tiles
def test_long_sums_of_one_sign_keep_their_bits() -> None:
    layers = layers_of(1, 4, 3, 1, True)
    layers[0].bias.data.fill_(99.0)  # all windows are alive
    y = in_half(layers, drawn(256, 1, 100, 100))
    (slope,) = torch.autograd.grad(y, [layers[0].bias], torch.full_like(y, 0.7))
    torch.testing.assert_close(slope, torch.full((4,), y[:, 0].numel() * 0.7), rtol=1e-4, atol=0)


@needs_tiles
def test_it_is_looked_at_without_a_number_being_drawn() -> None:
    before = torch.get_rng_state()
    assert has_tiles.__wrapped__()
    assert library.__wrapped__()
    assert torch.equal(torch.get_rng_state(), before)


@needs_tiles
def test_it_has_no_gradient_of_x_where_none_is_asked_for() -> None:
    layers = layers_of(6, 16, 5, 0, True)
    x = drawn(3, 6, 14, 14)
    ours, _ = both(layers, x)
    y = in_half(layers, x)
    torch.manual_seed(0)
    g = torch.ones_like(y)
    alone = torch.autograd.grad(y, list(layers[0].parameters()), g)
    beside = x.clone().requires_grad_()
    with_x = torch.autograd.grad(in_half(layers, beside), [beside, *layers[0].parameters()], g)
    assert all(torch.equal(one, other) for one, other in zip(alone, with_x[1:], strict=True))
    assert torch.equal(y, ours[0])


@needs_tiles
def test_the_same_threads_give_the_same_bits() -> None:
    layers = layers_of(6, 16, 5, 0, True)
    x = drawn(33, 6, 14, 14)
    torch.manual_seed(1)
    first, _ = both(layers, x)
    torch.manual_seed(1)
    again, _ = both(layers, x)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@needs_tiles
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_is_seen(bad: float) -> None:
    layers = layers_of(1, 6, 5, 2, True)
    x = torch.randn(3, 1, 12, 12)
    x[1, 0, 3, 4] = bad
    made = in_half(layers, x)
    assert not made[1].isfinite().all()
    assert made[[0, 2]].isfinite().all()


@needs_tiles
def test_by_tiles_only_in_bfloat16() -> None:
    layers = layers_of(1, 6, 5, 2, True)
    x = torch.randn(3, 1, 12, 12)  # not exact in bfloat16
    full = Stage(layers, library())(x)
    asked = Stage(layers, library(), tiles=True)
    assert torch.equal(asked(x), full)
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(asked(x), full)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Stage(layers, library())(x), full)
        half = asked(x)
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, rtol=0.02, atol=0.02)


def test_which_convolutions_suit() -> None:
    suits = [nn.Conv2d(1, 6, 5), nn.Conv2d(8, 6, 4), nn.Conv2d(2, 6, 16), nn.Conv2d(1, 6, (30, 16))]
    others = [nn.Conv2d(9, 6, 3), nn.Conv2d(8, 6, 5), nn.Conv2d(1, 6, (1, 17))]
    assert all(map(suits_tiles, suits))
    assert not any(map(suits_tiles, others))


@needs_tiles
def test_a_layer_that_is_held_stays_in_float32() -> None:
    network = create("lenet_relu", num_classes=10, in_channels=1, seed=0)
    stems = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)]
    x = torch.randn(4, 1, 28, 28)
    made = {}
    for held in ((), tuple(stems[:1]), tuple(stems)):
        hardware = Hardware("cpu", "x", 2, precision="bf16", stages="fused", held=held)
        with hardware.in_force(network), torch.no_grad():
            given: list[Tensor] = []
            hook = network[-1].register_forward_pre_hook(lambda _, x, to=given: to.append(x[0]))
            hardware.passes(network, batch_size=4).logits(x)
            hook.remove()
        made[len(held)] = given[0]
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made[1], made[2])


@needs_tiles
def test_no_time_is_taken_of_what_runs_by_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    network = create("lenet_relu", num_classes=10, in_channels=1, seed=0)
    hardware = with_stages(choose(Wanted(precision="bf16")), network)
    monkeypatch.setattr("neocog.engine.precision.seconds", lambda *_: (2.0, 1.0))  # all are slower
    held = to_hold(network, (8, 1, 28, 28), hardware, speed="timed")
    bare = dataclasses.replace(hardware, stages="plain")
    all_held = to_hold(network, (8, 1, 28, 28), bare, speed="timed")
    layers = dict(network.named_modules())
    assert {type(layers[name]) for name in held} == {nn.Linear}
    assert set(all_held) - set(held) == {n for n, x in layers.items() if isinstance(x, nn.Conv2d)}
    monkeypatch.setattr("neocog.engine.precision.is_right", lambda *_: False)  # wrong by torch
    assert set(to_hold(network, (8, 1, 28, 28), hardware, speed="timed")) == set(all_held)


@needs_tiles
@pytest.mark.parametrize(
    ("layers", "size", "expected"),
    [
        # the first is computed by tiles, those alike by torch, but for the last, which has its ReLU
        # and pooling behind it: each is asked for itself
        ("c1 r c8 r c8 r p", (1, 20, 20), {"0", "2"}),
        ("c1 r p c8 r c8 r p", (1, 40, 40), {"3"}),
        ("c3 r p", (3, 128, 128), {"0"}),  # too large for a stage
        ("c3 r p", (3, 32, 32), set()),
    ],
)
def test_what_torch_computes_is_timed(
    layers: str, size: tuple[int, ...], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {"r": nn.ReLU, "p": lambda: nn.MaxPool2d(2)}
    made = [
        kinds[x]() if x in kinds else nn.Conv2d(int(x[1:]), 8, 3, padding=1) for x in layers.split()
    ]
    hardware = Hardware("cpu", "x", 2, precision="bf16", stages="fused")
    monkeypatch.setattr("neocog.engine.precision.seconds", lambda *_: (2.0, 1.0))
    held = to_hold(nn.Sequential(*made), (4, *size), hardware, speed="timed")
    assert set(held) == expected


@needs_compiler
def test_without_tiles_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    network = create("lenet_relu", seed=0)
    monkeypatch.setattr(machine, "has_tiles", lambda: False)
    assert not has_tiles.__wrapped__()
    monkeypatch.setattr(stages, "has_tiles", lambda: False)
    assert by_tiles(network) == set()


@needs_tiles
def test_a_system_that_lets_nobody_use_its_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return (lambda: 0) if name == "neocog_tiles" else getattr(library(), name)

    monkeypatch.setattr(stages, "library", Refusing)
    assert not has_tiles.__wrapped__()


@needs_compiler
def test_held_to_avx2_it_knows_no_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    narrow = library.__wrapped__()
    assert narrow is not None
    assert not narrow.neocog_tiles()


@needs_tiles
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("to[t / 2 * DEEP + t % 2]", "to[t / 2 * DEEP]"),
        ("bits << 16) & (at == 2 * lower + 1", "bits << 16) & (at == 2 * lower"),
        ("(j - ky * b.pairs", "(j + ky * b.pairs"),
        ("pixel - side + 2 *", "side - pixel + 2 *"),
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
    made = library.__wrapped__()
    assert made is not None  # in float32 nothing changed
    monkeypatch.setattr(stages, "library", lambda: made)
    assert not has_tiles.__wrapped__()


@needs_tiles
def test_a_network_learns_as_in_float32() -> None:
    """Twenty steps of LeNet, by tiles and by torch in float32, on the same batches."""
    torch.manual_seed(0)
    x, labels = torch.randn(32, 1, 28, 28), torch.arange(32) % 10
    network, losses = create("lenet_relu", num_classes=10, in_channels=1, seed=0), []
    for precision, way in (("bf16", "fused"), ("fp32", "plain")):
        twin, seen = copy.deepcopy(network), []
        hardware = Hardware("cpu", "x", 2, precision=precision, stages=way)
        optimizer = torch.optim.SGD(twin.parameters(), lr=0.002)
        with hardware.in_force(twin):
            passes = hardware.passes(twin, batch_size=32)
            for _ in range(20):
                optimizer.zero_grad()
                loss, _ = passes.loss(x, labels, nn.functional.cross_entropy)
                loss.backward()
                optimizer.step()
                seen.append(loss.item())
        losses.append(seen)
    assert losses[1][-1] < 0.95 * losses[1][0]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
