"""ImageNet as people have it: synset ids, their names, and a validation folder without folders.

The 1000 classes of ILSVRC 2012 are numbered in two ways. Every network counts synsets in their
plain order from 0; the contest's own kit counts them from 1 in an order of its own, and its
ground-truth file says those numbers.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Sequence
from importlib import resources
from pathlib import Path

from neocog.data import lists
from neocog.errors import DataError

KAGGLE = ("ILSVRC", "Data", "CLS-LOC")  # the folder of train and val in that packing
KIT = ("ILSVRC2012_devkit_t12", "data")  # where the contest's kit, unpacked, has its files
# a line a picture: the number in the contest's kit, or the synset, of validation picture 1, 2, ...
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
BY_LINE = (
    GROUND_TRUTH,
    *(f"ILSVRC{year}_clsloc_validation_ground_truth.txt" for year in range(2013, 2018)),
    "imagenet_2012_validation_synset_labels.txt",
)
# lists of names and labels, by the names they are handed round under; {} is the folder
BY_NAME: tuple[str, ...] = (
    "LOC_{}_solution.csv",
    "{}.txt",
    "{}.csv",
    "{}_map.txt",
    "{}_labels.txt",
)
BY_NAME += ("{}_annotations.txt",)
_SYNSET = re.compile(r"n[0-9]{8}")
_NAMED = re.compile(r"(\S+?)\s*[,\s]\s*(n[0-9]{8})(?:[\s,].*)?")  # and boxes, for all we care
_NUMBERED = re.compile(r"(\S+?)\s*[,\s]\s*([0-9]{1,4})")


@functools.cache
def synsets() -> dict[str, str]:
    """{synset id: name} of the 1000 classes, in the order of the contest's kit."""
    text = resources.files("neocog.data").joinpath("imagenet.txt").read_text(encoding="utf-8")
    pairs = (line.split(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {pair[0]: pair[1] for pair in pairs}


def are_synsets(names: Collection[str]) -> bool:
    """Whether these are synset ids, all of them."""
    return bool(names) and all(_SYNSET.fullmatch(name) for name in names)


def titled(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Synset ids with their names; other classes as they are."""
    if not are_synsets(classes):
        return classes
    known = synsets()
    return tuple(f"{name} {known[name]}" if name in known else name for name in classes)


def labels_of_flat(
    base: Path, folder: str, split: str, files: Sequence[str], trained: Collection[str]
) -> list[str] | None:
    """The synset of each file of a folder that has no class folders; None if no list says them.

    `trained` are the synsets of the training pictures. Raises `DataError` if a list is there and
    does not fit.
    """
    path = list_of_flat(base, folder, split)
    return None if path is None else _of_file(path, files, trained)


def list_of_flat(base: Path, folder: str, split: str) -> Path | None:
    """The list that says them, if there is one; `base` is where the split folders lie."""
    above = base.resolve()
    kaggle = above.parents[2] if above.parts[-3:] == KAGGLE else base
    places = dict.fromkeys((base / folder, base, kaggle, base.joinpath(*KIT)))
    names = [*(BY_LINE if split == "val" else ()), *(name.format(folder) for name in BY_NAME)]
    paths = (place / name for place in places for name in names)
    return next((path for path in paths if path.is_file()), None)


def _of_file(path: Path, files: Sequence[str], trained: Collection[str]) -> list[str]:
    lines = [line for _, line in lists.lines_of(path)]
    if are_synsets(lines) or (path.name in BY_LINE and all(map(lists.is_number, lines))):
        return _line_by_line(path, lines, files)
    return _by_name(path, files, trained)


def _line_by_line(path: Path, lines: Sequence[str], files: Sequence[str]) -> list[str]:
    """The synsets of files by the number in their names: line 1 is of ILSVRC2012_val_00000001."""
    if not are_synsets(lines):
        kit = list(synsets())
        numbers = [int(line) for line in lines]
        if not lines or not 1 <= min(numbers) <= max(numbers) <= len(kit):
            found = f"{min(numbers)} to {max(numbers)}" if lines else "nothing"
            raise DataError(f"{path}: found {found}, expected the kit's 1 to {len(kit)}")
        lines = [kit[number - 1] for number in numbers]
    places: dict[int, str] = {}
    for file in files:
        ending = re.search(r"([0-9]{1,9})$", Path(file).stem)
        place = int(ending[1]) if ending else 0
        if not 1 <= place <= len(lines) or place in places:
            raise DataError(
                f"{path}: its {len(lines):,} lines are of pictures by number, and {file} is none "
                "of them; expected names such as ILSVRC2012_val_00000001.JPEG"
            )
        places[place] = file
    of = {file: lines[place - 1] for place, file in places.items()}
    return [of[file] for file in files]


def _by_name(path: Path, files: Sequence[str], trained: Collection[str]) -> list[str]:
    """Lines of a name and a label, in any of the ways that are about."""
    of: dict[str, str] = {}
    for file, synset in _named(path, trained):
        stem = Path(file).stem
        if of.setdefault(stem, synset) != synset:
            raise DataError(f"{path}: {file} is {of[stem]} in one line and {synset} in another")
    missing = [file for file in files if Path(file).stem not in of]
    if missing:
        raise DataError(
            f"{path}: it says nothing of {len(missing):,} of {len(files):,} pictures, such as "
            f"{missing[0]}"
        )
    return [of[Path(file).stem] for file in files]


def _named(path: Path, trained: Collection[str]) -> Iterator[tuple[str, str]]:
    """Names and synsets. Numbers count all 1000 synsets in plain order, as Caffe's lists do."""
    plain = sorted(synsets())
    for place, (line, text) in enumerate(lists.lines_of(path)):
        if found := _NAMED.fullmatch(text):
            yield found[1], found[2]
            continue
        numbered = _NUMBERED.fullmatch(text)
        if numbered and set(trained) == set(plain) and int(numbered[2]) < len(plain):
            yield numbered[1], plain[int(numbered[2])]
        elif place or path.suffix.lower() != ".csv":  # that may have a header
            raise DataError(
                f"{path}, line {line}: found {text[:80]!r}, expected a file and its synset, or, of "
                "all 1000 classes, its number from 0 to 999"
            )
