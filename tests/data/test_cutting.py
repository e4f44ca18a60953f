"""Pictures cut and resized by C: torch's bits, whatever the sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.compilers import needs_compiler
from tests.folders import flat_folder

from neocog import compiled
from neocog.data import cutting
from neocog.data.batches import Augmentation, TrainingBatches
from neocog.data.crops import Crop
from neocog.data.loading import load_folder
from neocog.data.spec import InputSpec


def torchs(picture: np.ndarray, box: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    top, left, height, width = box
    piece = np.ascontiguousarray(picture[top : top + height, left : left + width])
    image = torch.from_numpy(piece).movedim(2, 0).unsqueeze(0)
    shrinks = size[0] < height or size[1] < width
    made = F.interpolate(image, size, mode="bilinear", antialias=shrinks)
    return made[0].movedim(0, 2).numpy()


@pytest.fixture(scope="module", params=["as it is", "without AVX-512"])
def library(request: pytest.FixtureRequest) -> Any:
    more = ("-mno-avx512f",) if request.param == "without AVX-512" else ()
    found = compiled.compiled(cutting.SOURCE, more)
    assert found is not None
    found.cut.restype = cutting.ctypes.c_int64
    return found


@needs_compiler
def test_the_library_is_made() -> None:
    assert cutting.library.made() is not None
    assert cutting.can("bilinear", 3)
    assert not cutting.can("bicubic", 3)
    assert not cutting.can("bilinear", 1)


@needs_compiler
def test_any_piece_to_any_size_is_torchs_to_the_last_bit(library: Any) -> None:
    rng = np.random.default_rng(0)
    for number in range(300):
        high, wide = rng.integers(1, 120, 2).tolist()
        picture = rng.integers(0, 256, (high, wide, 3), dtype=np.uint8)
        if number % 3 == 0:  # black and white: what rounding may take beyond 255 or below 0
            picture = (picture // 128 * 255).astype(np.uint8)
        height, width = int(rng.integers(1, high + 1)), int(rng.integers(1, wide + 1))
        box = (int(rng.integers(high - height + 1)), int(rng.integers(wide - width + 1)))
        box += height, width
        size = tuple(rng.integers(1, 90, 2).tolist())
        size = [size, (height, size[1]), (size[0], width), size][number % 4]
        made = np.full((1, *size, 3), 7, np.uint8)
        cutting._cut(library, [picture], [box], made)
        assert np.array_equal(made[0], torchs(picture, box, size)), (high, wide, box, size)


@needs_compiler
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (224, 224)])
def test_a_picture_many_times_as_large(library: Any, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (900, 1300, 3), dtype=np.uint8)
    made = np.empty((1, *size, 3), np.uint8)
    cutting._cut(library, [picture], [(0, 0, 900, 1300)], made)
    assert np.array_equal(made[0], torchs(picture, (0, 0, 900, 1300), size))


@needs_compiler
def test_pictures_that_lie_otherwise_and_several_at_once(library: Any) -> None:
    """Turned by strides, as EXIF has some, or a part of a larger one; nothing beside `made`."""
    rng = np.random.default_rng(2)
    whole = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    views = [whole[:, ::-1], whole[::-1], whole.swapaxes(0, 1), whole[3:30, 5:45], whole]
    boxes = [(1, 2, 20, 25)] * len(views)
    made = np.full((len(views) + 2, 9, 31, 3), 7, np.uint8)
    cutting._cut(library, views, boxes, made[1:-1])
    for view, each in zip(views, made[1:-1], strict=True):
        assert np.array_equal(each, torchs(view, (1, 2, 20, 25), (9, 31)))
    assert (made[[0, -1]] == 7).all()


@needs_compiler
def test_what_cuts_otherwise_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = cutting.SOURCE.read_text(encoding="utf-8")
    wrong = tmp_path / "cut.c"
    wrong.write_text(source.replace("weight[j] = x < 1 ? 1 - x : 0", "weight[j] = x < 1"))
    assert wrong.read_text() != source
    monkeypatch.setattr(cutting, "SOURCE", wrong)
    assert cutting._library() is None


def test_no_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        @staticmethod
        def cut(*_: object) -> int:
            return 0

    with pytest.raises(MemoryError, match="5x6 pixels"):
        cutting._cut(Full, [np.zeros((9, 9, 3), np.uint8)], [(0, 0, 3, 3)], np.zeros((1, 5, 6, 3)))


@needs_compiler
def test_batches_are_the_same_with_it_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cutting.library.made() is not None
    data = load_folder(flat_folder(tmp_path / "pictures"), validation=0, test=0)
    spec = InputSpec(data.classes, 3, (24, 20), 20, "resize", (0.5,) * 3, (0.2,) * 3)
    changes = Augmentation(crop=Crop((0.08, 1.0)), mirror=True)
    made = TrainingBatches(data.train, spec, 16, 0, changes)
    used: list[int] = []
    cut = cutting.cut

    def counted(pictures: Any, *rest: Any) -> None:
        used.append(len(pictures))
        cut(pictures, *rest)

    monkeypatch.setattr(cutting, "cut", counted)
    by_c = list(made.epoch(1))
    assert sum(used) == len(data.train)
    monkeypatch.setattr(cutting, "can", lambda *_: False)
    by_torch = list(made.epoch(1))
    assert sum(used) == len(data.train)
    for (images, labels), (others, same) in zip(by_c, by_torch, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, same)
