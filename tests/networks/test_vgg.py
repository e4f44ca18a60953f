"""VGG against torchvision, and the public `vgg` against what people may hand it."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_step, share_random_weights, slow_but
from torch import nn

from neocog.errors import UsageError
from neocog.networks import create, vgg

BOOK = ((1, 16), (1, 32), (2, 64), (2, 128), (2, 128))


@pytest.mark.parametrize(
    ("name", "size"),
    [(f"vgg{depth}{bn}", 64) for bn in ("", "_bn") for depth in (11, 13, 16, 19)]
    + [("vgg11", 224)],
)
def test_equals_torchvisions(torchvision_models: ModuleType, name: str, size: int) -> None:
    with torch.device("meta"):
        peer = getattr(torchvision_models, name)(num_classes=10)
        ours = create(name, num_classes=10)
    share_random_weights(peer, ours, seed=size)
    x = torch.randn(1, 3, size, size)  # of 64 px, 2x2 is left, which both spread to 7x7
    with torch.inference_mode():
        logits = ours(x)
        assert torch.equal(logits, peer(x))
    assert logits.isfinite().all()
    assert logits.std() > 0.01


@pytest.mark.parametrize(
    "name", slow_but((), [f"vgg{depth}{bn}" for bn in ("", "_bn") for depth in (11, 13, 16, 19)])
)
def test_learns_as_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    with torch.device("meta"):
        peer = getattr(torchvision_models, name)(num_classes=10)
        ours = create(name, num_classes=10)
    share_random_weights(peer, ours, seed=7)
    equal_step(peer, ours, torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)))


def test_start_is_xavier_with_biases_zero() -> None:
    network = create("vgg_book", seed=0)
    weights = dict(network.named_parameters())
    for name, (fan_in, fan_out) in {
        "stage4.0.weight": (64 * 9, 128 * 9),
        "head.fc7.weight": (4096, 4096),
    }.items():
        bound = (6 / (fan_in + fan_out)) ** 0.5
        assert weights[name].abs().max() <= bound
        assert weights[name].std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert all(not tensor.any() for name, tensor in weights.items() if name.endswith("bias"))


def test_stages_are_named_and_head_is_last() -> None:
    with torch.device("meta"):
        network = vgg(BOOK, num_classes=10, in_channels=1)
    assert [n for n, _ in network.named_children()] == [f"stage{i}" for i in range(1, 6)] + ["head"]
    assert [len(stage) for stage in network[:-1]] == [3, 3, 5, 5, 5]


def test_the_books_arch_is_the_books_network() -> None:
    """Dive into Deep Learning, section 8.2, with dense layers of 6272 = 128 x 7 x 7 inputs."""
    with torch.device("meta"):
        network = vgg(BOOK, num_classes=10, in_channels=1)
        named = create("vgg_book")
    assert [t.shape for t in network.parameters()] == [t.shape for t in named.parameters()]
    assert network.head.fc6.in_features == 6272
    assert network(torch.empty(2, 1, 224, 224, device="meta")).shape == (2, 10)


def test_any_stages_run() -> None:
    torch.manual_seed(0)
    network = vgg([[1, 4], [2, 6]], num_classes=3, in_channels=2, hidden=8, map_size=2)
    x = torch.randn(2, 2, 9, 9)
    assert network(x).shape == (2, 3)
    network(x).sum().backward()
    assert network.stage1[0].weight.grad.any()


def test_cifar_form_drops_after_each_pool() -> None:
    with torch.device("meta"):
        network = create("vgg_cifar")
    names = [name for name, _ in network.named_children()]
    assert names == [f"{k}{i}" for i in range(1, 6) for k in ("stage", "dropout")] + ["head"]
    dropouts = [m for m in network.modules() if isinstance(m, nn.Dropout)]
    assert [m.p for m in dropouts] == [0.2] * 7
    assert network.stage1[0].bias is not None
    assert [m.out_features for m in network.head if isinstance(m, nn.Linear)] == [512, 512, 10]


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        ((), "there is none"),
        ([], "there is none"),
        (((0, 64),), "the convolutions of stage 1 must be"),
        (((1, 64), (2, -128)), "the channels of stage 2 must be"),
        (((1, 64), (2, 1.5)), "the channels of stage 2 must be"),
        (((1, 64, 3),), "not every stage is a pair"),
        ((1, 64), "not every stage is a pair"),
        (((1,), (2, 3)), "not every stage is a pair"),
        (5, "not every stage is a pair"),
        (None, "not every stage is a pair"),
        (("ab",), "the convolutions of stage 1 must be"),
    ],
)
def test_bad_stages_are_refused_with_right_ones(stages: object, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        vgg(stages)  # type: ignore[arg-type]
    message = str(caught.value)
    assert reason in message
    assert repr(stages) in message
    assert "((1, 64), (2, 128))" in message


@pytest.mark.parametrize("what", ["num_classes", "in_channels", "hidden", "map_size"])
def test_bad_numbers_are_refused_by_name(what: str) -> None:
    with pytest.raises(UsageError, match=f"{what} must be a whole number of at least 1; 0"):
        vgg(BOOK, **{what: 0})
