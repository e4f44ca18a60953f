"""Networks prepared for predictions give the answers of the network, and leave it alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from neocog.engine import inference
from neocog.engine.inference import folded, prepared
from neocog.errors import UsageError
from neocog.networks import create

# One or two of each family, the smallest input that each takes.
FAMILIES = {
    "lenet5": (1, 32, 32),
    "lenet_relu": (1, 28, 28),
    "alexnet_cifar": (3, 32, 32),
    "nin_cifar": (3, 32, 32),
    "vgg_cifar": (3, 32, 32),
    "googlenet_bn": (3, 64, 64),
    "resnet20_cifar": (3, 32, 32),
    "resnet50": (3, 32, 32),
    "seresnet20_cifar": (3, 8, 8),
    "resnet110_preact_cifar": (3, 8, 8),
    "densenet_bc100_12_cifar": (3, 32, 32),
    "squeezenet1_1": (3, 64, 64),
    "mobilenet_v2": (3, 64, 64),
    "shufflenet_v2_x1_0": (3, 64, 64),
    "fast_cifar": (3, 32, 32),
}


def trained(name: str) -> nn.Module:
    """A network whose batch norms have seen something, as after training."""
    network = create(name, num_classes=10, seed=0)
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
    return network


def pictures(size: tuple[int, ...], count: int = 2) -> Tensor:
    return torch.rand(count, *size, generator=torch.Generator().manual_seed(2))


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_logits_are_those_of_the_network(name: str) -> None:
    network = trained(name)
    before, learnt = state(network), [weight.requires_grad for weight in network.parameters()]
    x = pictures(FAMILIES[name])
    fast = prepared(network, x[:1], precision="fp32", compiled=False)
    assert network.training
    assert [weight.requires_grad for weight in network.parameters()] == learnt
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    with torch.no_grad():
        wanted = network.eval()(x)
    torch.testing.assert_close(fast(x), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    assert (fast.precision, fast.compiled) == ("fp32", False)


def test_a_norm_is_folded_only_into_a_convolution_that_nobody_else_reads() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
            self.twice, self.after = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
            self.alone, self.last = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            y = self.norm(y) + y  # who reads the convolution beside its norm would see it folded
            y = self.after(self.twice(self.twice(y)))  # and so would the first use of this one
            return self.last(self.alone(y)).mean((2, 3))

    network = Branching().eval()
    for layer in (network.norm, network.after, network.last):
        layer.running_mean.fill_(0.3)
    made, x = folded(network), pictures((3, 5, 5))
    norms = [name for name, m in made.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms == ["norm", "after"]
    torch.testing.assert_close(made(x), network(x))


def test_what_cannot_be_followed_is_left_as_it_is() -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            made = self.norm(self.conv(x)).mean((2, 3))
            return made if made.sum() > 0 else -made

    network = Deciding().eval()
    assert folded(network) is network
    x = pictures((3, 5, 5))
    made = prepared(network, x, precision="fp32", compiled=False)
    torch.testing.assert_close(made(x), network(x).detach())


def test_in_bf16_the_logits_are_fp32_and_near() -> None:
    network, x = trained("resnet20_cifar"), pictures((3, 32, 32))
    fast = prepared(network, x, precision="bf16", compiled=False)
    with torch.no_grad():
        wanted = network.eval()(x)
    assert fast.precision == "bf16"
    assert fast(x).dtype == torch.float32
    assert not torch.equal(
        fast(x), fast(x).bfloat16().float()
    )  # they are not rounded to eight bits
    difference = float((fast(x) - wanted).norm() / wanted.norm())
    assert 0 < difference <= inference.TOLERANCE["bf16"]


def test_layers_that_bf16_does_not_suit_keep_to_fp32() -> None:
    network, x = trained("mobilenet_v2"), pictures((3, 32, 32))
    fast = prepared(network, x, precision="bf16", compiled=False)
    assert fast.held
    assert all("depthwise" in name for name in fast.held)  # grouped: known to be slow
    assert fast.to_json()["held"] == list(fast.held)
    for name, layer in fast.network.body.named_modules():
        if isinstance(layer, nn.Conv2d):
            kept = name.removesuffix(".layer") in fast.held
            assert layer.weight.dtype == (torch.float32 if kept else torch.bfloat16), name


def test_a_form_that_answers_otherwise_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(network: nn.Module) -> nn.Module:
        made = copy.deepcopy(network)
        with torch.no_grad():
            next(made.parameters()).mul_(1.5)
        return made

    monkeypatch.setattr(inference, "folded", wrong)
    network, x = trained("lenet_relu").eval(), pictures((1, 28, 28))
    fast = prepared(network, x, compiled=False)
    assert fast.layout == "contiguous"
    torch.testing.assert_close(fast(x), network(x).detach())


def test_a_compiler_that_fails_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(network: nn.Module, **how: object) -> nn.Module:
        class Broken(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                raise RuntimeError("g++: not today")

        return Broken()

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(inference, "can_compile", lambda device: True)
    network, x = trained("lenet_relu"), pictures((1, 28, 28))
    assert not prepared(network, x).compiled
    with pytest.raises(RuntimeError, match="not today"):
        prepared(network, x, compiled=True)


def test_the_fastest_form_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda network, **how: copy.deepcopy(network))
    monkeypatch.setattr(inference, "can_compile", lambda device: True)
    times = iter([0.2, 0.1])
    monkeypatch.setattr(
        inference,
        "_timed",
        lambda made, x: inference.dataclasses.replace(made, seconds=next(times)),
    )
    assert prepared(trained("lenet_relu"), pictures((1, 28, 28))).compiled


@pytest.mark.slow
@pytest.mark.skipif(not inference.can_compile("cpu"), reason="there is no C++ compiler here")
def test_compiled_its_weights_are_frozen_and_relu_is_part_of_the_convolution() -> None:
    network, x = trained("lenet_relu"), pictures((1, 28, 28))
    fast = prepared(network, x, precision="fp32", compiled=True)
    for images in (x, x[:3]):  # another shape is compiled anew
        torch.testing.assert_close(fast(images), network(images), rtol=1e-4, atol=1e-4)
        with torch.autograd.profiler.profile(use_kineto=False) as seen:
            fast(images)
        names = {event.key for event in seen.key_averages()}
        assert "mkldnn::_convolution_pointwise" in names
        assert "aten::convolution" not in names
    assert not torch._inductor.config.freezing  # nobody else's


def test_what_is_no_example_is_refused() -> None:
    network = trained("lenet_relu")
    with pytest.raises(UsageError, match="float32 pictures"):
        prepared(network, torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
    with pytest.raises(UsageError, match="precision"):
        prepared(network, torch.zeros(1, 1, 28, 28), precision="fp8")


@pytest.fixture(autouse=True)
def _timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "TRIES", 1)
