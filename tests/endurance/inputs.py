"""Damaged and hostile inputs: python -m tests.endurance.inputs [--cases 100000] [--out FILE]

A case is a sound input made unsound, by bytes or in its structure, and read as neocog reads it. It
ends with a sound answer, or with an error of ours that has the path in it. Any other exception,
more than 1 GiB of memory, more than 5 s of the processor or a minute in all, a dead process, or
code that was run is a failure: it is kept in build/endurance, and `--only NUMBER` (with the same
seed and kinds) runs it again.

Cases run in processes forked from one that has imported everything; each follows from the seed
and its number alone. POSIX only.
"""

from __future__ import annotations

import argparse
import gc
import json
import mmap
import os
import pickle
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from tests.endurance.kinds import KINDS, Seeds, emptied, seeds

from neocog.errors import NeocogError

SECONDS, MEMORY = 5.0, 1 << 30  # of the processor, and bytes: of a case, at most
WAITING = 60.0  # seconds in all, the more where others compute here too
MAKING = 60.0  # seconds that making a case may take, which is not counted
FOUND = Path("build/endurance")  # where what went wrong is kept
READ, REFUSED, FAILED, TIME, CRASH, SPACE = range(1, 7)
WORDS = {FAILED: "other exceptions", SPACE: "over 1 GiB", TIME: "over 5 s", CRASH: "crashes"}
HERE = Path.cwd()
DISK = Path("/dev/shm")  # where each case is a folder of files: no disk need be worn


class Results:
    """What came of each case, in memory that all processes see."""

    def __init__(self, cases: int, minutes: float, workers: int) -> None:
        self.until = time.monotonic() + 60 * minutes
        self.outcome = _shared(cases, np.uint8)
        self.seconds = _shared(cases, np.float32)
        self.memory = _shared(cases, np.int64)  # bytes, the most that the process had
        self.now = _shared(workers, np.int64)  # the case that each is at
        self.since = _shared(workers, np.float64)
        self.used = _shared(workers, np.float64)  # seconds of the processor before it


