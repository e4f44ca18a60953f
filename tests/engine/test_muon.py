"""Muon against torch's own, against the singular values, and beside plain SGD."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.engine.light import SGD
from neocog.engine.muon import Muon, orthogonal
from neocog.engine.optimizers import optimizer_for, set_rates, woken
from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.fast import fast
from neocog.recipe import Recipe

RECIPE = Recipe(
    optimizer="muon",
    lr=0.1,
    bias_lr=0.3,
    head_lr=0.7,
    momentum=0.8,
    muon_momentum=0.6,
    nesterov=True,
    weight_decay=0.02,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
def test_singular_values_come_near_to_one_and_the_directions_stay(shape: tuple[int, int]) -> None:
    u, s, v = torch.linalg.svd(noise(*shape), full_matrices=False)
    made = orthogonal(u * s @ v)
    inside = u.T @ made @ v.T
    beside = inside - inside.diag().diag()
    torch.testing.assert_close(beside, torch.zeros_like(beside), atol=1e-4, rtol=0)
    share = s / s.norm()
    for _ in range(3):  # the polynomial, on the singular values alone
        share = 3.4445 * share - 4.7750 * share**3 + 2.0315 * share**5
    torch.testing.assert_close(inside.diag(), share, rtol=1e-4, atol=1e-5)
    assert bool((inside.diag()[s > 0.3 * s.max()] > 0.5).all())


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (40, 2, 3, 3), (12, 20)])
def test_a_step_is_that_of_torchs_muon(shape: tuple[int, ...], nesterov: bool) -> None:
    """On the same weights as matrices; torch's multiplies in bf16 and does not scale weights."""
    ours = nn.Parameter(noise(*shape))
    theirs = nn.Parameter(ours.detach().flatten(1).clone())
    group = {"params": [ours], "matrices": True, "momentum": 0.6, "weight_decay": 0.0}
    muon = Muon([group], lr=0.2, momentum=0.9, nesterov=nesterov)
    torchs = torch.optim.Muon(
        [theirs], lr=0.2, momentum=0.6, nesterov=nesterov, weight_decay=0.0, ns_steps=3
    )
    for step in range(4):
        ours.grad = noise(*shape, seed=step + 1)
        theirs.grad = ours.grad.flatten(1).clone()
        with torch.no_grad():
            theirs.mul_(len(theirs) ** 0.5 / theirs.norm())
        muon.step()
        torchs.step()
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours.detach().flatten(1), theirs.detach(), atol=0.02, rtol=0)


def test_weights_are_scaled_before_each_step_and_move_by_the_rate() -> None:
    weight = nn.Parameter(noise(16, 4, 3, 3) * 7)
    group = {"params": [weight], "matrices": True, "momentum": 0.6, "weight_decay": 0.0}
    muon, before = Muon([group], lr=0.25, momentum=0.9, nesterov=True), weight.detach().clone()
    weight.grad = noise(16, 4, 3, 3, seed=1)
    muon.step()
    moved = weight.detach() - before * 4 / before.norm()
    slope = noise(16, 4, 3, 3, seed=1).flatten(1)
    torch.testing.assert_close(moved.flatten(1), -0.25 * orthogonal(slope))


def test_a_layout_of_memory_changes_nothing() -> None:
    """Hardware lays weights out as it likes: a matrix is then a copy, and weights still move."""
    moved = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(noise(8, 4, 3, 3).to(memory_format=layout))
        group = {"params": [weight], "matrices": True, "momentum": 0.6, "weight_decay": 0.0}
        muon = Muon([group], lr=0.25, momentum=0.9, nesterov=True)
        for step in range(3):
            weight.grad = noise(8, 4, 3, 3, seed=step).to(memory_format=layout)
            muon.step()
        assert weight.is_contiguous(memory_format=layout)
        moved.append(weight.detach().contiguous())
    torch.testing.assert_close(*moved)


def test_biases_and_head_take_the_steps_of_sgd() -> None:
    network = fast((6, 8, 8), num_classes=4, in_channels=1)
    twin = copy.deepcopy(network)
    optimizer = optimizer_for(network, RECIPE)
    biases = [w for w in twin.parameters() if w.ndim < 2]
    sgd = torch.optim.SGD(
        [  # decay a step is 0.02 x 0.1, whatever the rate
            {"params": biases, "lr": 0.3, "weight_decay": 0.02 * 0.1 / 0.3},
            {"params": [twin.head.fc.weight], "lr": 0.7, "weight_decay": 0.02 * 0.1 / 0.7},
        ],
        momentum=0.8,
        nesterov=True,
    )
    images, labels = noise(8, 1, 12, 12), torch.arange(8) % 4
    set_rates(optimizer, RECIPE, rate=0.1, at=0.0)
    for step in range(3):
        optimizer.zero_grad()
        F.cross_entropy(network(images + step), labels).backward()
        for own, other in zip(network.parameters(), twin.parameters(), strict=True):
            other.grad = None if own.grad is None else own.grad.clone()
        optimizer.step()
        sgd.step()
    for (name, own), other in zip(network.named_parameters(), twin.parameters(), strict=True):
        if own.ndim < 2 or name == "head.fc.weight":
            torch.testing.assert_close(own, other, msg=name)


