"""Which pictures are the same, and which follow one another."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.datasets import load_sample_image
from tests.data.scenes import jpeg, scene

from neocog.data import alike, series
from neocog.data.examine import SIDE, Facts


def small(pictures: list[Image.Image]) -> np.ndarray:
    shrunk = [each.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX) for each in pictures]
    return np.stack([np.asarray(each) for each in shrunk])


def photographs() -> list[Image.Image]:
    """Parts of the two photographs that scikit-learn carries."""
    made = []
    for name in ("china.jpg", "flower.jpg"):
        whole = Image.fromarray(load_sample_image(name))
        made += [whole, whole.crop((0, 0, 320, 240)), whole.crop((320, 160, 640, 400))]
    return made


def changed(picture: Image.Image) -> dict[str, Image.Image]:
    """What happens to pictures on their way through the web."""
    w, h = picture.size
    return {
        "half as large": picture.resize((w // 2, h // 2)),
        "twice as large": picture.resize((2 * w, 2 * h)),
        "saved badly": Image.open(io.BytesIO(jpeg(picture, quality=12))),
        "grey": picture.convert("L"),
        "brighter": ImageEnhance.Brightness(picture).enhance(1.15),
        "less contrast": ImageEnhance.Contrast(picture).enhance(0.7),
        "cut all round": picture.crop((w // 33, h // 33, w - w // 33, h - h // 33)),
        "cut on one side": picture.crop((w // 20, 0, w, h)),
        "cut above": picture.crop((0, h // 16, w, h)),
        "cut at a corner": picture.crop((0, 0, w - w // 25, h - h // 25)),
    }


@pytest.mark.parametrize("way", list(changed(scene(0))))
def test_a_picture_is_found_again_however_it_was_changed(way: str) -> None:
    whole = photographs()
    again = [changed(each)[way] for each in whole]
    pairs = [[place, place + len(whole)] for place in range(len(whole))]
    assert alike.near_groups(small(whole + again)) == pairs
    assert alike.near_groups(small(again + whole)) == pairs


def test_either_of_two_may_be_the_one_that_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "NEAR", 0.99)
    whole = small([scene(seed) for seed in range(40)])
    again = small([changed(scene(seed))["cut on one side"] for seed in range(40)])
    sure = np.bitwise_count(alike.hashes(whole) ^ alike.hashes(again)) < alike.BANDS
    whole, again = whole[sure], again[sure]
    assert len(whole) > 5
    assert alike.likeness(whole, again, reach=0).max() < alike.NEAR
    pairs = [[place, place + len(whole)] for place in range(len(whole))]
    assert alike.near_groups(np.concatenate([whole, again])) == pairs
    assert alike.near_groups(np.concatenate([again, whole])) == pairs


def test_turned_and_mirrored_pictures_and_different_ones_are_not_the_same() -> None:
    whole = photographs()
    others = [ImageOps.mirror(whole[0]), whole[1].rotate(90), ImageOps.invert(whole[3])]
    assert alike.near_groups(small([*whole, *others, *(scene(s) for s in range(200))])) == []


def test_flat_pictures_are_like_nothing() -> None:
    grey = [Image.new("L", (64, 64), value) for value in (0, 128, 128, 255)]
    assert alike.near_groups(small(grey)) == []
    pattern = small([scene(1)])[0] // 24  # as faint as a stain on the lens
    for base in (20, 21):
        faint = np.stack([pattern + base, pattern + 200 - base])
        assert faint.std(axis=(1, 2)).max() < alike.FLAT
        assert alike.likeness(faint[:1], faint[1:], reach=0) > alike.NEAR
        assert alike.near_groups(faint) == []
    assert alike.near_groups(np.empty((0, SIDE, SIDE), np.uint8)) == []


def test_the_hash_is_what_the_cosine_transform_says() -> None:
    pictures = small([scene(seed) for seed in range(20)])
    hashed = alike.hashes(pictures)
    for each, code in zip(pictures, hashed, strict=True):
        low = dctn(each.astype(float))[:8, :8].ravel()
        above = low[1:] > np.median(low[1:])
        bits = np.unpackbits(np.array([code]).view(np.uint8))
        assert bits[1:].astype(bool).tolist() == above.tolist()


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=40), st.integers(0, 7))
def test_close_hashes_are_found_as_if_each_were_compared_with_each(
    codes: list[int], flips: int
) -> None:
    rng = np.random.default_rng(flips)
    near = [code ^ sum(1 << int(bit) for bit in rng.permutation(64)[:flips]) for code in codes]
    hashed = np.array([*codes, *near], np.uint64)
    found = {
        tuple(sorted(pair))
        for one, other in alike._close(hashed)
        for pair in zip(one.tolist(), other.tolist(), strict=True)
    }
    for one in range(len(hashed)):
        for other in range(one + 1, len(hashed)):
            apart = (int(hashed[one]) ^ int(hashed[other])).bit_count()
            if apart < alike.BANDS:  # then one of the bands is whole
                assert (one, other) in found
            if (one, other) in found:
                assert apart <= alike.CLOSE


def test_a_thousand_views_of_one_scene_are_one_group_in_little_work() -> None:
    rng = np.random.default_rng(0)
    one = small([scene(1)]).astype(int)
    views = np.clip(one + rng.normal(0, 3, (1000, SIDE, SIDE)), 0, 255).astype(np.uint8)
    assert alike.near_groups(views) == [list(range(1000))]


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20))
def test_groups_are_what_is_joined_by_pairs(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    root = alike.joined(np.arange(12), one, other)
    _, parts = connected_components(coo_array((np.ones(len(one)), (one, other)), (12, 12)), False)
    for a in range(12):
        assert [root[a] == root[b] for b in range(12)] == [parts[a] == parts[b] for b in range(12)]
    found = alike.groups(root)
    assert found == sorted(found)
    assert all(len(group) > 1 for group in found)


def named(*files: str, taken: dict[str, float] | None = None, label: int = 0) -> list[Facts]:
    clock = taken or {}
    return [Facts(file, "train", label, camera="c", taken=clock.get(file)) for file in files]


def test_numbers_in_names_tell_what_follows_what() -> None:
    facts = named("x/IMG_0009.jpg", "y/IMG_0010.png", "x/IMG_0014.jpg", "x/DSC_0011.jpg")
    assert series.neighbours(facts) == [(0, 1)]
    assert series.neighbours(named("frame12_l.jpg", "frame13_r.jpg", "frame13_l.jpg")) == [(0, 2)]
    assert series.neighbours(named("a.jpg", "b.jpg", "c (1).jpg", "c (2).jpg")) == [(2, 3)]
    assert series.neighbours([*named("a1.jpg"), *named("a2.jpg", label=1)]) == []
    long = named(*(f"v{'9' * 40}{number}.jpg" for number in range(3)))
    assert len(series.neighbours(long)) == 3


def test_the_clock_tells_it_too() -> None:
    facts = named("a.jpg", "b.jpg", "c.jpg", taken={"a.jpg": 10.0, "b.jpg": 12.5, "c.jpg": 17.0})
    assert series.neighbours(facts) == [(0, 1)]


def test_two_views_of_a_scene_are_a_series_and_two_scenes_are_not() -> None:
    whole = Image.fromarray(load_sample_image("china.jpg"))
    views = [whole.crop((x, x // 2, x + 480, x // 2 + 360)) for x in (0, 40, 80)]
    others = [*photographs()[3:], *(scene(seed) for seed in range(60))]
    pictures = small([*views, *others])
    one, other = np.array([0, 1]), np.array([1, 2])
    assert alike.like_in_series(pictures, one, other).tolist() == [True, True]
    one = np.arange(len(views) - 1, len(pictures) - 1)
    assert not alike.like_in_series(pictures, one, one + 1).any()
