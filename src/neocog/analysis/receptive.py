"""Receptive fields: which pixels of the picture a unit of a map can see.

A map is described axis by axis by its `Span`s, and every operation of a forward pass changes them
by a rule: a window of kernel k, stride s, padding p and dilation d makes of (size, stride, offset)

    size + (k - 1) d stride,   stride s,   offset + ((k - 1) d / 2 - p) stride

(Araujo, Norris, Sim. Computing Receptive Fields of Convolutional Neural Networks. Distill 2019.)
Paddings are seen too: a field may be larger than the picture. The rules go by torch's operators,
not by modules, so they hold for whatever `forward` does. A dense layer is a window as large as its
map. Where a map is joined with one of a single unit (squeeze and excitation) everything is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Span:
    """One axis of a map, in pixels of the picture."""

    size: int  # pixels that a unit sees
    stride: int  # pixels between the fields of neighbours; 0: all units see the same
    offset: float  # centre of the first unit's field; the first pixel's centre is 0
    units: int  # of the map along this axis

    @property
    def ends(self) -> tuple[float, float]:
        """First and last pixel that the first unit sees."""
        half = (self.size - 1) / 2
        return self.offset - half, self.offset + half


Field = tuple[Span, Span]  # height, width


def of_picture(height: int, width: int) -> Field:
    return Span(1, 1, 0.0, height), Span(1, 1, 0.0, width)


def window(
    span: Span, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1, units: int
) -> Span:
    """What a convolution or a pooling of that geometry makes of an axis."""
    reach = (kernel - 1) * dilation
    return Span(
        size=span.size + reach * span.stride,
        stride=span.stride * stride,
        offset=span.offset + (reach / 2 - padding) * span.stride,
        units=units,
    )


def whole(span: Span) -> Span:
    """One unit that sees all units of the axis."""
    return window(span, span.units, units=1)


def joined(spans: Sequence[Span]) -> Span | None:
    """What a sum, a product or a concatenation of maps sees; None if they do not lie alike."""
    units = max(span.units for span in spans)
    if any(span.units not in (1, units) for span in spans):
        return None
    # What is the same for every unit, beside what moves with the unit: together, everything.
    moving = [span for span in spans if span.stride and span.units == units]
    if len(moving) < len(spans) and units > 1:
        ends = [(s.ends[0], s.ends[1] + (s.units - 1) * s.stride) for s in spans]
        return _between(ends, 0, units)
    if units > 1 and len({span.stride for span in moving}) > 1:
        return None
    return _between([span.ends for span in spans], spans[0].stride, units)


def _between(ends: Sequence[tuple[float, float]], stride: int, units: int) -> Span:
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    return Span(round(high - low) + 1, stride, (low + high) / 2, units)


def after(name: str, given: list[Field], arguments: tuple[Any, ...], made: Tensor) -> Field | None:
    """The field of what operator `name` (such as "convolution") makes; None if it is not known."""
    if name in RULES:
        return RULES[name](given[0], arguments, made)
    field = _pair(joined([f[axis] for f in given]) for axis in (0, 1))
    if field is None or name in RESHAPES or made.ndim < 4:
        return field
    lies_alike = tuple(made.shape[-2:]) == (field[0].units, field[1].units)
    return field if lies_alike else None


def _pair(spans: Any) -> Field | None:
    height, width = spans
    return None if height is None or width is None else (height, width)


def _two(value: Any, default: Any = None) -> tuple[int, int]:
    """An operator's argument for height and width, however it was given."""
    if value is None or (isinstance(value, list | tuple) and not value):
        value = default
    if isinstance(value, int):
        return value, value
    if len(value) == 1:
        return value[0], value[0]
    return value[-2], value[-1]


def _windows(field: Field, geometry: Sequence[tuple[int, int]], made: Tensor) -> Field:
    kernel, stride, padding, dilation = geometry
    height, width = (
        window(
            field[axis],
            kernel[axis],
            stride=stride[axis],
            padding=padding[axis],
            dilation=dilation[axis],
            units=made.shape[axis - 2],
        )
        for axis in (0, 1)
    )
    return height, width


