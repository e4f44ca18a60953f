"""Downloads and the cache: resumed, mirrored, checked, whole or not at all."""

from __future__ import annotations

import hashlib
import socket
import threading
from dataclasses import replace

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
        cache.discard(tiny.source)
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
    cache.discard(tiny.source)
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
