"""One picture to facts: every kind of thing that can be said of a file by itself."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from tests.data.scenes import jpeg, put, scene

from neocog.data import examine, pictures
from neocog.data.examine import Facts
from neocog.data.kinds import KINDS
from neocog.errors import DataError


def facts_of(path: Path) -> Facts:
    return examine.examine(path.parent, path.name, "train", 0, path.stat().st_size)


def kinds(path: Path) -> list[str]:
    return [kind for kind, _ in facts_of(path).found]


def test_a_sound_photograph_has_nothing_to_be_said_of_it(tmp_path: Path) -> None:
    facts = facts_of(put(tmp_path / "a.jpg", jpeg(scene(1))))
    assert (facts.width, facts.height, facts.found) == (160, 120, ())
    assert len(facts.small) == examine.SIDE**2
    assert facts.digest


def test_progressive_grey_and_baseline_jpegs_are_all_sound(tmp_path: Path) -> None:
    for name, content in {
        "progressive.jpg": jpeg(scene(1), progressive=True),
        "grey.jpg": jpeg(scene(1).convert("L")),
        "full.jpg": jpeg(scene(1), subsampling=0, quality=100),
    }.items():
        assert kinds(put(tmp_path / name, content)) == []


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"quality": 100, "subsampling": 0}])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.98])
def test_a_jpeg_that_ends_too_early_is_truncated(
    tmp_path: Path, how: dict[str, object], share: float
) -> None:
    content = jpeg(scene(2), **how)
    assert kinds(put(tmp_path / "a.jpg", content[: int(share * len(content))])) == ["truncated"]


@pytest.mark.parametrize("suffix", ["png", "gif", "webp", "bmp"])
def test_other_pictures_that_end_too_early_are_truncated(tmp_path: Path, suffix: str) -> None:
    content = put(tmp_path / f"whole.{suffix}", scene(2)).read_bytes()
    cut = put(tmp_path / f"cut.{suffix}", content[: len(content) * 6 // 10])
    assert "truncated" in kinds(cut)


def test_wrong_bytes_inside_a_jpeg_are_damage_that_training_would_not_see(tmp_path: Path) -> None:
    content = bytearray(jpeg(scene(3), quality=95))
    middle = len(content) // 2
    content[middle : middle + 40] = b"\xff\xd1" * 20  # markers that do not belong there
    path = put(tmp_path / "a.jpg", bytes(content))
    assert pictures.read(path, 3).shape == (3, 120, 160)
    assert kinds(path) == ["damaged"]


def test_junk_after_a_jpeg_and_between_its_parts_is_no_damage(tmp_path: Path) -> None:
    content = jpeg(scene(3))
    assert kinds(put(tmp_path / "a.jpg", content + b"\0" * 100)) == []
    assert kinds(put(tmp_path / "b.jpg", content[:20] + b"junk" + content[20:])) == []


def test_noise_behind_the_first_bytes_is_unreadable(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(2000)
    assert kinds(put(tmp_path / "a.png", b"\x89PNG\r\n\x1a\n" + noise + b"IEND")) == ["unreadable"]


def test_an_empty_file_a_missing_one_and_a_folder(tmp_path: Path) -> None:
    assert kinds(put(tmp_path / "a.jpg", b"")) == ["empty"]
    gone = examine.examine(tmp_path, "gone.jpg", "train", 0, 10)
    assert [kind for kind, _ in gone.found] == ["unreadable"]
    assert "no such file" in gone.found[0][1]
    assert str(tmp_path) not in gone.found[0][1]


def test_the_suffix_of_another_format(tmp_path: Path) -> None:
    content = put(tmp_path / "a.png", scene(4)).read_bytes()
    assert kinds(put(tmp_path / "b.jpg", content)) == ["wrong_suffix"]
    assert kinds(put(tmp_path / "b.txt", content)) == ["wrong_suffix"]
    for name in ("b", "b.PNG", "b.png.1", "b.0001", "N. Meier, 1998"):
        assert kinds(put(tmp_path / name, content)) == [], name
    for name in ("b.jpeg", "b.JPG", "b.jfif"):
        assert kinds(put(tmp_path / name, jpeg(scene(4)))) == [], name


def test_animations_and_pages(tmp_path: Path) -> None:
    frames = [scene(seed, (60, 40)) for seed in range(3)]
    for name in ("a.gif", "a.png", "a.webp", "a.tiff"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert "animated" in kinds(tmp_path / name), name
    frames[0].save(tmp_path / "mpo.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert kinds(tmp_path / "mpo.jpg") == []  # what many cameras write


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits and three channels, which Pillow reads and does not write."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_tiff(values: np.ndarray) -> bytes:
    """The same as a TIFF."""
    height, width, _ = values.shape
    rows = values.astype("<u2").tobytes()
    tags = [(256, 1, width), (257, 1, height), (258, 3, 8), (259, 1, 1), (262, 1, 2), (273, 1, 14)]
    tags += [(277, 1, 3), (278, 1, height), (279, 1, len(rows))]
    entries = b"".join(struct.pack("<HHII", tag, 4, *rest) for tag, *rest in tags)
    entries = entries.replace(
        struct.pack("<HHII", 258, 4, 3, 8), struct.pack("<HHII", 258, 3, 3, 8)
    )
    start = 14 + len(rows)
    head = b"II*\0" + struct.pack("<I", start) + struct.pack("<HHH", 16, 16, 16)
    return head + rows + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def test_sixteen_bits_a_value(tmp_path: Path) -> None:
    grey = np.arange(400, dtype=np.uint16).reshape(20, 20) * 160
    for name in ("a.png", "a.tiff"):
        assert kinds(put(tmp_path / name, Image.fromarray(grey))) == ["deep"]
    assert kinds(put(tmp_path / "b.png", deep_png(np.dstack([grey] * 3)))) == ["deep"]
    assert kinds(put(tmp_path / "b.tiff", deep_tiff(np.dstack([grey] * 3)))) == ["deep"]


def test_colours_of_print_palettes_and_transparency(tmp_path: Path) -> None:
    assert kinds(put(tmp_path / "a.jpg", scene(5).convert("CMYK"))) == ["cmyk"]
    assert kinds(put(tmp_path / "a.png", scene(5).convert("P"))) == ["palette"]
    assert kinds(put(tmp_path / "b.png", scene(5).convert("RGBA"))) == ["alpha"]
    assert kinds(put(tmp_path / "c.png", scene(5).convert("LA"))) == ["alpha"]


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_a_picture_stored_sideways_is_examined_upright(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    scene(6).save(path, exif=exif)
    facts = facts_of(path)
    upright = pictures.read(path, 1)[0].numpy()
    assert [kind for kind, _ in facts.found] == ["sideways"]
    assert (facts.height, facts.width) == upright.shape
    small = Image.fromarray(upright).resize((examine.SIDE,) * 2, Image.Resampling.BOX)
    ours = np.frombuffer(facts.small, np.uint8).astype(float)
    assert np.abs(ours - np.asarray(small).ravel()).mean() < 4


def test_a_colour_profile_is_named_unless_it_is_srgb(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert kinds(put(tmp_path / "a.jpg", jpeg(scene(7), icc_profile=srgb))) == []
    old = b"as it is written in older ones: sRGB IEC61966-2.1"
    assert kinds(put(tmp_path / "a.jpg", jpeg(scene(7), icc_profile=old))) == []
    facts = facts_of(put(tmp_path / "b.jpg", jpeg(scene(7), icc_profile=lab)))
    assert facts.found == (("profile", "XYZ identity built-in"),)
    assert kinds(put(tmp_path / "c.jpg", jpeg(scene(7), icc_profile=b"junk" * 40))) == ["profile"]


def test_a_picture_too_large_is_never_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (18_000, 10_000)).save(tmp_path / "bomb.png")
    assert kinds(tmp_path / "bomb.png") == ["enormous"]
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    monkeypatch.setattr(pictures, "pixels", None)
    assert kinds(put(tmp_path / "a.jpg", jpeg(scene(8)))) == ["enormous"]
    monkeypatch.setattr(pictures, "MAX_BYTES", 100)
    assert kinds(tmp_path / "a.jpg") == ["enormous"]


def test_large_pictures_are_examined_like_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.jpg", jpeg(scene(8)))
    before = facts_of(path)
    monkeypatch.setattr(examine, "LARGE_BYTES", 10)
    monkeypatch.setattr(examine, "LARGE_PIXELS", 10)
    assert facts_of(path) == before


def test_tiny_and_blank_pictures(tmp_path: Path) -> None:
    assert kinds(put(tmp_path / "a.png", scene(9, (40, 7)))) == ["tiny"]
    assert kinds(put(tmp_path / "b.png", scene(9, (40, 8)))) == []
    assert kinds(put(tmp_path / "c.jpg", jpeg(Image.new("RGB", (90, 90), "navy")))) == ["blank"]


def test_the_clock_and_the_name_of_the_camera(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker", "Model 1"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 10:00:02"
    exif.get_ifd(0x8769)[0x9291] = "50"
    facts = facts_of(put(tmp_path / "a.jpg", jpeg(scene(1), exif=exif)))
    assert (facts.camera, facts.taken) == ("Maker Model 1", 1714557602.5)
    for odd in ("0000:00:00 00:00:00", "yesterday", "", 7):
        exif.get_ifd(0x8769)[0x9003] = odd
        facts = facts_of(put(tmp_path / "a.jpg", jpeg(scene(1), exif=exif)))
        assert (facts.taken, facts.found) == (None, ())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_stops_it_and_what_it_reads_training_reads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damage"
    suffix = data.draw(st.sampled_from(["jpg", "png", "gif", "webp", "tiff", "bmp"]))
    content = bytearray(put(folder / f"whole.{suffix}", scene(1, (24, 17))).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(4, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(16, len(content)))
    path = put(folder / f"broken.{suffix}", bytes(content[:end]))
    facts = facts_of(path)
    assert {kind for kind, _ in facts.found} <= set(KINDS)
    try:
        pictures.read(path, 1)
    except DataError:
        assert not facts.small
        assert facts.found
    else:
        assert facts.small