def _convolution(field: Field, arguments: tuple[Any, ...], made: Tensor) -> Field | None:
    _, weight, _, stride, padding, dilation, transposed = arguments[:7]
    if transposed or weight.ndim != 4:
        return None
    geometry = (tuple(weight.shape[2:]), _two(stride), _two(padding), _two(dilation))
    return _windows(field, geometry, made)


def _pooling(field: Field, arguments: tuple[Any, ...], made: Tensor) -> Field | None:
    kernel = _two(arguments[1])
    stride = _two(arguments[2] if len(arguments) > 2 else None, kernel)
    padding = _two(arguments[3] if len(arguments) > 3 else 0, 0)
    return _windows(field, (kernel, stride, padding, (1, 1)), made)


def _max_pooling(field: Field, arguments: tuple[Any, ...], made: Tensor) -> Field | None:
    pooled = _pooling(field, arguments, made)
    dilation = _two(arguments[4] if len(arguments) > 4 else 1)
    return pooled if dilation == (1, 1) else None


def _adaptive(field: Field, arguments: tuple[Any, ...], made: Tensor) -> Field | None:
    spans = []
    for span, units in zip(field, _two(arguments[1]), strict=True):
        if span.units % units:
            return None
        step = span.units // units
        spans.append(window(span, step, stride=step, units=units))
    return spans[0], spans[1]


def _reduction(field: Field, arguments: tuple[Any, ...], made: Tensor) -> Field | None:
    shape = arguments[0].shape
    dims = arguments[1] if len(arguments) > 1 and arguments[1] is not None else range(len(shape))
    gone = {dim % len(shape) for dim in ([dims] if isinstance(dims, int) else dims)}
    if len(shape) != 4:
        return field
    height, width = (whole(span) if axis + 2 in gone else span for axis, span in enumerate(field))
    return height, width


def _product(field: Field, arguments: tuple[Any, ...], made: Tensor) -> Field | None:
    if made.shape[0] == field[0].units * field[1].units:  # a row a position, one picture at a time
        return field
    return whole(field[0]), whole(field[1])


def _slice(field: Field, arguments: tuple[Any, ...], made: Tensor) -> Field | None:
    source, *rest = arguments
    rest += [0, None, None, 1][len(rest) :]
    dim, start, _, step = rest
    axis = dim % source.ndim - 2
    if source.ndim != 4 or axis < 0:
        return field
    first = (start or 0) % source.shape[dim]
    old = field[axis]
    cut = Span(old.size, old.stride * step, old.offset + first * old.stride, made.shape[axis - 2])
    return (cut, field[1]) if axis == 0 else (field[0], cut)


def _padding(field: Field, arguments: tuple[Any, ...], made: Tensor) -> Field | None:
    amounts: list[int] = [*arguments[1], 0, 0, 0, 0]
    before = amounts[2], amounts[0]
    height, width = (
        Span(s.size, s.stride, s.offset - before[axis] * s.stride, made.shape[axis - 2])
        for axis, s in enumerate(field)
    )
    return height, width


Rule = Callable[[Field, tuple[Any, ...], Tensor], Field | None]
RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pooling,
    "avg_pool2d": _pooling,
    "avg_pool3d": _pooling,  # of local response norm: its window over positions is 1x1
    "_adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "mean": _reduction,
    "sum": _reduction,
    "amax": _reduction,
    "addmm": _product,
    "mm": _product,
    "bmm": _product,
    "slice": _slice,
    "constant_pad_nd": _padding,
    "reflection_pad2d": _padding,
}
# What only orders the numbers of a tensor anew: who sees what stays as it is.
RESHAPES = {
    *("view", "_unsafe_view", "reshape", "permute", "transpose", "t"),
    *("squeeze", "unsqueeze", "expand", "clone", "alias", "detach"),
}
