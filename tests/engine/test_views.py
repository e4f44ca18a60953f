"""Protocols: where they look, against the papers and torchvision; what they average."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from tests.peers import torchvision_models  # noqa: F401 - a fixture
from torch import Tensor, nn

from neocog.data.batches import in_order
from neocog.data.dataset import Split
from neocog.data.filesplit import FileSplit
from neocog.data.geometry import resized
from neocog.data.loading import load_folder
from neocog.data.preprocess import mean_picture
from neocog.data.spec import InputSpec, packed
from neocog.engine import pieces
from neocog.engine.evaluate import predictions
from neocog.engine.views import PROTOCOLS, check, find, viewed
from neocog.errors import UsageError
from neocog.networks import create
from neocog.records import Predictions

PIXELS = InputSpec(  # the values of pixels themselves
    classes=("a", "b", "c"),
    channels=3,
    size=(32, 32),
    resize=32,
    placing="resize",
    mean=(0.0,) * 3,
    std=(1 / 255,) * 3,
)
Box = tuple[int, int, int, int]  # left, top, right, bottom; right before left: mirrored


class Witness(nn.Module):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(3))
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x)
        return self.nothing.expand(len(x), 3)

    def boxes(self) -> set[Box]:
        """Where each view came from in `whereabouts`."""
        views = torch.cat(self.shown).round().int()
        ends = torch.cat((views[:, :2, 0, 0], views[:, :2, -1, -1]), 1)
        return {(x, y, right, down) for x, y, right, down in ends.tolist()}


def whereabouts(height: int, width: int) -> Split:
    """A picture whose red says the column and whose green says the row."""
    picture = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    picture[:, 0] = torch.arange(width)
    picture[:, 1] = torch.arange(height)[:, None]
    return Split(picture, torch.tensor([1]))


def pictures(count: int, *size: int, channels: int = 3) -> Split:
    generator = torch.Generator().manual_seed(1)
    made = torch.randint(0, 256, (count, channels, *size), generator=generator, dtype=torch.uint8)
    return Split(made, torch.arange(count) % 3)


def boxes(view: str, split: Split, spec: InputSpec = PIXELS) -> set[Box]:
    witness = Witness()
    viewed(witness, split, spec, find(view))
    return witness.boxes()


def with_mirrors(*corners: tuple[int, int], side: int) -> set[Box]:
    straight = {(x, y, x + side - 1, y + side - 1) for x, y in corners}
    return straight | {(right, y, x, down) for x, y, right, down in straight}


def softmax_of(said: Predictions) -> Tensor:
    return torch.from_numpy(said.logits).softmax(1)


def little(classes: int = 3, side: int = 32) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(64, classes)).eval()


# -- AlexNet's ten


def test_ten_crop_takes_corners_and_centre_of_the_central_square_and_their_mirrors() -> None:
    """Krizhevsky et al. 2012: sections 2 (the square) and 4.1; 256 to 224 is 37 to 32."""
    expected = with_mirrors((6, 0), (11, 0), (6, 5), (11, 5), (8, 2), side=32)
    assert boxes("ten-crop", whereabouts(37, 50)) == expected
    assert len(expected) == 10


def test_ten_crop_is_torchvisions(torchvision_models: ModuleType) -> None:  # noqa: F811
    from torchvision.transforms import functional as their

    spec = dataclasses.replace(PIXELS, resize=40)  # a run that was trained at 40 is asked at 40
    split, network = pictures(5, 40, 52), little()
    said = softmax_of(viewed(network, split, spec, find("ten-crop")))
    crops = their.ten_crop(their.center_crop(split.images, [40, 40]), [32, 32])
    with torch.inference_mode():
        means = torch.stack([network(crop.float()).softmax(1) for crop in crops]).mean(0)
    torch.testing.assert_close(said, means, rtol=1e-5, atol=1e-6)


def test_a_picture_is_scaled_to_the_papers_share_of_the_input() -> None:
    for side, whole in ((224, 256), (227, 259), (32, 37), (28, 32)):
        spec = dataclasses.replace(PIXELS, size=(side, side), resize=side)
        assert pieces.trained_at(spec) == (whole,)
    assert pieces.around(dataclasses.replace(PIXELS, size=(224, 224), resize=224)) == (
        224,
        256,
        288,
    )
    assert pieces.around(dataclasses.replace(PIXELS, size=(224, 224), resize=384)) == (
        352,
        384,
        416,
    )
    assert pieces.googlenets(dataclasses.replace(PIXELS, size=(224, 224))) == (256, 288, 320, 352)
    assert pieces.around(dataclasses.replace(PIXELS, resize=34)) == (32, 34, 39)  # never below 32


# -- GoogLeNet's 144


@pytest.mark.parametrize("portrait", [False, True])
def test_144_crop_takes_six_pieces_of_three_squares(portrait: bool) -> None:
    """Szegedy et al. 2014, section 7, at the scale at which the picture is as it was."""
    split = whereabouts(*((60, 37) if portrait else (37, 60)))
    witness = Witness()
    protocol = dataclasses.replace(find("144-crop"), sides=lambda spec: (37,))
    viewed(witness, split, PIXELS, protocol)
    views = torch.cat(witness.shown).round()
    assert len(views) == 144 // 4
    along = (0, 11, 23)
    starts = [(0, at) if portrait else (at, 0) for at in along]
    expected: set[Box] = set()
    for x, y in starts:
        corners = [(x + dx, y + dy) for dx, dy in ((0, 0), (5, 0), (0, 5), (5, 5), (2, 2))]
        expected |= with_mirrors(*corners, side=32)
    assert witness.boxes() >= expected
    for x, y in starts:  # and the square made as small
        small = resized(split.images[:, :, y : y + 37, x : x + 37], (32, 32)).float()
        for view in (small, small.flip(3)):
            assert (views == view).flatten(1).all(1).sum() == 1


def test_144_crop_has_four_scales_and_takes_a_square_once() -> None:
    for size, count in (((40, 50), 144), ((40, 40), 48)):
        witness = Witness()
        viewed(witness, pictures(2, *size), PIXELS, find("144-crop"))
        assert sum(map(len, witness.shown)) == 2 * count


def test_144_crop_of_a_picture_that_is_square_at_some_scales_has_every_scale_count_alike() -> None:
    witness, split = Witness(), pictures(1, 90, 91)
    widths = [pieces.sized(split.images, PIXELS, side).shape[3] for side in (37, 41, 46, 50)]
    assert widths == [37, 41, 47, 51]
    viewed(witness, split, PIXELS, find("144-crop"))
    assert sum(map(len, witness.shown)) == 144


def test_the_mean_over_a_square_is_the_one_over_its_three_squares() -> None:
    split, network = pictures(2, 40, 40), little()
    views = torch.cat([pieces.of_squares(split.images, PIXELS)] * 3, 1)
    views = torch.cat((views, views.flip(4)), 1)
    with torch.inference_mode():
        means = network(views.flatten(0, 1).float()).softmax(1).view(2, -1, 3).mean(1)
    protocol = dataclasses.replace(find("144-crop"), sides=lambda spec: (40,))
    torch.testing.assert_close(softmax_of(viewed(network, split, PIXELS, protocol)), means)


# -- what recipes know already


@pytest.mark.parametrize(
    ("name", "views"), [("single", "one"), ("mirror", "mirror"), ("six-view", "six")]
)
def test_views_of_recipes_are_what_they_were(name: str, views: str) -> None:
    split, network = pictures(9, 36, 40), little()
    said = viewed(network, split, PIXELS, find(name))
    then = predictions(network, split, PIXELS, views=views)
    assert (said.logits == then.logits).all()
    assert (said.labels == then.labels).all()


# -- VGG's dense


def by_hand(network: nn.Module, split: Split, side: int, stride: int) -> Tensor:
    """The network at every place of the picture and of its mirror image: softmax of the mean."""
    large = resized(split.images, (side, side)) if split.size != (side, side) else split.images
    said = []
    for whole in (large.float(), large.flip(3).float()):
        windows = whole.unfold(2, 28, stride).unfold(3, 28, stride)
        places = [network(windows[:, :, i, j]) for i in range(windows.shape[2])
                  for j in range(windows.shape[3])]  # fmt: skip
        said.append(torch.stack(places).mean(0).softmax(1))
    return torch.stack(said).mean(0)


@pytest.mark.parametrize("view", ["dense", "multi-scale"])
def test_dense_is_the_network_slid_by_hand(view: str) -> None:
    """Simonyan and Zisserman 2014, section 3.2. LeNet's stride is 4, and this form pads nothing."""
    network = create("lenet_mxnet", num_classes=3, in_channels=3, seed=0).eval()
    spec = dataclasses.replace(PIXELS, size=(28, 28), resize=28, std=(1.0,) * 3)
    split = pictures(3, 36, 36)
    scales = (36,) if view == "dense" else (28, 32, 36)
    said = softmax_of(viewed(network, split, spec, find(view), sides=scales))
    assert not torch.allclose(said, softmax_of(predictions(network, split, spec)), atol=1e-4)
    with torch.inference_mode():
        scaled = Scaled(network)
        means = torch.stack([by_hand(scaled, split, side, 4) for side in scales]).mean(0)
    torch.testing.assert_close(said, means, rtol=1e-4, atol=1e-5)


