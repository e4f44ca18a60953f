"""Batches of pictures in memory by C in one pass, or by torch in many: the same to the last bit."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.compilers import needs_compiler

from neocog import compiled
from neocog.data import gathered, values
from neocog.data.batches import Augmentation, TrainingBatches
from neocog.data.crops import Crop
from neocog.data.dataset import Split
from neocog.data.part import Part
from neocog.data.spec import InputSpec, packed

PLAIN = Augmentation()
TURNED = Augmentation(mirror=True)
REFLECTED = Augmentation(shift=4, border="reflect", mirror=True, alternate=True)


def split(count: int, channels: int, high: int, wide: int) -> Split:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(256, (count, channels, high, wide), generator=generator)
    return Split(images.to(torch.uint8), torch.arange(count) % 3)


def spec_of(channels: int, size: tuple[int, int], **changes: Any) -> InputSpec:
    mean, std = (0.485, 0.456, 0.406, 0.5)[:channels], (0.229, 0.224, 0.225, 1 / 255)[:channels]
    spec = InputSpec(("a", "b", "c"), channels, size, min(size), "resize", mean, std)
    return dataclasses.replace(spec, **changes)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets are compiled for too, and that is waited for."""
    monkeypatch.setattr(gathered, "LEAST", 0)
    assert gathered.library.made() is not None


IN_ONE_PASS = {
    "as they are": ((1, 28, 28), spec_of(1, (28, 28)), PLAIN, {}),
    "framed": ((1, 28, 28), spec_of(1, (32, 32), placing="pad"), PLAIN, {}),
    "framed unevenly": ((1, 9, 12), spec_of(1, (12, 17), placing="pad"), TURNED, {}),
    "framed and shifted": (
        (1, 28, 28),
        spec_of(1, (33, 32), placing="pad"),
        Augmentation(shift=3, mirror=True),
        {},
    ),
    "shifted": ((3, 32, 32), spec_of(3, (32, 32)), Augmentation(shift=4, mirror=True), {}),
    "shifted out of sight": ((2, 5, 7), spec_of(2, (5, 7)), Augmentation(shift=11), {}),
    "reflected": ((3, 32, 32), spec_of(3, (32, 32)), REFLECTED, {}),
    "reflected as far as it goes": (
        (3, 5, 8),
        spec_of(3, (5, 8)),
        Augmentation(shift=4, border="reflect"),
        {},
    ),
    "cut": ((3, 32, 32), spec_of(3, (24, 24), resize=32), TURNED, {}),
    "cut to rows": ((4, 20, 30), spec_of(4, (20, 21)), PLAIN, {}),
    "too long for its frame": ((1, 40, 28), spec_of(1, (32, 28), placing="pad"), PLAIN, {}),
    "hidden": ((3, 16, 16), spec_of(3, (16, 16)), Augmentation(cutout=5, erase=0.5), {}),
    "mixed": ((3, 16, 16), spec_of(3, (16, 16)), Augmentation(mixup=1, cutmix=1, shift=1), {}),
    "evenly": ((1, 8, 8), spec_of(1, (8, 8)), TURNED, {"balance": "sampling"}),
    "shared": ((3, 16, 16), spec_of(3, (16, 16)), REFLECTED, {"part": Part(1, 2)}),
}


@needs_compiler
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", IN_ONE_PASS)
def test_in_one_pass_or_in_many(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, spec, changes, options = IN_ONE_PASS[name]
    made = TrainingBatches(split(53, *shape), spec, 12, 7, changes, **options)
    gather = made._in_one_pass(spec, changes.crop)
    assert gather is not None
    assert gather.is_ready()
    at_once = [batch for epoch in (0, 1, 2) for batch in made.epoch(epoch)]
    monkeypatch.setattr(gathered, "way", lambda *_, **__: None)
    by_torch = [batch for epoch in (0, 1, 2) for batch in made.epoch(epoch)]
    assert len(at_once) == len(by_torch) == 3 * len(made) == 15
    for (images, labels), (others, same) in zip(at_once, by_torch, strict=True):
        assert torch.equal(images, others)
        assert images.is_contiguous()
        assert torch.equal(labels, same)


@needs_compiler
@pytest.mark.usefixtures("small")
def test_threads_and_where_it_begins_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "A_THREAD", 1)
    made = TrainingBatches(split(40, 3, 32, 32), spec_of(3, (32, 32)), 16, 0, REFLECTED)
    assert made._in_one_pass(made.spec, Crop()) is not None
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append([*made.epoch(3, stop=1), *made.epoch(3, start=1)])
    finally:
        torch.set_num_threads(before)
    assert len(found[0]) == 3
    for others in found[1:]:
        for (images, _), (same, _) in zip(found[0], others, strict=True):
            assert torch.equal(images, same)


@needs_compiler
@pytest.mark.usefixtures("small")
def test_an_input_that_grows_is_made_so_while_nothing_is_scaled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = spec_of(3, (64, 64))
    options: dict[str, Any] = {"begin_size": 32, "grow_epochs": 2}
    made = TrainingBatches(split(20, 3, 32, 32), spec, 8, 0, TURNED, **options)
    ways = [made._in_one_pass(made.spec_in(epoch), Crop()) for epoch in range(3)]
    assert [way is not None for way in ways] == [True, False, False]
    found = [next(made.epoch(epoch))[0] for epoch in range(3)]
    monkeypatch.setattr(gathered, "way", lambda *_, **__: None)
    assert all(torch.equal(next(made.epoch(epoch))[0], found[epoch]) for epoch in range(3))


