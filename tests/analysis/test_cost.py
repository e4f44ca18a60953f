"""Costs of layers against numbers worked out by hand, on networks of ours and of others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.analysis.cost import Layer
from neocog.errors import UsageError
from neocog.networks import create


def test_layers_of_a_small_network() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.Sequential(nn.Conv2d(8, 4, (1, 3), groups=2), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(4 * 4 * 2, 5),
    )
    assert cost.layers(network, (3, 8, 8)) == [
        Layer("0", "Conv2d", (8, 4, 4), 8 * 3 * 9, 8 * 3 * 9 * 16),
        Layer("1", "BatchNorm2d", (8, 4, 4), 16, 0),
        Layer("2.0", "Conv2d", (4, 4, 2), 4 * 4 * 3 + 4, 4 * 4 * 3 * 8),
        Layer("2.1", "ReLU", (4, 4, 2), 0, 0),
        Layer("3", "Flatten", (32,), 0, 0),
        Layer("4", "Linear", (5,), 32 * 5 + 5, 32 * 5),
    ]


def test_transposed_convolution_counts_from_its_input() -> None:
    network = nn.Sequential(nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2))
    (layer,) = cost.layers(network, (6, 5, 5))
    assert layer.output == (4, 11, 11)
    assert layer.multiply_adds == 6 * 25 * 9 * 2


def test_dense_layers_count_every_position_they_are_run_at() -> None:
    (layer,) = cost.layers(nn.Sequential(nn.Linear(7, 5)), (2, 3, 7))
    assert layer.multiply_adds == 2 * 3 * 7 * 5


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.conv(self.conv(x))


def test_a_layer_that_runs_twice_has_its_weights_once() -> None:
    table = cost.layers(Shared(), (3, 2, 2))
    assert [(layer.name, layer.parameters, layer.multiply_adds) for layer in table] == [
        ("conv", 12, 36),
        ("conv", 0, 36),
        ("", 1, 0),  # what the module holds itself
    ]


def test_a_module_may_count_for_itself_and_is_then_one_layer() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) @ self.inner.weight

        def multiply_adds(self, output: tuple[int, ...]) -> int:
            return 1000 + output[-1]

    nest = nn.Sequential(nn.ReLU(), Counted())
    layer = cost.layers(nest, (1, 3, 4))[-1]
    assert layer == Layer("1", "Counted", (1, 3, 4), 20, 1004)
    assert cost.layers(Counted(), (1, 3, 4)) == [Layer("", "Counted", (1, 3, 4), 20, 1004)]


def test_the_network_is_left_alone() -> None:
    network = create("alexnet_cifar", seed=0).train()
    network.norm1.eval()  # a mode of its own is kept, too
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    cost.layers(network, (3, 32, 32))
    assert modes == [module.training for module in network.modules()]
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    assert all(tensor.requires_grad for tensor in network.parameters())


def test_half_precision_and_tensors_kept_as_attributes_go_along() -> None:
    class Centred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean = torch.full((3, 1, 1), 0.5, dtype=torch.bfloat16)
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            noise = torch.zeros(1, dtype=x.dtype)  # made on the way
            return self.conv(x - self.mean + noise)

    (layer,) = cost.layers(Centred().bfloat16(), (3, 5, 5))
    assert layer.output == (2, 3, 3)


def test_a_network_that_looks_at_its_data_is_named_with_the_layer() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    network = nn.Sequential(nn.Conv2d(1, 1, 3), Branching(), nn.ReLU())
    with pytest.raises(
        UsageError, match=r"Sequential cannot be followed beyond layer '1'.*not seen: 1, 2"
    ):
        cost.layers(network, (1, 8, 8))
    seen = cost.table(network, (1, 8, 8))
    assert [layer.name for layer in seen.layers] == ["0"]
    assert seen.unseen == ["1", "2"]
    assert seen.why is not None


def test_a_picture_that_does_not_fit_is_named_with_the_layer() -> None:
    with pytest.raises(UsageError, match=r"layer 'head.fc3'.*input of \(1, 32, 32\)"):
        cost.layers(create("lenet_relu"), (1, 32, 32))


def test_lazy_layers_and_what_cannot_be_copied_are_said() -> None:
    with pytest.raises(UsageError, match="lazy"):
        cost.layers(nn.Sequential(nn.LazyLinear(3)), (1, 2, 2))
    network = nn.Sequential(nn.ReLU())
    network.stream = (i for i in range(3))
    with pytest.raises(UsageError, match="cannot be copied"):
        cost.layers(network, (1, 2, 2))


def test_layers_with_several_outputs_are_shown_by_the_first() -> None:
    network = nn.Sequential(nn.Flatten(2), nn.LSTM(4, 3, batch_first=True))
    table = cost.layers(network, (5, 2, 2))
    assert [(layer.kind, layer.output) for layer in table] == [
        ("Flatten", (5, 4)),
        ("LSTM", (5, 3)),
    ]


@pytest.mark.parametrize(
    ("name", "channels", "smallest"),
    [
        ("lenet5", 1, 32),
        ("lenet_sigmoid", 1, 28),
        ("alexnet", 3, 227),
        ("alexnet_owt", 3, 63),  # torchvision's own figure
        ("vgg11", 3, 32),  # torchvision's own figure
        ("vgg_cifar", 3, 32),
    ],
)
def test_smallest_size(name: str, channels: int, smallest: int) -> None:
    with torch.device("meta"):
        network = create(name)
    assert cost.smallest_size(network, channels) == (smallest, smallest)
    assert cost.takes(network, (channels, smallest, smallest))
    assert not cost.takes(network, (channels, smallest - 1, smallest - 1))
    assert not cost.takes(network, (channels + 1, smallest, smallest))


def test_smallest_size_may_not_exist() -> None:
    assert cost.smallest_size(create("lenet_relu"), 3, largest=64) is None


def test_what_takes_says_is_so() -> None:
    network = create("lenet_mxnet")
    for side in range(20, 40):
        try:
            network(torch.zeros(1, 1, side, side))
            fits = True
        except RuntimeError:
            fits = False
        assert cost.takes(network, (1, side, side)) == fits


def test_functions_without_a_module_are_seen() -> None:

    class Functional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, torch.zeros(1, 1, 3, 3, device=x.device))

    (layer,) = cost.layers(Functional(), (1, 5, 5))
    assert (layer.output, layer.multiply_adds) == ((1, 3, 3), 81)
