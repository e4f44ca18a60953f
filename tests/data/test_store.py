"""Decoded pictures on disk: what is kept, what is not believed, and who makes room."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from neocog.data import segment, stores
from neocog.data import store as module
from neocog.data.cache import cache_dir
from neocog.data.store import PixelStore, key_of


def opened(
    key: str = "k", count: int = 6, *, limit: int | None = None, told: list[str] | None = None
) -> PixelStore:
    lines = [] if told is None else told
    return PixelStore(key_of(key), count, channels=3, limit=limit, tell=lines.append)


def picture(number: int, side: int = 4) -> np.ndarray:
    return np.full((side + number, side, 3), number, np.uint8)


def test_what_was_put_is_there_before_and_after_it_is_finished_and_in_the_next_run() -> None:
    first = opened()
    for place in (4, 0, 2):
        first.put(place, picture(place))
    for again in (lambda: first, lambda: first, opened):
        each = again()
        assert len(each) == 3
        for place in (0, 2, 4):
            got = each.get(place)
            assert got is not None
            assert np.array_equal(got, picture(place))
        assert each.get(1) is None
        first.finish()
    assert not list(cache_dir().rglob("*.part"))


def test_a_later_run_adds_what_is_missing_as_a_segment_of_its_own() -> None:
    first = opened()
    first.put(0, picture(0))
    first.finish()
    second = opened()
    second.put(0, picture(5))  # known already: not put again
    second.put(1, picture(1))
    second.finish()
    third = opened()
    assert len(third) == 2
    got = third.get(0)
    assert got is not None
    assert np.array_equal(got, picture(0))


def test_two_runs_at_once_do_not_disturb_each_other() -> None:
    one, two = opened(), opened()
    one.put(0, picture(0))
    two.put(0, picture(0))
    two.put(1, picture(1))
    one.finish()
    two.finish()
    assert len(opened()) == 2


@pytest.mark.parametrize("at_once", [1, 200, segment.AT_ONCE])
def test_many_threads_put_and_get(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "AT_ONCE", at_once)
    store = opened(count=400)

    def work(begin: int) -> None:
        for place in range(begin, 400, 3):
            store.put(place, picture(place % 7))
            got = store.get(place)
            assert got is not None
            assert np.array_equal(got, picture(place % 7))

    threads = [threading.Thread(target=work, args=(begin % 3,)) for begin in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.finish()
    again = opened(count=400)
    assert len(again) == 400
    assert all(np.array_equal(again.get(p), picture(p % 7)) for p in range(400))


def test_what_a_killed_process_left_is_not_believed_and_goes_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed = opened()
    killed.put(0, picture(0))
    part = next(cache_dir().rglob("*.part"))
    assert str(os.getpid()) in part.name
    monkeypatch.setattr(stores, "_runs", lambda pid: False)
    assert len(opened()) == 0
    assert not part.exists()
    killed._drop()


@pytest.mark.parametrize("what", ["pixels", "index"])
def test_a_torn_segment_is_not_believed(what: str) -> None:
    store = opened()
    store.put(3, picture(3))
    store.finish()
    path = next(cache_dir().rglob("*.pixels" if what == "pixels" else "*.index.npy"))
    path.write_bytes(path.read_bytes()[:40])
    again = opened()
    assert len(again) == 0
    again.put(3, picture(3))
    again.finish()
    assert len(opened()) == 1


def test_the_limit_is_kept_and_old_stores_make_room() -> None:
    size = picture(0).nbytes
    old = opened("old", 3, limit=10**9)
    old.put(0, picture(0))
    old.finish()
    os.utime(cache_dir() / "pixels" / key_of("old"), (1, 1))
    told: list[str] = []
    new = opened("new", 100, limit=20 * size, told=told)
    for place in range(100):
        new.put(place, picture(0))
    assert not (cache_dir() / "pixels" / key_of("old")).exists()
    new.finish()
    held = sum(path.stat().st_size for path in cache_dir().rglob("*.pixels"))
    assert held <= 20 * size + size
    assert 0 < len(new) < 100
    assert len(told) == 1
    assert "--cache-size" in told[0]


def test_nothing_of_the_users_is_removed_from_a_cache() -> None:
    """Which may be a folder that there was before, with anything in it."""
    old = opened("old")
    old.put(0, picture(0))
    old.finish()
    pixels = cache_dir() / "pixels"
    theirs = [pixels / "mine" / name for name in ("a.jpg", f"{7:016x}.pixels", ".b.part")]
    theirs += [pixels / key_of("old") / name for name in ("notes.txt", "x.pixels", ".c.part")]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
        os.utime(path, (1, 1))
    os.utime(pixels / "mine", (1, 1))
    new = opened("new", 100, limit=1)
    new.put(0, picture(0))
    assert all(path.read_bytes() == b"mine" for path in theirs)
    assert not list((pixels / key_of("old")).glob("*.npy"))  # neocog's own made room


def test_a_full_disk_is_said_once_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    store = opened(told=told)

    def full(part: object, place: int, pixels: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    store.put(0, picture(0))
    monkeypatch.setattr(module.Part, "put", full)
    store.put(1, picture(1))
    store.put(2, picture(2))
    store.finish()
    assert told == ["decoded pictures are not kept: No space left on device"]
    assert store.get(0) is None
    assert not list(cache_dir().rglob("*.part"))


@pytest.mark.parametrize("at_once", [1, segment.AT_ONCE])
def test_what_cannot_be_written_is_said_once_and_nothing_of_it_stays(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By who puts a picture that is written at once, or in the end."""
    told: list[str] = []
    store = opened(told=told)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segment, "AT_ONCE", at_once)
    monkeypatch.setattr(os, "pwritev", full)
    for place in range(6):
        store.put(place, picture(place))
    assert len(told) == (at_once == 1)
    store.finish()
    assert told == ["decoded pictures are not kept: No space left on device"]
    assert [store.get(place) for place in range(6)] == [None] * 6
    assert not [path for path in cache_dir().rglob("*") if path.is_file()]


