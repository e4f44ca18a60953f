"""Folders of pictures as people have them: classes, splits of classes, ImageNet, lists inside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from neocog.data import imagenet, rows
from neocog.data.files import (
    Listing,
    Row,
    UnfitError,
    class_of,
    left_out,
    made,
    said,
    some,
    split_of,
)
from neocog.data.tree import Found, Tree
from neocog.errors import DataError

BETWEEN = "images"  # a folder that some sets put between a split, or a class, and its pictures


class NoPicturesError(DataError):
    """Neither pictures nor a list of them: whatever else lies there may be what is meant."""


def of_folder(root: Path, *, also: Sequence[Path] = ()) -> Listing:
    """The listing of a folder; see `listing.listed`. Lists in it may lead into `also`."""
    tree = Tree(root)
    if not tree.refused:
        return _of_tree(tree, also)
    try:
        listing: Listing | None = _of_tree(tree, also)
    except DataError as error:
        listing = error.listing if isinstance(error, UnfitError) else None
    if listing is None:
        listing = Listing(root, "classes", (), {}, tuple(tree.ignored))
    raise UnfitError(str(tree.refused[0]), listing)


def _of_tree(tree: Tree, also: Sequence[Path]) -> Listing:
    root = tree.root
    base = _base(tree)
    depth = len(base)
    inside = [found for found in tree.pictures if found.folder[:depth] == base]
    names = _names(inside, depth, 1)
    folders = _split_folders(tree, inside, depth)
    by_name = {split: name for name in sorted(tree.below(base)) if (split := split_of(name))}
    named = rows.lists_in(root.joinpath(*base), by_name)
    classes = _names(inside, depth + 1, 1) if folders else names
    if named and (len(classes) < 2 or ("train" in named and not folders)):
        layout = "lists" if "train" in named else "list"
        return rows.of_lists(root, rows.one_each(named), layout, tree, also=also)
    if not tree.pictures:
        unread = any(each.why.startswith("cannot be read") for each in tree.ignored)
        raise (DataError if unread else NoPicturesError)(
            f"{root}: no pictures in it. Expected {root / 'CLASS' / 'picture.jpg'}, or "
            f"{root / 'train' / 'CLASS' / 'picture.jpg'}, or a list of pictures"
            + said(left_out(tree.ignored))
        )
    for found in tree.pictures:
        if found.folder[:depth] != base:
            tree.leave(found, "beside the folders of the splits")
    lists = [path.name for paths in named.values() for path in paths]
    not_read = [f"{some(lists)} not read: the folders say the classes"] if lists else []
    if folders:
        return _of_splits(tree, inside, base, folders, not_read)
    return _of_classes(tree, inside, base, names, not_read)


def _base(tree: Tree) -> tuple[str, ...]:
    """Where the splits begin: the root, or a folder alone in it, as archives are unpacked."""
    for begin in range(len(imagenet.KAGGLE) + 1):
        packed = imagenet.KAGGLE[begin:]
        if any(split_of(name) == "train" for name in tree.below(packed)):
            return packed
    base: tuple[str, ...] = ()
    filled = {found.folder for found in tree.pictures}
    while len(names := tree.below(base)) == 1 and base not in filled:
        base = (*base, *names)
        if any(split_of(name) == "train" for name in tree.below(base)):
            return base
    return ()


def _names(inside: Iterable[Found], depth: int, below: int) -> set[str]:
    """The folders at a depth that have pictures so many folders below, or deeper."""
    return {found.folder[depth] for found in inside if len(found.folder) >= depth + below}


def _split_folders(tree: Tree, inside: Sequence[Found], depth: int) -> dict[str, str]:
    """{"training": "train", ...} if there are such folders, with classes in them: a class may be
    called train, too.
    """
    deep = _names(inside, depth, 2)
    if not any(split_of(name) == "train" for name in deep):
        return {}
    of: dict[str, str] = {}
    for name in sorted(_names(inside, depth, 1)):
        split = split_of(name)
        if split in of.values():
            other = next(each for each in of if of[each] == split)
            raise DataError(
                f"{tree.root}: {other} and {name} both hold the {split} pictures; keep one"
            )
        if split:
            of[name] = split
    others = sorted(name for name in deep if name not in of)
    if others and len(of) == 1:
        train = next(iter(of))
        raise DataError(
            f"{tree.root}: {train} and {some(others)} all hold folders of pictures. If {train} is "
            f"the training pictures, name the folder {train} itself, or put a folder val beside "
            "it; if it is a class, call it something else"
        )
    return of


def _of_classes(
    tree: Tree,
    inside: Sequence[Found],
    base: tuple[str, ...],
    names: set[str],
    remarks: Sequence[str],
) -> Listing:
    splits = {split for name in names if (split := split_of(name))}
    if len(splits) > 1:
        raise DataError(
            f"{tree.root}: {some(sorted(names))} are names of splits, and there is none of the "
            "training pictures with folders of classes in it. Expected "
            f"{tree.root / 'train' / 'CLASS' / 'picture.jpg'}, or lists: train.csv with the "
            "columns filename,label"
        )
    found_rows: list[Row] = []
    for found in inside:
        if len(found.folder) == len(base):
            tree.leave(found, "beside the class folders, so of no class")
        else:
            found_rows.append(_row(found, found.folder[len(base)]))
    if not found_rows:
        raise DataError(
            f"{tree.root}: its {len(inside):,} pictures lie in it side by side, with nothing to "
            "say what each shows. Put each class into a folder of its own, or add a list: "
            "labels.csv with the columns filename,label"
        )
    told = [*remarks, *_empty(tree, [base], names), *_perhaps_splits(tree, base, names)]
    return made(tree.root, "classes", {"all": found_rows}, tree.ignored, remarks=told)


def _of_splits(
    tree: Tree,
    inside: Sequence[Found],
    base: tuple[str, ...],
    folders: dict[str, str],
    remarks: Sequence[str],
) -> Listing:
    depth = len(base)
    found_rows: dict[str, list[Row]] = {split: [] for split in folders.values()}
    flat: dict[str, list[Found]] = defaultdict(list)
    trained = {
        found.folder[depth + 1]
        for found in inside
        if len(found.folder) > depth + 1 and folders.get(found.folder[depth]) == "train"
    }
    synsets = imagenet.are_synsets(trained)
    for found in inside:
        name = found.folder[depth] if len(found.folder) > depth else ""
        below = found.folder[depth + 1 :]
        if name not in folders:
            tree.leave(found, "beside the folders of the splits")
        elif not below or (synsets and below == (BETWEEN,)):
            flat[name].append(found)
        else:
            found_rows[folders[name]].append(_row(found, below[0]))
    for name, pictures in flat.items():
        labels = None
        if synsets and not found_rows[folders[name]]:
            files = [found.name for found in pictures]
            place = tree.root.joinpath(*base)
            labels = imagenet.labels_of_flat(place, name, folders[name], files, trained)
            if path := imagenet.list_of_flat(place, name, folders[name]):
                tree.used(path)
        if labels is None:
            for found in pictures:
                tree.leave(found, "beside the class folders, so of no class")
        else:
            pairs = zip(pictures, labels, strict=True)
            found_rows[folders[name]] += [_row(found, label) for found, label in pairs]
    classes = {row[1] for each in found_rows.values() for row in each}
    empty = _empty(tree, [(*base, name) for name in folders], classes)
    return made(tree.root, "splits", found_rows, tree.ignored, remarks=[*remarks, *empty])


def _row(found: Found, name: str) -> Row:
    return found.path, class_of(name), found.size, found.time


def _empty(tree: Tree, places: Sequence[tuple[str, ...]], classes: set[str]) -> list[str]:
    """A remark on folders that would be classes if they had pictures, in any of the splits."""
    there = {name for place in places for name in tree.below(place) if name != BETWEEN}
    empty = sorted(there - {name for name in there if class_of(name) in classes} - classes)
    return [f"no pictures in the folder of {some(empty)}: no class"] if empty else []


def _perhaps_splits(tree: Tree, base: tuple[str, ...], names: set[str]) -> list[str]:
    """A remark where all classes have the same folders inside, as splits of classes have."""
    inner = {frozenset(tree.below((*base, name))) for name in names}
    if len(names) < 2 or len(inner) != 1 or len(same := sorted(*inner)) < 2:
        return []
    return [
        f"{some(sorted(names))} were taken for classes, and each holds the folders {some(same)}: "
        "if those are the classes, call the outer ones train, val and test"
    ]
