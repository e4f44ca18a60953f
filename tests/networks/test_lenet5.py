"""LeNet-5 against section II.B of the paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.networks import create
from neocog.networks.lenet5 import FIGURE_3, RBF, TABLE_I, Squash, Subsample, TableConv

# Table I as it is printed: a row is a map of S2, a column a map of C3.
PRINTED = """\
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X"""
CONNECTED = torch.tensor([[x == "X" for x in row.split()] for row in PRINTED.splitlines()]).T


def test_weights_and_connections_are_the_papers() -> None:
    table = {layer.name: layer for layer in cost.layers(create("lenet5"), (1, 32, 32))}
    trainable = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "head.f6": 10_164}
    connections = {"c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000, "c5": 48_120}
    assert {n: layer.parameters for n, layer in table.items() if layer.parameters} == trainable
    for name, count in connections.items():
        layer = table[name]  # the paper counts the bias of each output among its connections
        assert layer.multiply_adds + torch.Size(layer.output).numel() == count
    assert table["head.output"].multiply_adds == 840


def test_c3_is_a_convolution_masked_by_table_1() -> None:
    torch.manual_seed(0)
    layer = TableConv(TABLE_I)
    assert layer.weight.shape == (60, 5, 5)
    dense = torch.zeros(16, 6, 5, 5)
    dense[CONNECTED] = layer.weight.detach()  # in order of C3's maps, then of S2's
    dense.requires_grad_()
    x = torch.randn(2, 6, 14, 14)
    expected = F.conv2d(x, dense * CONNECTED[:, :, None, None], layer.bias)
    assert torch.equal(layer(x), expected)

    layer(x).square().sum().backward()
    expected.square().sum().backward()
    assert dense.grad is not None
    assert not dense.grad[~CONNECTED].any()
    torch.testing.assert_close(layer.weight.grad, dense.grad[CONNECTED])


@pytest.mark.parametrize("read", range(6))
def test_c3_reads_only_what_the_table_connects(read: int) -> None:
    x = torch.zeros(1, 6, 5, 5)
    x[0, read] = torch.randn(5, 5)
    layer = TableConv(TABLE_I)
    moved = (layer(x) != layer(torch.zeros_like(x))).flatten()
    assert torch.equal(moved, CONNECTED[:, read])


def test_subsampling_sums_then_scales_then_shifts() -> None:
    layer = Subsample(2)
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([2.0, -1.0])[:, None, None])
        layer.bias.copy_(torch.tensor([0.5, 10.0])[:, None, None])
    x = torch.arange(16.0).reshape(1, 2, 2, 4)
    expected = torch.tensor([[[[2 * 10 + 0.5, 2 * 18 + 0.5]], [[10 - 42.0, 10 - 50.0]]]])
    assert torch.equal(layer(x), expected)


def test_squashing_takes_one_to_one_and_bends_most_there() -> None:
    f = Squash()
    assert f(torch.tensor([-1.0, 0.0, 1.0])).tolist() == pytest.approx([-1, 0, 1], abs=1e-4)
    assert f(torch.tensor(50.0)).item() == pytest.approx(1.7159)
    a = torch.linspace(0, 3, 3001, dtype=torch.float64)
    bend = f(a).diff().diff()
    assert a[1 + bend.abs().argmax()].item() == pytest.approx(1, abs=0.02)


def test_outputs_are_minus_the_squared_distances_from_the_codes() -> None:
    layer = RBF(10)
    x = torch.randn(5, 84, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), -(torch.cdist(x, layer.codes) ** 2))
    assert layer(layer.codes).argmax(1).tolist() == list(range(10))
    assert layer(layer.codes).diagonal().eq(0).all()


def test_codes_are_fixed_pictures_of_the_digits() -> None:
    network = create("lenet5")
    codes = network.state_dict()["head.output.codes"]
    assert codes.shape == (10, 84)
    assert codes.abs().eq(1).all()
    assert "head.output.codes" not in dict(network.named_parameters())
    lines = ["".join(".#"[int(dot > 0)] for dot in codes[7, i : i + 7]) for i in range(0, 84, 7)]
    assert lines == [row.split()[7] for row in FIGURE_3.splitlines()]
    apart = (codes[:, None] != codes).sum(-1) + 84 * torch.eye(10)
    assert apart.min() >= 8  # 8 and 9 look alike, as the paper wants of what looks alike


def test_codes_beyond_ten_are_random_but_always_the_same() -> None:
    few, many = RBF(3), RBF(47)
    assert torch.equal(few.codes, many.codes[:3])
    assert torch.equal(many.codes, RBF(100).codes[:47])
    assert many.codes.abs().eq(1).all()
    assert many.codes[10:].mean().abs() < 0.1
    assert (many.codes[:, None] != many.codes).any(-1).sum() == 47 * 46  # no two are the same


def test_start_is_uniform_within_the_bound_of_each_units_fan_in() -> None:
    network = create("lenet5", seed=1)
    weights = dict(network.named_parameters())
    fan_ins = {"c1": 25, "s2": 4, "s4": 4, "c5": 400, "head.f6": 120}
    for name, fan_in in fan_ins.items():
        for tensor in network.get_submodule(name).parameters():
            assert tensor.abs().max() <= 2.4 / fan_in
    c5 = weights["c5.weight"]
    assert c5.std().item() == pytest.approx(2.4 / 400 / 3**0.5, rel=0.02)
    assert c5.abs().max().item() == pytest.approx(2.4 / 400, rel=0.01)
    reads = CONNECTED.sum(1)[CONNECTED.nonzero()[:, 0]]  # 3, 4 or 6 maps
    for maps in (3, 4, 6):
        largest = weights["c3.weight"][reads == maps].abs().max().item()
        assert largest == pytest.approx(2.4 / (25 * maps), rel=0.05)
        assert largest <= 2.4 / (25 * maps)


def test_squashing_stands_after_every_layer_up_to_f6() -> None:
    network = create("lenet5")
    kinds = [type(m) for m in (*network[:-1], *network.head)]
    layers = [nn.Conv2d, Subsample, TableConv, Subsample, nn.Conv2d]
    expected = [kind for layer in layers for kind in (layer, Squash)]
    assert kinds == [*expected, nn.Flatten, nn.Linear, Squash, RBF]