@needs_compiler
@pytest.mark.usefixtures("small")
def test_inputs_are_float32_whatever_torch_makes_by_default() -> None:
    made = TrainingBatches(split(20, 1, 16, 16), spec_of(1, (16, 16)), 8, 0, PLAIN)
    expected, before = next(made.epoch(0))[0], torch.get_default_dtype()
    try:
        for kind in (torch.float64, torch.bfloat16):
            torch.set_default_dtype(kind)
            values.table.cache_clear()
            assert torch.equal(next(made.epoch(0))[0], expected)
    finally:
        torch.set_default_dtype(before)


@needs_compiler
@pytest.mark.usefixtures("small")
def test_fewer_pictures_than_labels_are_an_error_still() -> None:
    whole = split(20, 1, 16, 16)
    made = TrainingBatches(
        Split(whole.images[:9], whole.labels), spec_of(1, (16, 16)), 20, 0, PLAIN
    )
    with pytest.raises(IndexError):
        next(made.epoch(0))


BY_TORCH = {
    "scaled": ((1, 8, 8), spec_of(1, (28, 28)), PLAIN),
    "too large for its frame": ((1, 40, 40), spec_of(1, (32, 32), placing="pad"), PLAIN),
    "cut and shifted": ((3, 32, 32), spec_of(3, (24, 24), resize=32), Augmentation(shift=2)),
    "a frame reflected": (
        (1, 28, 28),
        spec_of(1, (32, 32), placing="pad"),
        Augmentation(shift=2, border="reflect"),
    ),
    "cut in area": ((3, 32, 32), spec_of(3, (32, 32)), Augmentation(crop=Crop((0.5, 1.0)))),
    "rotated": ((3, 16, 16), spec_of(3, (16, 16)), Augmentation(rotate=9)),
    "recoloured": ((3, 16, 16), spec_of(3, (16, 16)), Augmentation(jitter=0.2)),
    "by policies": ((3, 16, 16), spec_of(3, (16, 16)), Augmentation(trivial=True)),
    "grey to colour": ((1, 16, 16), spec_of(3, (16, 16)), PLAIN),
    "blue first": ((3, 16, 16), spec_of(3, (16, 16), bgr=True), PLAIN),
    "each by its own": ((3, 16, 16), spec_of(3, (16, 16), by_picture=True), PLAIN),
    "less a picture": (
        (1, 4, 4),
        spec_of(1, (4, 4), mean_picture=packed(torch.arange(16.0).view(1, 4, 4) / 16)),
        PLAIN,
    ),
}


@needs_compiler
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", BY_TORCH)
def test_what_takes_more_is_left_to_torch(name: str) -> None:
    shape, spec, changes = BY_TORCH[name]
    made = TrainingBatches(split(20, *shape), spec, 8, 0, changes)
    assert made._in_one_pass(spec, changes.crop) is None
    images, _ = next(made.epoch(0))
    assert images.shape == (8, spec.channels, *spec.size)


@needs_compiler
@pytest.mark.usefixtures("small")
def test_pictures_that_lie_otherwise_are_left_to_torch() -> None:
    images = split(20, 1, 16, 16).images
    spec = spec_of(1, (16, 8))
    for other in (images[..., ::2], images[..., :8].float(), images[..., :8].to("meta")):
        assert gathered.way(other, spec, shift=0, border="black") is None
    assert gathered.way(images[..., :8].contiguous(), spec, shift=0, border="black") is not None


def test_small_sets_are_not_compiled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> None:
        raise AssertionError("the compiler was asked")

    monkeypatch.setattr(gathered, "library", compiled.Soon(asked))
    made = TrainingBatches(split(20, 1, 28, 28), spec_of(1, (28, 28)), 8, 0, PLAIN)
    assert len(list(made.epoch(0))) == 3
    assert gathered.library.thread is None


@needs_compiler
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("2 * (n - 1) - at", "2 * n - 1 - at"),
        ("at < 0 ? -at", "at < 0 ? -at - 1"),
        ("b->column + (b->right", "b->row + (b->down"),
        ("table, to + b->broad - 1)", "table, to + b->broad - 2)"),
        ("to[x] = table[0]", "to[x] = 0"),
        ("b->index[i] * b->channels", "i * b->channels"),
        ("b->wide - left < b->broad ?", "b->wide < b->broad ?"),
    ],
)
def test_what_gathers_wrongly_is_not_used(
    right: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = gathered.SOURCE.read_text(encoding="utf-8")
    assert source.count(right) == 1
    changed = tmp_path / "gather.c"
    changed.write_text(source.replace(right, wrong))
    monkeypatch.setattr(gathered, "SOURCE", changed)
    assert gathered._library() is None


@pytest.mark.parametrize("error", [OSError("no"), subprocess.TimeoutExpired("cc", 1)])
def test_a_compiler_may_fail(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fails)
    assert gathered._library() is None
