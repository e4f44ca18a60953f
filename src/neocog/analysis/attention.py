"""What in a picture speaks for a class: Grad-CAM, saliency, integrated gradients, occlusion.

Networks are asked as they are, in eval mode; their weights and gradients stay untouched. `target`
is the number of a class; what is explained is its logit, in occlusion its probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from neocog.analysis.listening import answered
from neocog.errors import UsageError

PATCH = 1 / 6  # of the picture's shorter side: what is hidden at a time
AT_ONCE = 16  # pictures in a pass
FEWEST, MOST = 32, 256  # steps of the integral
MISSING = 0.01  # of the difference that is explained may be missing before steps are doubled


def grad_cam(network: nn.Module, picture: Tensor, target: int, *, layer: str) -> Tensor:
    """Where the maps of a layer speak for a class: (h, w) of that map, 0 where they do not.

    `picture`: an input (C, H, W). The maps are summed, each weighed by the mean of the logit's
    gradient over its positions; what is negative speaks against and is left out. Selvaraju et al.
    2017, arXiv:1610.02391, equations 1 and 2. `UsageError` for a layer that puts out no map.
    """
    given = picture[None].detach().clone().requires_grad_()
    with torch.enable_grad():
        logits, heard = answered(network, given, [layer])
    if layer not in heard or heard[layer].ndim != 4:
        raise UsageError(f"layer {layer!r} puts out no map, and Grad-CAM needs one")
    maps = heard[layer]
    # 0 where the class is not computed from these maps
    (slope,) = torch.autograd.grad(logits[0, target], maps, materialize_grads=True)
    return (slope.mean((2, 3), keepdim=True) * maps).sum(1)[0].relu().detach()


def saliency(network: nn.Module, picture: Tensor, target: int) -> Tensor:
    """How much the logit of a class changes with each pixel: (H, W), the largest of its channels.

    Simonyan, Vedaldi, Zisserman 2013, arXiv:1312.6034, section 3.1.
    """
    return slopes(network, picture[None], target)[0].abs().amax(0)


def slopes(network: nn.Module, inputs: Tensor, target: int) -> Tensor:
    """The gradient of a class's logit by inputs (N, C, H, W), of each by its own."""
    with torch.enable_grad():
        given = inputs.detach().requires_grad_()
        logits = network(given.clone())  # a copy, for a first layer that works in place
        (slope,) = torch.autograd.grad(logits[:, target].sum(), given, materialize_grads=True)
    return slope.detach()


@dataclass(frozen=True, eq=False)
class Integrated:
    """Integrated gradients, and whether they add up as they must."""

    values: Tensor  # (C, H, W): what each value of the input adds to the logit
    explained: float  # their sum
    difference: float  # logit of the picture less that of the baseline: what it should be
    steps: int

    @property
    def missing(self) -> float:
        """How far the sum is off, as a share of the difference."""
        return abs(self.explained - self.difference) / max(abs(self.difference), 1e-6)


def integrated_gradients(
    network: nn.Module,
    picture: Tensor,
    target: int,
    *,
    baseline: Tensor | float = 0.0,
    steps: int = FEWEST,
    most: int = MOST,
    progress: Callable[[int, int], None] | None = None,
) -> Integrated:
    """What each value of an input (C, H, W) adds to the logit, on the way from a baseline to it.

    The integral is taken by Gauss and Legendre at so many steps; while the sum misses more than
    1 % of what it must be (completeness), their number is doubled, up to `most`. Sundararajan,
    Taly, Yan 2017, arXiv:1703.01365.
    """
    start = torch.full_like(picture, baseline) if isinstance(baseline, float) else baseline
    with torch.no_grad():
        ends = network(torch.stack([start, picture]))[:, target].double()
    difference = float(ends[1] - ends[0])
    while True:
        values = _integral(network, (start, picture), target, steps, progress)
        made = Integrated(values.float(), float(values.sum()), difference, steps)
        if made.missing <= MISSING or 2 * steps > most:
            return made
        steps *= 2


def _integral(
    network: nn.Module,
    ends: tuple[Tensor, Tensor],
    target: int,
    steps: int,
    progress: Callable[[int, int], None] | None,
) -> Tensor:
    points, shares = np.polynomial.legendre.leggauss(steps)
    start, way = ends[0], ends[1] - ends[0]
    total = torch.zeros_like(start, dtype=torch.float64)
    for first in range(0, steps, AT_ONCE):
        at = torch.tensor((points[first : first + AT_ONCE] + 1) / 2, dtype=start.dtype)
        weigh = torch.tensor(shares[first : first + AT_ONCE] / 2, dtype=torch.float64)
        inputs = start + at.to(start.device).view(-1, 1, 1, 1) * way
        found = slopes(network, inputs, target).double()
        total += (found * weigh.to(start.device).view(-1, 1, 1, 1)).sum(0)
        if progress:
            progress(min(first + AT_ONCE, steps), steps)
    return total * way


@dataclass(frozen=True, eq=False)
class Hidden:
    """What becomes of a class's probability while a patch of the picture is hidden."""

    drop: Tensor  # (H, W): by how much it falls, the mean over the patches that cover a pixel
    probability: float  # of the class, with nothing hidden
    lowest: float  # with the patch hidden that matters most
    patch: tuple[int, int, int, int]  # that one: top, left, height, width


@torch.no_grad()
def occlusion(
    network: nn.Module,
    picture: Tensor,
    target: int,
    *,
    patch: int | None = None,
    stride: int | None = None,
    fill: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Hidden:
    """Hide a square of an input (C, H, W), everywhere in turn, and ask for the class again.

    `patch` pixels wide (a sixth of the shorter side), moved by `stride` (half of that), and
    filled with an input value: 0 is the mean colour where the mean is subtracted. Zeiler and
    Fergus 2014, arXiv:1311.2901, section 4.2.
    """
    sides = picture.shape[1], picture.shape[2]
    patch = min(patch or patch_side(sides), *sides)
    tops, lefts = (_starts(side, patch, stride or max(1, patch // 2)) for side in sides)
    corners = [(top, left) for top in tops for left in lefts]
    chance = float(network(picture[None])[0].softmax(0)[target])
    chances: list[float] = []
    for first in range(0, len(corners), AT_ONCE):
        some = corners[first : first + AT_ONCE]
        inputs = picture.repeat(len(some), 1, 1, 1)
        for row, (top, left) in zip(inputs, some, strict=True):
            row[:, top : top + patch, left : left + patch] = fill
        chances += network(inputs).softmax(1)[:, target].tolist()
        if progress:
            progress(len(chances), len(corners))
    drop, covered = torch.zeros(2, *sides, dtype=torch.float64)
    for (top, left), after in zip(corners, chances, strict=True):
        drop[top : top + patch, left : left + patch] += chance - after
        covered[top : top + patch, left : left + patch] += 1
    least = int(np.argmin(chances))
    return Hidden((drop / covered).float(), chance, chances[least], (*corners[least], patch, patch))


def patch_side(sides: Sequence[int]) -> int:
    """Pixels of the square that is hidden of a picture (H, W)."""
    return max(1, round(min(sides) * PATCH))


def _starts(side: int, patch: int, stride: int) -> Sequence[int]:
    """Where patches begin, so that the last one ends with the picture."""
    return sorted({*range(0, side - patch + 1, stride), side - patch})
