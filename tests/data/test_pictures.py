from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from neocog.data import pictures
from neocog.errors import DataError


def test_a_file_is_read_whole_however_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "picture", os.read
    path.write_bytes(bytes(range(200)))
    assert pictures.content_of(path) == bytes(range(200))
    monkeypatch.setattr(os, "read", lambda file, count: read(file, min(count, 7)))
    assert pictures.content_of(str(path)) == bytes(range(200))
    monkeypatch.setattr(os, "read", lambda file, count: read(file, count + 1))  # it grew meanwhile
    assert pictures.content_of(path) == bytes(range(200))


def ramp(mode: str = "RGB") -> Image.Image:
    pixels = np.zeros((6, 4, 3), np.uint8)
    pixels[0] = 255  # a bright top row
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "png"), ("L", "png"), ("P", "gif"), ("RGBA", "png"), ("CMYK", "tiff"), ("1", "png")],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_mode_becomes_grey_or_rgb(
    tmp_path: Path, mode: str, suffix: str, channels: int
) -> None:
    path = tmp_path / f"picture.{suffix}"
    ramp(mode).save(path)
    out = pictures.read(path, channels)
    assert out.shape == (channels, 6, 4)
    assert out.dtype == torch.uint8
    assert int(out[0, 0].min()) > int(out[0, 3].max())  # the top row is the bright one


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    ramp().save(path, format="PNG")
    assert pictures.read(path, 3).shape == (3, 6, 4)


def test_sideways_by_exif_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    path = tmp_path / "sideways.png"
    ramp().save(path, exif=exif)
    out = pictures.read(path, 3)
    assert out.shape == (3, 4, 6)
    assert int(out[0, :, -1].min()) == 255


def test_sideways_by_exif_behind_a_marker_that_is_filled_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "sideways.jpg"
    ramp().save(path, exif=exif)
    plain = pictures.read(path, 3)
    content = path.read_bytes()
    assert plain.shape == (3, 4, 6)
    for filled in range(1, 4):
        path.write_bytes(content.replace(b"\xff\xe1", b"\xff" * filled + b"\xff\xe1", 1))
        assert pictures.read(path, 3).equal(plain)


def test_no_other_program_is_started_for_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "drawing.eps"
    ramp().save(path)
    with pytest.raises(DataError, match="not a picture of a kind that can be read"):
        pictures.read(path, 3)


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 257, 65535, 32896]], np.uint16)).save(path)
    assert pictures.read(path, 1).flatten().tolist() == [0, 1, 255, 128]


def test_transparency_lies_on_black(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (2, 2), (255, 255, 255, 0)).save(path)
    assert int(pictures.read(path, 3).max()) == 0


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    frames = [Image.new("L", (3, 3), value) for value in (200, 10)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert int(pictures.read(path, 1)[0, 0, 0]) == 200


def test_what_is_no_picture_is_said_with_its_path(tmp_path: Path) -> None:
    empty, text, cut = tmp_path / "empty.png", tmp_path / "notes.png", tmp_path / "cut.png"
    empty.touch()
    text.write_text("not a picture")
    ramp().resize((200, 200)).save(cut)
    cut.write_bytes(cut.read_bytes()[:120])
    for path in (empty, text, cut, tmp_path, tmp_path / "none.png"):
        with pytest.raises(DataError, match=str(path)):
            pictures.read(path, 3)


def test_a_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (400, 400)).save(path)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    with pytest.raises(DataError, match=r"160,000 pixels"):
        pictures.read(path, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("where", ["exif", "xmp"])
def test_a_jpeg_is_turned_as_pillow_turns_it(tmp_path: Path, orientation: int, where: str) -> None:
    path = tmp_path / "turned.jpg"
    picture = Image.fromarray(
        np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    )
    if where == "exif":
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture.save(path, exif=exif)
    else:
        said = (
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="{orientation}"/></x:xmpmeta>'
        )
        picture.save(path, xmp=said.encode())
    with Image.open(path) as peer:
        expected = np.asarray(ImageOps.exif_transpose(peer))
    made = pictures.read(path, 3).movedim(0, 2).numpy()
    assert np.array_equal(made, expected)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_picture_comes_no_larger_than_needed_and_no_smaller(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large.{suffix}"
    large = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
    large.save(path)
    whole = pictures.read(path, 3)
    assert whole.shape == (3, 480, 640)
    for shorter in (60, 100, 160, 240, 480, 1000):
        made = pictures.read(path, 3, shorter=shorter)
        height, width = made.shape[1:]
        assert min(shorter, 480) <= height <= 480
        assert abs(width / height - 640 / 480) < 0.05
        if shorter <= 240:
            assert height < 2.1 * max(shorter, 60)  # JPEG goes down to an eighth
        small = np.asarray(large.resize((width, height), Image.Resampling.BOX)).astype(int)
        assert np.abs(made.movedim(0, 2).numpy() - small).mean() < 3
