"""A chain with auxiliary heads: they train with it, and are otherwise not there."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from neocog.analysis import cost
from neocog.errors import UsageError
from neocog.networks.auxiliary import WithAuxiliary

NAMES = ["conv1", "relu1", "conv2", "head"]


@pytest.fixture
def network() -> WithAuxiliary:
    stages = OrderedDict(
        conv1=nn.Conv2d(1, 2, 3),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(2, 3, 3),
        head=nn.Sequential(nn.Flatten(), nn.Linear(12, 5)),
    )
    side = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 5))
    return WithAuxiliary(stages, auxiliary={"relu1": side}, auxiliary_weight=0.3)


@pytest.mark.parametrize("training", [True, False])
def test_calling_gives_the_main_logits_in_every_mode(
    network: WithAuxiliary, training: bool
) -> None:
    x = torch.randn(2, 1, 6, 6)
    expected = x
    for name in NAMES:
        expected = network.get_submodule(name)(expected)
    assert torch.equal(network.train(training)(x), expected)


def test_training_logits_are_the_main_ones_then_each_heads(network: WithAuxiliary) -> None:
    x = torch.randn(2, 1, 6, 6)
    torch.manual_seed(1)
    (one, main), (weight, side) = network.training_logits(x)
    assert (one, weight) == (1.0, 0.3)
    assert torch.equal(main, network(x))
    torch.manual_seed(1)
    assert torch.equal(side, network.auxiliary["relu1"](network[:2](x)))


def test_each_stage_runs_once_and_heads_only_when_asked(network: WithAuxiliary) -> None:
    ran: list[str] = []
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    network(torch.zeros(1, 1, 6, 6))
    assert not any(name.startswith("auxiliary") for name in ran)
    ran.clear()
    network.training_logits(torch.zeros(1, 1, 6, 6))
    assert [name for name in ran if name in NAMES] == NAMES
    assert ran.count("auxiliary.relu1") == 1


def test_heads_are_no_stages(network: WithAuxiliary) -> None:
    children = [network.get_submodule(name) for name in NAMES]
    assert list(network) == children
    assert len(network) == 4
    assert network[-1] is network[3] is network.head
    with pytest.raises(IndexError):
        network[4]


def test_a_slice_is_a_plain_chain_under_the_same_names(network: WithAuxiliary) -> None:
    for part, names in ((network[:-1], NAMES[:-1]), (network[1:3], NAMES[1:3])):
        assert type(part) is nn.Sequential
        assert [name for name, _ in part.named_children()] == names
    assert network[:-1].conv2 is network.conv2
    assert not any("auxiliary" in name for name in network[:].state_dict())
    assert network[:-1](torch.zeros(2, 1, 6, 6)).shape == (2, 3, 2, 2)


def test_heads_are_weights_of_the_network(network: WithAuxiliary) -> None:
    assert [n for n in network.state_dict() if n.startswith("auxiliary")] == [
        "auxiliary.relu1.2.weight",
        "auxiliary.relu1.2.bias",
    ]
    assert list(network.state_dict())[:6] == list(network[:].state_dict())
    assert not network.eval().auxiliary["relu1"].training
    assert network.double().auxiliary["relu1"][2].weight.dtype == torch.float64


def test_gradients_of_heads_reach_the_stages_below_and_none_above(network: WithAuxiliary) -> None:
    _, (weight, side) = network.training_logits(torch.randn(2, 1, 6, 6))
    (weight * side.square().sum()).backward()
    assert network.conv1.weight.grad.any()
    assert network.conv2.weight.grad is None


def test_cost_and_export_follow_the_main_chain(network: WithAuxiliary) -> None:
    table = cost.layers(network, (1, 6, 6))
    assert [layer.name for layer in table] == ["conv1", "relu1", "conv2", "head.0", "head.1"]
    x = torch.randn(2, 1, 6, 6)
    exported = torch.export.export(network.eval(), (x,)).module()
    torch.testing.assert_close(exported(x), network(x))


def test_a_head_of_no_stage_is_refused() -> None:
    with pytest.raises(UsageError, match="no stage is called 'conv9'; did you mean conv1"):
        WithAuxiliary({"conv1": nn.ReLU()}, auxiliary={"conv9": nn.ReLU()}, auxiliary_weight=1.0)
