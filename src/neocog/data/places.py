"""Find a data set in a folder or an archive as people have it, read it, and check its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neocog.data.catalogue import SOURCES, Layout, Source
from neocog.data.formats import Arrays, joined, parse_cifar_bin, parse_cifar_pickle, read_idx
from neocog.data.reading import (
    LARGEST_FILE,
    damaged,
    open_content,
    read_members,
    read_up_to,
    read_whole,
    unreadable,
)
from neocog.errors import DataError, UsageError

Splits = tuple[Arrays, Arrays]


class OtherSetError(DataError):
    """The files are sound, but of another data set."""


@dataclass(frozen=True)
class Found:
    """Where a whole data set lies: the paths of its files by official name, or an archive."""

    layout: Layout
    path: Path
    files: tuple[Path, ...] = ()  # training files first; none in an archive

    @property
    def is_archive(self) -> bool:
        return not self.files


def users_path(given: str | Path, by: str) -> Path:
    """The path that the user gave, its ~ expanded; `by` is the option or variable, for people."""
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{by}: in {str(given)!r}, no home folder is known for the ~. Give the whole path."
        ) from error


def find(source: Source, place: Path) -> list[Found]:
    """Every whole copy of the data set in or at `place`, loose files before archives.

    DataError where the system does not let us look.
    """
    try:
        return _find(source, place)
    except OSError as error:
        raise unreadable(place, error) from error


def _find(source: Source, place: Path) -> list[Found]:
    if place.is_file():
        return [Found(layout, place) for layout in _archived_as(source, place)]
    spots = list(_spots(source, place))
    loose = [found for spot, layout in spots if (found := _whole(layout, spot))]
    archives = {
        spot / layout.archive: Found(layout, spot / layout.archive)
        for spot, layout in spots
        if layout.archive and (spot / layout.archive).is_file()
    }
    return [*{found.path: found for found in loose}.values(), *archives.values()]


def _archived_as(source: Source, path: Path) -> list[Layout]:
    """The layouts to try on an archive: by its name, or all where it was renamed."""
    archived = [layout for layout in source.layouts if layout.archive]
    return [layout for layout in archived if layout.archive == path.name] or archived


def _spots(source: Source, place: Path) -> Iterator[tuple[Path, Layout]]:
    """Folders to look in: `place`, its `raw`, and those named like the set or its layout."""
    named = dict.fromkeys((source.name, source.title, *source.also))
    for base in (place, *(place / name for name in named)):
        for spot in (base, base / "raw"):
            for layout in source.layouts:
                yield spot, layout
                for folder in layout.folders:
                    yield spot / folder, layout


def _whole(layout: Layout, spot: Path) -> Found | None:
    files = [locate(spot, name) for name in (*layout.train, *layout.test)]
    present = tuple(path for path in files if path)
    return Found(layout, spot, present) if len(present) == len(files) else None


def locate(spot: Path, name: str) -> Path | None:
    """The file of that official name: raw, gzipped, or in the old spelling with a dot."""
    dotted = name.replace("-idx", ".idx")
    for spelling in dict.fromkeys((name, f"{name}.gz", dotted, f"{dotted}.gz")):
        if (spot / spelling).is_file():
            return spot / spelling
    return None


def missing(source: Source, place: Path) -> str:
    """For people: what was looked for in `place`, and what is there."""
    for spot, layout in _spots(source, place):
        names = (*layout.train, *layout.test)
        absent = [name for name in names if not locate(spot, name)]
        if 0 < len(absent) < len(names):
            return f"{spot} has some of {source.title} but not {', '.join(absent)}"
    return f"{place} holds no {source.title}: looked for {official(source)}; {_holds(place)}"


def official(source: Source) -> str:
    """For people: the names of the official files."""
    ways = [
        f"{layout.folders[0]} or {layout.archive}"
        if layout.folders
        else ", ".join(f"{name}[.gz]" for name in (*layout.train, *layout.test))
        for layout in source.layouts
    ]
    return "; or ".join(ways)


def _holds(place: Path) -> str:
    try:
        names = sorted(path.name for path in place.iterdir())
    except OSError as error:
        return f"it cannot be listed ({error.strerror})"
    if not names:
        return "it is empty"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"it has {', '.join(names[:8])}{more}"


def read(source: Source, found: Found) -> Splits:
    """The training and the test split, their structure sound; see `check` for their content."""
    layout, classes = found.layout, len(source.classes)
    if layout.kind == "idx":
        images, labels, test_images, test_labels = found.files
        return (
            read_idx(images, labels, num_classes=classes),
            read_idx(test_images, test_labels, num_classes=classes),
        )
    batches: dict[str, Arrays] = {}
    for name, where, data in _cifar_files(found):
        if layout.kind == "cifar-bin":
            batches[name] = parse_cifar_bin(
                data, where, num_classes=classes, label_bytes=layout.label_bytes
            )
        else:
            batches[name] = parse_cifar_pickle(data, where, num_classes=classes)
    train = joined([batches[name] for name in layout.train])
    return train, joined([batches[name] for name in layout.test])


def _cifar_files(found: Found) -> Iterator[tuple[str, str, bytes]]:
    """(name, where, content) of each batch, out of the folder or the archive."""
    names = (*found.layout.train, *found.layout.test)
    if not found.is_archive:
        for name, path in zip(names, found.files, strict=True):
            yield name, str(path), read_whole(path)
        return
    wanted = {f"{found.layout.folders[0]}/{name}": name for name in names}
    for member, data in read_members(found.path, wanted):
        yield wanted.pop(member), f"{found.path}: {member}", data
    if wanted:
        raise damaged(found.path, f"no {', '.join(wanted)} in it", "the official archive")


def digest(arrays: Arrays) -> str:
    """SHA-256 of a split: its pictures (N, C, H, W), then its labels, a byte each.

    So it is the same for gzipped, raw, binary and pickled files of the same content.
    """
    seen = hashlib.sha256(np.ascontiguousarray(arrays.images).data)
    seen.update(arrays.labels.astype(np.uint8).data)
    return seen.hexdigest()


def check(source: Source, splits: Splits, found: Found) -> tuple[str, str]:
    """Counts, sizes and content against the official set's; returns the splits' digests."""
    size = (source.channels, *source.size)
    for split, arrays, count in zip(
        ("training", "test"), splits, (source.train_count, source.test_count), strict=True
    ):
        if arrays.images.shape != (count, *size):
            raise damaged(
                found.path,
                f"{split} pictures {arrays.images.shape}",
                f"{(count, *size)} for {source.title}",
            )
    digests = digest(splits[0]), digest(splits[1])
    if source.content is None:
        _check_sums(found)
    elif digests != source.content:
        raise _foreign(source, digests, found)
    return digests


def _foreign(source: Source, digests: tuple[str, str], found: Found) -> DataError:
    for other in SOURCES.values():
        if other.content and digests[0] == other.content[0] and other.name != source.name:
            return OtherSetError(
                f"{found.path}: this is {other.title}, not {source.title} (their files have the "
                f"same names). Ask for {other.name!r}, or give the folder of {source.title}."
            )
    assert source.content is not None
    split = "training" if digests[0] != source.content[0] else "test"
    at = 0 if split == "training" else 1
    return damaged(
        found.path,
        f"{split} pictures and labels with SHA-256 {digests[at]}",
        f"{source.content[at]} for {source.title}",
        advice="They were changed or damaged: get the official files again.",
    )


def _check_sums(found: Found) -> None:
    paths = [found.path] if found.is_archive else found.files
    for path in paths:
        expected = found.layout.sums.get(path.name)
        if expected and (sum_ := published_sum(path, expected)) != expected:
            raise damaged(path, f"checksum {sum_}", f"{expected}, as published")


def published_sum(path: Path, expected: str) -> str:
    """The file's MD5 or SHA-256, whichever `expected` is by its length."""
    kind = "md5" if len(expected) == 32 else "sha256"
    with path.open("rb") as stream:
        return hashlib.file_digest(
            stream, lambda: hashlib.new(kind, usedforsecurity=False)
        ).hexdigest()


def unchecked(source: Source, found: Found) -> str | None:
    """For people: what could not be verified, if anything."""
    names = [found.path.name] if found.is_archive else [path.name for path in found.files]
    bare = [name for name in names if name not in found.layout.sums]
    if source.content is not None or not bare:
        return None
    return (
        f"{source.name}: no checksum is known for {', '.join(bare)}; "
        "only the structure, the counts and the labels were checked"
    )


def official_files(found: Found) -> Iterator[tuple[str, bytes | bytearray]]:
    """(path in the official layout, content) of each file, unpacked: what the cache keeps."""
    layout = found.layout
    if layout.kind != "idx":
        for name, _, data in _cifar_files(found):
            yield f"{layout.folders[0]}/{name}", data
        return
    for name, path in zip((*layout.train, *layout.test), found.files, strict=True):
        with open_content(path) as stream:
            yield name, read_up_to(stream, LARGEST_FILE)
