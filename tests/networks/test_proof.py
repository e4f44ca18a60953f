"""Every network trains, learns eight pictures by heart, and is one network however it is run.

The state-dict keys in golden_keys.json are those of published checkpoints. Where they change on
purpose: `python -m tests.networks.test_proof` records them anew.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tests.networks import record
from torch import Tensor, nn

from neocog.analysis import cost
from neocog.analysis.figures import FIGURES
from neocog.networks import NETWORKS, create
from neocog.networks.auxiliary import WithAuxiliary

GOLDEN = Path(__file__).with_name("golden_keys.json")
RECORD = "if that is meant, record them anew: python -m tests.networks.test_proof"
SPELLED = 24  # up to so many tensors the keys themselves are recorded, beyond it their digest

# Cheap ones that cover the families: proved in the quick suite too.
QUICK = (
    "lenet5",
    "lenet_sigmoid",
    "alexnet_cifar",
    "nin_cifar",
    "baseline_cifar",
    "resnet20b_cifar",
    "mobilenet_v1_x0_25",
    "shufflenet_v2_x0_5",
    "fast_cifar",
    "fast_mnist",
)


@dataclass(frozen=True)
class How:
    """How a network learns eight pictures by heart: with Adam, in a few steps.

    So many at most, about three times what it takes: how many it takes changes with the rounding of
    the processor, by twice and more for the deep ones without shortcuts.
    """

    lr: float = 1e-3
    steps: int = 120
    side: int | None = None  # of the pictures; else the smallest that goes through, 32 at least


SQUEEZENETS = ("squeezenet1_0", "squeezenet1_1")
HOW = {
    "lenet_sigmoid": How(lr=1e-2),
    **{
        name: How(lr=3e-4) for name in NETWORKS if name.startswith(("alexnet", "zfnet", "overfeat"))
    },
    "alexnet": How(lr=3e-4, steps=240),
    **{f"vgg{n}{bn}": How(lr=1e-4) for n in (11, 13, 16) for bn in ("", "_bn")},
    "vgg19": How(lr=5e-5),
    "vgg19_bn": How(lr=1e-4),
    **{name: How(lr=3e-4, steps=240) for name in ("googlenet", *SQUEEZENETS)},
    **{f"resnet110{b}_cifar": How(side=16) for b in ("", "b")},
    **{f"plain{n}_cifar": How(side=16) for n in (44, 56)},
    "plain110_cifar": How(lr=3e-4, steps=600, side=16),
    **{name: How(side=16) for name in NETWORKS if name.startswith(("resnet110_", "resnet164_"))},
    **{name: How(steps=10, side=16) for name in NETWORKS if "_bn_after_" in name},
    **{name: How(side=16) for name in NETWORKS if name.startswith(("seresnet110", "seresnet164"))},
    **{name: How(side=8) for name in NETWORKS if name.startswith(("wrn28", "resnext29"))},
}
# Of these only a lower loss is asked, and why.
SLOW_BEGINNING = """after a hundred steps these know two to six pictures of eight: norms after the
sum slow the beginning, as He et al. 2016 say in section 4.1"""
DEAD_CLASSES = """the classes end in ReLU and mean: one that dies on the way stays so, and which
ones do changes with the order of additions"""
LESS = {
    **{name: SLOW_BEGINNING for name in NETWORKS if "_bn_after_" in name},
    "nin_book": DEAD_CLASSES,
}
# Layers before a ReLU that may be dead for all eight pictures, and then gets no gradient; here
# their biases begin at four. Where classes end in ReLU and mean, one once dead stays so; where a
# gate squeezes 16 channels into one before the ReLU, half of all gates begin dead.
AWAKE: dict[str, str | tuple[str, ...]] = {
    "nin": "head.cccp8",
    "nin_book": ("head.conv4", "head.cccp7", "head.cccp8"),
    "squeezenet1_0": "head.conv10",
    "squeezenet1_1": "head.conv10",
    "seresnet110_preact_cifar": "se.weigh.fc1",
}

marked = [
    pytest.param(
        name,
        marks=(
            pytest.mark.xdist_group(name),  # its tests to one process, which trains it once
            *(() if name in QUICK else (pytest.mark.slow,)),
        ),
        id=name,
    )
    for name in NETWORKS
]


@dataclass(frozen=True)
class Trained:
    """A network that has taken two steps and then learnt eight pictures, now in eval mode.

    `logits` are those of the first three.
    """

    name: str
    network: nn.Sequential
    pictures: Tensor
    logits: Tensor
    two_losses: list[float]
    without_gradient: list[str]
    losses: list[float]
    correct: int


@pytest.fixture(scope="module", params=marked)
def trained(request: pytest.FixtureRequest) -> Iterator[Trained]:
    """Each network once; the tests of one follow each other, so one at a time is in memory."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of dropout
        yield train(request.param)


