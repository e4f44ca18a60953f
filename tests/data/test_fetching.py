"""Downloads and the cache: resumed, mirrored, checked, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.data.tiny_sets import (
    Tiny,
    holds,
    inject,
    leftovers,
)

from neocog.data import cache, download
from neocog.data.catalogue import SOURCES, Download
from neocog.data.sources import cache_dir, load
from neocog.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")


# ------------------------------------------------------------------ downloads


def served(monkeypatch, tiny: Tiny, server, *mirrors: str) -> dict[str, bytes]:
    """Offer the set on the server; `mirrors` are folders, all but the last one empty."""
    sums = tuple((name, hashlib.sha256(c).hexdigest()) for name, c in tiny.files.items())
    bases = tuple(server.base + mirror for mirror in mirrors or ("",))
    inject(monkeypatch, tiny, downloads=(Download(sums, bases),))
    last = mirrors[-1] if mirrors else ""
    server.files = {f"/{last}{name}": content for name, content in tiny.files.items()}
    return server.files


def test_a_download_fills_the_cache_with_official_files(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    seen = []
    loaded = load("tiny", progress=lambda *state: seen.append(state))
    assert holds(loaded, tiny)
    assert "127.0.0.1" in loaded.origin
    size = len(tiny.files["train-images-idx3-ubyte"])
    assert ("train-images-idx3-ubyte", size, size) in seen
    assert leftovers() == []
    server.asked.clear()
    assert "the cache" in load("tiny").origin
    assert holds(load("tiny", from_dir=cache_dir()), tiny)
    assert server.asked == []


def test_a_disk_too_full_for_a_file_is_told_before_it_arrives(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5))
    seen = []
    with pytest.raises(DataError, match=r"needs .* MB and 0\.0 MB are free there; free some space"):
        load("tiny", progress=lambda *state: seen.append(state))
    assert seen == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(total=0, free=0))
    assert holds(load("tiny"), tiny)  # a file system that says nothing


def test_the_next_mirror_is_asked_and_a_dead_host_only_once(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server, "empty/", "full/")
    assert holds(load("tiny"), tiny)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{free.getsockname()[1]}"
        way = SOURCES["tiny"].downloads[0]
        inject(monkeypatch, tiny, downloads=(replace(way, bases=(f"http://{dead}/", *way.bases)),))
        calls = []
        connect = download.connect
        monkeypatch.setattr(
            download, "connect", lambda *a, **k: calls.append(a[0][1]) or connect(*a, **k)
        )
        shutil.rmtree(cache_dir() / "tiny")
        assert holds(load("tiny"), tiny)
    assert calls.count(int(dead.split(":")[1])) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_resumed(tiny, server, monkeypatch, ranges):
    served(monkeypatch, tiny, server)
    server.ranges = ranges
    server.cut["/train-images-idx3-ubyte"] = 20
    said = []
    assert holds(load("tiny", tell=said.append), tiny)
    assert ("/train-images-idx3-ubyte", "bytes=20-") in server.asked
    assert any("resuming" in line for line in said)


def test_an_interrupted_download_goes_on_where_it_stopped(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)

    def interrupt(label, done, total):
        if label == "t10k-images-idx3-ubyte":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load("tiny", progress=interrupt)
    assert not (cache_dir() / "tiny").exists()
    assert all(".part" in name for name in leftovers())
    server.asked.clear()
    assert holds(load("tiny"), tiny)
    assert [path for path, _ in server.asked] == ["/t10k-labels-idx1-ubyte"], "nothing twice"
    assert leftovers() == []


def test_a_part_that_was_damaged_is_fetched_again_from_the_start(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    parts = cache_dir() / ".downloads" / "tiny"
    parts.mkdir(parents=True)
    (parts / "train-images-idx3-ubyte.part").write_bytes(b"not the same")
    (parts / "train-labels-idx1-ubyte.part").write_bytes(b"far too long" * 99)
    said = []
    assert holds(load("tiny", tell=said.append), tiny)
    assert sum("deleted" in line for line in said) == 2
    assert ("/train-images-idx3-ubyte", "bytes=12-") in server.asked
    assert leftovers() == []


def test_a_wrong_checksum_deletes_the_file_and_says_so(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)["/t10k-labels-idx1-ubyte"] = b"<html>pay for the wifi"
    said = []
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: wrong checksum"):
        load("tiny", tell=said.append)
    assert any("deleted" in line for line in said)
    assert not (cache_dir() / "tiny").exists()
    assert not any("t10k-labels" in name for name in leftovers())


def test_another_process_keeps_its_part(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    parts = cache_dir() / ".downloads" / "tiny"
    parts.mkdir(parents=True)
    theirs = parts / "train-images-idx3-ubyte.part-abc"
    theirs.write_bytes(b"growing")
    assert holds(load("tiny"), tiny)
    assert theirs.read_bytes() == b"growing"
    monkeypatch.setattr(download, "STALE_SECONDS", -1.0)
    shutil.rmtree(cache_dir() / "tiny")
    assert holds(load("tiny"), tiny)
    assert not theirs.exists(), "its process is gone, so it was taken over"


def test_many_at_once_do_no_harm(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(holds(load("tiny"), tiny))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 6
    assert "the cache" in load("tiny").origin
    assert leftovers() == []


def test_a_connection_has_one_deadline_for_all_addresses(monkeypatch):
    tried = []

    class Silent(socket.socket):
        def connect(self, target):
            tried.append(target)
            raise TimeoutError("timed out")

    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"10.0.0.{n}", 1)) for n in range(99)]
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(download.socket, "getaddrinfo", lambda *a: answers)
    monkeypatch.setattr(download.socket, "socket", Silent)
    monkeypatch.setattr(download.time, "monotonic", lambda: next(clock))
    with pytest.raises(TimeoutError):
        download.connect(("host", 1))
    assert len(tried) == 2


# ------------------------------------------------------------------ the cache


def test_a_damaged_or_partial_cache_is_fetched_again(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    load("tiny")
    image_file = cache_dir() / "tiny" / "train-images-idx3-ubyte"
    image_file.write_bytes(b"damage")
    said = []
    assert holds(load("tiny", tell=said.append), tiny)
    assert "the copy in the cache cannot be used" in said[0]
    assert str(image_file) in said[0]
    image_file.unlink()
    load("tiny")
    assert "the cache" in load("tiny").origin


def test_a_damaged_copy_stays_until_a_sound_one_takes_its_place(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    load("tiny")
    image_file = cache_dir() / "tiny" / "train-images-idx3-ubyte"
    image_file.write_bytes(b"damage")
    offered, server.files = server.files, {}
    with pytest.raises(DataError, match=r"cannot be used, to be replaced: .*train-images.*found"):
        load("tiny")
    assert image_file.read_bytes() == b"damage"
    server.files = offered
    load("tiny")
    assert image_file.read_bytes() == tiny.files[image_file.name]
    assert leftovers() == []


def test_a_sound_copy_of_another_process_stays(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    official_files = cache.official_files

    def slowly(found):
        tiny.write(cache_dir() / "tiny")
        return official_files(found)

    monkeypatch.setattr(cache, "official_files", slowly)
    said = []
    assert holds(load("tiny", tell=said.append), tiny)
    assert not any("not kept" in line for line in said)
    assert not (cache_dir() / "tiny" / cache.MARKER).exists()


def test_a_damaged_copy_is_put_back_where_the_sound_one_cannot_be(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    load("tiny")
    image_file = cache_dir() / "tiny" / "train-images-idx3-ubyte"
    image_file.write_bytes(b"damage")
    rename = Path.rename

    def refused(self, target):
        if self.name == "kept":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    said = []
    assert holds(load("tiny", tell=said.append), tiny)
    assert any("not kept in the cache" in line and "Input/output" in line for line in said)
    assert image_file.read_bytes() == b"damage"


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("case", ["nothing of it", "a part", "another set", "a marker of its own"])
@pytest.mark.parametrize("online", [True, False])
def test_a_folder_of_the_users_is_left_alone(tiny, other, server, monkeypatch, case, online):
    served(monkeypatch, tiny, server)
    mine = (other if case == "another set" else tiny).write(cache_dir() / "tiny")
    for path in mine.iterdir():
        if case == "nothing of it" or (case == "a part" and "train" in path.name):
            path.unlink()
    if case == "a marker of its own":
        (mine / "t10k-labels-idx1-ubyte").unlink()
        (mine / cache.MARKER).write_text("\n".join(["for my editor", *tiny.files]))
    else:
        (mine / "notes.txt").write_text("precious")
    before, said = contents(mine), []
    if online:
        assert holds(load("tiny", tell=said.append), tiny)
        assert f"tiny: not kept in the cache: {mine} is left alone" in said
    else:
        server.files = {}
        with pytest.raises(DataError, match="holds no whole Tiny; left alone"):
            load("tiny", tell=said.append)
    assert f"the folder {mine} in the cache is not neocog's alone" in said[0]
    assert contents(mine) == before
    assert leftovers() == [] or not online


@pytest.mark.parametrize("added", ["notes.txt", "mine/notes.txt", "empty", "link", "linked"])
def test_a_copy_of_ours_with_something_of_the_users_in_it_is_left_alone(
    tmp_path, tiny, server, monkeypatch, added
):
    served(monkeypatch, tiny, server)
    load("tiny")
    folder = cache_dir() / "tiny"
    (folder / "train-images-idx3-ubyte").write_bytes(b"damage")
    if added == "empty":
        (folder / added).mkdir()
    elif added == "link":
        (folder / "t10k-labels-idx1-ubyte").unlink()
        (folder / "t10k-labels-idx1-ubyte").symlink_to(tmp_path / "labels")
    elif added == "linked":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        (folder / added).parent.mkdir(exist_ok=True)
        (folder / added).write_text("precious")
    before, said = contents(folder), []
    assert holds(load("tiny", tell=said.append), tiny)
    assert "left alone, so the set is not kept in the cache" in said[0]
    assert contents(folder) == before
    assert folder.is_symlink() == (added == "linked")


def test_what_killed_processes_left_is_swept_and_nothing_else(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)
    ours, theirs = cache_dir() / ".neocog-0123456789ab", cache_dir() / ".work-2019"
    for folder in (ours, theirs):
        (folder / "sub").mkdir(parents=True)
        os.utime(folder, (0, time.time() - 2 * cache.ABANDONED_SECONDS))
    load("tiny")
    assert not ours.exists()
    assert (theirs / "sub").is_dir()


def test_a_cache_that_cannot_be_written_to_is_said_and_done_without(
    tmp_path, tiny, server, monkeypatch
):
    served(monkeypatch, tiny, server)
    (tmp_path / "file").touch()  # a folder cannot be made below a file, not even by root
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "file" / "cache"))
    said = []
    assert holds(load("tiny", tell=said.append), tiny)
    assert any("cannot be written to" in line and "going on without" in line for line in said)


def test_a_full_disk_while_keeping_is_said_and_the_data_is_there(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)

    def full(found):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "official_files", full)
    said = []
    assert holds(load("tiny", tell=said.append), tiny)
    assert any("not kept in the cache" in line and "No space left" in line for line in said)
    assert not (cache_dir() / "tiny").exists()
    assert leftovers() == []


def test_a_full_disk_while_downloading_names_the_disk_not_the_host(tiny, server, monkeypatch):
    served(monkeypatch, tiny, server)

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device\); free some space"):
        load("tiny")