def _shared(count: int, kind: type) -> np.ndarray:
    size = count * np.dtype(kind).itemsize
    return np.frombuffer(mmap.mmap(-1, size), kind, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="after which no case begins")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time (2)")
    parser.add_argument("--kind", choices=KINDS, help="this kind alone")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this case alone, in words")
    parser.add_argument("--out", type=Path, help="a table of the counts, as Markdown")
    options = parser.parse_args()
    kinds = [options.kind] if options.kind else list(KINDS)
    began = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="neocog-", dir=DISK if DISK.is_dir() else None))
    try:
        os.environ["NEOCOG_CACHE"] = str(root / "cache")
        os.environ.pop("NEOCOG_DATA", None)
        made = seeds_by_a_child(root)
        assert made.digits.train  # loaded here, and not in each process
        gc.freeze()  # what is there stays: each process need not look through it again
        if options.only is not None:
            again(made, kinds, options.seed, options.only, root / "case")
            return
        results = run(made, kinds, options, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    lines = list(_table(results, kinds, options, time.monotonic() - began))
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if (results.outcome > REFUSED).any():
        sys.exit(f"inputs that did not end as they should: see {FOUND}")


def seeds_by_a_child(root: Path) -> Seeds:
    """Training starts threads, which a process that is to be forked must not have."""
    root.joinpath("seeds").mkdir()
    pid = os.fork()
    if pid == 0:
        try:
            (root / "made").write_bytes(pickle.dumps(seeds(root / "seeds")))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    made = pickle.loads((root / "made").read_bytes())
    assert isinstance(made, Seeds)
    return made


def kind_of(kinds: list[str], number: int) -> str:
    return kinds[number % len(kinds)]


def made_case(made: Seeds, kind: str, seed: int, number: int, folder: Path) -> None:
    chance = random.Random(f"{seed} {number} {kind}")
    KINDS[kind].make(made, emptied(folder), chance)


def read_case(made: Seeds, kind: str, folder: Path) -> bool:
    """Whether it was read; False where it was refused as it should be."""
    try:
        KINDS[kind].read(made, folder)
    except NeocogError as error:
        if str(folder) not in str(error) and not str(error).startswith(str(made.folder)):
            raise AssertionError("an error of ours without the path") from error
        return False
    finally:
        assert not Path("pwned").exists(), "code in a file was run"
    return True


def again(made: Seeds, kinds: list[str], seed: int, number: int, folder: Path) -> None:
    kind = kind_of(kinds, number)
    made_case(made, kind, seed, number, folder)
    shutil.copytree(folder, FOUND / f"{kind}-{seed}-{number}", dirs_exist_ok=True, symlinks=True)
    clock = time.monotonic()
    try:
        print("read" if read_case(made, kind, folder) else "refused")
    except NeocogError as error:
        print(f"refused: {error}")
    finally:
        print(f"{time.monotonic() - clock:.2f} s, {_most_memory() >> 20} MiB")


def run(made: Seeds, kinds: list[str], options: argparse.Namespace, root: Path) -> Results:
    results = Results(options.cases, options.minutes, options.workers)
    pids: dict[int, int] = {}
    for worker in range(options.workers):
        pids[_begun(made, kinds, options, root, results, worker, worker)] = worker
    while pids:
        time.sleep(0.05)
        for pid, worker in list(pids.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            number, wrong = int(results.now[worker]), 0
            if done and status == 0:
                del pids[pid]
            elif done:
                wrong = CRASH
            elif number >= 0 and _too_long(results, worker, pid):
                wrong = TIME
            elif _memory_of(pid) > 2 * MEMORY:
                wrong = SPACE
            if not wrong:
                continue
            if not done:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            del pids[pid]
            if results.outcome[number] == 0:
                results.outcome[number] = wrong
                results.seconds[number] = time.monotonic() - results.since[worker]
                folder = root / f"worker-{worker}" / "case"
                _keep(folder, kind_of(kinds, number), options.seed, number, WORDS[wrong])
            follows = number + options.workers
            pids[_begun(made, kinds, options, root, results, worker, follows)] = worker
    return results


def _begun(
    made: Seeds,
    kinds: list[str],
    options: argparse.Namespace,
    root: Path,
    results: Results,
    worker: int,
    first: int,
) -> int:
    """A process that does the cases of a worker from `first` on."""
    results.now[worker], results.since[worker] = -1, time.monotonic()
    pid = os.fork()
    if pid:
        return pid
    try:
        warnings.simplefilter("ignore")
        home = emptied(root / f"worker-{worker}")
        os.chdir(home)
        os.environ["NEOCOG_CACHE"] = str(home / "cache")
        found = HERE / FOUND
        for number in range(first, options.cases, options.workers):
            if time.monotonic() > results.until:
                break
            kind = kind_of(kinds, number)
            results.since[worker] = time.monotonic() + MAKING
            results.now[worker] = number
            made_case(made, kind, options.seed, number, home / "case")
            shutil.rmtree(home / "cache", ignore_errors=True)
            _forget_memory()
            results.used[worker] = time.process_time()
            results.since[worker] = time.monotonic()
            outcome, said = FAILED, ""
            try:
                outcome = READ if read_case(made, kind, home / "case") else REFUSED
            except BaseException:
                said = traceback.format_exc()
            results.seconds[number] = time.process_time() - results.used[worker]
            if results.seconds[number] > SECONDS and outcome <= REFUSED:
                outcome, said = TIME, f"{results.seconds[number]:.1f} s"
            results.memory[number] = _most_memory()
            results.now[worker] = -1
            if outcome <= REFUSED and results.memory[number] > MEMORY:
                outcome, said = SPACE, f"{results.memory[number] >> 20} MiB"
            results.outcome[number] = outcome
            if outcome > REFUSED:
                _keep(home / "case", kind, options.seed, number, said, found)
                Path("pwned").unlink(missing_ok=True)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _too_long(results: Results, worker: int, pid: int) -> bool:
    waited = time.monotonic() - results.since[worker]
    if waited <= SECONDS or sys.platform != "linux":
        return bool(waited > SECONDS)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:  # it has ended
        return False
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return bool(used - results.used[worker] > SECONDS or waited > WAITING)


def _keep(folder: Path, kind: str, seed: int, number: int, said: str, found: Path = FOUND) -> None:
    place = found / f"{kind}-{seed}-{number}"
    shutil.copytree(folder, place, dirs_exist_ok=True, symlinks=True)
    (place / "what-happened.txt").write_text(said, encoding="utf-8", errors="replace")


def _forget_memory() -> None:
    """Let the most memory of this process be counted from now on."""
    if sys.platform == "linux":
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write("5")


def _most_memory() -> int:
    if sys.platform == "linux":
        return _in_status("self", b"VmHWM:")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _memory_of(pid: int) -> int:
    return _in_status(str(pid), b"VmRSS:") if sys.platform == "linux" else 0


def _in_status(pid: str, name: bytes) -> int:
    try:
        content = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:  # it has ended
        return 0
    at = content.find(name)
    return 0 if at < 0 else int(content[at + len(name) :].split(None, 1)[0]) * 1024


def _table(
    results: Results, kinds: list[str], options: argparse.Namespace, seconds: float
) -> list[str]:
    wrong = list(WORDS)
    heads = ["kind", "cases", "read", "refused", *WORDS.values(), "slowest, s", "most memory, MiB"]
    lines = [
        f"# Damaged and hostile inputs, {date.today()}",
        "",
        f"`python -m tests.endurance.inputs --cases {options.cases} --seed {options.seed}`, "
        f"Python {platform.python_version()}, torch {torch.__version__}, {options.workers} "
        f"processes, {seconds / 60:.1f} minutes. Refused: an error of ours with the path in it. "
        "Seconds are of the processor; memory is all that the process has, torch included.",
        "",
        "| " + " | ".join(heads) + " |",
        "| --- |" + " --- |" * (len(heads) - 1),
    ]
    if left := int((results.outcome == 0).sum()):
        lines[-3:-3] = [f"Its time was up: {left:,} of the cases were not done.", ""]
    number = np.arange(options.cases)
    for name in [*kinds, "all"]:
        mine = number % len(kinds) == kinds.index(name) if name in kinds else number >= 0
        counts = Counter(results.outcome[mine].tolist())
        cells = [
            int(mine.sum()) - counts[0],
            counts[READ],
            counts[REFUSED],
            *(counts[each] for each in wrong),
        ]
        slowest, most = results.seconds[mine].max(), results.memory[mine].max() >> 20
        cells = [*(f"{cell:,}" for cell in cells), f"{slowest:.2f}", f"{most:,}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    print(json.dumps({"started": time.strftime("%H:%M:%S")}), file=sys.stderr)
    main()