def test_what_is_written_in_pieces_is_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take less than it is given, and a system may not know of many at once."""
    wrote, pwritev = [], os.pwritev

    def little(file: int, pieces: list[memoryview], at: int) -> int:
        wrote.append(pwritev(file, [pieces[0][:7]], at))
        return wrote[-1]

    for take in (little, None):
        if take is None:
            monkeypatch.delattr(os, "pwritev")
        else:
            monkeypatch.setattr(os, "pwritev", take)
        store = opened(str(take))
        for place in range(6):
            store.put(place, picture(place))
        store.finish()
        again = opened(str(take))
        assert all(np.array_equal(again.get(p), picture(p)) for p in range(6))
    assert len(wrote) > 6 * picture(0).nbytes // 7


@pytest.mark.parametrize("fails_at", [0, 1], ids=["pixels", "index"])
def test_what_the_disk_refuses_in_the_end_is_said_and_read_no_more(
    fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    store, asked = opened(told=told), itertools.count()
    kept = opened()
    kept.put(0, picture(0))
    kept.finish()
    before = sorted(cache_dir().rglob("*"))
    store.look()

    def refuses(number: int) -> None:
        if next(asked) == fails_at:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuses)
    store.put(1, picture(1))
    store.finish()
    store.put(2, picture(2))
    store.finish()
    assert told == ["decoded pictures are not kept: Input/output error"]
    assert (store.get(1), store.get(2)) == (None, None)
    assert np.array_equal(store.get(0), picture(0))  # of another segment
    assert sorted(cache_dir().rglob("*")) == before


def test_a_write_that_fails_while_another_goes_on_ends_both_and_nobody_is_given_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that was full for a moment. Files are not closed under who writes."""
    monkeypatch.setattr(segment, "AT_ONCE", 1)
    told: list[str] = []
    store, pwritev = opened(told=told), os.pwritev
    begun, go, wrote = threading.Event(), threading.Event(), list[int]()

    def slow(file: int, pieces: list[memoryview], at: int) -> int:
        if at:
            raise OSError(28, "No space left on device")
        begun.set()
        assert go.wait(10)
        wrote.append(pwritev(file, pieces, at))
        return wrote[-1]

    monkeypatch.setattr(os, "pwritev", slow)
    first = threading.Thread(target=store.put, args=(0, picture(0)))
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=store.put, args=(1, picture(1)))
    second.start()
    second.join(0.1)
    assert second.is_alive()  # waits for the first
    got = store.get(0)
    go.set()
    assert got is None or np.array_equal(got, picture(0))
    first.join(10)
    second.join(10)
    assert wrote == [picture(0).nbytes]
    assert told == ["decoded pictures are not kept: No space left on device"]
    assert (store.get(0), store.get(1)) == (None, None)
    store.finish()
    assert not [path for path in cache_dir().rglob("*") if path.is_file()]


