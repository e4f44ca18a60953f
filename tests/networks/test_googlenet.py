"""GoogLeNet against Table 1 of its paper, and the form with batch norm against torchvision."""

from __future__ import annotations

import copy
from types import ModuleType

import pytest
import torch
from tests.peers import share_random_weights
from torch import nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.networks import create
from neocog.networks.auxiliary import WithAuxiliary
from neocog.networks.googlenet import TABLE_1, googlenet
from neocog.networks.googlenet_bn import googlenet_bn

# Table 1, row by row: the map, channels, weights in units of 1024, multiply-adds in millions.
ROWS = {
    "conv1": (112, 64, 2.7, 34),
    "conv2": (56, 192, 112, 360),
    "inception3a": (28, 256, 159, 128),
    "inception3b": (28, 480, 380, 304),
    "inception4a": (14, 512, 364, 73),
    "inception4b": (14, 512, 437, 88),
    "inception4c": (14, 512, 463, 100),
    "inception4d": (14, 528, 580, 119),
    "inception4e": (14, 832, 840, 170),
    "inception5a": (7, 832, 1072, 54),
    "inception5b": (7, 1024, 1388, 71),
}
# Rows that do not follow from their own widths, and what does.
ODD_WEIGHTS = {"conv1": 9.1875, "inception4c": 497.5, "inception5a": 1018}
ODD_WORK = {"conv1": 118.0, "inception5a": 51.08}


@pytest.fixture(scope="module")
def bare() -> WithAuxiliary:
    """Without numbers."""
    with torch.device("meta"):
        return googlenet()


def test_maps_are_table_1s(bare: WithAuxiliary) -> None:
    x = torch.empty(2, 3, 224, 224, device="meta")
    shapes = {}
    for name, stage in bare[:].named_children():
        x = stage(x)
        shapes[name] = x.shape[1:]
    for name, (side, channels, _, _) in ROWS.items():
        assert shapes[name] == (channels, side, side), name
    sides = [shapes[f"pool{i}"][-1] for i in range(1, 5)]
    assert sides == [56, 28, 14, 7]
    assert shapes["head"] == (1000,)


def test_weights_and_work_of_each_row_are_table_1s(bare: WithAuxiliary) -> None:
    """Within the 2.5 % to which the table is right, but for the rows that are odd."""
    table = [layer for layer in cost.layers(bare, (3, 224, 224)) if layer.multiply_adds]
    weights, work = dict.fromkeys(ROWS, 0.0), dict.fromkeys(ROWS, 0.0)
    for layer in table[:-1]:
        stage = layer.name.split(".")[0].replace("reduce2", "conv2")
        weights[stage] += (layer.parameters - layer.output[0]) / 1024  # the table omits biases
        work[stage] += layer.multiply_adds / 1e6
    for name, (_, _, thousands, millions) in ROWS.items():
        wanted = ODD_WEIGHTS.get(name, thousands)
        assert weights[name] == pytest.approx(wanted, rel=0.025), name
        assert work[name] == pytest.approx(ODD_WORK.get(name, millions), rel=0.01), name
    assert table[-1].multiply_adds == 1_024_000
    # What conv1's row counts: a 1x7 and a 7x1 of 64 from 3 each, on 112x112.
    factored = (1 * 7 + 7 * 1) * 3 * 64
    assert factored / 1000 == pytest.approx(2.7, rel=0.01)
    assert factored * 112**2 / 1e6 == pytest.approx(34, rel=0.01)


@pytest.mark.parametrize(
    ("name", "main", "auxiliary", "work"),
    [
        ("googlenet", 6_998_552, 6_379_728, 1_582_671_872),  # Caffe's bvlc_googlenet: 6,998,552
        ("googlenet_bn", 6_624_904, 6_379_984, 1_498_376_192),  # torchvision: 6,624,904; 1.498 G
    ],
)
def test_totals(name: str, main: int, auxiliary: int, work: int) -> None:
    with torch.device("meta"):
        network = create(name)
    table = cost.layers(network, (3, 224, 224))
    assert sum(layer.parameters for layer in table) == main
    assert sum(layer.multiply_adds for layer in table) == work
    assert sum(w.numel() for w in network.auxiliary.parameters()) == auxiliary
    assert sum(w.numel() for w in network.parameters()) == main + auxiliary


def test_module_is_figure_2b() -> None:
    """The branches by torch's functions, a ReLU after each convolution, in the table's order."""
    network = create("googlenet", num_classes=2, seed=0).eval()
    weights = dict(network.inception3a.named_parameters())

    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        weight = weights[f"{name}.conv.weight"]
        return F.relu(F.conv2d(x, weight, weights[f"{name}.conv.bias"], padding="same"))

    x = torch.randn(2, 192, 9, 9)
    with torch.no_grad():
        one = conv("one", x)
        three = conv("three.1", conv("three.0", x))
        five = conv("five.1", conv("five.0", x))
        pooled = conv("pool.1", F.max_pool2d(x, 3, stride=1, padding=1))
        made = network.inception3a(x)
    assert weights["five.1.conv.weight"].shape == (32, 16, 5, 5)
    assert [part.shape[1] for part in (one, three, five, pooled)] == [64, 128, 32, 32]
    torch.testing.assert_close(made, torch.cat([one, three, five, pooled], dim=1))


