"""What ResNet and all who came after it share: the sum, its shortcut, stages of units, the head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.networks.parts import whole

Unit = Callable[[int, int, int], nn.Module]  # unit(c_in, c_out, stride)
Stages = Iterable[Sequence[int]]  # (units, channels) of each


class Residual(nn.Module):
    """after(branch(x) + shortcut(x)): He et al. 2015, Figure 2, where `after` is a ReLU."""

    def __init__(self, branch: nn.Sequential, shortcut: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.after(self.branch(x) + self.shortcut(x))
        return out


def conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Padded so that stride 1 keeps the map; without bias, for batch norm takes it out again."""
    return nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)


def projection(c_in: int, c_out: int, stride: int) -> nn.Module:
    """Shortcut option B: the identity where it fits, else a 1x1 convolution."""
    if (c_in, stride) == (c_out, 1):
        return nn.Identity()
    norm = nn.BatchNorm2d(c_out)
    return nn.Sequential(OrderedDict(conv=conv(c_in, c_out, 1, stride), norm=norm))


def padding(c_in: int, c_out: int, stride: int) -> nn.Module:
    """Shortcut option A, without weights: every `stride`-th pixel, and maps of zeros behind."""
    if (c_in, stride) == (c_out, 1):
        return nn.Identity()
    if c_out < c_in:
        raise UsageError(f"option A only adds channels: after {c_in}, {c_out} is too few")
    more = nn.ZeroPad3d((0, 0, 0, 0, 0, c_out - c_in))  # takes (N, C, H, W) for (C, D, H, W)
    return nn.Sequential(OrderedDict(pick=nn.AvgPool2d(1, stride), pad=more))


def stages(
    unit: Unit, c_in: int, plan: Stages, *, name: str, first: int = 1
) -> OrderedDict[str, nn.Sequential]:
    """The stages of a plan, each but the first halving the map; `name` takes their numbers.

    A stage's first unit has its stride and makes its channels.
    """
    made = OrderedDict[str, nn.Sequential]()
    for number, (count, c_out) in enumerate(checked(plan), start=first):
        units = [unit(c_in, c_out, 1 if number == first else 2)]
        units += [unit(c_out, c_out, 1) for _ in range(count - 1)]
        made[name.format(number)] = nn.Sequential(*units)
        c_in = c_out
    return made


def head(c_in: int, num_classes: int) -> nn.Sequential:
    """The mean of each map, then the logits."""
    fc = nn.Linear(c_in, num_classes)
    return nn.Sequential(OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=fc))


def checked(plan: Stages) -> list[tuple[int, int]]:
    """The plan as pairs of whole numbers, or an error that shows a right one."""
    try:
        pairs = [(count, c_out) for count, c_out in plan]
    except (TypeError, ValueError):
        pairs = []
    if not pairs:
        example = "((2, 64), (2, 128))"
        raise UsageError(f"stages must be pairs of (units, channels), as {example}; not {plan!r}")
    for number, (count, c_out) in enumerate(pairs, start=1):
        whole(f"the units of stage {number}", count)
        whole(f"the channels of stage {number}", c_out)
    return pairs
