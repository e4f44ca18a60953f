"""A network that slides says at its own input what it said before, and elsewhere the same."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from tests.peers import settle, slow_but
from torch import Tensor, nn

from neocog.engine.dense import convolutional, slid
from neocog.errors import UsageError
from neocog.networks import NETWORKS, create, vgg

QUICK = (
    "lenet5",
    "lenet_sigmoid",
    "lenet_relu",
    "lenet_mxnet",
    "lenet_cifar",
    "alexnet_cifar",
    "nin_cifar",
    "inception10_cifar",
    "baseline_cifar",
    "resnet20_cifar",
    "fast_cifar",
    "fast_mnist",
)
LARGER = 1.5  # times its own input


def larger(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    return shape[0], round(LARGER * shape[1]), round(LARGER * shape[2])


@pytest.mark.parametrize("name", slow_but(QUICK, NETWORKS))
def test_a_network_of_ours_slides_and_says_the_same_at_its_own_input(name: str) -> None:
    shape = NETWORKS[name].input
    network = create(name, num_classes=7, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        settle(network, torch.randn(4, *shape, generator=generator))
        made = slid(network, shape)
        pictures = torch.randn(2, *shape, generator=generator)
        said, wanted = made(pictures), network(pictures)
        assert said.shape == (2, 7, 1, 1)
        assert (said[:, :, 0, 0] - wanted).abs().max() <= 1e-4 * wanted.abs().max()
        assert made(torch.randn(2, *larger(shape), generator=generator)).shape[:2] == (2, 7)


SHAPED = ("alexnet", "alexnet_owt", "zfnet", "overfeat_fast", "vgg11", "googlenet", "resnet18")


@pytest.mark.parametrize("name", SHAPED)
def test_every_family_slides_without_a_number(name: str) -> None:
    """Without numbers, for those whose dense layers alone take a second to draw."""
    shape = NETWORKS[name].input
    with torch.device("meta"):
        made = convolutional(create(name), shape)
        assert made(torch.empty(1, *shape)).shape == (1, 1000, 1, 1)
        height, width = made(torch.empty(1, *larger(shape))).shape[2:]
    places = {"alexnet": 4, "alexnet_owt": 4, "zfnet": 5, "overfeat_fast": 4, "vgg11": 4}
    assert (height, width) == (places.get(name, 1),) * 2


def with_head(*layers: nn.Module) -> nn.Sequential:
    """A convolution that pads nothing and halves nothing, then a head."""
    torch.manual_seed(0)
    names = (str(number) for number in range(len(layers)))
    head = nn.Sequential(OrderedDict(zip(names, layers, strict=True)))
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), relu=nn.ReLU(), head=head)).eval()


def at_every_place(network: nn.Module, picture: Tensor, side: int) -> Tensor:
    windows = picture.unfold(2, side, 1).unfold(3, side, 1)
    rows = [[network(windows[:, :, i, j]) for j in range(windows.shape[3])]
            for i in range(windows.shape[2])]  # fmt: skip
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Flatten(), nn.Linear(4 * 8 * 8, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 5)),
        (nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(4 * 4 * 4, 5)),
        (nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Dropout(), nn.Linear(4 * 3 * 3, 5)),
        (nn.AdaptiveAvgPool2d(11), nn.Flatten(), nn.Linear(4 * 11 * 11, 9), nn.Linear(9, 5)),
        (nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 5, bias=False)),
        (nn.Flatten(), nn.Linear(4 * 8 * 8, 9), nn.BatchNorm1d(9), nn.Linear(9, 5)),
    ],
    ids=["dense", "pool that divides", "pool that does not", "pool that spreads", "max", "rows"],
)
def test_a_head_slides_as_the_network_moved_by_hand(layers: tuple[nn.Module, ...]) -> None:
    network = with_head(*layers)
    picture = torch.randn(2, 3, 12, 13)
    with torch.no_grad():
        said = slid(network, (3, 10, 10))(picture)
        assert said.shape == (2, 5, 3, 4)
        torch.testing.assert_close(said, at_every_place(network, picture, 10))


def test_a_mean_over_all_places_stays_one() -> None:
    network = with_head(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    picture = torch.randn(2, 3, 12, 13)
    with torch.no_grad():
        said = slid(network, (3, 10, 10))(picture)
        torch.testing.assert_close(said[:, :, 0, 0], network(picture))


@pytest.mark.parametrize("map_size", [3, 7])
def test_a_vgg_of_other_stages_slides(map_size: int) -> None:
    network = vgg(((1, 4), (1, 8)), num_classes=5, hidden=16, map_size=map_size)
    assert slid(network, (3, 32, 32))(torch.randn(1, 3, 40, 32)).shape == (1, 5, 3, 1)


def test_weights_are_shared_and_nothing_is_drawn() -> None:
    network = create("lenet_relu", seed=0)
    torch.manual_seed(5)
    made = slid(network, (1, 28, 28))
    assert torch.initial_seed() == 5
    assert torch.equal(torch.rand(3), torch.Generator().manual_seed(5) and _rand(5))
    assert made.head.fc3.weight.data_ptr() == network.head.fc3.weight.data_ptr()  # type: ignore[union-attr]


def _rand(seed: int) -> Tensor:
    return torch.rand(3, generator=torch.Generator().manual_seed(seed))


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).mean((2, 3))


@pytest.mark.parametrize(
    ("network", "what"),
    [
        (Own(), "this Own cannot be slid .* no nn.Sequential"),
        (nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten()), "of which the last is `head`"),
        (nn.Sequential(OrderedDict(head=nn.Sequential(Own()), end=nn.ReLU())), "not its last"),
        (with_head(nn.AdaptiveAvgPool2d(2), nn.Flatten()), "no dense layer follows"),
        (with_head(nn.AdaptiveAvgPool2d(2), nn.ReLU(), nn.Sigmoid(), nn.Flatten(),
                   nn.Linear(16, 5)), "apart"),
        (with_head(nn.Flatten(), nn.LayerNorm(256), nn.Linear(256, 5)), "cannot be slid"),
        (with_head(nn.Flatten(), nn.Linear(16, 5)), "cannot be slid"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_slide_is_refused(network: nn.Module, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        slid(network, (3, 10, 10))
