"""The 1,797 handwritten digits that scikit-learn carries: always at hand, 8x8 pixels.

scikit-learn ships them as one set (UCI's test half), so it is cut once and for all: a fifth of each
class for the test, by an order that depends on nothing but SHA-256.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib.util
import zlib
from pathlib import Path

import numpy as np

from neocog.data.formats import Arrays
from neocog.errors import DataError

TEST_SHARE = 0.2


def load_digits() -> tuple[Arrays, Arrays]:
    """Training and test split, pictures (N, 1, 8, 8). DataError without scikit-learn."""
    values, labels = _carried()
    # The values are 0 to 16: counts of dark pixels in blocks of 4x4.
    pixels = np.rint(values * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    answers = labels.astype(np.int64)
    test = _test_mask(answers)
    return Arrays(pixels[~test], answers[~test]), Arrays(pixels[test], answers[test])


def _carried() -> tuple[np.ndarray, np.ndarray]:
    """Values (N, 64) and labels (N,), from the file that scikit-learn reads them from: to import
    scikit-learn for it takes more than a second.
    """
    found = importlib.util.find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        with contextlib.suppress(OSError, ValueError, EOFError, zlib.error):
            with gzip.open(path, "rt", encoding="ascii") as file:
                table = np.array([line.split(",") for line in file], dtype=np.float64)
            if table.shape == (1797, 65):
                return table[:, :-1], table[:, -1]
    try:  # where it lies elsewhere, scikit-learn knows
        from sklearn.datasets import load_digits as carried
    except ImportError as error:
        raise DataError(
            "digits: scikit-learn, which carries them, is not installed. pip install scikit-learn"
        ) from error
    values, labels = carried(return_X_y=True)
    return np.asarray(values), np.asarray(labels)


def _test_mask(labels: np.ndarray) -> np.ndarray:
    """Which pictures are for the test: the first fifth of each class in the order of a hash.

    Not numpy's generator, whose streams may change between versions.
    """
    keys = np.array([hashlib.sha256(b"digits %d" % n).hexdigest() for n in range(len(labels))])
    mask = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranked = members[np.argsort(keys[members])]
        mask[ranked[: round(len(members) * TEST_SHARE)]] = True
    return mask