def test_what_is_a_matrix_what_a_bias_and_what_the_head() -> None:
    network = create("fast_cifar")
    groups = optimizer_for(network, RECIPE).param_groups
    names = {weight: name for name, weight in network.named_parameters()}
    matrices, biases, head = ([names[w] for w in _of(groups, times)] for times in (1, 3, 7))
    assert matrices == [f"group{g}.conv{c}.weight" for g in (1, 2, 3) for c in (1, 2)]
    assert biases == [
        "whiten.bias",
        *(f"group{g}.norm{c}.bias" for g in (1, 2, 3) for c in (1, 2)),
    ]
    assert head == ["head.fc.weight"]
    assert {group["matrices"]: group["momentum"] for group in groups} == {True: 0.6, False: 0.8}


def _of(groups: list[dict[str, object]], times: float) -> list[Tensor]:
    (found,) = (g for g in groups if g["times"] == pytest.approx(times))
    return found["params"]  # type: ignore[return-value]


def test_plain_sgd_has_rates_for_biases_and_head_too() -> None:
    recipe = RECIPE.changed({"optimizer": "sgd"})
    optimizer = optimizer_for(create("lenet_relu", seed=0), recipe)
    assert type(optimizer) is SGD
    shapes = {
        round(g["times"], 6): [tuple(w.shape) for w in g["params"]] for g in optimizer.param_groups
    }
    assert shapes[7] == [(10, 84)]
    assert all(len(shape) == 1 for shape in shapes[3])
    assert [len(shapes[times]) for times in (1, 3, 7)] == [4, 5, 1]
    set_rates(optimizer, recipe, rate=0.05, at=1.0)  # half of lr: half of all
    assert sorted(g["lr"] for g in optimizer.param_groups) == pytest.approx([0.05, 0.15, 0.35])
    decays = [g["lr"] * g["weight_decay"] for g in optimizer.param_groups]
    assert decays == pytest.approx([0.05 * 0.02] * 3)


def test_the_first_layers_bias_stops_by_itself() -> None:
    recipe = RECIPE.changed({"whiten": True, "whiten_epochs": 2.0, "schedule": "linear"})
    network = fast((6, 8, 8), in_channels=1)
    optimizer = optimizer_for(network, recipe)
    (own,) = (g for g in optimizer.param_groups if g["until"])
    assert own["params"][0] is network.whiten.bias
    rates = []
    for at in (0.0, 0.5, 1.0, 2.0, 3.5):
        set_rates(optimizer, recipe, rate=0.1 * (1 - at / 10), at=at)
        rates.append(own["lr"])
    assert rates == pytest.approx([0.3, 0.225, 0.15, 0, 0])
    F.cross_entropy(network(noise(4, 1, 12, 12)), torch.arange(4)).backward()
    network.whiten.bias.grad.fill_(1)
    before = network.whiten.bias.detach().clone()
    optimizer.step()
    assert torch.equal(before, network.whiten.bias)  # frozen, to the bit


def test_what_has_come_to_rest_is_asked_for_no_gradient_and_nothing_else_changes() -> None:
    recipe = RECIPE.changed({"whiten": True, "whiten_epochs": 1.0, "schedule": "linear"})
    made = []
    for rest in (False, True):
        network = fast((6, 8, 8), in_channels=1)
        network.load_state_dict(fast((6, 8, 8), in_channels=1).state_dict() | (made or [{}])[0])
        begun = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        optimizer = optimizer_for(network, recipe)
        asked = []
        with woken(optimizer):
            for step in range(6):
                set_rates(optimizer, recipe, rate=0.1, at=step / 3, rest=rest)
                optimizer.zero_grad()
                F.cross_entropy(network(noise(4, 1, 12, 12)), torch.arange(4)).backward()
                asked.append(network.whiten.bias.grad is not None)
                optimizer.step()
        assert asked == [True] * 3 + [not rest] * 3
        assert network.whiten.bias.requires_grad
        assert not network.whiten.weight.requires_grad
        made += [begun, network.state_dict()]
    assert all(torch.equal(made[1][name], made[3][name]) for name in made[1])


def test_while_rates_rise_the_first_layers_bias_rises_with_them() -> None:
    recipe = RECIPE.changed({"whiten": True, "whiten_epochs": 2.0, "warmup": 1.0})
    optimizer = optimizer_for(create("fast_cifar"), recipe)
    (own,) = (g for g in optimizer.param_groups if g["until"])
    set_rates(optimizer, recipe, rate=0.05, at=0.5)
    assert own["lr"] == pytest.approx(0.15)
    set_rates(optimizer, recipe, rate=0.1, at=1.5)
    assert own["lr"] == pytest.approx(0.3 / 4)


def test_nothing_for_muon_to_do_is_said() -> None:
    with pytest.raises(UsageError, match="muon needs a network with convolutions"):
        optimizer_for(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), RECIPE)