@pytest.mark.parametrize("broken", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_ends_while_a_write_goes_on_waits_for_it_and_hears_of_it(
    broken: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment, "AT_ONCE", 1)
    told: list[str] = []
    store, begun, go = opened(told=told), threading.Event(), threading.Event()

    def fails(*_: object) -> int:
        begun.set()
        assert go.wait(10)
        raise broken

    monkeypatch.setattr(os, "pwritev", fails)

    def put() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            store.put(0, picture(0))

    who_puts, who_ends = threading.Thread(target=put), threading.Thread(target=store.finish)
    who_puts.start()
    assert begun.wait(10)
    who_ends.start()
    who_ends.join(0.1)
    assert who_ends.is_alive()
    go.set()
    who_puts.join(10)
    who_ends.join(10)
    why = "No space left on device" if isinstance(broken, OSError) else "a write was broken off"
    assert told == [f"decoded pictures are not kept: {why}"]
    assert store.get(0) is None
    assert not [path for path in cache_dir().rglob("*") if path.is_file()]


def test_what_one_began_to_write_and_left_another_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where Ctrl-C comes between a picture's being put and its being written."""
    monkeypatch.setattr(segment, "AT_ONCE", 1)
    store = opened()
    with monkeypatch.context() as patch:
        patch.setattr(segment.Part, "write", lambda self: None)
        for place in range(3):
            store.put(place, picture(place))
    store.finish()
    assert all(np.array_equal(opened().get(p), picture(p)) for p in range(3))


def test_who_reads_from_a_store_that_ends_on_a_full_disk_is_given_nothing_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segment, "AT_ONCE", 1)
    for number in range(10):
        store, stop, failed = opened(str(number)), threading.Event(), list[object]()
        store.put(0, picture(0))

        def read(store: PixelStore, stop: threading.Event, failed: list[object]) -> None:
            while not stop.is_set():
                try:
                    got = store.get(0)
                    if got is not None and not np.array_equal(got, picture(0)):
                        failed.append(got)
                except Exception as error:
                    failed.append(error)

        readers = [threading.Thread(target=read, args=(store, stop, failed)) for _ in range(3)]
        for reader in readers:
            reader.start()
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", lambda *_: os.write(-1, b""))
            for place in range(1, 6):
                store.put(place, picture(place))
            store.finish()
        stop.set()
        for reader in readers:
            reader.join()
        assert not failed
        assert store.get(0) is None


def test_files_are_not_closed_under_who_reads_them() -> None:
    store = opened()
    store.put(0, picture(0))
    part = store.part
    assert part is not None
    with part.lock:  # as whoever reads has it
        ends = threading.Thread(target=part.drop)
        ends.start()
        ends.join(0.1)
        assert not part.again.closed
    ends.join(10)
    assert part.again.closed


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what is mapped")
def test_what_the_disk_refused_takes_no_room_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuses)
    store = opened()
    store.put(0, picture(0))
    store.finish()
    assert str(cache_dir()) not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_no_memory_for_the_index_is_a_disk_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "save", none)
    told: list[str] = []
    store = opened(told=told)
    store.put(0, picture(0))
    store.finish()
    assert told == ["decoded pictures are not kept: there is no memory for their index"]
    assert store.get(0) is None
    assert not [path for path in cache_dir().rglob("*") if path.is_file()]


def test_nobody_waits_for_the_disk_who_reads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    go, fsync = threading.Event(), os.fsync

    def slow(number: int) -> None:
        assert go.wait(10)
        fsync(number)

    monkeypatch.setattr(os, "fsync", slow)
    store = opened()
    for place in range(3):
        store.put(place, picture(place))
    store.finish(wait=False)
    store.put(1, picture(5))  # known
    for place in range(3, 5):
        store.put(place, picture(place))
    store.finish(wait=False)
    store.put(5, picture(5))
    store.look()
    for place in range(6):
        got = store.get(place)
        assert got is not None
        assert np.array_equal(got, picture(place))
    assert len(opened()) == 0  # nothing is believed that is not on the disk
    go.set()
    store.finish()
    assert len(store.segments) == 3
    store.look()
    assert len(store.segments) == 3  # its own are not taken twice
    again = opened()
    assert all(np.array_equal(again.get(p), picture(p)) for p in range(6))
    assert not list(cache_dir().rglob("*.part"))


def test_where_mapped_files_keep_their_names_all_is_kept_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAPPED_STAY", True)
    store = opened()
    store.put(1, picture(1))
    store.finish(wait=False)
    assert not store.keeping
    for each in (store, opened()):
        assert np.array_equal(each.get(1), picture(1))


def test_a_store_that_took_nothing_keeps_nothing() -> None:
    store = opened(limit=1, told=[])
    store.put(0, picture(0))
    store.finish()
    assert store.get(0) is None
    assert not [path for path in cache_dir().rglob("*") if path.is_file()]


def test_a_cache_that_cannot_be_written_to_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "file"))
    told: list[str] = []
    store = opened(told=told)
    store.put(0, picture(0))
    store.finish()
    assert store.get(0) is None
    assert len(told) == 1


def test_every_fact_makes_another_key() -> None:
    facts = [["/a", [3, 160], [["x.jpg"], [10], [5]]], ["/a", [3, 160], [["x.jpg"], [10], [6]]]]
    facts += [["/a", [3, 224], [["x.jpg"], [10], [5]]], ["/a", [1, 160], [["x.jpg"], [10], [5]]]]
    assert len({key_of(each) for each in facts}) == 4