def test_trains_two_steps(trained: Trained) -> None:
    assert torch.tensor(trained.two_losses).isfinite().all()
    assert trained.without_gradient == []


def test_learns_eight_pictures_by_heart(trained: Trained) -> None:
    if trained.name in LESS:
        assert trained.losses[-1] < 0.9 * trained.losses[0], trained.losses
    else:
        assert learnt(trained.losses, trained.correct), (trained.correct, trained.losses)


def test_survives_export(trained: Trained) -> None:
    first, other = trained.pictures[:1], trained.pictures[1:2]
    exported = torch.export.export(trained.network, (first,)).module()
    with torch.no_grad():
        close(exported(other), trained.network(other), 1e-5)


def test_one_picture_alone_gives_what_it_gives_among_three(trained: Trained) -> None:
    with torch.no_grad():
        alone = trained.network(trained.pictures[1:2])
    same_but_for_rounding(alone, trained.logits[1:2], trained)


def test_channels_last_gives_the_same(trained: Trained) -> None:
    network = copy.deepcopy(trained.network).to(memory_format=torch.channels_last)
    with torch.no_grad():
        logits = network(trained.pictures[:3].to(memory_format=torch.channels_last))
    same_but_for_rounding(logits, trained.logits[:3], trained)


def test_bfloat16_gives_nearly_the_same(trained: Trained) -> None:
    """Eight bits of mantissa, through up to two hundred layers: a tenth of the logits' spread.

    Deep nets without shortcuts blow more than that up: in float32, steps of bf16 by chance in what
    each layer gives change plain56_cifar by a third of the spread. What bf16 adds is of that size.
    """
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rounded = trained.network(trained.pictures[:2]).float()
    logits = trained.logits[:2]
    error, spread = (rounded - logits).abs().max(), logits.max() - logits.min()
    if error >= 0.1 * spread:
        assert error < 3 * effect_of_steps(trained)
    else:
        assert torch.cosine_similarity(rounded.flatten(), logits.flatten(), 0) > 0.99


@torch.no_grad()
def effect_of_steps(trained: Trained) -> Tensor:
    """How much the logits change when what each layer gives is moved by up to half of bf16's steps,
    as rounding moves it, by chance: the most of a few draws, for one may be lucky.
    """
    generator = torch.Generator().manual_seed(3)

    def moved(layer: nn.Module, given: object, made: Tensor) -> Tensor:
        chance = 2 * torch.rand(made.shape, generator=generator) - 1
        return made * (1 + 2**-8 * chance)

    network = copy.deepcopy(trained.network)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.copy_(layer.weight.bfloat16())
            layer.register_forward_hook(moved)
    changed = [(network(trained.pictures[:2]) - trained.logits[:2]).abs().max() for _ in range(5)]
    return torch.stack(changed).max()


def same_but_for_rounding(given: Tensor, expected: Tensor, trained: Trained) -> None:
    """1e-4 of the largest logit; more only where a millionth of each pixel changes as much."""
    if (given - expected).abs().max() > 1e-4 * expected.abs().max():
        pictures = trained.pictures[:3]
        signs = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(2)).sign()
        with torch.no_grad():
            changed = trained.network(pictures * (1 + 1e-6 * signs)) - trained.logits[:3]
        assert (given - expected).abs().max() < 10 * changed.abs().max()
    assert expected.isfinite().all()
    assert expected.std() > 0


def close(given: Tensor, expected: Tensor, tolerance: float) -> None:
    assert expected.isfinite().all()
    assert expected.std() > 0
    assert (given - expected).abs().max() <= tolerance * expected.abs().max()


