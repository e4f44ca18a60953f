"""`neocog data stats`, `manifest`, `split` and `pack`: a folder counted, as lists, as shards."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from neocog.asked import dataset_for, is_path
from neocog.cli.output import Counting, Transfers, emit, program, table, tell
from neocog.data.dataset import Dataset
from neocog.data.manifest import manifest, split_list, write_new
from neocog.errors import UsageError
from neocog.looking import statistics_of
from neocog.recipe import Recipe
from neocog.report.page import printable
from neocog.stopping import quoted

SHOWN = 40  # classes


def stats(options: argparse.Namespace) -> None:
    dataset = dataset_of(options)
    facts = statistics_of(dataset)
    dataset.finish()
    if options.json:
        emit(facts)
        return
    rows = [
        [printable(name), *(f"{n:,}" for n in counts.values())]
        for name, counts in facts["classes"].items()
    ]
    more = len(rows) - SHOWN
    rows = rows[:SHOWN] + ([[f"... and {more:,} more", "", "", ""]] if more > 0 else [])
    rows.append(["all", *(f"{n:,}" for n in facts["pictures"].values())])
    print(table(["class", *facts["pictures"]], rows, right=(1, 2, 3)))
    size = "many sizes" if facts["size"] is None else "x".join(str(side) for side in facts["size"])
    mean = ", ".join(f"{255 * value:.2f}" for value in facts["mean"])
    print(f"pictures    {facts['channels']} channels, {size}")
    print(f"mean        {_numbers(facts['mean'])} from 0 to 1; {mean} from 0 to 255")
    print(f"std         {_numbers(facts['std'])}, of {facts['looked_at']:,} training pictures")


def write_manifest(options: argparse.Namespace) -> None:
    _check_place(options.name)
    dataset = dataset_of(options)
    root = _root(dataset)
    out = Path(options.out or f"{dataset.name}-lists")
    files = manifest(dataset, out)
    write_new(out, files, spared=root)
    if options.json:
        emit({"folder": str(out), "files": list(files)})
        return
    for name, text in files.items():
        what = "class names" if name == "classes.txt" else "pictures"
        print(f"{out / name}: {len(text.splitlines()):,} {what}")
    from_root = f"--from {quoted(root)}"  # its paths lead out of its own folder
    print(f"next        {program()} train NETWORK {quoted(out)} {from_root}")


def write_split(options: argparse.Namespace) -> None:
    _check_place(options.name)
    dataset = dataset_of(options)
    out = Path(options.out or f"{dataset.name}-split.csv")
    if out.suffix.lower() != ".csv":
        raise UsageError(f"--out {out}: the list is written as .csv")
    root = _root(dataset)
    write_new(out.parent, {out.name: split_list(dataset, out.parent)}, spared=root)
    counts = {name: len(split) for name, split in dataset.splits.items()}
    if options.json:
        emit({"file": str(out), **counts})
        return
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    print(f"{out}: {said}; no picture was moved")


def write_shards(options: argparse.Namespace) -> None:
    from neocog.data.packing import pack

    if not 0 < options.shard_size < math.inf:
        raise UsageError(
            f"--shard-size: {options.shard_size:g} was given; it takes megabytes, above 0"
        )
    _check_place(options.name)
    dataset = dataset_of(options)
    out = Path(options.out or f"{dataset.name}-shards")
    line = Counting(sys.stderr, sum(map(len, dataset.splits.values())), "packed")
    try:
        shards = pack(
            dataset,
            out,
            seed=dataset.seed,
            shard_size=int(options.shard_size * 10**6),
            tell=tell,
            seen=line.see,
        )
    finally:
        line.close()
    size = sum(shard.size or 0 for shard in shards)
    counts = {
        name: sum(len(shard.members) for shard in shards if shard.split == name)
        for name in ("train", "val", "test")
    }
    if options.json:
        emit({"folder": str(out), "shards": len(shards), "bytes": size, **counts})
        return
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    many = f"{len(shards):,} shard{'' if len(shards) == 1 else 's'}"
    print(f"{out}: {said} in {many}, {size / 10**6:,.1f} MB; no picture was moved")
    print(f"next        {program()} train NETWORK {quoted(out)}")


def dataset_of(options: argparse.Namespace) -> Dataset:
    """The data set that the options name, cut as they say."""
    changes = {
        name: getattr(options, name)
        for name in ("validation", "test", "seed")
        if getattr(options, name, None) is not None
    }
    return dataset_for(
        options.name,
        Recipe().changed(changes),
        from_dir=getattr(options, "from_dir", None),
        skip=getattr(options, "skip", None),
        tell=tell,
        progress=Transfers(sys.stderr),
    )


def _check_place(name: str) -> None:
    """Before a data set is fetched only to be refused."""
    if not is_path(name):
        raise UsageError(f"{name}: a data set by name; this takes a folder of pictures, or a list")


def _root(dataset: Dataset) -> Path:
    assert dataset.listing is not None
    if dataset.listing.shards:
        raise UsageError(f"{dataset.name}: its pictures are in shards; make lists of the folder")
    return dataset.listing.root


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
