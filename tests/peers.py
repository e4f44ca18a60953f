"""torchvision as an oracle, beside a CPU build of torch.

Its compiled operators belong to another build, so importing it fails where it describes them. They
are declared first here, without bodies: no classification network calls one.
"""

from __future__ import annotations

import warnings
from types import ModuleType

import pytest
import torch
from torch import nn

_DECLARED: list[torch.library.Library] = []  # a declaration lives as long as its library


@pytest.fixture(scope="session")
def torchvision_models() -> ModuleType:
    """`torchvision.models`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _declare("nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declare("qnms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

    return torchvision.models


def share_random_weights(peer: nn.Module, ours: nn.Module, *, seed: int) -> None:
    """Draw weights for `peer` and give ours the same ones, matched by order, in eval mode.

    Both may have been made on the meta device, which saves drawing starts that nobody wants. No
    weight, bias or statistic is left where it could hide, at zero or one; the spread keeps numbers
    in range through nineteen layers.
    """
    assert [t.shape for t in ours.state_dict().values()] == [
        t.shape for t in peer.state_dict().values()
    ]
    peer.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in peer.state_dict().items():
        _draw(name, tensor, generator)
    drawn = dict(zip(ours.state_dict(), peer.state_dict().values(), strict=True))
    ours.load_state_dict(drawn, strict=True, assign=True)
    ours.eval()


def _draw(name: str, tensor: torch.Tensor, generator: torch.Generator) -> None:
    if not tensor.is_floating_point():
        tensor.fill_(1)
    elif name.endswith("running_var"):
        tensor.uniform_(0.5, 2, generator=generator)
    elif tensor.dim() == 1:
        centre = 1 if name.endswith("weight") else 0
        tensor.normal_(centre, 0.1, generator=generator)
    else:  # a hundred million draws take long: a block of them, over and over, does as well
        block = torch.randn(1_000_003, generator=generator) * (2 / tensor[0].numel()) ** 0.5
        tensor.copy_(
            block.repeat(1 + tensor.numel() // len(block))[: tensor.numel()].view_as(tensor)
        )


def _declare(name: str, signature: str) -> None:
    if hasattr(torch.ops.torchvision, name):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(name + signature)
    _DECLARED.append(library)
