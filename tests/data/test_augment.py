from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from neocog.data import augment


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def numbered(n: int, c: int, h: int, w: int) -> torch.Tensor:
    return torch.arange(n * c * h * w, dtype=torch.float32).view(n, c, h, w)


def test_mirror_turns_about_half_and_leaves_the_rest() -> None:
    images = numbered(400, 1, 2, 3)
    out = augment.mirror(images, generator())
    turned = (out == images.flip(3)).all(dim=(1, 2, 3))
    same = (out == images).all(dim=(1, 2, 3))
    assert bool((turned ^ same).all())
    assert 150 < int(turned.sum()) < 250


def test_random_crop_cuts_pieces_that_are_there_and_reaches_every_corner() -> None:
    images = numbered(1, 2, 5, 6).expand(300, -1, -1, -1)
    out = augment.random_crop(images, (3, 4), generator=generator())
    corners = set()
    for piece in out:
        top, left = divmod(int(piece[0, 0, 0]), 6)
        torch.testing.assert_close(piece, images[0, :, top : top + 3, left : left + 4])
        corners.add((top, left))
    assert corners == {(t, x) for t in range(3) for x in range(3)}


def test_shift_moves_whole_pictures_and_brings_in_black() -> None:
    images = torch.zeros(200, 1, 5, 5)
    images[:, 0, 2, 2] = 1
    out = augment.shift(images, 2, generator=generator())
    assert out.shape == images.shape
    assert (out.sum(dim=(1, 2, 3)) == 1).all()
    assert {tuple(p[1:].tolist()) for p in out.nonzero()[:, 1:]} == {
        (y, x) for y in range(5) for x in range(5)
    }


def test_principal_components_agree_with_numpy() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1500, 1, 4, 4)) * 30 + 120
    pixels = np.clip(base + rng.normal(size=(1500, 3, 4, 4)) * 10, 0, 255).astype(np.uint8)
    components = augment.principal_components(torch.from_numpy(pixels))
    colours = pixels.transpose(1, 0, 2, 3).reshape(3, -1) / 255
    covariance = np.cov(colours, bias=True)
    # each column is an eigenvector as long as its eigenvalue
    for column in components.double().numpy().T:
        value = np.linalg.norm(column)
        np.testing.assert_allclose(covariance @ column, value * column, atol=1e-6)
    lengths = np.linalg.norm(components.numpy(), axis=0)
    np.testing.assert_allclose(sorted(lengths), np.linalg.eigvalsh(covariance), atol=1e-6)


def test_pca_noise_adds_one_colour_a_picture_with_the_right_spread() -> None:
    images, components = torch.zeros(4000, 3, 2, 2), torch.diag(torch.tensor([0.1, 0.2, 0.4]))
    out = augment.pca_noise(images, components, sigma=0.1, generator=generator())
    assert bool((out == out[:, :, :1, :1]).all())
    torch.testing.assert_close(
        out[:, :, 0, 0].std(0), torch.tensor([0.01, 0.02, 0.04]), rtol=0.05, atol=0
    )


@pytest.mark.parametrize("name", ["mirror", "shift", "random_crop"])
def test_the_same_generator_gives_the_same_pictures(name: str) -> None:
    images = torch.rand(32, 3, 8, 8)
    calls = {
        "mirror": lambda g: augment.mirror(images, g),
        "shift": lambda g: augment.shift(images, 2, generator=g),
        "random_crop": lambda g: augment.random_crop(images, (5, 5), generator=g),
    }
    call, before = calls[name], images.clone()
    assert torch.equal(call(generator(1)), call(generator(1)))
    assert not torch.equal(call(generator(1)), call(generator(2)))
    assert torch.equal(images, before)
