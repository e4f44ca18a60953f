"""What is looked at of a picture, against the same written out."""

from __future__ import annotations

import pytest
import torch
from tests.engine.test_fit import SPEC, pictures
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.data.batches import in_order
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
