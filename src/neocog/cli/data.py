"""`neocog data`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from neocog.cli.output import Transfers, emit, table, tell
from neocog.data import sources
from neocog.errors import NeocogError, UsageError
from neocog.writing import written


def list_sets(options: argparse.Namespace) -> None:
    rows, facts = [], []
    for source in sources.SOURCES.values():
        at = sources.available(source.name)
        size = (source.channels, *source.size)
        facts.append(
            {
                "name": source.name,
                "title": source.title,
                "classes": list(source.classes),
                "size": list(size),
                "train": source.train_count,
                "test": source.test_count,
                "at": at,
            }
        )
        rows.append(
            [
                source.name,
                str(len(source.classes)),
                "x".join(str(side) for side in size),
                f"{source.train_count:,}",
                f"{source.test_count:,}",
                at or f"not here yet: neocog data get {source.name}",
            ]
        )
    if options.json:
        emit(facts)
        return
    print(table(["data set", "classes", "size", "train", "test", "where"], rows, right=(1, 3, 4)))


def get(options: argparse.Namespace) -> None:
    loaded = sources.load(
        options.name,
        from_dir=_folder(options.from_dir),
        tell=tell,
        progress=Transfers(sys.stderr),
    )
    fact = {
        "name": loaded.source.name,
        "train": len(loaded.train.labels),
        "test": len(loaded.test.labels),
        "origin": loaded.origin,
        "fingerprint": loaded.fingerprint,
    }
    if options.json:
        emit(fact)
        return
    print(
        f"{fact['name']}: {fact['train']:,} pictures to train on, {fact['test']:,} to test, "
        f"content checked ({fact['origin']})"
    )


def look(options: argparse.Namespace) -> None:
    from neocog.asked import recipe_for
    from neocog.cli.folders import dataset_of
    from neocog.looking import augmented_sheet, sample_sheet

    recipe = None if options.augment is None else recipe_for("", None, options.augment)
    out = Path(options.out) if options.out else None
    if out and out.suffix.lower() not in (".png", ".svg", ".pdf", ".jpg"):
        raise UsageError(f"--out {out}: the sheet is written as .png, .svg, .pdf or .jpg")
    data = dataset_of(options)
    out = out or _unused(data.name)
    data.check_outside(out, "Name another file with --out")
    if out.exists():
        raise UsageError(f"--out {out}: it exists; nothing is written over it")
    if recipe is None:
        drawn = sample_sheet(data, seed=options.seed)
    else:
        drawn = augmented_sheet(data, recipe, seed=options.seed)
    data.finish()
    kind = out.suffix[1:].lower()
    try:
        written(out, lambda file: drawn.savefig(file, dpi=120, format=kind))
    except NeocogError as error:
        raise UsageError(f"--out {error}") from error
    if options.json:
        emit({"file": str(out), "data": data.name, "classes": list(data.classes)})
    else:
        what = "a class a row" if recipe is None else f"as {options.augment} sees them"
        print(f"{out}: pictures of {data.name}, {what}")


def _folder(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _unused(name: str) -> Path:
    """A file of that name that is not there yet: nobody's picture is written over unasked."""
    tried = (Path(f"{name}{suffix}.png") for suffix in ("", *(f"-{n}" for n in range(2, 10_000))))
    return next(path for path in tried if not path.exists())
