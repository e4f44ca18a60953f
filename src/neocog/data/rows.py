"""Lists of pictures found in a folder, and the files that their rows name."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neocog.data import lists
from neocog.data.files import SHOWN, Listing, Row, class_of, made, said, split_of
from neocog.data.tree import Ignored, Tree, looked_at
from neocog.data.within import Within
from neocog.errors import DataError

MISSING_ALLOWED = 0.01  # of a list's files; beyond, it is the wrong list
BESIDE = ("images", "pictures")  # folders from where the paths of a list may count


Named = dict[str, list[Path]]


def lists_in(folder: Path, below: Mapping[str, str]) -> Named:
    """Lists that say the splits of a folder, or all of it: by names that people use.

    `below` are its folders of splits, {"train": "training"}: each may have a list of its own.
    """
    if found := _named(folder):
        return found
    own = {split: _named(folder / name).get("all", []) for split, name in below.items()}
    return {split: paths for split, paths in own.items() if paths} if own.get("train") else {}


def one_each(named: Named) -> dict[str, Path]:
    """The one list of each split; `DataError` where there are two."""
    for split, paths in named.items():
        if len(paths) > 1:
            raise DataError(
                f"{paths[0].parent}: {paths[0].name} and {paths[1].name} both list the {split} "
                "pictures; keep one, or name the one that counts"
            )
    return {split: paths[0] for split, paths in named.items()}


def _named(folder: Path) -> Named:
    found: Named = {}
    for path in sorted(folder.iterdir()):
        stem = path.stem.lower()
        split = "all" if stem in lists.NAMES else split_of(stem)
        if not split or path.suffix.lower() not in lists.SUFFIXES or not path.is_file():
            continue
        if path.name.lower() not in lists.CLASS_LISTS or lists.names_pictures(path):
            found.setdefault(split, []).append(path)
    if "all" in found:
        return {"all": found["all"]}
    return found if "train" in found else {}


@dataclass
class _Taken:
    """What the rows read so far gave."""

    within: Within
    before: dict[str, tuple[str, str]] = field(default_factory=dict)  # (label, split) of a file
    ignored: list[Ignored] = field(default_factory=list)
    twice: int = 0


def of_lists(
    root: Path,
    named: Mapping[str, Path],
    layout: str,
    tree: Tree | None = None,
    *,
    also: Sequence[Path] = (),
) -> Listing:
    """The listing of lists by split ("all": they say it, or it is to be cut) below a root.

    Their paths may lead into the root and into the folders `also`, and nowhere else. `tree` is what
    else lies there. Raises `DataError` for lists that contradict themselves or
    each other, and where more than `MISSING_ALLOWED` of a list's files are not there.
    """
    remarks: list[str] = []
    by_split: dict[str, list[lists.Row]] = {}
    for split, path in named.items():
        try:
            read = lists.read(path, remarks.append)
        except lists.NoLabelsError:
            if split != "test":  # contests keep those of the test to themselves
                raise
            remarks.append(f"{path.name} says no labels, so there are no test pictures")
            continue
        for row in read:
            by_split.setdefault(_split(row, split), []).append(row)
    if "all" in by_split and len(by_split) > 1:
        raise DataError(f"{root}: some lines say a split and some do not; say it in all or none")
    if "all" not in by_split and "train" not in by_split:
        raise DataError(f"{root}: no line is of the split train")
    labels = [row.label for each in by_split.values() for row in each]
    names = [class_of(label) for label in labels]
    classes = lists.classes(names, _folder_of(named), tell=remarks.append)
    taken = _Taken(Within(root, *also))
    rows = {split: list(_located(root, split, each, taken)) for split, each in by_split.items()}
    if taken.twice:
        remarks.append(f"{taken.twice:,} lines stand there twice; counted once")
    if tree:
        taken.ignored += list(_not_listed(tree, rows, named.values(), taken))
    return made(
        root,
        layout,
        rows,
        taken.ignored,
        classes=classes.labels,
        names=classes.names,
        remarks=remarks,
    )


def _split(row: lists.Row, split: str) -> str:
    if row.split is None:
        return split
    if found := split_of(row.split):
        return found
    raise DataError(
        f"{row.list}, line {row.line}: split {row.split!r}; expected train, val or test"
    )


def _folder_of(named: Mapping[str, Path]) -> Path:
    """Where the list of class names lies: beside the lists, or above their folders."""
    folders = sorted({path.parent for path in named.values()})
    return folders[0] if len(folders) == 1 else folders[0].parent


def _located(root: Path, split: str, rows: Sequence[lists.Row], taken: _Taken) -> Iterator[Row]:
    """The rows' files that are there and pictures, each once. What is not is `taken.ignored`."""
    by_list: dict[Path, list[lists.Row]] = {}
    for row in rows:
        by_list.setdefault(row.list, []).append(row)
    for path, each in by_list.items():
        folder, at_root = str(path.parent), path.parent == root
        for row, file in zip(each, _files(path, split, each), strict=True):
            if file is None:
                taken.ignored.append(Ignored(row.path, "listed, but not there"))
                continue
            name, facts = file
            shown = name if at_root else _below(root, path.parent, name)
            full = os.path.join(folder, name)  # noqa: PTH118 - many of them
            if real := taken.within.strays(full):
                raise DataError(
                    f"{path}, line {row.line}: {row.path[:200]!r} leads out of {root}, to {real}. "
                    "Allow a folder to which lists may lead with --from FOLDER, or NEOCOG_DATA"
                )
            if _seen(row, split, full, taken):
                taken.twice += 1
            elif why := looked_at(full)[2]:
                taken.ignored.append(Ignored(shown, why))
            else:
                yield shown, class_of(row.label), facts.st_size, facts.st_mtime_ns


