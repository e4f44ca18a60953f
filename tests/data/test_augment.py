from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Generator

from neocog.data import augment, colour, mixing
from neocog.data.batches import Augmentation, TrainingBatches
from neocog.data.dataset import Split
from neocog.data.spec import InputSpec

Change = Callable[[torch.Tensor, Generator], torch.Tensor]


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


@pytest.mark.parametrize("pixels", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_reflected_frame_is_that_of_torch(pixels: int, dtype: torch.dtype) -> None:
    images = torch.randint(256, (3, 2, 5, 7), generator=generator()).to(dtype)
    theirs = torch.nn.functional.pad(images.float(), (pixels,) * 4, mode="reflect")
    assert torch.equal(augment.reflected(images, pixels), theirs.to(dtype))


def test_a_shift_brings_in_what_lies_inside_of_the_edge_or_black() -> None:
    images = torch.full((50, 1, 6, 6), 7, dtype=torch.uint8)
    calls = {
        border: augment.shift(images, 3, generator=generator(), border=border)
        for border in ("reflect", "black")
    }
    assert bool((calls["reflect"] == 7).all())
    assert bool((calls["black"] == 0).any())
    assert calls["reflect"].dtype == torch.uint8
    rows = numbered(1, 1, 5, 1).expand(200, -1, -1, 6)
    moved = augment.shift(rows, 2, generator=generator(), border="reflect")
    columns = {tuple(picture[0, :, 0].tolist()) for picture in moved}
    assert columns == {
        (0, 1, 2, 3, 4),
        (1, 0, 1, 2, 3),
        (2, 1, 0, 1, 2),
        (1, 2, 3, 4, 3),
        (2, 3, 4, 3, 2),
    }


def test_those_that_are_named_are_turned() -> None:
    images = numbered(4, 2, 3, 5)
    out = augment.turn(images, torch.tensor([True, False, False, True]))
    assert torch.equal(out[[0, 3]], images[[0, 3]].flip(3))
    assert torch.equal(out[1:3], images[1:3])


def test_cutout_hides_one_square_of_each_picture_anywhere_inside_of_it() -> None:
    out = augment.cutout(torch.ones(300, 3, 5, 6), 2, generator=generator())
    hidden = out == 0
    assert bool((hidden.sum((1, 2, 3)) == 3 * 4).all())
    corners = {tuple(picture[0].nonzero()[0].tolist()) for picture in hidden}
    assert corners == {(y, x) for y in range(4) for x in range(5)}
    assert all(
        bool(picture[:, y : y + 2, x : x + 2].all())
        for picture in hidden
        for y, x in [picture[0].nonzero()[0].tolist()]
    )
    assert float(augment.cutout(torch.ones(1, 1, 4, 4), 4, generator=generator()).sum()) == 0


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


@pytest.mark.parametrize("name", ["mirror", "shift", "random_crop", "cutout"])
def test_the_same_generator_gives_the_same_pictures(name: str) -> None:
    images = torch.rand(32, 3, 8, 8)
    calls = {
        "mirror": lambda g: augment.mirror(images, g),
        "shift": lambda g: augment.shift(images, 2, generator=g),
        "cutout": lambda g: augment.cutout(images, 3, generator=g),
        "random_crop": lambda g: augment.random_crop(images, (5, 5), generator=g),
    }
    call, before = calls[name], images.clone()
    assert torch.equal(call(generator(1)), call(generator(1)))
    assert not torch.equal(call(generator(1)), call(generator(2)))
    assert torch.equal(images, before)


def test_pictures_that_lie_channels_last_are_mirrored_alike() -> None:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(256, (9, 3, 7, 6), generator=generator).to(torch.uint8)
    laid = images.to(memory_format=torch.channels_last)
    which = torch.tensor([True, False, True, True, False, False, True, False, True])
    assert torch.equal(augment.turn(laid, which), augment.turn(images, which))
    assert torch.equal(laid, images)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, g: augment.mirror(x, g),
        lambda x, g: augment.random_crop(x, (4, 5), generator=g),
        lambda x, g: augment.shift(x, 2, generator=g),
        lambda x, g: augment.shift(x, 2, generator=g, border="reflect"),
        lambda x, g: augment.cutout(x, 3, generator=g),
        lambda x, g: augment.erase(x, 0.5, generator=g),
        lambda x, g: augment.rotate(x, 9, generator=g),
        lambda x, g: augment.pca_noise(x, torch.eye(3), sigma=0.1, generator=g),
        lambda x, g: colour.jitter(x, 0.3, hue=0.1, generator=g),
    ],
)
def test_what_is_drawn_goes_to_where_the_pictures_are(change: Change) -> None:
    """Meta tensors meet no others, as those of a GPU do not."""
    made = change(torch.empty(6, 3, 7, 8, dtype=torch.uint8, device="meta"), generator())
    assert made.is_meta
    assert made.shape[:2] == (6, 3)


def test_mixed_pictures_are_mixed_where_they_are() -> None:
    images, labels = torch.empty(6, 3, 7, 8, device="meta"), torch.empty(6, device="meta").long()
    made, _ = mixing.pasted(images, torch.randperm(6).to("meta"), 0.5, generator())
    assert made.is_meta
    split = Split(images.to(torch.uint8), labels)
    spec = InputSpec(("a",), 3, (7, 8), 7, "resize", (0.5,) * 3, (0.2,) * 3)
    batches = TrainingBatches(split, spec, 4, 0, Augmentation(shift=1, mirror=True, cutout=2))
    made, those = next(batches.epoch(0))
    assert made.is_meta
    assert those.is_meta
    assert (made.shape, made.dtype) == ((4, 3, 7, 8), torch.float32)
