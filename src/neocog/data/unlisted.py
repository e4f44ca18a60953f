"""Shards without an index: what they hold is read once, and kept in the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from neocog.data import lists, members, shardindex
from neocog.data.cache import cache_dir
from neocog.data.files import class_of, some, split_of
from neocog.data.opening import is_url, reading
from neocog.data.shardindex import NAME, Shard
from neocog.data.tree import Ignored
from neocog.errors import DataError

SAY_EVERY = 5.0  # seconds
_IN_URL = re.compile(r"[^/\s?#=]+\.(?:tar\.gz|tar|tgz)(?![\w.])")

Tell = Callable[[str], None]
Counted = tuple[tuple[str, ...], list[Shard], list[Ignored]]


def counted(sources: Mapping[str, str], place: str, tell: Tell) -> Counted:
    """Classes and shards of archives by name, and what is not used of them."""
    facts = [(source, *_facts(source)) for source in sources.values()]
    digest = hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()
    kept = cache_dir() / "shards" / f"{digest}.jsonl"
    with contextlib.suppress(DataError, OSError):
        classes, shards = shardindex.parsed(kept.read_bytes(), str(kept))
        if [shard.name for shard in shards] == list(sources):
            if any(is_url(source) for source in sources.values()):
                tell(f"shards were listed earlier; if they have changed since, remove {kept}")
            return classes, shards, []
    classes, shards, ignored = _read_all(sources, place, tell)
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}.part")
        aside.write_text("".join(shardindex.lines(classes, shards)), encoding="utf-8")
        aside.replace(kept)
    return classes, shards, ignored


def named(archives: Sequence[str]) -> dict[str, str]:
    """A name for each archive, and what to open."""
    names = []
    for number, source in enumerate(archives):
        found = _IN_URL.findall(source)
        names.append(found[-1] if found else f"shard-{number:06d}.tar")
    if len(set(names)) != len(names):  # train/000.tar and val/000.tar
        names = [
            f"{Path(source).parent.name or number}-{name}"
            for number, (source, name) in enumerate(zip(archives, names, strict=True))
        ]
    if len(set(names)) != len(names):
        names = [f"{number:06d}-{name}" for number, name in enumerate(names)]
    return dict(zip(names, archives, strict=True))


def _facts(source: str) -> tuple[int, int]:
    """Size and time of what is on a disk."""
    if is_url(source):
        return 0, 0
    facts = Path(source).stat()
    return facts.st_size, facts.st_mtime_ns


def _read_all(sources: Mapping[str, str], place: str, tell: Tell) -> Counted:
    tell(f"no {NAME} beside them: reading {len(sources):,} shards once to see what they hold")
    found: dict[str, list[members.Sample]] = {}
    ignored, last = [], time.monotonic()
    for name, source in sources.items():
        with reading(source) as stream:
            seeks = members.can_seek(stream)
            every = list(members.samples(stream, source, seeks=seeks))
        found[name] = [sample for sample in every if sample.label is not None]
        ignored += [Ignored(f"{name}/{s.member}", "no label") for s in every if s.label is None]
        twice = [member for member, n in Counter(s.member for s in every).items() if n > 1]
        if twice:
            raise DataError(f"{source}: {some(twice)}: more than once in this shard; pack it anew")
        if time.monotonic() - last > SAY_EVERY:
            last = time.monotonic()
            tell(f"read {len(found):,} of {len(sources):,} shards")
    labels = [class_of(str(s.label)) for every in found.values() for s in every]
    if not labels:
        raise DataError(
            f"{place}: no pictures with labels in {len(sources):,} shards. Expected a .cls or "
            ".json beside each picture, as in WebDataset: 000001.jpg and 000001.cls"
        )
    beside = [Path(source).parent for source in sources.values() if not is_url(source)]
    classes = lists.classes(labels, beside[0] if beside else None, tell=tell)
    number = {label: place for place, label in enumerate(classes.labels)}
    shards = []
    for name, every in found.items():
        of_disk = 0 if is_url(sources[name]) else _facts(sources[name])[1]
        shards.append(
            Shard(
                name,
                _split(name, sources[name]),
                None,
                [s.member for s in every],
                [number[class_of(str(s.label))] for s in every],
                [s.size for s in every],
                [s.mark or of_disk for s in every],
            )
        )
    plain = [shard.name for shard in shards if shard.split == "all"]
    if plain and len(plain) < len(shards):
        raise DataError(
            f"{place}: the names of some shards say train, val or test, and those of {some(plain)} "
            "do not; rename them, or name the shards that are meant"
        )
    return classes.names, shards, ignored


def _split(name: str, source: str) -> str:
    """The split that a shard's name says, or its folder's: imagenet1k-train-0000.tar."""
    folder = "" if is_url(source) else Path(source).parent.name
    for word in (*re.split(r"[-_.]", name), folder):
        if split := split_of(word):
            return split
    return "all"
