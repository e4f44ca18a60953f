"""LeNet-5 as in 1998: convolution, subsampling and a dense top, learned as one.

Paper  LeCun, Bottou, Bengio, Haffner. Gradient-Based Learning Applied to Document Recognition.
       Proceedings of the IEEE 86(11), 1998. Section II.B; appendix A for squashing and start
Idea   Units see small patches, those of a map share weights, and maps grow coarser and more.

    layer   maps         trainable   connections
    C1        6 @ 28x28        156       122,304   5x5
    S2        6 @ 14x14         12         5,880   sum of 2x2, times a coefficient, plus a bias
    C3       16 @ 10x10      1,516       151,600   5x5 on the maps that Table I connects
    S4       16 @ 5x5           32         2,000   as S2
    C5      120 @ 1x1       48,120        48,120   5x5 on all maps
    F6       84             10,164        10,164   dense
    OUTPUT   10                  0           840   distance from a 7x12 picture of each digit

Unlike the paper
  - Logits are minus the penalties of its RBF units, so that the largest wins as everywhere here.
    Its loss (equation 9) is then cross-entropy over these logits and one more that is always -j.
  - The codes are Figure 3 as public re-implementations read it, for it prints no numbers. The bar
    tells 0, 2, 4, 5 from letters. Classes beyond ten get random codes, which the paper allows.
  - Biases, of which appendix A says nothing, start as the weights do.
"""

from __future__ import annotations

import random
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.networks import start
from neocog.networks.variant import Variant

# Table I: for each map of C3, from the first on, the maps of S2 that it reads.
TABLE_I = "012 123 234 345 045 015 0123 1234 2345 0345 0145 0125 0134 1245 0235 012345"
# The digits, 12 rows of 7.
FIGURE_3 = """\
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... ......."""


class Squash(nn.Module):
    """A tanh(S a): takes +-1 to +-1, and bends most there (appendix A)."""

    def forward(self, a: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(a * (2 / 3))


class Subsample(nn.Module):
    """Sums of 2x2, each map with one coefficient and one bias: (N, C, H, W) -> (N, C, H/2, W/2)."""

    def __init__(self, num_maps: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(start.lecun_(torch.empty(num_maps, 1, 1), 4))
        self.bias = nn.Parameter(start.lecun_(torch.empty(num_maps, 1, 1), 4))

    def forward(self, x: Tensor) -> Tensor:
        return 4 * F.avg_pool2d(x, 2) * self.coefficient + self.bias

    def multiply_adds(self, output: tuple[int, ...]) -> int:
        return 4 * output[0] * output[1] * output[2]  # the paper counts four connections, too


class TableConv(nn.Module):
    """A 5x5 convolution from some maps to each: (N, 6, H, W) -> (N, 16, H-4, W-4).

    `weight` holds the connected kernels only, 60 of 96; they are laid out dense when used.
    """

    pairs: Tensor  # (2, 60): the map that a kernel makes, the map that it reads

    def __init__(self, table: str) -> None:
        super().__init__()
        rows = table.split()
        pairs = [(made, int(read)) for made, maps in enumerate(rows) for read in maps]
        self.register_buffer("pairs", torch.tensor(pairs).T, persistent=False)
        self.shape = (len(rows), 1 + max(read for _, read in pairs), 5, 5)
        fan_in = torch.tensor([25.0 * len(maps) for maps in rows])
        kernels = torch.empty(len(pairs), 5, 5)
        self.weight = nn.Parameter(start.lecun_(kernels, fan_in[self.pairs[0], None, None]))
        self.bias = nn.Parameter(start.lecun_(torch.empty(len(rows)), fan_in))

    def forward(self, x: Tensor) -> Tensor:
        dense = self.weight.new_zeros(self.shape).index_put(self.pairs.unbind(), self.weight)
        return F.conv2d(x, dense, self.bias)

    def multiply_adds(self, output: tuple[int, ...]) -> int:
        return self.weight.numel() * output[1] * output[2]


class RBF(nn.Module):
    """Minus the squared distance from each class's fixed code: (N, 84) -> (N, num_classes)."""

    codes: Tensor  # (num_classes, 84), +1 or -1

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        digits = zip(*map(str.split, FIGURE_3.splitlines()), strict=True)
        codes = [[1.0 if dot == "#" else -1.0 for dot in "".join(rows)] for rows in digits]
        coin = random.Random(1998)
        codes += [
            [1.0 if coin.random() < 0.5 else -1.0 for _ in range(84)]
            for _ in range(num_classes - 10)
        ]
        self.register_buffer("codes", torch.tensor(codes[:num_classes]))

    def forward(self, x: Tensor) -> Tensor:
        return -(x[:, None] - self.codes).square().sum(dim=-1)

    def multiply_adds(self, output: tuple[int, ...]) -> int:
        return 84 * output[0]


def lenet5(*, num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """(N, 1, 32, 32) -> (N, num_classes)."""
    top = OrderedDict(flatten=nn.Flatten(), f6=nn.Linear(120, 84), squash6=Squash())
    network = nn.Sequential(
        OrderedDict(
            c1=nn.Conv2d(in_channels, 6, 5),
            squash1=Squash(),
            s2=Subsample(6),
            squash2=Squash(),
            c3=TableConv(TABLE_I),
            squash3=Squash(),
            s4=Subsample(16),
            squash4=Squash(),
            c5=nn.Conv2d(16, 120, 5),
            squash5=Squash(),
            head=nn.Sequential(OrderedDict(top, output=RBF(num_classes))),
        )
    )
    start.lecun(network)  # of c1, c5 and f6; the others have drawn their own
    return network


_ABOUT = "connection table, trainable subsampling, RBF outputs with fixed codes"
VARIANTS = (Variant("lenet5", lenet5, (1, 32, 32), 1998, "LeCun et al. 1998", 10, _ABOUT),)