class Scaled(nn.Module):
    """A network of pixels from 0 to 255."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x / 255)


def test_dense_keeps_the_pictures_own_aspect() -> None:
    shown: list[tuple[int, ...]] = []
    network = create("lenet_mxnet", num_classes=3, in_channels=3, seed=0)
    network.conv1.register_forward_hook(lambda layer, x, y: shown.append(tuple(x[0].shape[2:])))
    spec = dataclasses.replace(PIXELS, size=(28, 28), resize=28)
    viewed(network, pictures(2, 40, 60), spec, find("dense"))
    assert shown[-2:] == [(32, 48), (32, 48)]


def test_a_framed_picture_is_framed_first() -> None:
    spec = dataclasses.replace(PIXELS, placing="pad")
    split = pictures(1, 28, 28)
    framed = torch.nn.functional.pad(split.images, (2, 2, 2, 2))
    assert torch.equal(pieces.sized(split.images, spec, 37), resized(framed, (37, 37)))
    large = pictures(1, 90, 90).images  # no frame is around it, and no detail is lost on the way
    assert torch.equal(pieces.sized(large, spec, 37), resized(large, (37, 37)))


def test_probabilities_that_vanish_still_have_a_logarithm() -> None:
    network = little()
    network[-1].weight.data *= 1e5  # type: ignore[union-attr, operator]
    said = viewed(network, pictures(4, 40, 40), PIXELS, find("ten-crop"))
    assert torch.from_numpy(said.logits).isfinite().all()
    assert said.logits.min() < -1000


# -- what is asked of many, and refused


@pytest.mark.parametrize("name", PROTOCOLS)
def test_files_of_many_sizes_are_asked_as_each_alone(name: str, tmp_path: Path) -> None:
    """Tall, wide, square and tiny ones; the square has fewer pieces than the others."""
    sizes = [(40, 50), (40, 40), (60, 41), (40, 50), (12, 9), (40, 40)]  # PNG: nothing is lost
    for number, (height, width) in enumerate(sizes):
        image = pictures(number + 1, height, width).images[number].movedim(0, 2).numpy()
        (tmp_path / "abc"[number % 3]).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "abc"[number % 3] / f"{number}.png")
    split = load_folder(tmp_path, validation=0, test=0, cache_size=0).train
    assert isinstance(split, FileSplit)
    network = create("lenet_cifar", num_classes=3, seed=0)
    whole = viewed(network, split, PIXELS, find(name))
    assert len(whole.labels) == len(sizes)
    for place, path in enumerate(split.files.paths):
        image = torch.from_numpy(np.array(Image.open(tmp_path / path))).movedim(2, 0)[None]
        alone = viewed(network, Split(image, split.labels[place : place + 1]), PIXELS, find(name))
        assert alone.labels[0] == whole.labels[place]
        np.testing.assert_allclose(whole.logits[place], alone.logits[0], rtol=1e-4, atol=1e-4)


def test_no_pictures_are_no_answers() -> None:
    for protocol in PROTOCOLS.values():
        network = create("lenet_cifar", num_classes=3, seed=0)
        said = viewed(network, pictures(0, 32, 32), PIXELS, protocol)
        assert said.logits.shape == (0, 3)


def test_what_is_watched_ends_at_the_number_of_pictures() -> None:
    network, split = create("lenet_cifar", num_classes=3, seed=0), pictures(20, 32, 32)
    for protocol in PROTOCOLS.values():
        seen: list[tuple[int, int]] = []
        viewed(network, split, PIXELS, protocol, watch=lambda *at, to=seen: to.append(at))
        assert seen[-1] == (20, 20)
        assert network.training


@pytest.mark.parametrize(
    ("name", "spec", "mirrors", "what"),
    [
        ("ten-crop", PIXELS, False, "what fits them: single$"),
        ("mirror", PIXELS, False, "mirror images too"),
        ("144-crop", dataclasses.replace(PIXELS, size=(32, 40)), True, "takes 32x40"),
    ],
)
def test_what_makes_no_sense_is_refused(
    name: str, spec: InputSpec, mirrors: bool, what: str
) -> None:
    with pytest.raises(UsageError, match=what):
        check(find(name), spec, mirrors=mirrors, data="digits")
    check(find("single"), spec, mirrors=mirrors, data="digits")


def test_a_mean_picture_fits_crops_and_cannot_slide() -> None:
    split = pictures(6, 40, 40)
    spec = dataclasses.replace(PIXELS, mean_picture=packed(mean_picture(split, PIXELS)))
    for name in ("dense", "multi-scale"):
        with pytest.raises(UsageError, match="cannot slide; ten-crop"):
            check(find(name), spec, mirrors=True, data="photos")
    for name in ("ten-crop", "144-crop"):
        check(find(name), spec, mirrors=True, data="photos")
        assert len(viewed(little(), split, spec, find(name)).logits) == 6


@pytest.mark.parametrize(
    ("name", "scales", "what"),
    [
        ("ten-crop", (40,), "takes none"),
        ("dense", (40, 50), "takes one"),
        ("multi-scale", (31, 40), "from 32"),
        ("multi-scale", (40, 999), "to 256"),
    ],
)
def test_scales_that_cannot_be_are_refused(name: str, scales: tuple[int, ...], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        find(name).sides_of(PIXELS, scales)


def test_a_wrong_name_is_answered_with_the_right_ones() -> None:
    with pytest.raises(UsageError, match="did you mean ten-crop"):
        find("tencrop")


def test_normalisation_is_that_of_scoring() -> None:
    """Of a picture of one colour every view is the same, however the input takes its values."""
    whole = torch.arange(12, dtype=torch.uint8).view(4, 3, 1, 1).expand(4, 3, 40, 40) * 20
    split = Split(whole.contiguous(), torch.arange(4) % 3)
    for change in ({"bgr": True}, {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)}):
        spec = dataclasses.replace(PIXELS, **change)
        ((inputs, _),) = in_order(split, spec, 4)
        for name in ("ten-crop", "144-crop"):
            witness = Witness()
            viewed(witness, split, spec, find(name))
            views = torch.cat(witness.shown).view(4, -1, *inputs.shape[1:])
            assert torch.equal(views, inputs[:, None].expand_as(views))
