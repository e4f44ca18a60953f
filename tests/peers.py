"""torchvision and timm as oracles, beside a CPU build of torch, and what is asked of them.

torchvision's compiled operators belong to another build, so importing it fails where it describes
them. They are declared first here, without bodies: no classification network calls one.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Collection, Iterable
from types import ModuleType

import pytest
import torch
from _pytest.mark.structures import ParameterSet
from torch import Tensor, nn

from neocog.analysis import cost
from neocog.networks import NETWORKS, create

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


@pytest.fixture(scope="session")
def timm_models(torchvision_models: ModuleType) -> ModuleType:
    """`timm.models`; timm imports torchvision, which therefore comes first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm

    return timm.models


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
        block = torch.randn(min(tensor.numel(), 1_000_003), generator=generator)
        block *= (2 / tensor[0].numel()) ** 0.5
        tensor.copy_(
            block.repeat(-(-tensor.numel() // len(block)))[: tensor.numel()].view_as(tensor)
        )


def equal_logits(peer: nn.Module, ours: nn.Module, x: Tensor) -> None:
    """Both in eval mode; the largest difference is under 1e-4 of the largest logit."""
    with torch.inference_mode():
        expected, logits = peer.eval()(x), ours.eval()(x)
    assert expected.isfinite().all()
    assert expected.std() > 0.01
    assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()


def slow_but(quick: Collection[str], names: Iterable[str]) -> list[ParameterSet]:
    """Names as parameters of a test: the quick ones for every day, the others for the proof."""
    return [
        pytest.param(name, marks=() if name in quick else pytest.mark.slow, id=name)
        for name in names
    ]


def equal_step(peer: nn.Module, ours: nn.Module, x: Tensor, *, lr: float = 0.01) -> None:
    """One step of SGD on each, dropout off: the same loss, then the same weights and statistics.

    ours may share its tensors with peer: neither is changed, for both are copied first.
    """
    losses, states = [], []
    for network in (copy.deepcopy(peer), copy.deepcopy(ours)):
        network.train().requires_grad_(True)
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
        loss = nn.functional.cross_entropy(network(x), torch.arange(len(x)))
        loss.backward()
        torch.optim.SGD(network.parameters(), lr=lr).step()
        losses.append(loss.detach())
        states.append(network.state_dict().values())
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=0)
    for before, theirs, own in zip(peer.state_dict().values(), *states, strict=True):
        # What a step changes may be small beside the weight: it is what is compared.
        change = (theirs - before).float()
        assert ((own - theirs).float().norm() <= 1e-3 * change.norm() + 1e-6).item()


def survives(network: nn.Module, x: Tensor) -> None:
    """Pictures (N, C, H, W) give the same alone, exported, and nearly so in bf16, channels last."""
    with torch.no_grad():
        settle(network, x)
        network.eval()
        logits = network(x)
        torch.testing.assert_close(network(x[:1]), logits[:1], rtol=1e-4, atol=1e-5)
        exported = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(exported(x), logits, rtol=1e-4, atol=1e-6)
        network.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(half.float(), logits, rtol=0.05, atol=0.1 * logits.std().item())


def settle(network: nn.Module, x: Tensor) -> None:
    """Statistics that nearly fit, so that fresh weights give logits of ordinary size.

    Nearly: deep down pictures of noise are alike, and norms that fitted would blow up the little
    that tells them apart, and every rounding with it.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.8
    network(x)


def measured(name: str) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """(weights, multiply-adds) at the paper's input, and (channels, side) of the maps in order."""
    with torch.device("meta"):
        network = create(name)
    seen = cost.table(network, NETWORKS[name].input)
    assert not seen.why
    maps: list[tuple[int, int]] = []
    for stage in seen.stages[:-1]:
        if stage.output[:2] not in maps[-1:]:
            maps.append((stage.output[0], stage.output[1]))
    return (sum(tensor.numel() for tensor in network.parameters()), seen.multiply_adds), maps


def _declare(name: str, signature: str) -> None:
    if hasattr(torch.ops.torchvision, name):
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(name + signature)
    _DECLARED.append(library)
