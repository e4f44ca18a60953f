"""ZFNet against the paper's Figure 3 and section 3."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neocog.analysis import cost
from neocog.networks import create


@pytest.fixture(scope="module")
def meta() -> nn.Sequential:
    with torch.device("meta"):
        return create("zfnet")


def test_maps_are_figure_3s(meta: nn.Sequential) -> None:
    """The figure's 110, 55, 26, 13, 13, 13, 13, 6, then 4096, 4096 and the classes."""
    table = cost.layers(meta, (3, 224, 224))
    shapes = {layer.name: layer.output for layer in table}
    assert {name: shape for name, shape in shapes.items() if name[:4] in ("conv", "pool")} == {
        "conv1": (96, 110, 110),
        "pool1": (96, 55, 55),
        "conv2": (256, 26, 26),
        "pool2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
    }
    assert shapes["head.flatten"] == (9216,)  # the caption: 6 x 6 x 256 = 9216
    assert [s for name, s in shapes.items() if name.startswith("head.fc")] == [
        (4096,),
        (4096,),
        (1000,),
    ]


def test_weights_and_multiply_adds_follow_from_figure_3(meta: nn.Sequential) -> None:
    convs = [(7, 3, 96, 110), (5, 96, 256, 26), (3, 256, 384, 13), (3, 384, 384, 13)]
    convs.append((3, 384, 256, 13))
    dense = [(9216, 4096), (4096, 4096), (4096, 1000)]
    weights = sum(k * k * i * o + o for k, i, o, _ in convs) + sum(i * o + o for i, o in dense)
    work = sum(k * k * i * o * s * s for k, i, o, s in convs) + sum(i * o for i, o in dense)
    assert (weights, work) == (62_357_608, 1_168_032_896)
    table = cost.layers(meta, (3, 224, 224))
    assert sum(tensor.numel() for tensor in meta.parameters()) == weights
    assert sum(layer.multiply_adds for layer in table) == work


def test_224_px_are_225_with_a_dark_upper_and_left_edge(meta: nn.Sequential) -> None:
    padded = nn.Conv2d(3, 2, 7, stride=2, padding=1)
    bare = nn.Conv2d(3, 2, 7, stride=2)
    bare.load_state_dict(padded.state_dict())
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(padded(x), bare(nn.functional.pad(x, (1, 0, 1, 0))))
    conv1 = meta.conv1
    assert (conv1.kernel_size, conv1.stride, conv1.padding) == ((7, 7), (2, 2), (1, 1))


def test_pools_come_before_contrast_normalisation(meta: nn.Sequential) -> None:
    """The caption: rectified, pooled, then contrast normalised; layers 1 and 2 only."""
    names = [name for name, _ in meta.named_children()]
    assert names[:8] == ["conv1", "relu1", "pool1", "norm1", "conv2", "relu2", "pool2", "norm2"]
    assert [name for name in names if name.startswith("norm")] == ["norm1", "norm2"]
    assert names[-3:] == ["relu5", "pool5", "head"]
    assert {conv.groups for conv in meta if isinstance(conv, nn.Conv2d)} == {1}


def test_contrast_normalisation_is_across_maps(meta: nn.Sequential) -> None:
    a = torch.randn(2, 9, 3, 3, dtype=torch.float64) * 30
    expected = torch.empty_like(a)
    for i in range(9):
        neighbours = a[:, max(0, i - 2) : i + 3]
        expected[:, i] = a[:, i] / (2 + 1e-4 * neighbours.square().sum(1)) ** 0.75
    torch.testing.assert_close(meta.norm1(a), expected)
    torch.testing.assert_close(meta.norm2(a), expected)


def test_start_is_the_papers() -> None:
    """Section 3: 10^-2 for weights, 0 for biases; dropout of 0.5 in layers 6 and 7."""
    network = create("zfnet", seed=0)
    for name, tensor in network.named_parameters():
        if name.endswith("bias"):
            assert not tensor.any()
        else:
            assert tensor.std().item() == pytest.approx(0.01, rel=0.02)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]
