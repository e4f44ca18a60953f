"""C that is compiled once and kept: what is believed, what is made anew, and who waits."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from neocog import compiled as module
from neocog.compiled import Soon, compiled

module_content = module._content

pytestmark = pytest.mark.skipif(
    sys.platform != "linux"
    or platform.machine() != "x86_64"
    or not any(map(shutil.which, module.COMPILERS)),
    reason="there is no C compiler here",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "answer.c"
    path.write_text("int answer(void) { return 42; }\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "compiled"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the compiler was asked."""
    made: list[list[str]] = []
    run = subprocess.run

    def counted(command: list[str], **rest: Any) -> Any:
        made.append(command)
        return run(command, **rest)

    monkeypatch.setattr(subprocess, "run", counted)
    return made


def test_it_is_made_once_and_found_again(
    source: Path, folder: Path, calls: list[list[str]]
) -> None:
    for _ in range(3):
        assert compiled(source, folder=folder).answer() == 42
    assert len(calls) == 1
    (kept,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_without_a_folder_nothing_stays(source: Path, calls: list[list[str]]) -> None:
    before = sorted(source.parent.iterdir())
    assert compiled(source).answer() == compiled(source).answer() == 42
    assert len(calls) == 2
    assert not any(Path(command[2]).parent.exists() for command in calls)
    assert sorted(source.parent.iterdir()) == before


def test_another_source_option_or_processor_is_another_library(
    source: Path, folder: Path, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled(source, folder=folder).answer() == 42
    source.write_text("int answer(void) { return ANSWER; }\n")
    assert compiled(source, ["-DANSWER=7"], folder=folder).answer() == 7
    assert compiled(source, ["-DANSWER=8"], folder=folder).answer() == 8
    monkeypatch.setattr(module, "_processor", lambda: "another")
    assert compiled(source, ["-DANSWER=8"], folder=folder).answer() == 8
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert compiled(source, ["-DANSWER=8"], folder=folder).answer() == 8
    assert len(calls) == len(list(folder.iterdir())) == 5
    assert "-mno-avx512f" in calls[-1]


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty"])
def test_what_is_damaged_is_not_loaded(
    harm: str, source: Path, folder: Path, calls: list[list[str]]
) -> None:
    compiled(source, folder=folder)
    (kept,) = folder.iterdir()
    whole = bytearray(kept.read_bytes())
    if harm == "flipped":
        whole[len(whole) // 2] ^= 1
    kept.write_bytes(whole if harm == "flipped" else whole[: len(whole) // 2 * (harm == "cut")])
    assert compiled(source, folder=folder).answer() == 42
    assert len(calls) == 2
    assert compiled(source, folder=folder).answer() == 42  # and it is there again, whole
    assert len(calls) == 2


@pytest.mark.parametrize("which", ["folder", "file", "link"])
def test_what_others_may_have_written_is_not_loaded(
    which: str, source: Path, folder: Path, calls: list[list[str]]
) -> None:
    compiled(source, folder=folder)
    (kept,) = folder.iterdir()
    if which == "link":
        kept.rename(folder.parent / kept.name)
        kept.symlink_to(folder.parent / kept.name)
    else:
        (folder if which == "folder" else kept).chmod(0o777)
    assert compiled(source, folder=folder).answer() == 42
    assert len(calls) == 2


def test_what_is_loaded_is_what_was_looked_at(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may rename a folder above it may put another file in its place at any moment."""
    compiled(source, folder=folder)
    (kept,) = folder.iterdir()
    monkeypatch.setattr(module, "_content", lambda library: swapped(module_content(library)))
    other = folder.parent / "other.c"
    other.write_text("int answer(void) { return 666; }\n")
    library = folder.parent / "other.so"
    compiler = next(filter(None, map(shutil.which, module.COMPILERS)))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, other], check=True)

    def swapped(name: str) -> str:
        library.replace(kept)
        return name

    assert compiled(source, folder=folder).answer() == 42


@pytest.mark.parametrize("harm", ["folder", "nothing", "no processor"])
def test_what_cannot_be_read_is_made_anew(
    harm: str, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled(source, folder=folder)
    (kept,) = folder.iterdir()
    if harm == "folder":
        kept.unlink()
        kept.mkdir()
    elif harm == "nothing":  # it goes away between the list and the look

        def gone(*_: object) -> bytes:
            raise FileNotFoundError(2, "No such file or directory")

        monkeypatch.setattr(module, "_ours", gone)
    else:

        def none() -> str:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(module, "_processor", none)
    assert compiled(source, folder=folder).answer() == 42


def test_what_cannot_be_kept_is_used_all_the_same(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.parent.write_text("a file where the cache should be")
    assert compiled(source, folder=folder).answer() == 42
    folder.parent.unlink()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert compiled(source, folder=folder).answer() == 42
    assert not list(folder.iterdir())


def test_what_nobody_used_for_long_goes(source: Path, folder: Path) -> None:
    compiled(source, folder=folder)
    (old,) = folder.iterdir()
    os.utime(old, (1, 1))
    compiled(source, ["-DNEW"], folder=folder)
    (new,) = folder.iterdir()
    assert new != old


def test_a_source_that_is_wrong_gives_none(source: Path, folder: Path) -> None:
    source.write_text("int answer(void) { return")
    assert compiled(source, folder=folder) is None
    assert not folder.exists()


def test_nobody_waits_who_can_do_without() -> None:
    may, made = threading.Event(), []

    def make() -> str:
        made.append(may.wait(10))
        return "library"

    soon = Soon(make)
    assert soon.now() is None
    assert soon.now() is None
    may.set()
    assert soon.made() == soon.now() == "library"
    assert made == [True]
