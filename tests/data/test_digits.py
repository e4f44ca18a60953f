"""The digits that scikit-learn carries, read without it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from neocog.data import digits
from neocog.errors import DataError


def test_the_file_holds_what_scikit_learn_gives() -> None:
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    mine = digits._carried()
    assert np.array_equal(mine[0], values)
    assert np.array_equal(mine[1], labels)


@pytest.mark.parametrize("content", [None, b"", b"\x1f\x8b\x08\0", b"1,2\n"])
def test_where_it_lies_elsewhere_or_is_damaged_scikit_learn_is_asked(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = digits._carried()
    folder = tmp_path / "datasets" / "data"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "digits.csv.gz").write_bytes(content)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert all(map(np.array_equal, digits._carried(), right))


def test_without_scikit_learn_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        digits.load_digits()