def test_stages_are_named_and_ordered_as_figure_3(bare: WithAuxiliary) -> None:
    before = ["conv1", "pool1", "norm1", "reduce2", "conv2", "norm2", "pool2"]
    inceptions = [name for name in TABLE_1 if name < "inception4"]
    names = [name for name, _ in bare[:].named_children()]
    assert names[:10] == [*before, *inceptions, "pool3"]
    assert names[-4:] == ["pool4", "inception5a", "inception5b", "head"]
    a = torch.randn(1, 7, 2, 2) * 50
    terms = F.pad(a.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
    torch.testing.assert_close(bare.norm1(a), a / (1 + 1e-4 / 5 * terms) ** 0.75)


def test_auxiliary_heads_are_section_5s(bare: WithAuxiliary) -> None:
    assert list(bare.auxiliary) == ["inception4a", "inception4d"]
    assert bare.auxiliary_weight == 0.3
    for name, channels in (("inception4a", 512), ("inception4d", 528)):
        head = bare.auxiliary[name]
        maps = torch.rand(1, channels, 14, 14)
        assert torch.equal(head.pool(maps), F.avg_pool2d(maps, 5, 3))  # 4x4 of each
        convolution = head.conv.conv
        assert (convolution.in_channels, convolution.out_channels) == (channels, 128)
        assert (head.fc.in_features, head.fc.out_features) == (2048, 1024)
        assert head.dropout.p == 0.7
    assert bare.head.dropout.p == 0.4


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
@pytest.mark.parametrize("side", [31, 64, 225, 320])
def test_heads_take_other_sizes(name: str, side: int) -> None:
    with torch.device("meta"):
        network = create(name, num_classes=7)
        logits = network.training_logits(torch.empty(2, 3, side, side))
    assert [(weight, scores.shape) for weight, scores in logits] == [
        (1.0, (2, 7)),
        (0.3, (2, 7)),
        (0.3, (2, 7)),
    ]


def test_start_is_caffes() -> None:
    network = create("googlenet", num_classes=50, seed=0)
    for name, tensor in network.named_parameters():
        if name.endswith("bias"):
            assert tensor.eq(0.0 if "classifier" in name else 0.2).all(), name
        elif tensor.numel() > 50_000:
            bound = (3 / tensor[0].numel()) ** 0.5
            assert tensor.abs().max() <= bound
            assert tensor.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_form_with_batch_norm_starts_as_torchvisions() -> None:
    network = googlenet_bn(num_classes=10)
    for name, tensor in network.named_parameters():
        if tensor.dim() > 1 and tensor.numel() > 50_000:
            assert tensor.std().item() == pytest.approx(0.01, rel=0.02), name
    assert network.head.classifier.bias.any()  # torch's own


@pytest.fixture(scope="module")
def pair(torchvision_models: ModuleType) -> tuple[nn.Module, WithAuxiliary]:
    with torch.device("meta"):
        peer = torchvision_models.googlenet(num_classes=10, aux_logits=True, init_weights=False)
        ours = googlenet_bn(num_classes=10)
    for name in ("fc", "aux1", "aux2"):  # into our order, by which weights are matched
        peer._modules[name] = peer._modules.pop(name)
    share_random_weights(peer, ours, seed=1)
    return peer, ours


@pytest.mark.parametrize("size", [15, 64, 224])
def test_form_with_batch_norm_equals_torchvisions(
    pair: tuple[nn.Module, WithAuxiliary], size: int
) -> None:
    peer, ours = pair
    x = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        logits = ours(x)
        torch.testing.assert_close(logits, peer(x), rtol=1e-4, atol=1e-5)
    assert logits.std() > 0.01


def test_training_step_equals_torchvisions(pair: tuple[nn.Module, WithAuxiliary]) -> None:
    """Auxiliary logits, loss, and all weights and statistics after a step, dropout on."""
    peer, ours = (copy.deepcopy(network).train() for network in pair)  # which share weights
    x, labels = torch.randn(4, 3, 96, 96), torch.arange(4)
    torch.manual_seed(3)
    main, second, first = peer(x)
    torch.manual_seed(3)
    logits = ours.training_logits(x)
    assert [weight for weight, _ in logits] == [1.0, 0.3, 0.3]
    for (_, own), theirs in zip(logits, (main, first, second), strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-5)
    loss = sum(weight * F.cross_entropy(scores, labels) for weight, scores in logits)
    others = F.cross_entropy(main, labels) + 0.3 * (
        F.cross_entropy(first, labels) + F.cross_entropy(second, labels)
    )
    torch.testing.assert_close(loss, others, rtol=1e-4, atol=0)
    for network, value in ((ours, loss), (peer, others)):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        value.backward()
        optimizer.step()
    for own, theirs in zip(ours.state_dict().values(), peer.state_dict().values(), strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-5)
