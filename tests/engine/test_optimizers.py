from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator, nn, optim

from neocog.engine.light import SGD, _in_one_pass
from neocog.engine.losses import RUBBISH_PENALTY, lenet5_map, loss_of
from neocog.engine.optimizers import DiagonalLM, optimizer_for
from neocog.errors import UsageError
from neocog.networks import create
from neocog.recipe import Recipe


def test_decay_spares_biases_and_scales_only_when_asked() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(4, 2))
    spare = optimizer_for(network, Recipe(weight_decay=0.1, decay_biases=False)).param_groups
    assert [g["weight_decay"] for g in spare] == [0.1, 0.0]
    assert all(w.ndim >= 2 for w in spare[0]["params"])
    assert all(w.ndim < 2 for w in spare[1]["params"])
    whole = optimizer_for(network, Recipe(weight_decay=0.1)).param_groups
    assert len(whole) == 1
    assert len(whole[0]["params"]) == 6


def test_frozen_weights_are_left_out_and_nothing_to_train_is_said() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    assert len(optimizer_for(network, Recipe()).param_groups[0]["params"]) == 2
    with pytest.raises(UsageError, match="no weights"):
        optimizer_for(network.requires_grad_(False), Recipe())


SIZES = [
    (64, 32, 3, 3),
    (128, 256),
    (2**14,),
    (36, 32, 16, 1),
    (3, 70, 9, 9),
    (16, 6, 5, 5),
    (16,),
    (10, 7),
]


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum": 0.9},
        {"momentum": 0.9, "weight_decay": 5e-4},
        {"momentum": 0.85, "weight_decay": 5e-4, "nesterov": True},
        {"momentum": 0.0, "weight_decay": 0.1},
        {"momentum": 0.0},
    ],
    ids=str,
)
def test_weights_are_updated_in_one_pass_to_the_bit(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    first = [nn.Parameter(torch.randn(size)) for size in SIZES]
    first[0].data = first[0].data.contiguous(memory_format=torch.channels_last)
    second = [nn.Parameter(w.detach().clone()) for w in first]
    ours, theirs = SGD(first, lr=0.1, **settings), optim.SGD(second, lr=0.1, **settings)
    once: list[bool] = []
    for step in range(4):
        for one, other in zip(first, second, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        once = [w.grad is not None and _in_one_pass(w, w.grad, None) for w in first]
        for group in (*ours.param_groups, *theirs.param_groups):
            group["lr"] = 0.1 / (1 + step)
        ours.step()
        theirs.step()
        assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert once == [True, True, True, True, False, True, True, False]
    there = theirs.state_dict()
    assert ours.state_dict()["state"].keys() == there["state"].keys()
    for key, state in ours.state_dict()["state"].items():
        assert torch.equal(*(s["momentum_buffer"] for s in (state, there["state"][key])))
    assert ours.state_dict()["param_groups"] == there["param_groups"]


@pytest.mark.parametrize("which", ["gradient", "momentum", "float64", "none"])
def test_what_lies_otherwise_than_its_weight_is_not_taken_for_the_same(which: str) -> None:
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(64, 64, 4, 4)) for _ in range(2)]
    weights[1].data.copy_(weights[0].data)
    if which == "float64":
        weights = [nn.Parameter(w.detach().double()) for w in weights]
    optimizers = [
        kind([w], lr=0.1, momentum=0.9) for kind, w in zip((SGD, optim.SGD), weights, strict=True)
    ]
    laid = torch.channels_last if which != "none" else torch.contiguous_format
    for step in range(3):
        slope = torch.randn_like(weights[0])
        for weight, optimizer in zip(weights, optimizers, strict=True):
            weight.grad = slope.contiguous(memory_format=laid) if which == "gradient" else slope
            if which == "momentum" and step:
                state = optimizer.state[weight]
                state["momentum_buffer"] = state["momentum_buffer"].contiguous(memory_format=laid)
            if which == "none" and step == 1:
                weight.grad = None
            optimizer.step()
    assert torch.equal(*weights)


def test_lenet5_loss_is_the_papers_equation_9() -> None:
    torch.manual_seed(0)
    penalties, labels = torch.rand(7, 10) * 20, torch.randint(10, (7,))
    right = penalties[torch.arange(7), labels]
    j = torch.tensor(RUBBISH_PENALTY)
    expected = (right + torch.log(torch.exp(-j) + torch.exp(-penalties).sum(1))).mean()
    torch.testing.assert_close(lenet5_map(-penalties, labels), expected)


def test_label_smoothing_reaches_the_loss() -> None:
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    plain, smooth = loss_of(Recipe())(logits, labels), loss_of(Recipe(label_smoothing=0.2))
    share = -logits.log_softmax(1).mean(1).mean()
    torch.testing.assert_close(smooth(logits, labels), 0.8 * plain + 0.2 * share)


def test_curvature_is_the_gauss_newton_diagonal() -> None:
    """Against the whole Jacobian: h = 2 mean over pictures of sum_j (dx_j / dw)^2."""
    network = create("lenet5", seed=3)
    weights = list(network.parameters())
    images = torch.rand(3, 1, 32, 32, generator=Generator().manual_seed(1))
    optimizer = DiagonalLM(weights, lr=0.1)
    # many draws of the signs, so that their mean is near its expectation
    optimizer.estimate(network, images.repeat(100, 1, 1, 1), generator=Generator().manual_seed(2))
    coefficient = network.s2.coefficient
    body = nn.Sequential(*list(network.children())[:-1], *list(network.head.children())[:-1])
    exact = torch.zeros_like(coefficient)
    for image in images.split(1):
        x = body(image)[0]
        for unit in x:
            (slope,) = torch.autograd.grad(unit, coefficient, retain_graph=True)
            exact += 2 * slope**2 / 3
    estimate = optimizer.state[coefficient]["curvature"]
    torch.testing.assert_close(estimate, exact, rtol=0.35, atol=0)


def test_a_weight_moves_by_lr_over_mu_plus_curvature() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 1.0]))
    optimizer = DiagonalLM([weight], lr=0.1, mu=0.02)
    optimizer.state[weight]["curvature"] = torch.tensor([0.0, 0.98])
    weight.grad = torch.tensor([0.01, 1.0])
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([1 - 0.1 * 0.01 / 0.02, 0.9]))


def test_diagonal_lm_refuses_a_network_without_distances() -> None:
    network = create("lenet_relu")
    optimizer = DiagonalLM(list(network.parameters()), lr=0.1)
    with pytest.raises(UsageError, match="squared distances"):
        optimizer.estimate(network, torch.rand(1, 1, 28, 28), generator=Generator())
