"""The door: names, counts, seeds, and what holds for every network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from neocog import networks
from neocog.analysis import cost
from neocog.errors import UsageError
from neocog.networks import NETWORKS, Made, create, find, how_made

PAGES = Path(networks.__file__).parent
SMALL = ["lenet5", "lenet_sigmoid", "lenet_relu", "lenet_mxnet", "lenet_cifar", "alexnet_cifar"]

# (weights, multiply-adds of one picture at the paper's input). lenet5: section II.B of 1998. The
# courses' and torchvision's networks: their own figures (0.714, 7.609, 11.308, 15.470, 19.632 G).
# The rest: counted by hand from the tables on the pages.
COUNTS = {
    "lenet5": (60_000, 332_824),
    "lenet_sigmoid": (61_706, 416_520),
    "lenet_relu": (61_706, 416_520),
    "lenet_mxnet": (431_080, 2_293_000),
    "lenet_cifar": (62_006, 651_720),
    "alexnet": (60_965_224, 724_406_816),
    "alexnet_owt": (61_100_840, 714_188_480),
    "alexnet_book": (46_764_746, 938_146_176),
    "alexnet_cifar": (9_638_474, 117_909_632),
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "vgg11_bn": (132_868_840, 7_609_090_048),
    "vgg13_bn": (133_053_736, 11_308_466_176),
    "vgg16_bn": (138_365_992, 15_470_264_320),
    "vgg19_bn": (143_678_248, 19_632_062_464),
    "vgg_cifar": (15_253_578, 313_725_952),
    "vgg_book": (43_093_322, 512_155_648),
}
# Of each stage of maps, in order: channels and side.
ALEXNET_MAPS = [(96, 27), (256, 13), (384, 13), (384, 13), (256, 6)]
VGG_MAPS = [(64, 112), (128, 56), (256, 28), (512, 14), (512, 7)]
MAPS = {
    "lenet5": [(6, 28), (6, 14), (16, 10), (16, 5), (120, 1)],
    "lenet_sigmoid": [(6, 28), (6, 14), (16, 10), (16, 5)],
    "lenet_relu": [(6, 28), (6, 14), (16, 10), (16, 5)],
    "lenet_mxnet": [(20, 24), (20, 12), (50, 8), (50, 4)],
    "lenet_cifar": [(6, 28), (6, 14), (16, 10), (16, 5)],
    "alexnet": [(96, 55), (96, 27), (256, 27), (256, 13), (384, 13), (256, 13), (256, 6)],
    "alexnet_owt": [(64, 55), (64, 27), (192, 27), (192, 13), (384, 13), (256, 13), (256, 6)],
    "alexnet_book": [(96, 54), (96, 26), (256, 26), (256, 12), (384, 12), (256, 12), (256, 5)],
    "alexnet_cifar": [(96, 30), (96, 14), (256, 12), (256, 5), (384, 5), (256, 5), (256, 2)],
    **{f"vgg{n}{bn}": VGG_MAPS for n in (11, 13, 16, 19) for bn in ("", "_bn")},
    "vgg_cifar": [(64, 16), (128, 8), (256, 4), (512, 2), (512, 1)],
    "vgg_book": [(16, 112), (32, 56), (64, 28), (128, 14), (128, 7)],
}


def on_meta(name: str, **options: int) -> nn.Sequential:
    with torch.device("meta"):
        return create(name, **options)


@pytest.mark.parametrize("name", COUNTS)
def test_weights_and_multiply_adds_are_the_papers(name: str) -> None:
    network = on_meta(name)
    table = cost.layers(network, NETWORKS[name].input)
    weights = sum(tensor.numel() for tensor in network.parameters())
    assert (weights, sum(layer.multiply_adds for layer in table)) == COUNTS[name]
    assert sum(layer.parameters for layer in table) == weights


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_the_papers(name: str) -> None:
    network = on_meta(name).eval()
    x = torch.empty(2, *NETWORKS[name].input, device="meta")
    seen: list[tuple[int, int]] = []
    for stage in network[:-1]:
        x = stage(x)
        assert x.shape[2] == x.shape[3]
        if not seen or seen[-1] != (x.shape[1], x.shape[2]):
            seen.append((x.shape[1], x.shape[2]))
    assert seen == MAPS[name]
    assert network.head(x).shape == (2, NETWORKS[name].num_classes)


@pytest.mark.parametrize("name", COUNTS)
def test_takes_other_classes_and_channels(name: str) -> None:
    network = on_meta(name, num_classes=7, in_channels=2).eval()
    x = torch.empty(3, 2, *NETWORKS[name].input[1:], device="meta")
    assert network(x).shape == (3, 7)
    assert how_made(network) == Made(name, 7, 2, (2, *NETWORKS[name].input[1:]))


@pytest.mark.parametrize("name", COUNTS)
def test_a_state_dict_made_again_loads_strictly(name: str) -> None:
    made = how_made(on_meta(name, num_classes=12))
    assert made is not None
    again = on_meta(made.name, num_classes=made.num_classes, in_channels=made.in_channels)
    again.load_state_dict(on_meta(name, num_classes=12).state_dict(), strict=True, assign=True)


@pytest.mark.parametrize("name", SMALL)
def test_learns(name: str) -> None:
    """Gradients reach every weight, and following them lowers the loss."""
    network = create(name, num_classes=10, seed=0).train()
    x = torch.randn(8, *NETWORKS[name].input, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of dropout
        before = nn.functional.cross_entropy(network(x), labels)
        before.backward()
    gradients = {name: weight.grad for name, weight in network.named_parameters()}
    assert all(g is not None and g.isfinite().all() and g.any() for g in gradients.values())
    with torch.no_grad():
        for weight in network.parameters():
            assert weight.grad is not None
            weight -= 1e-3 * weight.grad
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert nn.functional.cross_entropy(network(x), labels) < before


@pytest.mark.parametrize("name", ["lenet5", "lenet_relu", "lenet_mxnet", "alexnet_cifar"])
def test_a_seed_decides_the_weights_and_nothing_else(name: str) -> None:
    state = torch.get_rng_state()
    first, second, other = (create(name, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_without_a_seed_torchs_generator_decides() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        drawn = create("lenet_relu").state_dict()
    seeded = create("lenet_relu", seed=3).state_dict()
    assert all(torch.equal(drawn[key], seeded[key]) for key in drawn)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("LeNet-5", "lenet5"),
        ("vgg16-bn", "vgg16_bn"),
        ("VGG16_BN", "vgg16_bn"),
        ("VGG-16", "vgg16"),
        ("AlexNet OWT", "alexnet_owt"),
    ],
)
def test_names_are_forgiving(given: str, meant: str) -> None:
    assert find(given) is NETWORKS[meant]


def test_no_two_names_are_one() -> None:
    assert [find(name).name for name in NETWORKS] == list(NETWORKS)


@pytest.mark.parametrize(
    ("given", "offered"), [("alexnt", "alexnet"), ("vgg-17", "vgg1"), ("lenet55", "lenet5")]
)
def test_an_unknown_name_is_answered_with_near_ones(given: str, offered: str) -> None:
    with pytest.raises(
        UsageError, match=f"no network is called '{given}'; did you mean.*{offered}"
    ):
        create(given)


@pytest.mark.parametrize("value", [0, -3, 2.0, True, "10"])
@pytest.mark.parametrize("what", ["num_classes", "in_channels"])
def test_what_cannot_count_is_refused(what: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{what} must be a whole number of at least 1; {value!r}"):
        create("lenet_relu", **{what: value})  # type: ignore[arg-type]


def test_a_foreign_network_was_not_made_here() -> None:
    assert how_made(nn.Linear(2, 2)) is None


def test_every_variant_is_described() -> None:
    for name, variant in NETWORKS.items():
        assert variant.name == name
        assert 1998 <= variant.year <= 2026
        assert variant.paper
        assert variant.about
        assert "\n" not in variant.about


def test_pages_are_short_and_carry_their_card() -> None:
    for page in sorted(PAGES.glob("*.py")):
        text = page.read_text(encoding="utf-8")
        assert len(text.splitlines()) < (80 if page.name == "parts.py" else 150), page.name
        if "VARIANTS = (" in text:
            assert all(word in text for word in ("\nPaper  ", "\nIdea   ", "\nUnlike the paper\n"))


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("ResNet-20", "resnet20_cifar"),
        ("VGG16-BN", "vgg16_bn"),
        ("Wide ResNet 28-10", "wrn28_10_cifar"),
        ("mobilenetv2_100", "mobilenet_v2"),
        ("MobileNet", "mobilenet_v1"),
        ("squeezenet1.1", "squeezenet1_1"),
        ("tv_resnet50", "resnet50"),
        ("googlenet", "googlenet"),
    ],
)
def test_other_peoples_spellings_are_understood(spelling: str, name: str) -> None:
    assert find(spelling).name == name


def test_every_other_spelling_leads_somewhere() -> None:
    for spelling, name in networks.ELSEWHERE.items():
        assert find(spelling).name.replace("_", "") == name
