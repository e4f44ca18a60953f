"""OverFeat against the paper's tables 1, 3 and 4."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neocog.analysis import cost
from neocog.networks import NETWORKS, create

FORMS = ["overfeat_fast", "overfeat_accurate"]
# What each layer of tables 1 and 3 reads: channels and side; then the dense widths.
READS = {
    # The table's 24 for the second is what its convolution makes of 28.
    "overfeat_fast": [(3, 231), (96, 28), (256, 12), (512, 12), (1024, 12), (1024, 6)],
    "overfeat_accurate": [(3, 221), (96, 36), (256, 15), *[(512, 15)] * 2, (1024, 15), (1024, 5)],
}
DENSE = {"overfeat_fast": [3072, 4096, 1000], "overfeat_accurate": [4096, 4096, 1000]}
# (kernel, stride, padding, pool) of each convolution.
CONVS = {
    "overfeat_fast": [(11, 4, 0, 2), (5, 1, 0, 2), (3, 1, 1, 0), (3, 1, 1, 0), (3, 1, 1, 2)],
    "overfeat_accurate": [(7, 2, 0, 3), (7, 1, 0, 2), *[(3, 1, 1, 0)] * 3, (3, 1, 1, 3)],
}
MILLIONS = {"overfeat_fast": (145, 2810), "overfeat_accurate": (144, 5369)}  # table 4
COUNTS = {
    "overfeat_fast": (145_920_872, 2_801_403_904),
    "overfeat_accurate": (144_656_488, 5_355_446_784),
}


def on_meta(name: str) -> nn.Sequential:
    with torch.device("meta"):
        return create(name)


@pytest.mark.parametrize("name", FORMS)
def test_layers_are_the_tables(name: str) -> None:
    network = on_meta(name)
    x = torch.empty(2, *NETWORKS[name].input, device="meta")
    reads, convs = [], []
    for layer in network[:-1]:
        if isinstance(layer, nn.Conv2d):
            reads.append((x.shape[1], x.shape[3]))
            convs.append((layer.kernel_size[0], layer.stride[0], layer.padding[0], 0))
        if isinstance(layer, nn.MaxPool2d):
            assert layer.kernel_size == layer.stride  # they do not overlap
            convs[-1] = (*convs[-1][:3], layer.stride)
        x = layer(x)
    reads.append((x.shape[1], x.shape[3]))
    assert reads == READS[name]
    assert convs == CONVS[name]
    dense = [layer.out_features for layer in network.head if isinstance(layer, nn.Linear)]
    assert dense == DENSE[name]
    assert network.head(x).shape == (2, 1000)


@pytest.mark.parametrize("name", FORMS)
def test_weights_and_connections_are_table_4s(name: str) -> None:
    network = on_meta(name)
    table = cost.layers(network, NETWORKS[name].input)
    weights = sum(tensor.numel() for tensor in network.parameters())
    work = sum(layer.multiply_adds for layer in table)
    assert (weights, work) == COUNTS[name]
    millions, connections = MILLIONS[name]
    assert weights // 10**6 == millions
    assert work / (connections * 10**6) == pytest.approx(0.997, abs=0.001)  # as the card says
    biases = sum(
        layer.output[1] ** 2 * layer.output[0] for layer in table if layer.kind == "Conv2d"
    )
    assert biases < 3e6


@pytest.mark.parametrize("name", FORMS)
def test_there_is_no_normalisation_and_half_is_dropped(name: str) -> None:
    network = on_meta(name)
    kinds = {type(module).__name__ for module in network}
    assert kinds == {"Conv2d", "ReLU", "MaxPool2d", "Sequential"}
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]
    first = 6 if name == "overfeat_fast" else 7
    names = [name for name, _ in network.head.named_children()]
    hidden = [f"{kind}{n}" for n in (first, first + 1) for kind in ("fc", "relu", "dropout")]
    assert names == ["flatten", *hidden, f"fc{first + 2}"]


@pytest.mark.slow
def test_start_is_the_papers() -> None:
    """Section 3.1: weights of mean 0 and deviation 1e-2."""
    network = create("overfeat_fast", seed=0)
    for name, tensor in network.named_parameters():
        if name.endswith("bias"):
            assert not tensor.any()
        else:
            some = tensor.flatten()[:1_000_000]
            assert some.std().item() == pytest.approx(0.01, rel=0.02)
            assert some.mean().abs() < 3e-4
