"""Convolutions laid out anew compute what torch's do: in float64, where rounding hides nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.engine import tiles
from neocog.engine.hardware import Hardware
from neocog.engine.tiles import convolved, full_tiles

# pictures, channels in and out, height, width, kernel, stride, padding
SIDE_BY_SIDE = {
    "7x7": (8, 3, 5, 7, 7, 3, 1, 1),
    "4x4": (16, 4, 6, 4, 4, 3, 1, 1),
    "3x3": (16, 4, 6, 3, 3, 3, 1, 1),
    "12x12": (6, 4, 6, 12, 12, 3, 1, 1),
    "higher than wide": (8, 4, 6, 9, 4, 3, 1, 1),
    "5x5 kernel": (6, 4, 5, 13, 13, 5, 1, 2),
    "stride 2, even": (8, 4, 6, 14, 14, 3, 2, 1),
    "stride 2, odd": (8, 4, 6, 13, 13, 3, 2, 1),
    "stride 2, 5x5 kernel": (8, 4, 6, 7, 7, 5, 2, 2),
    "narrow": (12, 4, 6, 5, 3, 3, 2, 1),
    "a single pixel": (8, 5, 4, 1, 1, 3, 1, 1),
}
AS_THEY_ARE = {
    "an odd number": (7, 4, 4, 6, 6, 3, 1, 1),
    "without padding": (8, 4, 4, 6, 6, 3, 1, 0),
    "2x2 kernel": (8, 4, 4, 6, 6, 2, 1, 1),
    "much padding": (8, 4, 4, 6, 6, 3, 1, 2),
    "long rows": (4, 4, 4, 15, 15, 3, 1, 1),
}
OTHERWISE = {
    "1x1": (8, 4, 5, 8, 9, 1, 1, 0),
    "1x1, stride 2": (8, 4, 5, 9, 8, 1, 2, 0),
    "11x11, stride 4": (4, 1, 5, 23, 23, 11, 4, 0),
    "11x11, stride 4, padded": (4, 3, 5, 27, 31, 11, 4, 2),
    "7x7, stride 3": (4, 3, 5, 30, 29, 7, 3, 3),
    "3x3, stride 3": (8, 4, 4, 6, 7, 3, 3, 1),
}
ALL = {**SIDE_BY_SIDE, **AS_THEY_ARE, **OTHERWISE}


def given(case: tuple[int, ...], *, slope: bool) -> tuple[Tensor, Tensor, Tensor]:
    n, c_in, c_out, h, w, kernel, _, _ = case
    generator = torch.Generator().manual_seed(0)
    how: dict[str, Any] = {"dtype": torch.float64, "generator": generator}
    x = torch.randn(n, c_in, h, w, **how).to(memory_format=torch.channels_last)
    weight = torch.randn(c_out, c_in, kernel, kernel, **how)
    bias = torch.randn(c_out, **how)
    return x.requires_grad_(slope), weight.requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize("slope", [True, False], ids=["within", "first layer"])
@pytest.mark.parametrize("cache", [0, 2**40], ids=["large weights", "small weights"])
@pytest.mark.parametrize("name", ALL)
def test_outputs_and_gradients_are_torchs(
    name: str, cache: int, slope: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "CACHE", cache)
    (x, weight, bias), (*_, stride, pad) = given(ALL[name], slope=slope), ALL[name]
    usual = F.conv2d(x, weight, bias, stride, pad)
    made = convolved(x, weight, bias, (stride, stride), (pad, pad))
    assert torch.allclose(made, usual, rtol=1e-12, atol=1e-10)
    wanted = [weight, bias, *([x] if slope else [])]
    g = torch.randn(usual.shape, dtype=usual.dtype, generator=torch.Generator().manual_seed(1))
    pairs = zip(
        torch.autograd.grad(made, wanted, g), torch.autograd.grad(usual, wanted, g), strict=True
    )
    for ours, torchs in pairs:
        assert ours.shape == torchs.shape
        assert torch.allclose(ours, torchs, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("name", [*SIDE_BY_SIDE, *AS_THEY_ARE])
def test_small_maps_lie_side_by_side(name: str) -> None:
    x, weight, _ = given(ALL[name], slope=False)
    *_, stride, pad = ALL[name]
    period, count = tiles._abreast(x, weight, (stride, stride), (pad, pad))
    assert (count > 1) is (name in SIDE_BY_SIDE)
    assert count * period <= tiles.LONG


@pytest.mark.parametrize("name", [*SIDE_BY_SIDE, *AS_THEY_ARE])
def test_gradients_are_taken_of_them_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = given(ALL[name], slope=True)
    *_, stride, pad = ALL[name]
    usual, shapes = tiles._backward, []
    monkeypatch.setattr(
        tiles, "_backward", lambda g, *rest: shapes.append(len(g)) or usual(g, *rest)
    )
    convolved(x, weight, bias, (stride, stride), (pad, pad)).sum().backward()
    _, count = tiles._abreast(x, weight, (stride, stride), (pad, pad))
    assert shapes == ([len(x), len(x) // count] if count > 1 else [len(x)])


def test_between_pictures_there_are_zeros() -> None:
    x = torch.arange(1.0, 33).reshape(4, 2, 2, 2).to(memory_format=torch.channels_last)
    wide = tiles._wide(x, 2, 3)
    assert wide.shape == (2, 2, 2, 6)
    assert torch.equal(wide[1, :, :, 3:5], x[3])
    assert not wide[..., [2, 5]].any()
    assert torch.equal(tiles._narrow(wide, 2, 3, 2), x)


def test_what_comes_out_may_be_changed_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "CACHE", 0)
    x, weight, bias = given(ALL["4x4"], slope=True)
    made = convolved(x, weight, bias, (1, 1), (1, 1)).relu_()
    usual = F.conv2d(x, weight, bias, 1, 1).relu()
    slopes = [torch.autograd.grad(way.square().sum(), weight)[0] for way in (made, usual)]
    assert torch.allclose(*slopes)


class Asked(nn.Sequential):
    """Layers of every sort, some of which must be left alone."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 32, 11, 4, 5),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 3, padding=1, padding_mode="reflect"),
            nn.Conv2d(32, 32, 3, padding=2, dilation=2),
            nn.Conv2d(32, 32, 3, padding="same"),
            nn.Conv2d(32, 32, 1, groups=2),
            nn.Conv2d(32, 64, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 32, 1, 2),
            nn.Flatten(),
            nn.LazyLinear(5),
        )


