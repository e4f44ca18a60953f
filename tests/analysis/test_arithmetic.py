"""The formulas against torch, which computes, and against TensorFlow's definition, brute force."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from neocog.analysis import arithmetic
from neocog.errors import UsageError

small = st.integers(1, 7)


@given(n=st.integers(1, 40), k=small, stride=small, padding=st.integers(0, 4), dilation=small)
@settings(max_examples=150, deadline=None)
def test_a_convolution_is_as_large_as_torchs(
    n: int, k: int, stride: int, padding: int, dilation: int
) -> None:
    x, weight = torch.zeros(1, 1, n, device="meta"), torch.zeros(1, 1, k, device="meta")
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    try:
        expected = F.conv1d(x, weight, **options).shape[2]
    except RuntimeError:
        with pytest.raises(UsageError, match="must be at least"):
            arithmetic.convolution_size(n, k, **options)
        return
    assert arithmetic.convolution_size(n, k, **options) == expected


@given(n=st.integers(1, 40), k=small, stride=small, padding=st.integers(0, 3), ceil=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_pooling_is_as_large_as_torchs(
    n: int, k: int, stride: int, padding: int, ceil: bool
) -> None:
    assume(padding <= k // 2)  # torch refuses others
    assume(n + 2 * padding >= k)
    pool = nn.MaxPool1d(k, stride, padding, ceil_mode=ceil)
    expected = pool(torch.zeros(1, 1, n)).shape[2]
    given_ = {"stride": stride, "padding": padding, "ceil_mode": ceil}
    assert arithmetic.pooling_size(n, k, **given_) == expected


@given(n=st.integers(1, 20), k=small, stride=small, padding=st.integers(0, 3), dilation=small)
@settings(max_examples=100, deadline=None)
def test_a_transposed_convolution_is_as_large_as_torchs(
    n: int, k: int, stride: int, padding: int, dilation: int
) -> None:
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    size = arithmetic.transposed_size(n, k, **options)
    assume(size > 0)
    x, weight = torch.zeros(1, 1, n, device="meta"), torch.zeros(1, 1, k, device="meta")
    assert size == F.conv_transpose1d(x, weight, **options).shape[2]


def test_same_is_tensorflows_definition() -> None:
    """The least padding with which windows that begin at 0, s, 2s ... cover ceil(n / s) places."""
    for n, k, s, d in itertools.product(range(1, 14), range(1, 6), range(1, 5), range(1, 3)):
        before, after = arithmetic.same_padding(n, k, stride=s, dilation=d)
        covered = d * (k - 1) + 1
        outputs = -(-n // s)
        assert arithmetic.same_size(n, stride=s) == outputs
        needed = next(t for t in itertools.count() if (n + t - covered) // s + 1 >= outputs)
        assert before + after == needed
        assert after - before in (0, 1)


@pytest.mark.parametrize(
    ("n", "k", "stride", "pads", "padding"),
    [
        (28, 5, 1, (2, 2), 2),  # LeNet's first layer on 28 px
        (224, 7, 2, (2, 3), None),  # ResNet's: PyTorch pads 3 and 3, which is not SAME
        (32, 3, 2, (0, 1), None),
        (5, 2, 1, (0, 1), None),
        (6, 2, 2, (0, 0), 0),
        (3, 1, 2, (0, 0), 0),
    ],
)
def test_same_in_torchs_numbers(
    n: int, k: int, stride: int, pads: tuple[int, int], padding: int | None
) -> None:
    assert arithmetic.same_padding(n, k, stride=stride) == pads
    assert arithmetic.torch_padding(n, k, stride=stride) == padding
    padded = F.pad(torch.rand(1, 1, n), pads)
    out = F.conv1d(padded, torch.rand(1, 1, k), stride=stride)
    assert out.shape[2] == arithmetic.same_size(n, stride=stride)


def test_valid_is_no_padding() -> None:
    for n, k, s in itertools.product(range(5, 12), range(1, 6), range(1, 4)):
        assert arithmetic.valid_size(n, k, stride=s) == -(-(n - k + 1) // s)


def test_the_padding_that_keeps_the_size() -> None:
    for k in (1, 3, 5, 7, 11):
        assert arithmetic.convolution_size(9, k, padding=arithmetic.keeping_padding(k)) == 9
    with pytest.raises(UsageError, match="even"):
        arithmetic.keeping_padding(4)


def test_weights_and_work_are_those_of_a_layer() -> None:
    layer = nn.Conv2d(48, 96, 5, groups=2, padding=2)
    assert arithmetic.weights(5, c_in=48, c_out=96, groups=2) == sum(
        w.numel() for w in layer.parameters()
    )
    work = arithmetic.multiply_adds(5, c_in=48, c_out=96, groups=2, size=(27, 27))
    assert work == layer.weight.numel() * 27 * 27
    with pytest.raises(UsageError, match="3 groups"):
        arithmetic.weights(3, c_in=4, c_out=6, groups=3)


@pytest.mark.parametrize("wrong", [0, -3, 2.5, True])
def test_wrong_numbers_are_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="whole number of 1 or more"):
        arithmetic.convolution_size(8, wrong)  # type: ignore[arg-type]
