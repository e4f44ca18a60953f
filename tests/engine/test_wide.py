"""Dense layers of many weights: what comes out is what torch's autocast and SGD give."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.compilers import needs_compiler
from tests.engine.test_fit import pictures
from torch import nn, optim

from neocog.data.batches import TrainingBatches
from neocog.engine import tracing, wide
from neocog.engine.fit import Training, fit
from neocog.engine.hardware import Hardware
from neocog.engine.light import SGD
from neocog.engine.optimizers import optimizer_for
from neocog.engine.passes import held_in_fp32, in_bf16
from neocog.engine.wide import wide_layers
from neocog.recipe import Recipe

pytestmark = needs_compiler
RECIPE = Recipe(epochs=2, batch_size=16, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3)
BF16 = {"precision": "bf16", "layout": "channels_last"}


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide, "MANY", 1024)


def dense(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    first, last = nn.Linear(48, 64, bias=bias), nn.Linear(64, 10)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), last)


def wide_in(network: nn.Module) -> list[str]:
    """Those whose gradients are bfloat16."""
    named = network.named_parameters()
    return [name for name, weight in named if weight.grad_dtype == torch.bfloat16]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_outputs_and_gradients_are_autocasts_to_the_bit(bias: bool, asked: bool) -> None:
    x, found = torch.randn(7, 48), []
    for way in (wide_layers, nullcontext):
        network, given = dense(bias), x.clone().requires_grad_(asked)
        with way(network):  # type: ignore[operator]
            with in_bf16("cpu"):
                made = network(given)
            made.float().square().sum().backward()
            slopes = [weight.grad for weight in network.parameters()]
            kinds = [slope.dtype for slope in slopes]
        assert (torch.bfloat16 in kinds) == (way is wide_layers)
        of_weights = [s for w, s in zip(network.parameters(), slopes, strict=True) if w.ndim > 1]
        biases = [s for w, s in zip(network.parameters(), slopes, strict=True) if w.ndim == 1]
        found.append(([made.detach(), given.grad, *of_weights], biases))
    (ours, our_biases), (theirs, their_biases) = found
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None) == (one is None)
        assert one is None or torch.equal(one.float(), other.float())
    for one, other in zip(our_biases, their_biases, strict=True):  # theirs are rounded to bfloat16
        torch.testing.assert_close(one, other, rtol=2**-7, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.9},
        {"momentum": 0.9, "weight_decay": 5e-4},
        {"momentum": 0.85, "weight_decay": 0.1, "nesterov": True},
        {"weight_decay": 0.1},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(64, 48), (33, 48), (1, 1024)])
def test_an_update_is_that_of_torch(size: tuple[int, int], settings: dict[str, Any]) -> None:
    torch.manual_seed(1)
    layer = nn.Linear(size[1], size[0], bias=False)
    theirs = nn.Parameter(layer.weight.detach().clone())
    ours, torchs = SGD(layer.parameters(), lr=0.1, **settings), optim.SGD([theirs], 0.1, **settings)
    with wide_layers(layer):
        for step in range(4):
            layer.weight.grad = torch.randn(size).bfloat16()
            theirs.grad = layer.weight.grad.float()
            for group in (*ours.param_groups, *torchs.param_groups):
                group["lr"] = 0.1 / (1 + step)
            before = layer.weight._version
            ours.step()
            torchs.step()
            assert layer.weight._version > before  # autograd sees that it was changed
            torch.testing.assert_close(layer.weight, theirs, rtol=1e-6, atol=1e-7)
            half = vars(layer.weight)[wide.HALF][1]
            assert torch.equal(half, layer.weight.detach().bfloat16())
            assert wide.rounded(layer.weight) is half
    states = [optimizer.state_dict()["state"] for optimizer in (ours, torchs)]
    assert states[0].keys() == states[1].keys()
    assert [0 in state for state in states] == 2 * ["momentum" in settings]
    if states[0]:
        buffers = [state[0]["momentum_buffer"] for state in states]
        assert buffers[0].dtype == torch.float32
        torch.testing.assert_close(*buffers, rtol=1e-6, atol=1e-6)


def test_gradient_and_momentum_may_lie_otherwise() -> None:
    layer = nn.Linear(64, 64, bias=False)
    theirs = nn.Parameter(layer.weight.detach().clone())
    ours, torchs = (
        kind([w], lr=0.1, momentum=0.9) for kind, w in ((SGD, layer.weight), (optim.SGD, theirs))
    )
    with wide_layers(layer):
        for _ in range(3):
            layer.weight.grad = torch.randn(64, 64).bfloat16().t()
            theirs.grad = layer.weight.grad.float()
            ours.step()
            torchs.step()
            state = ours.state[layer.weight]
            state["momentum_buffer"] = state["momentum_buffer"].t().contiguous().t()
    torch.testing.assert_close(layer.weight.detach(), theirs.detach(), rtol=1e-6, atol=1e-7)


def test_muon_takes_such_gradients_too() -> None:
    ended = []
    for way in (wide_layers, nullcontext):
        network = dense()
        recipe = RECIPE.changed({"optimizer": "muon"})
        optimizer = optimizer_for(network, recipe)
        with way(network):  # type: ignore[operator]
            for _ in range(3):
                torch.manual_seed(7)
                with in_bf16("cpu"):
                    made = network(torch.randn(32, 48))
                optimizer.zero_grad()
                F.cross_entropy(made.float(), torch.arange(32) % 10).backward()
                optimizer.step()
        assert all(s["momentum_buffer"].dtype == torch.float32 for s in optimizer.state.values())
        ended.append(torch.cat([w.detach().flatten() for w in network.parameters()]))
    assert float((ended[0] - ended[1]).norm()) < 0.01 * float(ended[1].norm())


def test_what_is_no_number_stays_none() -> None:
    layer = nn.Linear(48, 64, bias=False)
    with wide_layers(layer):
        layer.weight.grad = torch.zeros(64, 48, dtype=torch.bfloat16)
        layer.weight.grad[3, 5] = torch.nan
        layer.weight.grad[4, 6] = -torch.inf
        SGD(layer.parameters(), lr=0.1, momentum=0.9).step()
        bad = ~layer.weight.isfinite()
        assert bad.nonzero().tolist() == [[3, 5], [4, 6]]
        assert torch.equal(bad, ~wide.rounded(layer.weight).isfinite())


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("value", [1.0, torch.nan, -torch.inf, 3e30])
def test_the_norm_of_a_gradient_is_that_of_its_numbers(value: float, threads: int) -> None:
    torch.manual_seed(0)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for many in (1024, 8192, 16 * 1500 + 16):
            slope = torch.randn(many).bfloat16()
            slope[many - 3] = value
            assert wide.measures(slope)
            wanted = float(slope.double().norm())
            if value == 1.0:
                assert tracing.norm([slope]) == pytest.approx(wanted, rel=1e-6)
            else:  # it overflows where float32 does
                assert not math.isfinite(tracing.norm([slope]))
            assert tracing.all_finite([slope]) == math.isfinite(value)
    finally:
        torch.set_num_threads(before)
    assert not wide.measures(torch.randn(1024))
    assert not wide.measures(torch.randn(2048).bfloat16()[::2])


def test_after_it_nothing_is_left_of_it() -> None:
    network = dense()
    with wide_layers(network):
        assert wide_in(network) == ["1.weight", "3.weight"]  # the last has 640 weights
        with in_bf16("cpu"):
            network(torch.randn(7, 48)).float().sum().backward()
    assert wide_in(network) == []
    for layer in (network[1], network[3]):
        assert layer.weight.grad.dtype == torch.float32
        assert wide.HALF not in vars(layer.weight)
        assert "forward" not in vars(layer)
    network(torch.randn(7, 48)).sum().backward()  # goes on from there


def changed_by_copying(weight: nn.Parameter) -> None:
    with torch.no_grad():
        weight.copy_(weight * 2)


def changed_by_loading(weight: nn.Parameter) -> None:
    nn.ParameterList([weight]).load_state_dict({"0": weight.detach() * 3})


def changed_by_averaging(weight: nn.Parameter) -> None:
    torch._foreach_mul_([weight.detach()], 5.0)


@pytest.mark.parametrize("change", [changed_by_copying, changed_by_loading, changed_by_averaging])
def test_a_weight_that_somebody_else_changes_is_rounded_anew(change: Any) -> None:
    network, x = dense(), torch.randn(7, 48)
    with wide_layers(network), in_bf16("cpu"):
        network(x)
        change(network[1].weight)
        with torch.no_grad():
            made = network(x)
    with torch.no_grad(), in_bf16("cpu"):
        assert torch.equal(made, network(x))


def tied(network: nn.Sequential) -> None:
    network[3].weight = network[1].weight = nn.Parameter(torch.randn(64, 64))


def frozen(network: nn.Sequential) -> None:
    network[1].weight.requires_grad_(False)
    network[3].weight.requires_grad_(False)


def doubled(network: nn.Sequential) -> None:
    network.double()


def odd(network: nn.Sequential) -> None:
    network[1], network[3] = nn.Linear(47, 65), nn.Linear(65, 65)


def derived(network: nn.Sequential) -> None:
    class Own(nn.Linear):
        pass

    network[1], network[3] = Own(48, 64), Own(64, 64)


def normed(network: nn.Sequential) -> None:
    for which in (1, 3):
        nn.utils.parametrizations.weight_norm(network[which])


@pytest.mark.parametrize("how", [tied, frozen, doubled, odd, derived, normed])
def test_what_it_is_not_for_is_left_as_it_is(how: Any) -> None:
    network = dense()
    how(network)
    with wide_layers(network):
        assert wide_in(network) == []
        assert not any("forward" in vars(module) for module in network.modules())


def test_a_layer_held_in_float32_is_left_so(monkeypatch: pytest.MonkeyPatch) -> None:
    network = dense()
    with held_in_fp32(network, ("1",), "cpu"), wide_layers(network):
        assert wide_in(network) == ["3.weight"]
    monkeypatch.setattr(wide, "_library", lambda: None)  # no compiler
    with wide_layers(network):
        assert wide_in(network) == []


def test_outside_of_autocast_and_of_rows_of_rows_it_is_torchs_own() -> None:
    network, x = dense(), torch.randn(7, 48)
    plain = network(x)
    rows = network[1](torch.randn(2, 7, 48)).shape
    with wide_layers(network):
        assert torch.equal(network(x), plain)  # float32, as where somebody analyses it meanwhile
        assert network[1](torch.randn(2, 7, 48)).shape == rows


@pytest.mark.parametrize(
    ("change", "some"), [({}, 2), ({"accumulate": 2}, 0), ({"norms": "plain"}, 0)]
)
def test_it_is_in_force_where_a_batch_goes_through_at_once(
    change: dict[str, Any], some: int
) -> None:
    hardware = Hardware("cpu", "x", 1, norms="fused", **BF16)  # type: ignore[arg-type]
    network = dense()
    with hardware.__class__(**{**vars(hardware), **change}).in_force(network):
        assert len(wide_in(network)) == some


def begun() -> Training:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 4))
    return Training.begin(network, RECIPE)


def steps(training: Training, **how: str) -> Iterator[object]:
    from tests.engine.test_fit import batches

    hardware = Hardware("cpu", "x", 1, **how)  # type: ignore[arg-type]
    made: TrainingBatches = batches(RECIPE)
    return fit(training, made, pictures(16, 1), recipe=RECIPE, hardware=hardware)


@pytest.mark.parametrize("stop_at", [1, 4, 7, 9])
def test_a_run_stopped_and_resumed_reaches_the_same_weights(stop_at: int) -> None:
    straight = begun()
    for _ in steps(straight, norms="fused", **BF16):
        pass
    first = begun()
    facts = steps(first, norms="fused", **BF16)
    for _ in range(stop_at):
        next(facts)
    saved = io.BytesIO()
    torch.save(copy.deepcopy(first.state()), saved)
    facts.close()  # type: ignore[attr-defined]
    saved.seek(0)
    second = begun()
    second.restore(torch.load(saved, weights_only=True))
    for _ in steps(second, norms="fused", **BF16):
        pass
    for one, other in zip(straight.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_learns_what_it_learns_without() -> None:
    ended = []
    for norms in ("fused", "plain"):
        training = begun()
        for _ in steps(training, norms=norms, **BF16):
            pass
        ended.append(training)
    ours, theirs = (
        torch.cat([w.detach().flatten() for w in t.network.parameters()]) for t in ended
    )
    start = torch.cat([w.detach().flatten() for w in begun().network.parameters()])
    assert float((ours - theirs).norm()) < 0.01 * float((theirs - start).norm())
    gradients = [t.norms[-1].gradients["1"] for t in ended]
    assert gradients[0] == pytest.approx(gradients[1], rel=0.02)
