"""The networks: `NETWORKS` is the table of contents, `create` the door.

Every network is an `nn.Sequential` of stages named as in its paper and takes (N, C, H, W) to logits
(N, num_classes). Its last stage is `head`, all that follows the last map: `net[:-1]` is therefore
the feature extractor, and `net.head` turns its maps into logits.
"""

from __future__ import annotations

from torch import nn

from neocog.errors import UsageError, unknown
from neocog.networks.alexnet import VARIANTS as ALEXNET
from neocog.networks.baseline import VARIANTS as BASELINE
from neocog.networks.densenet import VARIANTS as DENSENET
from neocog.networks.fast import VARIANTS as FAST
from neocog.networks.fast_mnist import VARIANTS as FAST_MNIST
from neocog.networks.googlenet import VARIANTS as GOOGLENET
from neocog.networks.googlenet_bn import VARIANTS as GOOGLENET_BN
from neocog.networks.inception import VARIANTS as INCEPTION
from neocog.networks.inception10 import VARIANTS as INCEPTION10
from neocog.networks.lenet import VARIANTS as LENET
from neocog.networks.lenet5 import VARIANTS as LENET5
from neocog.networks.mobilenet import VARIANTS as MOBILENET
from neocog.networks.mobilenet_v2 import VARIANTS as MOBILENET_V2
from neocog.networks.nin import VARIANTS as NIN
from neocog.networks.overfeat import VARIANTS as OVERFEAT
from neocog.networks.parts import whole
from neocog.networks.preact import VARIANTS as PREACT
from neocog.networks.proxylessnas import VARIANTS as PROXYLESSNAS
from neocog.networks.resnet import VARIANTS as RESNET
from neocog.networks.resnet_cifar import VARIANTS as RESNET_CIFAR
from neocog.networks.resnext import VARIANTS as RESNEXT
from neocog.networks.senet import VARIANTS as SENET
from neocog.networks.shufflenet import VARIANTS as SHUFFLENET
from neocog.networks.shufflenet_v2 import VARIANTS as SHUFFLENET_V2
from neocog.networks.squeezenet import VARIANTS as SQUEEZENET
from neocog.networks.start import drawing
from neocog.networks.variant import Made, Variant
from neocog.networks.vgg import VARIANTS as VGG
from neocog.networks.vgg import vgg
from neocog.networks.wide_resnet import VARIANTS as WIDE_RESNET
from neocog.networks.zfnet import VARIANTS as ZFNET

__all__ = ["NETWORKS", "Made", "Variant", "create", "find", "how_made", "vgg"]

NETWORKS: dict[str, Variant] = {
    v.name: v
    for v in (
        *LENET5,
        *LENET,
        *ALEXNET,
        *ZFNET,
        *OVERFEAT,
        *NIN,
        *VGG,
        *GOOGLENET,
        *GOOGLENET_BN,
        *INCEPTION10,
        *INCEPTION,
        *BASELINE,
        *RESNET,
        *RESNET_CIFAR,
        *SQUEEZENET,
        *PREACT,
        *WIDE_RESNET,
        *RESNEXT,
        *SENET,
        *DENSENET,
        *MOBILENET,
        *SHUFFLENET,
        *MOBILENET_V2,
        *SHUFFLENET_V2,
        *PROXYLESSNAS,
        *FAST,
        *FAST_MNIST,
    )
}

# Names of the same networks in timm, torchvision and papers, where ours differ: folded, to folded.
ELSEWHERE = {
    "lenet": "lenetrelu",
    "mobilenet": "mobilenetv1",
    "mobilenetv1100": "mobilenetv1",
    "mobilenetv2100": "mobilenetv2",
    "inceptionv1": "googlenet",
    "tvresnet50": "resnet50",
    "wrn502": "wideresnet502",
    "wideresnet2810": "wrn2810cifar",
    "densenetbc10012": "densenetbc10012cifar",
    "proxylessnasmobile": "proxylessmobile",
    "proxylessnascpu": "proxylesscpu",
    "proxylessnasgpu": "proxylessgpu",
}


def create(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    seed: int | None = None,
) -> nn.Sequential:
    """The network called `name`, with its paper's initial weights.

    Classes and channels are the paper's unless given. With a `seed` the weights follow from it
    alone, and torch's global generator is left as it was. How it was made is kept in `net.made`.
    """
    variant = find(name)
    classes = variant.num_classes if num_classes is None else num_classes
    channels = variant.input[0] if in_channels is None else in_channels
    whole("num_classes", classes)
    whole("in_channels", channels)
    if seed is not None and (not isinstance(seed, int) or seed < 0):
        raise UsageError(f"seed: {seed!r} was given; it takes a whole number, 0 or more")
    with drawing(seed):
        network = variant.build(num_classes=classes, in_channels=channels)
    made = Made(variant.name, classes, channels, (channels, *variant.input[1:]))
    network.made = made  # type: ignore[assignment]  # torch types attributes as modules
    return network


def find(name: str) -> Variant:
    """The variant of that name; case, hyphens, spaces and underscores do not matter.

    Names that timm and torchvision use for the same network are known, and the ending "_cifar" may
    be left out where there is no network without it. torchvision's `alexnet` and `googlenet` are
    other networks than the papers', which these names give here; theirs are `alexnet_owt` and
    `googlenet_bn`.
    """
    folded = {_fold(variant.name): variant for variant in NETWORKS.values()}
    key = _fold(name)
    for spelling in (key, ELSEWHERE.get(key, ""), f"{key}cifar"):
        if spelling in folded:
            return folded[spelling]
    raise unknown("network", name, NETWORKS)


def how_made(network: nn.Module) -> Made | None:
    """How `create` made this network; None for any other."""
    made = getattr(network, "made", None)
    return made if isinstance(made, Made) else None


def _fold(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())