def _seen(row: lists.Row, split: str, full: str, taken: _Taken) -> bool:
    """Whether a file stood in an earlier line; `DataError` if that said something else of it."""
    now = class_of(row.label), split
    before = taken.before.setdefault(_key(full), now)
    if before is now:
        return False
    if before == now:
        return True
    one, other = (now[0], before[0]) if now[0] != before[0] else (split, before[1])
    raise DataError(
        f"{row.list}, line {row.line}: {row.path} is {one} here and {other} in an earlier line; a "
        "picture has one class and is in one split"
    )


def _files(path: Path, split: str, rows: Sequence[lists.Row]) -> list[lists.Located | None]:
    """The files of the rows, counted from the list's folder or one beside it that has them."""
    folder = str(path.parent)
    plain = [lists.find(folder, row.path) for row in rows]
    missing = [row for row, file in zip(rows, plain, strict=True) if file is None]
    if len(missing) <= MISSING_ALLOWED * len(rows):
        return plain
    beside = sorted(_beside(path.parent, split))
    for base in beside:
        found = [lists.find(folder, f"{base}/{row.path}") for row in rows]
        if found.count(None) <= MISSING_ALLOWED * len(rows):
            return found
    raise DataError(
        f"{path}: {len(missing):,} of its {len(rows):,} files are not there. Looked in {folder}"
        + "".join(f" and its folder {base}" for base in beside)
        + ", from where the paths count:"
        + said([f"line {row.line}: {row.path[:200]!r}" for row in missing[:SHOWN]])
    )


def _beside(folder: Path, split: str) -> Iterator[str]:
    for path in folder.iterdir():
        if (split_of(path.name) == split or path.name.lower() in BESIDE) and path.is_dir():
            yield path.name


def _below(root: Path, folder: Path, name: str) -> str:
    """A file of a list, as its path from the root."""
    if folder == root or os.path.isabs(name):  # noqa: PTH117
        return name
    return f"{folder.relative_to(root).as_posix()}/{name}"


def _key(full: str) -> str:
    return os.path.normcase(os.path.normpath(full))


def _not_listed(
    tree: Tree, rows: Mapping[str, Sequence[Row]], lists_read: Collection[Path], taken: _Taken
) -> Iterator[Ignored]:
    """What lies in a folder beside the pictures that its lists name."""
    handled = {row[0] for each in rows.values() for row in each}
    handled |= {ignored.file for ignored in taken.ignored}
    keys = {_composed(tree.root, file) for file in handled}
    keys |= {_composed(tree.root, str(path.relative_to(tree.root))) for path in lists_read}
    for ignored in tree.ignored:
        name = ignored.file.rpartition("/")[2].lower()
        if name not in lists.CLASS_LISTS and _composed(tree.root, ignored.file) not in keys:
            yield ignored
    for found in tree.pictures:
        if _composed(tree.root, found.path) not in keys:
            yield Ignored(found.path, "not in the list")


def _composed(root: Path, file: str) -> str:
    return unicodedata.normalize("NFC", _key(os.path.join(root, file)))  # noqa: PTH118
