"""What is looked at of a picture, against the same written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.compilers import needs_compiler
from tests.engine.test_fit import SPEC, pictures
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.data.batches import in_order
from neocog.engine import fused, stages, winograd
from neocog.engine.evaluate import VIEWS, predictions
from neocog.networks import create
from neocog.recipe import VIEWS as NAMED

SPLIT = pictures(12, 1)


def said(network: nn.Module, views: str) -> Tensor:
    return torch.from_numpy(predictions(network, SPLIT, SPEC, batch_size=5, views=views).logits)


def seen(network: nn.Module, *views: tuple[float, bool, int]) -> Tensor:
    """Logits by weight, mirrored or not, moved by so many pixels down and right."""
    ((images, _),) = in_order(SPLIT, SPEC, len(SPLIT))
    whole = torch.zeros(len(SPLIT), 4)
    with torch.inference_mode():
        for weight, mirrored, moved in views:
            view = F.pad(images, (1, 1, 1, 1), mode="reflect").roll((moved, moved), (2, 3))
            view = view[:, :, 1:-1, 1:-1]
            whole += weight * network(view.flip(3) if mirrored else view)
    return whole


def test_the_recipes_names_are_those_that_there_are() -> None:
    assert tuple(VIEWS) == NAMED


def test_views_are_averaged_before_softmax_by_the_papers_weights() -> None:
    """Jordan 2024, section 3.5: a quarter for picture and mirror, an eighth for each moved."""
    network = create("lenet_relu", num_classes=4, seed=0).eval()
    one, mirror = [(1.0, False, 0)], [(0.5, False, 0), (0.5, True, 0)]
    six = [(0.25, m, 0) for m in (False, True)]
    six += [(0.125, m, by) for m in (False, True) for by in (1, -1)]
    for views, expected in (("one", one), ("mirror", mirror), ("six", six)):
        torch.testing.assert_close(said(network, views), seen(network, *expected))
    assert not torch.allclose(said(network, "mirror"), said(network, "one"))


@pytest.mark.parametrize("views", ["mirror", "six"])
def test_a_network_that_sees_no_difference_says_the_same(views: str) -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 4))
    mirrored = said(network, "mirror")
    torch.testing.assert_close(mirrored, said(network, "one"))
    assert said(network, views).shape == (12, 4)


class Wide(nn.Sequential):
    """With a convolution that there are fewer products for."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 4),
        )


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_scored_in_the_layout_of_training_it_says_the_same_but_for_rounding(
    layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network, split, counted = Wide(), pictures(40, 1), []
    real, maps = winograd.convolved, []

    def noted(*given: Any) -> Tensor:
        counted.append(1)
        return real(*given)

    monkeypatch.setattr(winograd, "convolved", noted)
    network[2].register_forward_hook(lambda _, given, made: maps.append(made))
    strides = [weight.stride() for weight in network.parameters()]
    wanted = predictions(network, split, SPEC, forward=network).logits
    assert not counted
    maps.clear()
    found = predictions(network, split, SPEC, layout=layout).logits
    last = layout == "channels_last"
    assert maps[0].is_contiguous(memory_format=torch.channels_last) == last
    assert bool(counted) == (last and winograd.library(torch.float32) is not None)
    torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(wanted))
    assert (predictions(network, split, SPEC, layout=layout).logits == found).all()
    assert [weight.stride() for weight in network.parameters()] == strides
    assert not any("forward" in vars(layer) for layer in network.modules())
    network(torch.randn(2, 1, 28, 28)).sum().backward()  # it can be trained still


@needs_compiler
@pytest.mark.parametrize(
    ("code", "kinds"),
    [(fused, []), (stages, []), (winograd, [torch.float32]), (winograd, [torch.bfloat16])],
)
def test_what_is_compiled_may_be_asked_for_first_while_scoring(code: Any, kinds: Any) -> None:
    library = code.library(*kinds)
    assert library is not None
    with torch.inference_mode():
        assert code._is_right(library, *kinds)