def test_a_network_in_bf16_has_the_gradients_that_it_has_without() -> None:
    torch.manual_seed(0)
    network = Asked()
    x = torch.randn(16, 3, 48, 48)
    network(x)
    plain = Hardware("cpu", "any", 1, precision="bf16", layout="channels_last")
    slopes = []
    for convolutions in ("plain", "tiled"):
        hardware = dataclasses.replace(plain, convolutions=convolutions)
        with hardware.in_force(network):
            own = [m for m in network if isinstance(m, nn.Conv2d) and "forward" in vars(m)]
            assert len(own) == (3 if convolutions == "tiled" else 0)
            ((_, logits),) = hardware.passes(network, batch_size=16).training(x)
            slopes.append(torch.autograd.grad(logits.square().sum(), list(network.parameters())))
    for ours, torchs in zip(*slopes, strict=True):
        assert (ours - torchs).norm() <= 0.02 * torchs.norm()
    assert not any("forward" in vars(layer) for layer in network.modules())


def test_only_what_learns_in_bf16_is_laid_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("laid out anew")

    layer = nn.Conv2d(3, 4, 3)
    monkeypatch.setattr(tiles, "convolved", never)
    x = torch.randn(2, 3, 8, 8)
    with full_tiles(nn.Sequential(layer)):
        layer(x)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            layer(x)
        with pytest.raises(AssertionError), torch.autocast("cpu", torch.bfloat16):
            layer(x)


def test_a_layer_that_is_held_in_fp32_stays_there() -> None:
    torch.manual_seed(0)
    network, x = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1)), torch.randn(4, 4, 7, 7)
    half = Hardware("cpu", "x", 1, layout="channels_last", precision="bf16", convolutions="tiled")
    wanted, lost = network(x).detach(), []
    for held in ((), ("0",)):
        hardware = dataclasses.replace(half, held=held)
        with hardware.in_force(network):
            (_, made), *_ = hardware.passes(network, batch_size=4).training(x)
        lost.append(float((made.detach() - wanted).abs().max()))
    assert lost[0] > 1e-3 > 1e-6 > lost[1]