def train(name: str) -> Trained:
    how = HOW.get(name, How())
    channels, side, _ = NETWORKS[name].input
    small = how.side or max(FIGURES[name][2], min(32, side))
    network = create(name, num_classes=8, seed=0).train()
    for path, layer in network.named_modules():
        if name in AWAKE and path.endswith(AWAKE[name]):
            nn.init.constant_(layer.bias, 4)
    # auxiliary heads take the maps of the paper's input only
    auxiliary = isinstance(network, WithAuxiliary)
    x = eight_pictures(channels, side if auxiliary else small)
    two_losses, without_gradient = two_steps(network, x[:4] if auxiliary else x)
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    x = eight_pictures(channels, small)
    losses, correct = by_heart(network, x, how)
    network.eval().requires_grad_(False)
    for weight in network.parameters():
        weight.grad = None
    logits = network(x[:3])
    return Trained(name, network, x, logits, two_losses, without_gradient, losses, correct)


def eight_pictures(channels: int, side: int) -> Tensor:
    """Coarse patterns under noise, of mean 0 and deviation 1."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn(8, channels, 4, 4, generator=generator)
    noise = torch.randn(8, channels, side, side, generator=generator)
    x = nn.functional.interpolate(coarse, size=(side, side)) + 0.5 * noise
    return x / x.std()


def two_steps(network: nn.Sequential, x: Tensor) -> tuple[list[float], list[str]]:
    """Two losses, and the weights whose gradient is missing, not finite or zero in one of them."""
    labels = torch.arange(len(x))
    weights = {name: w for name, w in network.named_parameters() if w.requires_grad}
    optimizer = torch.optim.SGD(weights.values(), lr=1e-3, fused=True)
    losses, bad = [], set()
    for _ in range(2):
        optimizer.zero_grad()
        if isinstance(network, WithAuxiliary):
            heard = network.training_logits(x)
        else:
            heard = [(1.0, network(x))]
        loss = sum(share * nn.functional.cross_entropy(made, labels) for share, made in heard)
        loss.backward()
        for name, weight in weights.items():
            gradient = weight.grad
            if gradient is None or not gradient.any() or not gradient.isfinite().all():
                bad.add(name)
        optimizer.step()
        losses.append(loss.item())
    return losses, sorted(bad)


def by_heart(network: nn.Sequential, x: Tensor, how: How) -> tuple[list[float], int]:
    """The losses, and how many pictures are known in the end; stops where all is learnt."""
    labels = torch.arange(8)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=how.lr, fused=True)
    losses, correct = [], 0
    for _ in range(how.steps):
        optimizer.zero_grad(set_to_none=False)
        logits = network(x)
        loss = nn.functional.cross_entropy(logits, labels)
        losses.append(loss.item())
        correct = int((logits.argmax(1) == labels).sum())
        if learnt(losses, correct):
            break
        loss.backward()
        optimizer.step()
    return losses, correct


def learnt(losses: list[float], correct: int) -> bool:
    return correct == 8 or losses[-1] <= losses[0] / 10


def keys(name: str) -> dict[str, list[int]] | str:
    """What a checkpoint of the network holds, in its order: keys and shapes, or their SHA-256."""
    with torch.device("meta"):
        state = create(name).state_dict()
    shapes = {key: list(tensor.shape) for key, tensor in state.items()}
    if len(shapes) <= SPELLED:
        return shapes
    return hashlib.sha256(json.dumps(list(shapes.items())).encode()).hexdigest()


def test_every_network_has_golden_keys() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert list(golden) == list(NETWORKS), RECORD


@pytest.mark.parametrize("name", marked)
def test_keys_of_checkpoints_stay(name: str) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    found = keys(name)
    same = json.dumps(found) == json.dumps(golden[name])  # the order counts
    assert same, f"checkpoints of {name} would no longer load, its keys or shapes changed; {RECORD}"


def test_every_network_has_figures() -> None:
    assert list(FIGURES) == list(NETWORKS), "record them: python -m tests.networks.record"


@pytest.mark.parametrize("name", marked)
def test_figures_are_the_networks(name: str) -> None:
    weights, work, side = FIGURES[name]
    again = f"{name}: if what it is changed on purpose, python -m tests.networks.record"
    assert record.totals(name) == (weights, work), again
    with torch.device("meta"):
        network = create(name)
    channels = NETWORKS[name].input[0]
    assert cost.takes(network, (channels, side, side)), again
    assert side == 1 or not cost.takes(network, (channels, side - 1, side - 1)), again


def test_what_is_set_apart_here_are_networks() -> None:
    assert {*QUICK, *HOW, *LESS, *AWAKE} <= {*NETWORKS}


def main() -> None:
    lines = (f'  "{name}": {json.dumps(keys(name))}' for name in NETWORKS)
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
