"""The arithmetic of a layer, as a student meets it: how large a map comes out, and what pads it.

n is the size of the input along one axis, k the kernel, s the stride, p the padding on each side,
d the dilation; all in pixels. A dilated kernel covers k' = d (k - 1) + 1.

PyTorch says how much it pads; TensorFlow and Keras say "VALID" (nothing) or "SAME" (as much as
makes the output ceil(n / s), the odd pixel at the end). SAME depends on n and may be uneven, so not
every SAME is a `padding=` of PyTorch: `same_padding` tells, and `torch_padding` where it is one.
"""

from __future__ import annotations

import math

from neocog.errors import UsageError


def convolution_size(
    n: int, k: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """floor((n + 2p - k') / s) + 1: the output of a convolution, or of a pooling.

    Dumoulin and Visin, arXiv:1603.07285, relationship 6. Raises `UsageError`, with the smallest n
    that works, where the kernel is larger than the padded input.
    """
    _check(n=n, kernel=k, stride=stride, dilation=dilation)
    covered = dilation * (k - 1) + 1
    if n + 2 * padding < covered:
        raise UsageError(
            f"a kernel that covers {covered} does not fit into {n} + 2 x {padding}: "
            f"n must be at least {covered - 2 * padding}"
        )
    return (n + 2 * padding - covered) // stride + 1


def pooling_size(
    n: int, k: int, *, stride: int | None = None, padding: int = 0, ceil_mode: bool = False
) -> int:
    """The output of a pooling; its stride is its kernel unless given.

    With `ceil_mode` (Caffe, and so GoogLeNet's paper) a last window may begin inside and end
    outside: ceil instead of floor, unless the window would begin in the padding behind.
    """
    step = k if stride is None else stride
    size = convolution_size(n, k, stride=step, padding=padding)
    rest = (n + 2 * padding - k) % step
    begins_inside = size * step < n + padding
    return size + (ceil_mode and rest > 0 and begins_inside)


def transposed_size(
    n: int,
    k: int,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """(n - 1) s - 2p + k' + output_padding: the output of a transposed convolution."""
    _check(n=n, kernel=k, stride=stride, dilation=dilation)
    return (n - 1) * stride - 2 * padding + dilation * (k - 1) + 1 + output_padding


def same_size(n: int, *, stride: int = 1) -> int:
    """ceil(n / s): the output with TensorFlow's SAME, whatever the kernel."""
    _check(n=n, stride=stride)
    return math.ceil(n / stride)


def same_padding(n: int, k: int, *, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """(before, after) of SAME: in all max((ceil(n / s) - 1) s + k' - n, 0), the odd pixel after."""
    _check(n=n, kernel=k, stride=stride, dilation=dilation)
    covered = dilation * (k - 1) + 1
    total = max((same_size(n, stride=stride) - 1) * stride + covered - n, 0)
    return total // 2, total - total // 2


def valid_size(n: int, k: int, *, stride: int = 1, dilation: int = 1) -> int:
    """ceil((n - k' + 1) / s): the output with TensorFlow's VALID, the same as padding 0."""
    return convolution_size(n, k, stride=stride, dilation=dilation)


def torch_padding(n: int, k: int, *, stride: int = 1, dilation: int = 1) -> int | None:
    """The `padding=` of PyTorch that is TensorFlow's SAME here; None where SAME is uneven.

    Where it is None, pad with `torch.nn.functional.pad` by `same_padding` and convolve with 0.
    """
    before, after = same_padding(n, k, stride=stride, dilation=dilation)
    return before if before == after else None


def keeping_padding(k: int) -> int:
    """(k - 1) / 2: what keeps the size at stride 1. Raises `UsageError` for an even kernel."""
    _check(kernel=k)
    if k % 2 == 0:
        raise UsageError(f"a kernel of {k} is even: no padding on both sides keeps the size")
    return (k - 1) // 2


def weights(k: int, *, c_in: int, c_out: int, groups: int = 1, bias: bool = True) -> int:
    """K k (c_in / groups) c_out + c_out: the weights of a convolution with a square kernel."""
    _check(kernel=k, c_in=c_in, c_out=c_out, groups=groups)
    if c_in % groups or c_out % groups:
        raise UsageError(f"{groups} groups do not divide {c_in} and {c_out} channels")
    return k * k * (c_in // groups) * c_out + (c_out if bias else 0)


def multiply_adds(k: int, *, c_in: int, c_out: int, size: tuple[int, int], groups: int = 1) -> int:
    """K k (c_in / groups) c_out H W, for an output of (H, W): a convolution's work on a picture."""
    _check(height=size[0], width=size[1])
    kernel = weights(k, c_in=c_in, c_out=c_out, groups=groups, bias=False)
    return kernel * size[0] * size[1]


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise UsageError(f"{name}: {number!r} was given; it takes a whole number of 1 or more")
