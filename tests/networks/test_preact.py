"""The five orders against Figure 4: operation by operation, and by what follows from each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.peers import equal_logits, equal_step, measured, share_random_weights, slow_but
from torch import Tensor, nn
from torch.nn.functional import relu

from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.preact import ORDERS, STAGES, VARIANTS, preact
from neocog.networks.residual import Residual

# ResNet-110 has the weights and the work of He et al. 2015; 164 is counted by hand from the table
# on the page ("similar complexity", appendix), and is 1.7 M in Table 4. The three whose branch ends
# in a batch norm have three more, in their projections: 2 * (64 + 128 + 256) weights.
COUNTS = {
    **{f"resnet110_{order}_cifar": (1_727_962, 252_887_680) for order in ORDERS},
    "resnet164_original_cifar": (1_704_154, 244_500_992),
    "resnet164_bn_after_cifar": (1_703_258, 244_500_992),
    "resnet164_relu_before_cifar": (1_704_154, 244_500_992),
    "resnet164_relu_pre_cifar": (1_704_154, 244_500_992),
    "resnet164_preact_cifar": (1_703_258, 244_500_992),
}
MAPS = {
    110: [(16, 32), (32, 16), (64, 8)],
    164: [(16, 32), (64, 32), (128, 16), (256, 8)],
}
# Figure 4 from top to bottom: the branch of two layers, and what follows the sum.
FIGURE_4 = {
    "original": ("conv norm relu conv norm", "relu"),
    "bn_after": ("conv norm relu conv", "norm relu"),
    "relu_before": ("conv norm relu conv norm relu", ""),
    "relu_pre": ("relu conv norm relu conv norm", ""),
    "preact": ("norm relu conv norm relu conv", ""),
}
WORDS = {nn.Conv2d: "conv", nn.BatchNorm2d: "norm", nn.ReLU: "relu"}


@pytest.fixture(scope="module", params=ORDERS)
def order(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def nets(order: str) -> dict[int, nn.Sequential]:
    """The nets of 110 and 164 layers of an order, with random weights, in double precision."""
    made = {}
    for depth in STAGES:
        with torch.device("meta"):
            network = preact(order, depth)
        share_random_weights(network, network, seed=depth)
        made[depth] = network.double()
    return made


def test_every_variant_is_counted() -> None:
    assert [variant.name for variant in VARIANTS] == list(COUNTS)


QUICK = ("resnet110_original_cifar", "resnet164_preact_cifar")


@pytest.mark.parametrize("name", slow_but(QUICK, COUNTS))
def test_counts_and_maps_are_the_papers(name: str) -> None:
    assert measured(name) == (COUNTS[name], MAPS[110 if "110" in name else 164])


def test_operations_run_in_the_order_of_figure_4(
    order: str, nets: dict[int, nn.Sequential]
) -> None:
    """Traced, not read: every module of a unit notes when it runs."""
    expected, after = FIGURE_4[order]
    bottleneck = expected.replace("conv norm relu conv", "conv norm relu conv norm relu conv")
    for depth, branch in ((110, expected), (164, bottleneck)):
        unit = nets[depth].stage1[1]
        assert traced(unit, unit.branch) == branch.split()
        assert traced(unit, unit.after) == after.split()
        assert isinstance(unit.shortcut, nn.Identity)


# Figure 4 as formulas: of a unit u with an input x.
FORMULAS: dict[str, Callable[[nn.Sequential, nn.Sequential, Tensor], Tensor]] = {
    "original": lambda b, a, x: relu(x + b.norm2(b.conv2(relu(b.norm1(b.conv1(x)))))),
    "bn_after": lambda b, a, x: relu(a.norm1(x + b.conv2(relu(b.norm1(b.conv1(x)))))),
    "relu_before": lambda b, a, x: x + relu(b.norm2(b.conv2(relu(b.norm1(b.conv1(x)))))),
    "relu_pre": lambda b, a, x: x + b.norm2(b.conv2(relu(b.norm1(b.conv1(relu(x)))))),
    "preact": lambda b, a, x: x + b.conv2(relu(b.norm2(b.conv1(relu(b.norm1(x)))))),
}


def test_a_unit_is_the_formula(order: str, nets: dict[int, nn.Sequential]) -> None:
    unit = nets[110].stage3[4]
    x = torch.randn(2, 64, 5, 5, dtype=torch.float64)
    kept = x.clone()
    torch.testing.assert_close(unit(x), FORMULAS[order](unit.branch, unit.after, x))
    assert torch.equal(x, kept)  # no operation in place reaches the shortcut's input


def test_what_an_order_leaves_of_the_shortcut(order: str, nets: dict[int, nn.Sequential]) -> None:
    """With branches of zero, (c) to (e) hand on any input unchanged; (a) and (b) do not."""
    unit, x = nets[164].stage2[3], torch.randn(2, 128, 4, 4, dtype=torch.float64)
    keeps = unit.branch
    unit.branch = nn.Sequential(nn.Conv2d(128, 128, 1)).double()
    for tensor in unit.branch.parameters():
        nn.init.zeros_(tensor)
    y = unit(x)
    unit.branch = keeps
    assert torch.equal(y, x) == (order in ("relu_before", "relu_pre", "preact"))
    if order == "original":
        assert torch.equal(y, relu(x))
    if order == "bn_after":  # the norm alters what is positive, too
        assert not torch.equal(y, relu(x))


def test_signals_add_up_across_a_stage(order: str, nets: dict[int, nn.Sequential]) -> None:
    """Equation 4: x_L = x_l + the sum of the branches between, if all after the sum is identity."""
    stage = nets[110].stage2[1:]
    added: list[Tensor] = []
    hooks = [u.branch.register_forward_hook(lambda m, x, y: added.append(y)) for u in stage]
    x = torch.randn(2, 32, 4, 4, dtype=torch.float64)
    holds = torch.allclose(stage(x), x + sum(added))
    assert len(added) == 17
    assert holds == (order in ("relu_before", "relu_pre", "preact"))
    never_negative = all((branch >= 0).all() for branch in added)
    assert never_negative == (order == "relu_before")
    for hook in hooks:
        hook.remove()


def test_first_and_last_unit_are_the_appendixs(order: str, nets: dict[int, nn.Sequential]) -> None:
    begin = {"relu_pre": ["relu"], "preact": ["norm", "relu"]}.get(order, [])
    for network in nets.values():
        names = [name for name, _ in network.named_children()]
        stages = ["stage1", "stage2", "stage3"]
        last = ["last"] if begin else []
        assert names == ["conv1", "norm1", "relu1", *stages, *last, "head"]
        assert [words(m) for m in network[6:-1]] == ([begin] if begin else [])
        first, second = network.stage1[:2]
        unit = next(m for m in first.modules() if isinstance(m, Residual))
        assert words(unit.branch) == words(second.branch)[len(begin) :]


def test_projections_read_what_the_branch_reads(order: str, nets: dict[int, nn.Sequential]) -> None:
    """Appendix: of the bottleneck nets, projections, "also with pre-activation"."""
    begin = {"relu_pre": ["relu"], "preact": ["norm", "relu"]}.get(order, [])
    for stage in (nets[164].stage2, nets[164].stage3):
        assert words(stage[0].begin) == begin
        unit = stage[0].unit
        branch_ends_in_norm = order not in ("bn_after", "preact")
        assert words(unit.shortcut) == ["conv", "norm"][: 1 + branch_ends_in_norm]
        strides = [m.stride[0] for m in unit.branch if isinstance(m, nn.Conv2d)]
        assert (unit.shortcut.conv1.stride[0], strides) == (2, [2, 1, 1])
    for stage in (nets[110].stage2, nets[110].stage3):
        assert not list(stage[0].shortcut.parameters())


def test_the_original_order_is_resnet110() -> None:
    with torch.device("meta"):
        peer, ours = create("resnet110_cifar"), create("resnet110_original_cifar")
    share_random_weights(peer, ours, seed=4)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    equal_logits(peer, ours, x)
    equal_step(peer, ours, x)


def test_unknown_orders_and_depths_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no order is called 'pre_act'; did you mean.*preact"):
        preact("pre_act", 110)
    with pytest.raises(UsageError, match="depth must be 110 or 164; 56 was given"):
        preact("preact", 56)


def words(chain: nn.Module) -> list[str]:
    return [WORDS[type(m)] for m in chain.children()]


def traced(unit: nn.Module, part: nn.Sequential) -> list[str]:
    ran: list[str] = []
    hooks = [
        m.register_forward_hook(lambda m, x, y: ran.append(WORDS[type(m)])) for m in part.children()
    ]
    channels = next(m for m in unit.modules() if isinstance(m, nn.Conv2d)).in_channels
    unit(torch.randn(1, channels, 4, 4, dtype=torch.float64))
    for hook in hooks:
        hook.remove()
    return ran
