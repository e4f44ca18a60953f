"""Pixels looked up by C, or computed by torch in rows: the same values, to the last bit."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest
import torch
from tests.compilers import needs_compiler
from tests.folders import flat_folder
from torch import Tensor

from neocog.data import augment, threads, values
from neocog.data.batches import Augmentation, TrainingBatches
from neocog.data.crops import Crop
from neocog.data.loading import load_folder
from neocog.data.preprocess import normalised
from neocog.data.spec import InputSpec, packed
from neocog.data.values import Values


def spec_of(channels: int, size: tuple[int, int]) -> InputSpec:
    mean, std = (0.485, 0.456, 0.406, 0.5)[:channels], (0.229, 0.224, 0.225, 1 / 255)[:channels]
    return InputSpec(("a", "b"), channels, size, min(size), "resize", mean, std)


def pictures(n: int, channels: int, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    made = torch.randint(256, (n, *size, channels), generator=generator).to(torch.uint8)
    return made.movedim(3, 1)


@needs_compiler
def test_the_library_is_made() -> None:
    assert values.library.made() is not None


@pytest.mark.parametrize("by", ["C", "torch"])
@pytest.mark.parametrize(
    ("n", "channels", "size"), [(5, 3, (7, 9)), (3, 2, (1, 1)), (2, 4, (8, 3)), (33, 3, (24, 40))]
)
def test_values_are_those_of_the_formula(
    by: str, n: int, channels: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "C":
        monkeypatch.setattr(values, "LEAST", 0)
        if values.library.made() is None:
            pytest.skip("there is no C compiler here")
    spec, images = spec_of(channels, size), pictures(n, channels, size)
    which = torch.arange(n) % 3 == 1
    planes = augment.turn(images.contiguous(), which)  # not channels last: the plain way
    mean, std = (torch.tensor(x).view(-1, 1, 1) for x in (spec.mean, spec.std))
    expected = (planes.float() / 255 - mean) / std
    assert torch.equal(normalised(planes, spec), expected)
    work = Values(images.clone(), spec, which.tolist())
    assert (work.library is not None) == (by == "C")
    threads.each(work, threads.parts(n, 2))
    assert torch.equal(work.made, expected)
    assert work.made.is_contiguous(memory_format=torch.channels_last)
    before = images.clone()
    assert torch.equal(normalised(images, spec), (images.float() / 255 - mean) / std)
    assert torch.equal(images, before)


def test_a_mean_picture_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "LEAST", 0)
    mean = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(0))
    spec = dataclasses.replace(spec_of(3, (6, 6)), mean_picture=packed(mean))
    images = pictures(4, 3, (6, 6))
    expected = normalised(images.contiguous(), spec)
    assert torch.equal(normalised(images, spec), expected)
    assert expected.std(0).min() > 0


def test_no_pictures_have_no_values() -> None:
    assert normalised(pictures(0, 3, (4, 4)), spec_of(3, (4, 4))).shape == (0, 3, 4, 4)


@needs_compiler
def test_what_is_looked_up_wrongly_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = values.SOURCE.read_text(encoding="utf-8")
    wrong = tmp_path / "values.c"
    wrong.write_text(source.replace("? -channels : channels", "? -channels : channels + 1"))
    assert wrong.read_text() != source
    monkeypatch.setattr(values, "SOURCE", wrong)
    assert values._library() is None


@pytest.mark.parametrize("error", [OSError("no"), subprocess.TimeoutExpired("cc", 1)])
def test_a_compiler_may_fail(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fails)
    assert values._library() is None


@pytest.mark.parametrize(
    "changes",
    [
        Augmentation(crop=Crop((0.08, 1.0)), mirror=True),
        Augmentation(mirror=True, alternate=True, cutout=5, erase=0.5),
        Augmentation(),
    ],
    ids=["area", "turns", "none"],
)
def test_in_one_go_or_one_after_the_other(
    changes: Augmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "LEAST", 0)
    data = load_folder(flat_folder(tmp_path / "pictures"), validation=0, test=0)
    made = TrainingBatches(data.train, spec_of(3, (24, 20)), 16, 0, changes)
    at_once = list(made.epoch(1))
    monkeypatch.setattr(TrainingBatches, "_only_turned", lambda self, spec: False)
    singly = list(made.epoch(1))
    assert len(at_once) == len(singly) == len(made) > 2
    for (images, labels), (others, same) in zip(at_once, singly, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, same)
