"""`neocog data doctor`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import textwrap
import uuid
from pathlib import Path

from neocog.cli.output import Counting, emit, program, tell
from neocog.data.doctor import Checkup, diagnosed
from neocog.data.examine import Facts, examined
from neocog.data.files import UnfitError
from neocog.data.kinds import KINDS, PROBLEM
from neocog.data.listing import Listing, listed
from neocog.data.skips import HEADER
from neocog.errors import DataError, UsageError
from neocog.report.doctor_page import MARK, page
from neocog.report.page import printable
from neocog.stopping import quoted

EXAMPLES = 3  # of a problem; of a note one
INDENT = 9  # below the severity
SAID = 160  # letters of an example


def doctor(options: argparse.Namespace) -> None:
    out = _target("--out", options.out, MARK, options.folder)
    skip = _target("--skip", options.skip, HEADER, options.folder)
    if out and out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out {out}: the page is written as .html")
    if options.threads is not None and options.threads < 1:
        raise UsageError(f"--threads: {options.threads} was given; it takes 1 or more")
    listing = _listing(options)
    if listing.shards:
        raise UsageError(
            f"{listing.place}: shards; the doctor reads folders. Examine the one to be packed"
        )
    found = diagnosed(listing, _facts(listing, options.threads))
    if skip:
        _write("--skip", skip, found.skip_list())
    if out:
        _write("--out", out, page(found).encode())
    if options.json:
        emit(found.to_json())
    else:
        print("\n".join(_lines(found, out, skip)))
    if not found.sound:
        sys.stdout.flush()
        count = sum(each.severity == PROBLEM for each in found.problems)
        raise DataError(f"{listing.place}: {_count(count, 'problem')}")


def _listing(options: argparse.Namespace) -> Listing:
    """What there is to examine, be it a data set or not. With --json a folder in which that is
    nothing is one problem, too.
    """
    try:
        return listed(options.folder)
    except DataError as error:
        if isinstance(error, UnfitError) and error.listing is not None:
            return error.listing
        if options.json and os.path.exists(Path(options.folder).expanduser()):  # noqa: PTH110
            emit({"pictures": 0, "classes": {}, "ignored": [], "problems": [_no_data_set(error)]})
        raise


def _no_data_set(error: DataError) -> dict[str, str]:
    what = KINDS["no_data_set"]
    return {
        "file": ".",
        "kind": "no_data_set",
        "detail": str(error),
        "remedy": what.remedy,
        "severity": what.severity,
    }


def _facts(listing: Listing, threads: int | None) -> list[Facts]:
    facts, line = [], Counting(sys.stderr, len(listing), "examined")
    try:
        for each in examined(listing, threads=threads):
            facts.append(each)
            line.see(len(facts))
    finally:
        line.close()
    return facts


# -- for people


def _lines(found: Checkup, out: Path | None, skip: Path | None) -> list[str]:
    listing = found.listing
    splits = ", ".join(f"{split} {len(files):,}" for split, files in listing.splits.items())
    lines = [
        f"{listing.root}: {_count(len(listing), 'picture')} of {len(listing.classes):,} "
        f"class{'' if len(listing.classes) == 1 else 'es'}" + (f" ({splits})" if splits else "")
    ]
    for kind, count in found.counts().items():
        what = KINDS[kind]
        lines += ["", f"{what.severity:<{INDENT}}{kind}: {count:,}"]
        lines += _wrapped(f"{what.about} {what.remedy}")
        of = [each for each in found.problems if each.kind == kind]
        if kind == "no_data_set":  # advice, to be read whole
            lines += _wrapped(f"- {printable(of[0].detail)}")
            continue
        shown = of[: EXAMPLES if what.severity == PROBLEM else 1]
        lines += [f"{' ' * INDENT}- {_short(each.file)}: {_short(each.detail)}" for each in shown]
    said = [*listing.remarks, *listing.left_out()]
    lines += ["", *(f"- {printable(line)}" for line in said)] if said else []
    lines += ["", "nothing is wrong with it"] if found.sound else []
    return lines + _further(found, out, skip)


def _wrapped(text: str) -> list[str]:
    width = max(min(shutil.get_terminal_size().columns, 100), 40) - INDENT
    return [" " * INDENT + line for line in textwrap.wrap(text, width)]


def _further(found: Checkup, out: Path | None, skip: Path | None) -> list[str]:
    lines = []
    command = f"{program()} data doctor {quoted(found.listing.root)}"
    if out:
        lines.append(f"{out}: the page, with pictures")
    elif found.problems:
        lines.append(f"to see them:        {command} --out doctor.html")
    if skip:
        lines.append(f"{skip}: what to leave out; give it to train as --skip {skip}")
    elif any(KINDS[each.kind].skip for each in found.problems):
        lines.append(f"to leave them out:  {command} --skip skip.txt")
    return ["", *lines] if lines else []


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= SAID else f"{text[: SAID // 2]}...{text[-SAID // 2 :]}"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


# -- files


def _target(option: str, text: str | None, mark: str, folder: str) -> Path | None:
    """Where to write: not in the folder, and over nothing but an older file of the same making."""
    if text is None:
        return None
    path, root = Path(text).expanduser(), Path(folder).expanduser()
    is_there = os.path.isdir(root)  # noqa: PTH112 - of a name too long to be one it says no
    if is_there and path.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{option} {path}: lies in {root}, which is never changed; name another")
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{option} {path}: cannot be written; name a file in a folder that exists")
    if os.path.lexists(path):
        try:
            with path.open("rb") as file:
                ours = mark.encode() in file.read(200)
        except OSError:
            ours = False
        if not ours:
            raise UsageError(f"{option} {path}: there is another file already; name a new one")
    return path


def _write(option: str, path: Path, content: bytes) -> None:
    """The whole file or none of it."""
    aside = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        try:
            aside.write_bytes(content)
            aside.replace(path)
        finally:
            with contextlib.suppress(OSError):
                aside.unlink()
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be written: {error.strerror}") from error
    tell(f"wrote {path}")
