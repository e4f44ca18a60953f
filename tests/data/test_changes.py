"""Augmentation beside torchvision's own: crops, colours, TrivialAugment's fourteen, mixtures."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch
from torch import Generator, Tensor

from neocog.data import augment, colour, crops, mixing, trivial

N = 6


@pytest.fixture(scope="module")
def functional(torchvision_models: ModuleType) -> ModuleType:
    import torchvision.transforms.v2.functional as functional

    return functional


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pictures(n: int = N, side: int = 33, seed: int = 0) -> Tensor:
    """Smooth noise, uint8 (N, 3, side, side): grains would hide where an edge lies."""
    small = torch.rand(n, 3, 6, 6, generator=seeded(seed))
    large = torch.nn.functional.interpolate(small, (side, side), mode="bilinear")
    return (255 * large).round().to(torch.uint8)


# -- crops


def test_area_crops_stay_inside_and_have_the_area_and_aspect_asked_for() -> None:
    sizes = torch.tensor([[200, 300], [300, 200], [64, 64]]).repeat(400, 1)
    boxes = crops.area_boxes(sizes, (0.08, 1.0), (3 / 4, 4 / 3), seeded())
    top, left, height, width = boxes.unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= sizes[:, 0]).all()
    assert (left + width <= sizes[:, 1]).all()
    share = (height * width) / (sizes[:, 0] * sizes[:, 1])
    assert share.min() > 0.07
    assert share.max() > 0.9
    # a draw above what an aspect leaves room for is drawn again, so large areas are rarer
    assert 0.4 < float(share.mean()) < 0.54
    aspect = width / height
    assert aspect.min() > 0.72
    assert aspect.max() < 1.4
    assert abs(float(aspect.log().mean())) < 0.03


def test_the_aspect_is_width_over_height() -> None:
    sizes = torch.tensor([[200, 200]]).expand(100, 2)
    _, _, height, width = crops.area_boxes(sizes, (0.1, 0.3), (1.5, 3.0), seeded()).unbind(1)
    assert (width > 1.4 * height).all()


def test_area_crops_are_distributed_as_torchvisions(torchvision_models: ModuleType) -> None:
    from torchvision.transforms import RandomResizedCrop

    image = torch.zeros(3, 120, 180)
    torch.manual_seed(0)
    peer = torch.tensor(
        [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)]
    ).double()
    ours = crops.area_boxes(
        torch.tensor([[120, 180]]).expand(3000, 2), (0.08, 1.0), (3 / 4, 4 / 3), seeded()
    ).double()
    for column in range(4):
        spread = peer[:, column].std() / math.sqrt(3000)
        assert abs(float((peer[:, column].mean() - ours[:, column].mean()) / spread)) < 5


def test_where_no_draw_fits_the_largest_centred_box_is_taken() -> None:
    box = crops.area_boxes(torch.tensor([[10, 1000]]), (1.0, 1.0), (3 / 4, 4 / 3), seeded())
    assert box.tolist() == [[0, 493, 10, 13]]
    box = crops.area_boxes(torch.tensor([[1, 1]]), (0.5, 1.0), (3 / 4, 4 / 3), seeded())
    assert box.tolist() == [[0, 0, 1, 1]]


# -- colours


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colour.brightened, "adjust_brightness"),
        (colour.contrasted, "adjust_contrast"),
        (colour.saturated, "adjust_saturation"),
        (trivial.sharpened, "adjust_sharpness"),
    ],
)
def test_colours_change_as_torchvisions(
    functional: ModuleType, ours: object, theirs: str, factor: float
) -> None:
    images = pictures().float() / 255
    made = ours(images, torch.full((N,), factor))  # type: ignore[operator]
    torch.testing.assert_close(made, getattr(functional, theirs)(images, factor), atol=2e-3, rtol=0)


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.1, 0.45])
def test_hues_turn_as_torchvisions(functional: ModuleType, turn: float) -> None:
    images = torch.rand(N, 3, 9, 9, generator=seeded(4))
    images[0] = 0.3  # grey has no hue
    made = colour.hue_turned(images, torch.full((N,), turn))
    torch.testing.assert_close(made, functional.adjust_hue(images, turn), atol=1e-5, rtol=0)


def test_jitter_differs_from_picture_to_picture_and_follows_its_generator() -> None:
    images = pictures(1).repeat(N, 1, 1, 1)
    made = colour.jitter(images, 0.4, hue=0.1, generator=seeded(1))
    assert made.std(0).max() > 0.05
    assert torch.equal(made, colour.jitter(images, 0.4, hue=0.1, generator=seeded(1)))
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    grey = colour.jitter(images[:, :1], 0.4, hue=0.1, generator=seeded(1))
    assert grey.shape == (N, 1, 33, 33)
    untouched = colour.jitter(images, 0.0, hue=0.0, generator=seeded(1))
    torch.testing.assert_close(untouched, images / 255)


# -- TrivialAugment


@pytest.mark.parametrize("strength", [0.0, 1 / 3, 1.0])
@pytest.mark.parametrize(
    "name", ["posterize", "solarize", "autocontrast", "equalize", "rotate", "shear_x", "shear_y",
             "translate_x", "translate_y"]
)  # fmt: skip
def test_each_operation_is_torchvisions(functional: ModuleType, name: str, strength: float) -> None:
    images = pictures(seed=3)
    made = trivial.OPERATIONS[name](images, torch.full((N,), strength))
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    slope = math.degrees(math.atan(0.99 * strength))
    moves = {
        "rotate": {"angle": 135 * strength},
        "shear_x": {"shear": [slope, 0.0], "center": [0, 0]},
        "shear_y": {"shear": [0.0, slope], "center": [0, 0]},
        "translate_x": {"translate": [int(32 * strength), 0]},
        "translate_y": {"translate": [0, int(32 * strength)]},
    }
    if name in ("autocontrast", "equalize"):
        expected = getattr(functional, name)(images)
    elif name == "posterize":
        expected = functional.posterize(images, 8 - round(6 * strength))
    elif name == "solarize":
        expected = functional.solarize(images, 255 * (1 - strength))
    elif name.startswith("shear"):  # torchvision shears around the corner: only how far is compared
        expected = functional.affine(images, **{**still, "shear": moves[name]["shear"]})
    else:
        expected = functional.affine(images, **{**still, **moves[name]})
    far = (made.int() - expected.int()).abs() > 1
    assert float(far.float().mean()) < 0.04  # an edge pixel may fall to either side


def test_every_operation_keeps_size_and_kind_and_every_one_is_drawn() -> None:
    for images in (pictures(), pictures()[:, :1], torch.full((N, 3, 5, 5), 77, dtype=torch.uint8)):
        for operation in trivial.OPERATIONS.values():
            for strength in (-1.0, 0.0, 1.0):
                made = operation(images, torch.full((N,), strength))
                assert made.shape == images.shape
                assert made.dtype == torch.uint8
    assert len(trivial.OPERATIONS) == 14
    many = pictures(1).repeat(300, 1, 1, 1)
    made = trivial.augmented(many, generator=seeded())
    assert torch.equal(made, trivial.augmented(many, generator=seeded()))
    assert len({bytes(image.numpy().tobytes()) for image in made}) > 60


# -- turning, erasing


def test_turning_by_a_right_angle_moves_pixels_exactly() -> None:
    images = pictures(side=32)
    made = augment.warped(images, augment.rotations(torch.full((N,), 90.0)))
    torch.testing.assert_close(made, images.rot90(-1, (2, 3)), atol=1, rtol=0)
    assert torch.equal(augment.rotate(images, 0.0, generator=seeded()), images)


def test_turning_is_up_to_the_angle_and_leaves_black_corners() -> None:
    white = torch.full((200, 1, 21, 21), 255, dtype=torch.uint8)
    made = augment.rotate(white, 20, generator=seeded())
    assert (made[:, 0, 10, 10] == 255).all()
    assert float((made[:, 0, 0, 0] < 255).float().mean()) > 0.8


def test_erased_boxes_have_the_share_and_size_of_the_paper() -> None:
    ones = torch.ones(4000, 1, 32, 32)
    made = augment.erase(ones, 0.4, generator=seeded())
    share = 1 - made.mean((1, 2, 3))
    touched = share > 0
    assert abs(float(touched.float().mean()) - 0.4) < 0.03
    assert float(share[touched].min()) > 0.01
    assert float(share[touched].max()) < 0.36
    assert torch.equal(augment.erase(ones, 0.0, generator=seeded()), ones)


# -- mixtures


def test_mixup_mixes_pictures_as_it_mixes_labels() -> None:
    labels = torch.arange(N)
    images = labels.view(N, 1, 1, 1).float().expand(N, 1, 4, 4).clone()
    made, shares = mixing.mixed(images, labels, N, mixup=0.8, cutmix=0.0, generator=seeded(2))
    torch.testing.assert_close(made[:, 0, 0, 0], shares @ labels.float())
    torch.testing.assert_close(shares.sum(1), torch.ones(N))
    assert not torch.equal(made, images)


def test_cutmix_counts_the_pixels_that_it_pasted() -> None:
    labels = torch.arange(N)
    images = labels.view(N, 1, 1, 1).float().expand(N, 1, 20, 30).clone()
    for seed in range(20):
        made, shares = mixing.mixed(images, labels, N, mixup=0, cutmix=1.0, generator=seeded(seed))
        torch.testing.assert_close(made.mean((1, 2, 3)), shares @ labels.float())
        assert set(made.unique().tolist()) <= set(range(N))


def test_with_both_each_has_its_turn_and_with_neither_nothing_changes() -> None:
    labels, images = torch.arange(N), torch.rand(N, 3, 16, 16, generator=seeded())
    same = mixing.mixed(images, labels, N, mixup=0, cutmix=0, generator=seeded())
    assert same[0] is images
    assert same[1] is labels
    blended = 0
    for seed in range(60):
        made, _ = mixing.mixed(images, labels, N, mixup=1.0, cutmix=1.0, generator=seeded(seed))
        known = (made.unsqueeze(1) == images.unsqueeze(0)).all(2).any(1)
        blended += not bool(known.all())
    assert 15 < blended < 45
