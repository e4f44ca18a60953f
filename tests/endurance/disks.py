"""Runs on a disk that fills up, a small tmpfs: python -m tests.endurance.disks

A filler takes all but so many bytes, by chance: before a run begins, before its first checkpoint
fits, at any step, or while it scores. Expected: one error that names the file; what was saved
before is whole; no litter; and with the filler gone, `neocog resume` reaches what the straight run
reached, to the bit. Where nothing may be mounted all of them are counted as skipped.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.endurance.runs import (
    FOUND,
    WAYS,
    At,
    Counts,
    Straight,
    Straights,
    Way,
    command,
    left,
    resuming,
    same,
    table,
    training_of,
)

from neocog import checkpoints, run

SIZE = 6 << 20  # bytes of the disk: a run of ours takes two million at most
PAGE = 4096  # what a file on it takes at least
# bytes that are left, from and below: for none of the files that a run begins with, or not for all;
# for these and no checkpoint; for none, one or two of the later ones, of half a million
KINDS = {
    "full before it begins": (0, 3 * PAGE),
    "full at the first checkpoint": (8 * PAGE, 230_000),
    "full at a step": (0, 1_000_000),
    "full while it scores": (0, 300_000),
}
NEW = tuple(KINDS)[:2]  # of which nothing remains to go on from
CHOSEN = ("plain", "folder", "plateau")
SKIPPED = "skipped: no tmpfs may be mounted here"
SAID = ("No space left on device", "free on that disk")  # found by writing; looked at before it


def filled(straights: Straights, number: int, chance: random.Random) -> Counts:
    """(run, kind, outcome) of so many cases."""
    counts, kinds = Counts(), itertools.cycle(KINDS)
    with mounted(straights.root / "disk") as disk:
        if disk is None:
            return Counts({("any", kind, SKIPPED): number // len(KINDS) for kind in KINDS})
        for count, kind in zip(range(number), kinds, strict=False):
            name = CHOSEN[count // len(KINDS) % len(CHOSEN)]
            way, out, whole = WAYS[name], disk / f"{name}-{count}", straights.of(name)
            os.environ["NEOCOG_CACHE"] = str(disk / "cache")
            _emptied(disk)
            said = straights.root / "said"
            wrong, end = _end(way, kind, straights.places, out, whole, chance, said)
            if wrong and out.exists():
                shutil.copytree(out, FOUND / out.name, dirs_exist_ok=True)
            counts[name, kind, f"other: {wrong} ({out.name})" if wrong else end] += 1
    return counts


@contextmanager
def mounted(place: Path) -> Iterator[Path | None]:
    """A small disk at `place`; None where nothing may be mounted."""
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    try:
        made = subprocess.run(["mount", *options], capture_output=True, check=False).returncode
    except OSError:
        made = 1
    try:
        yield None if made else place
    finally:
        if not made:
            subprocess.run(["umount", str(place)], check=True)


def _end(
    way: Way,
    kind: str,
    places: dict[str, str],
    out: Path,
    whole: Straight,
    chance: random.Random,
    said: Path,
) -> tuple[str, str]:
    """What is wrong about how it ends, "" for nothing; and how it ends."""
    disk = out.parent
    fill = functools.partial(_fill, disk, chance.randrange(*KINDS[kind]))
    begin = training_of(way, places, out)
    if kind in NEW:
        fill()
        code, told = command(begin, said)
    else:
        last = whole.facts if kind == "full while it scores" else chance.randrange(1, whole.facts)
        at = At(last, fill)
        code, told = command(begin, said, watcher=at)
    wrong = _wrong(out, code, told, must=kind in NEW)
    if wrong:
        return wrong, ""
    noticed = code == 1
    if noticed and kind not in NEW and chance.random() < 0.5:  # gone on with, still on a full disk
        code, told = command(resuming(out), said)
        wrong = "" if _finished(out) else _wrong(out, code, told, must=False)
        if wrong:
            return f"resumed on the full disk: {wrong}", ""
    (disk / "filler").unlink()
    if kind in NEW:
        code, told = command(resuming(out), said)
        if code == 0 or "Traceback" in told:
            return f"resumed with nothing saved: exit code {code}: {_last(told)}", ""
        shutil.rmtree(out, ignore_errors=True)
        code, told = command(begin, said)
    elif not _finished(out):
        code, told = command(resuming(out), said)
    else:
        code = 0
    if code != 0:
        return f"with room again: exit code {code}: {_last(told)}", ""
    if list(out.glob(".*.part")):
        return "litter", ""
    if not same(left(out), whole.left):
        return "not what the straight one left", ""
    return "", "said; then same as straight" if noticed else "room enough; same as straight"


def _wrong(out: Path, code: int, told: str, *, must: bool) -> str:
    """What is wrong about how a run ended on a full disk; it `must` have noticed."""
    if code == 0 and not must:
        return ""
    errors = [line for line in told.splitlines() if line.startswith("neocog: ")]
    if code != 1 or len(errors) != 1 or "Traceback" in told:
        return f"exit code {code}: {_last(told)}"
    if not any(said in errors[0] for said in SAID) or str(out.parent) not in errors[0]:
        return f"it does not say what is full: {errors[0]}"
    if list(out.glob(".*.part")):
        return "litter"
    for name in run.CHECKPOINTS:
        if (out / name).exists():
            checkpoints.read(out / name)
    return ""


def _finished(out: Path) -> bool:
    return run.RunFolder(out).saved and run.RunFolder(out).finished


def _last(told: str) -> str:
    return (told.splitlines() or [""])[-1]


def _fill(disk: Path, leave: int) -> None:
    """Take all but so many bytes of the disk."""
    facts = os.statvfs(disk)
    rest = facts.f_bavail * facts.f_frsize - leave
    with (disk / "filler").open("ab", buffering=0) as file:
        while rest > 0:  # another file may grow meanwhile
            try:
                rest -= file.write(bytes(min(rest, PAGE)))
            except OSError:
                return


def _emptied(disk: Path) -> None:
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        counts = filled(Straights(Path(temporary)), options.cases, random.Random(options.seed))
    print("\n".join(table("full disk", counts)))


if __name__ == "__main__":
    main()
