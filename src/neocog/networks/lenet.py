"""LeNet as courses and frameworks teach it: the plan of 1998 with the layers of today.

Paper  none of their own. They go back to LeNet-5 (LeCun et al. 1998), which is `lenet5`
Idea   Convolve, shrink, twice; then dense layers to the classes. Small enough to print whole.

  form            input     5x5 maps   units     pool   dense     weights   taught by
  lenet_sigmoid   1x28x28   6, 16      sigmoid   mean   120, 84    61,706   Dive into Deep Learning
  lenet_relu      1x28x28   6, 16      ReLU      max    120, 84    61,706   most tutorials since
  lenet_mxnet     1x28x28   20, 50     tanh      max    500       431,080   MXNet's example
  lenet_cifar     3x32x32   6, 16      ReLU      max    120, 84    62,006   PyTorch's tutorial

Unlike the paper
  - Pooling has no weights, every map of conv2 reads every map of conv1, and the top is dense.
  - The first two take 28 px and pad conv1 by 2: the same maps as 32 px without padding.
  - Starts: Xavier where units saturate, He where they are ReLU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import nn

from neocog.networks import start
from neocog.networks.variant import Variant


@dataclass(frozen=True)
class Form:
    """A line of the table above."""

    maps: tuple[int, int]
    hidden: tuple[int, ...]
    unit: type[nn.Module]
    pool: Callable[[int], nn.Module]
    start: Callable[[nn.Module], None]
    padding: int  # of conv1
    side: int  # of the last maps


FORMS = {
    "lenet_sigmoid": Form((6, 16), (120, 84), nn.Sigmoid, nn.AvgPool2d, start.xavier, 2, 5),
    "lenet_relu": Form((6, 16), (120, 84), nn.ReLU, nn.MaxPool2d, start.he, 2, 5),
    "lenet_mxnet": Form((20, 50), (500,), nn.Tanh, nn.MaxPool2d, start.xavier, 0, 4),
    "lenet_cifar": Form((6, 16), (120, 84), nn.ReLU, nn.MaxPool2d, start.he, 0, 5),
}


def lenet(form: Form, *, num_classes: int, in_channels: int) -> nn.Sequential:
    """(N, in_channels, H, W) -> (N, num_classes)."""
    first, second = form.maps
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(in_channels, first, 5, padding=form.padding),
            unit1=form.unit(),
            pool1=form.pool(2),
            conv2=nn.Conv2d(first, second, 5),
            unit2=form.unit(),
            pool2=form.pool(2),
            head=_head(form, second * form.side**2, num_classes),
        )
    )
    form.start(network)
    return network


def _head(form: Form, features: int, num_classes: int) -> nn.Sequential:
    head = nn.Sequential(OrderedDict(flatten=nn.Flatten()))
    widths = (features, *form.hidden)
    for number, (c_in, c_out) in enumerate(pairwise(widths), start=3):
        head.add_module(f"fc{number}", nn.Linear(c_in, c_out))
        head.add_module(f"unit{number}", form.unit())
    head.add_module(f"fc{len(widths) + 2}", nn.Linear(widths[-1], num_classes))
    return head


def _variant(name: str, size: tuple[int, int, int], about: str) -> Variant:
    build = partial(lenet, FORMS[name])
    return Variant(name, build, size, 1998, "after LeCun et al. 1998", 10, about)


VARIANTS = (
    _variant("lenet_sigmoid", (1, 28, 28), "sigmoid and average pooling: Dive into Deep Learning"),
    _variant("lenet_relu", (1, 28, 28), "ReLU and max pooling: what most people write today"),
    _variant("lenet_mxnet", (1, 28, 28), "20 and 50 maps, tanh, dense 500: MXNet's example"),
    _variant("lenet_cifar", (3, 32, 32), "colour, 32 px, ReLU and max pooling: PyTorch's tutorial"),
)
