"""SqueezeNet against torchvision, table 1 and the authors' Caffe model."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import share_random_weights
from torch import nn

from neocog.analysis import cost
from neocog.networks import create

FORMS = ["squeezenet1_0", "squeezenet1_1"]
# torchvision's own figures: weights, and 0.819 and 0.349 billion multiply-adds of 224 px.
COUNTS = {"squeezenet1_0": (1_248_424, 818_924_576), "squeezenet1_1": (1_235_496, 349_151_936)}


def on_meta(name: str) -> nn.Sequential:
    with torch.device("meta"):
        return create(name)


@pytest.mark.parametrize("name", FORMS)
def test_counts_are_torchvisions(name: str) -> None:
    network = on_meta(name)
    work = sum(layer.multiply_adds for layer in cost.layers(network, (3, 224, 224)))
    assert (sum(tensor.numel() for tensor in network.parameters()), work) == COUNTS[name]


def test_1_0_has_the_maps_of_table_1_at_the_size_of_the_authors_model() -> None:
    shapes = {layer.name: layer.output for layer in cost.layers(on_meta(FORMS[0]), (3, 227, 227))}
    sides = {"conv1": 111, "pool1": 55, "pool4": 27, "pool8": 13, "head.conv10": 13}
    assert {name: shapes[name][1] for name in sides} == sides
    fires = {name.split(".")[0]: s[0] for name, s in shapes.items() if "relu_expand" in name}
    widths = [128, 128, 256, 256, 384, 384, 512, 512]
    assert fires == {f"fire{n}": width for n, width in enumerate(widths, start=2)}
    assert shapes["head.conv10"] == (1000, 13, 13)
    # Its last column but two: the weights of each layer, biases included.
    network = on_meta(FORMS[0])
    count = {n: sum(w.numel() for w in m.parameters()) for n, m in network.named_children()}
    assert [count[n] for n in ("conv1", "fire2", "fire9", "head")] == [14208, 11920, 197184, 513000]


def test_1_1_pools_after_conv1_fire3_and_fire5() -> None:
    pools = [name for name, m in on_meta(FORMS[1]).named_children() if isinstance(m, nn.MaxPool2d)]
    assert pools == ["pool1", "pool3", "pool5"]
    shapes = {layer.name: layer.output for layer in cost.layers(on_meta(FORMS[1]), (3, 224, 224))}
    assert [shapes[n] for n in ("conv1", "pool1", "pool3", "pool5", "head.conv10")] == [
        (64, 111, 111),
        (64, 55, 55),
        (128, 27, 27),
        (256, 13, 13),
        (1000, 13, 13),
    ]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("size", [32, 224])
def test_equals_torchvisions(torchvision_models: ModuleType, name: str, size: int) -> None:
    peer, ours = pair(torchvision_models, name)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    with torch.inference_mode():
        logits = ours(x)
        torch.testing.assert_close(logits, peer(x), rtol=1e-4, atol=1e-6)
    assert logits.std() > 0.01


@pytest.mark.parametrize("name", FORMS)
def test_learns_as_torchvisions(torchvision_models: ModuleType, name: str) -> None:
    """One step of SGD, dropout off: the same loss, and the same weights after it."""
    peer, ours = pair(torchvision_models, name)
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    losses = []
    for network in (peer, ours):
        network.train()
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        loss = nn.functional.cross_entropy(network(x), torch.arange(4))
        loss.backward()
        with torch.no_grad():
            for weight in network.parameters():
                assert weight.grad is not None
                weight -= 0.01 * weight.grad
        losses.append(loss.detach())
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=0)
    for theirs, own in zip(peer.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-6)


def pair(torchvision_models: ModuleType, name: str) -> tuple[nn.Module, nn.Sequential]:
    """torchvision's and ours with the same weights, each with its own tensors."""
    with torch.device("meta"):
        peer = getattr(torchvision_models, name)(num_classes=10)
        ours = create(name, num_classes=10)
    share_random_weights(peer, ours, seed=7)
    own = {key: tensor.clone() for key, tensor in ours.state_dict().items()}
    ours.load_state_dict(own, assign=True)
    for network in (peer, ours):
        network.requires_grad_(True)
    return peer, ours


def test_start_is_the_authors() -> None:
    """Caffe's xavier looks at fan_in alone; conv10 is N(0, 0.01)."""
    network = create("squeezenet1_0", seed=0)
    for name, tensor in network.named_parameters():
        if name.endswith("bias"):
            assert not tensor.any()
        elif name == "head.conv10.weight":
            assert tensor.std().item() == pytest.approx(0.01, rel=0.02)
            assert tensor.abs().max() > 0.03
        else:
            bound = (3 / tensor[0].numel()) ** 0.5
            assert 0.98 * bound < tensor.abs().max() <= bound
            assert tensor.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_survives_bf16_channels_last_and_export() -> None:
    network = create("squeezenet1_1", num_classes=10, seed=0).eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = network.to(memory_format=torch.channels_last)(
                x.to(memory_format=torch.channels_last)
            )
    torch.testing.assert_close(half.float(), logits, rtol=0.05, atol=0.05 * logits.std().item())
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x), logits, rtol=1e-4, atol=1e-6)
