from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from typing import Any

import pytest

from neocog.engine import memory

COUNT_FAULTS = """
import json, resource, torch
from torch import nn
from neocog.engine import memory

torch.set_num_threads(1)
network = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 3, padding=1), nn.ReLU()
)
images = torch.randn(16, 3, 64, 64)  # a map of 16 channels takes 4 MiB

def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        network.zero_grad()
        network(images).square().mean().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(3)
without = faults(4)
said = memory.keep()
faults(3)
kept = faults(4)
memory.give_back()
after = faults(1)
print(json.dumps({"said": said, "without": without, "kept": kept, "after": after}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts what Linux counts")
def test_a_step_on_kept_memory_asks_for_no_new_pages() -> None:
    out = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS], capture_output=True, text=True, check=True
    )
    found = json.loads(out.stdout)
    if found["said"] == "system":
        pytest.skip("this C library cannot be told to keep memory")
    assert found["without"] > 1000
    assert found["kept"] * 10 <= found["without"]
    assert found["after"] > found["kept"]  # what was given back must be asked for again


def test_nothing_is_done_where_the_library_is_not_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: object) -> Any:
        raise OSError("no such library")

    class Musl:
        malloc = 1

    class Glibc(Musl):
        gnu_get_libc_version = 1

    class Another:  # allocator, loaded before it
        malloc = 2

    for system, load in [
        ("darwin", ctypes.CDLL),
        ("win32", ctypes.CDLL),
        ("linux", missing),
        ("linux", lambda name: Musl()),
        ("linux", lambda name: Glibc() if name else Another()),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(memory.sys, "platform", system)
            patch.setattr(memory.ctypes, "CDLL", load)
            patch.setattr(memory.ctypes, "cast", lambda symbol, kind: kind(symbol))
            assert memory.keep() == "system"
            memory.give_back()


class FakeLibc:
    """Notes what it is told; refuses options in `refuses`, and blocks if it has `no_memory`."""

    def __init__(self, *, refuses: tuple[int, ...] = (), no_memory: bool = False) -> None:
        self.told: list[tuple[object, ...]] = []
        self.refuses, self.no_memory = refuses, no_memory

    def mallopt(self, option: int, value: int) -> int:
        self.told.append((option, value))
        return int(option not in self.refuses)

    def malloc(self, size: int) -> int | None:
        self.told.append(("malloc", size))
        return None if self.no_memory else 4096 + 16

    def madvise(self, start: int, size: int, advice: int) -> int:
        assert start % 4096 == 0
        self.told.append(("madvise", start, size, advice))
        return -1

    def free(self, block: int) -> None:
        self.told.append(("free", block))


def test_a_refusal_is_said_and_a_reserve_that_cannot_be_had_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_half_of_memory", lambda: 1 << 30)
    monkeypatch.setattr(memory, "_counts_reserved", lambda: False)
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 4096, raising=False)
    for libc, said, last in [
        (FakeLibc(), "kept", ("free", 4112)),
        (FakeLibc(no_memory=True), "kept", ("malloc", 1 << 30)),
        (FakeLibc(refuses=(memory.M_MMAP_MAX,)), "system", (memory.M_TRIM_THRESHOLD, -1)),
    ]:
        monkeypatch.setattr(memory, "_glibc", lambda libc=libc: libc)
        assert memory.keep() == said
        assert libc.told[-1] == last
    (advised,) = [told for told in _told_by_a_sound_one(monkeypatch) if told[0] == "madvise"]
    assert advised[1:] == (8192, (1 << 30) - 8192, memory.MADV_HUGEPAGE)  # inside the block


def _told_by_a_sound_one(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    libc = FakeLibc()
    monkeypatch.setattr(memory, "_glibc", lambda: libc)
    memory.keep()
    return libc.told


def test_nothing_is_reserved_where_the_system_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    libc = FakeLibc()
    monkeypatch.setattr(memory, "_glibc", lambda: libc)
    monkeypatch.setattr(memory, "_counts_reserved", lambda: True)
    assert memory.keep() == "kept"
    assert all(told[0] != "malloc" for told in libc.told)
