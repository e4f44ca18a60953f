"""MobileNet against Tables 1 and 6, timm, and Keras's and TensorFlow's published counts."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from tests.peers import equal_logits, equal_step, share_random_weights, survives
from torch import nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.mobilenet import mobilenet, separable

# (weights, multiply-adds)
COUNTS = {
    "mobilenet_v1": (4_231_976, 568_740_352),
    "mobilenet_v1_x0_75": (2_585_560, 325_400_448),
    "mobilenet_v1_x0_5": (1_331_592, 149_497_088),
    "mobilenet_v1_x0_25": (470_072, 41_030_272),
}
# Table 6: millions of weights and of multiply-adds. And what keras.applications.MobileNet counts,
# the statistics of its norms included.
PAPERS = {
    "mobilenet_v1": (4.2, 569, 4_253_864),
    "mobilenet_v1_x0_75": (2.6, 325, 2_601_976),
    "mobilenet_v1_x0_5": (1.3, 149, 1_342_536),
    "mobilenet_v1_x0_25": (0.5, 41, 475_544),
}


def on_meta(name: str) -> nn.Sequential:
    with torch.device("meta"):
        return create(name)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_table_6s_and_keras(name: str) -> None:
    network = on_meta(name)
    weights = sum(tensor.numel() for tensor in network.parameters())
    work = sum(layer.multiply_adds for layer in cost.layers(network, (3, 224, 224)))
    assert (weights, work) == COUNTS[name]
    statistics = sum(t.numel() for t in network.buffers() if t.is_floating_point())
    millions, papers, keras = PAPERS[name]
    assert (round(weights / 1e6, 1), round(work / 1e6), weights + statistics) == (
        *(millions, papers, keras),
    )


def test_layers_are_those_of_tensorflows_listing() -> None:
    """The listing at the head of mobilenet_v1.py in tensorflow/models: multiply-adds a layer."""
    table = cost.layers(on_meta("mobilenet_v1"), (3, 224, 224))
    convs = [layer.multiply_adds for layer in table if layer.kind == "Conv2d"]
    assert sum(convs) == 567_716_352
    assert convs[:5] == [10_838_016, 3_612_672, 25_690_112, 1_806_336, 25_690_112]
    assert convs[-4:] == [225_792, 25_690_112, 451_584, 51_380_224]
    assert len(convs) == 27  # and the dense layer: the paper's 28


@pytest.mark.parametrize(("name", "alpha"), list(zip(COUNTS, (1, 0.75, 0.5, 0.25), strict=True)))
def test_maps_are_table_1s(name: str, alpha: float) -> None:
    network = on_meta(name).eval()
    x = torch.empty(1, 3, 224, 224, device="meta")
    seen = []
    for module in network[:-1]:
        x = module(x)
        seen.append((x.shape[1], x.shape[2]))
    table = [(32, 112)] * 3 + [(64, 112)] + [(128, 56)] * 2 + [(256, 28)] * 2
    table += [(512, 14)] * 6 + [(1024, 7)] * 2
    assert seen == [(channels * alpha, side) for channels, side in table]


def test_a_separable_convolution_is_space_then_channels() -> None:
    """With norms that do nothing it is one convolution whose kernels are outer products."""
    layer = separable(3, 5).eval()
    layer.relu1 = nn.Identity()
    x = torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        kernels = layer.pointwise.weight * layer.depthwise.weight[None, :, 0]
        expected = F.conv2d(x, kernels, padding=1).div(1 + 1e-5).relu()
        torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-6)


def test_equals_timms(timm_models: ModuleType) -> None:
    equal_logits(*pair(timm_models), noise(2))


def test_learns_as_timms(timm_models: ModuleType) -> None:
    equal_step(*pair(timm_models), noise(4))


def pair(timm_models: ModuleType) -> tuple[nn.Module, nn.Sequential]:
    """timm's, with the paper's ReLU for its ReLU6, and ours, with the same weights."""
    with torch.device("meta"):
        peer = timm_models.create_model("mobilenetv1_100", num_classes=10, act_layer="relu")
        ours = create("mobilenet_v1", num_classes=10)
    share_random_weights(peer, ours, seed=3)
    return peer, ours


def noise(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(count))


def test_start_is_the_authors() -> None:
    for name, tensor in create("mobilenet_v1_x0_25", seed=0).named_parameters():
        if tensor.dim() > 1:  # cut at two deviations, which leaves 0.88 of the deviation
            assert tensor.abs().max() <= 0.18
            assert tensor.std().item() == pytest.approx(0.09 * 0.8796, rel=0.25), name
        else:
            assert tensor.eq(1.0 if "norm" in name and name.endswith("weight") else 0.0).all()


def test_survives_bf16_channels_last_and_export() -> None:
    network = create("mobilenet_v1_x0_25", num_classes=10, seed=0)
    x = noise(8)
    survives(network, x)


@pytest.mark.parametrize("alpha", [0, -0.5, 0.03, float("nan")])
def test_widths_that_leave_nothing_are_refused(alpha: float) -> None:
    with pytest.raises(UsageError, match=f"alpha must be 1/32, .* or more; {alpha} was given"):
        mobilenet(alpha=alpha)
