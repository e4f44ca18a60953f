"""What `neocog watch` sees in folders, whatever is in them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.watching.runs import history, run, says

from neocog.cli.main import main
from neocog.errors import UsageError
from neocog.now import this_process
from neocog.watching import seen
from neocog.watching.seen import Reader, Seen


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "FRESH", -1.0)


def one(path: Path) -> Seen:
    (only,) = Reader([path]).look().runs
    return only


def test_a_run_is_seen_before_while_and_after_it_trains(tmp_path: Path) -> None:
    path = tmp_path / "run"
    reader = Reader([path])

    def state() -> str:
        return reader.look().runs[0].state

    assert state() == "absent"
    path.mkdir()
    assert state() == "absent"
    path.rmdir()
    run(path, epochs=3)
    assert state() == "unfinished"
    says(path)
    assert state() == "running"
    said = reader.look().runs[0].to_json()
    assert (said["epoch"], said["epochs"], said["step"], said["steps"]) == (3, 12, 5, 20)
    assert (said["loss"], said["accuracy"], said["lr"]) == (0.75, 0.8125, 0.05)
    assert (said["seconds_left"], said["images_per_second"]) == (205.0, 4321.0)
    assert (said["network"], said["data"], said["recipe"]) == ("lenet", "digits", "quick")
    says(path, step=20)
    assert reader.look().runs[0].validating
    history(path, 4)  # the epoch is over: what is said of its steps is of the past
    assert reader.look().runs[0].now is None
    assert reader.look().runs[0].to_json()["loss"] == 0.5
    says(path, state="stopped", why="the disk is full", epoch=4)
    assert (state(), reader.look().runs[0].why) == ("stopped", "the disk is full")
    (path / "test.npz").touch()
    assert state() == "finished"
    assert reader.look().runs[0].now is None


def test_a_real_run_is_seen_as_finished_with_its_history(finished_run: Path) -> None:
    from neocog.run import RunFolder

    said = one(finished_run)
    assert (said.state, said.why, said.now) == ("finished", None, None)
    assert list(said.history) == RunFolder.open(finished_run).history
    assert (said.network, said.data, said.recipe, said.epochs) == (
        "lenet_relu",
        "digits",
        "quick",
        3,
    )


def test_a_process_that_was_killed_has_stopped(tmp_path: Path) -> None:
    path = run(tmp_path / "run", epochs=1)
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    says(path, process=dataclasses.replace(this_process(), pid=child.pid))
    assert one(path).state == "stopped"


def test_a_process_elsewhere_is_running_for_as_long_as_it_says_something(tmp_path: Path) -> None:
    path = run(tmp_path / "run", epochs=1)
    says(path, process=dataclasses.replace(this_process(), host="elsewhere"))
    reader = Reader([path])
    before = reader.look()
    assert before.runs[0].state == "running"
    long_ago = time.time() - 2 * seen.SILENT
    os.utime(path / "now.json", (long_ago, long_ago))
    assert reader.look().runs[0].state == "silent"
    assert reader.look().version != before.version


def test_a_folder_of_runs_shows_all_in_it_in_the_order_they_began(tmp_path: Path) -> None:
    run(tmp_path / "b", began=30)
    run(tmp_path / "a", began=20)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").touch()
    reader = Reader([tmp_path])
    assert [each.name for each in reader.look().runs] == ["b", "a"]
    run(tmp_path / "0", began=10)  # it begins later
    assert [each.name for each in reader.look().runs] == ["b", "a", "0"]


def test_runs_of_one_name_are_told_apart_by_their_paths_and_none_is_there_twice(
    tmp_path: Path,
) -> None:
    a, b = run(tmp_path / "x" / "run"), run(tmp_path / "y" / "run")
    reader = Reader([tmp_path / "x", b, a, b])
    assert [each.name for each in reader.look().runs] == [str(a), str(b)]
    assert len({each.key for each in reader.look().runs}) == 2


def test_versions_change_where_something_does_and_only_there(tmp_path: Path) -> None:
    path = run(tmp_path / "run", epochs=1)
    reader = Reader([path])
    first = reader.look().version
    assert reader.look().version == first
    assert Reader([path]).look().version == first  # another server, the same answer
    versions = {first}
    for change in (
        lambda: says(path),
        lambda: says(path, step=6),
        lambda: history(path, 2),
        lambda: (path / "test.npz").touch(),
        lambda: (path / "recipe.json").unlink(),
    ):
        change()
        versions.add(reader.look().version)
    assert len(versions) == 6


def test_a_file_is_read_again_only_where_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    honest = seen._understood
    monkeypatch.setattr(
        seen, "_understood", lambda path, *rest: reads.append(path.name) or honest(path, *rest)
    )
    path = run(tmp_path / "run", epochs=1)
    says(path)
    reader = Reader([path])
    for _ in range(3):
        reader.look()
    assert sorted(reads) == ["history.jsonl", "now.json", "recipe.json"]
    says(path, step=6)
    reader.look()
    assert reads[3:] == ["now.json"]


# -- damaged


def test_what_is_damaged_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=2, began=30)
    bad = run(tmp_path / "b", epochs=2, began=20)
    cut = run(tmp_path / "c", epochs=3, began=10)
    (bad / "recipe.json").write_text('{"network": {"name": "x"}, "da')
    os.utime(bad / "recipe.json", (time.time() - 20,) * 2)
    content = (cut / "history.jsonl").read_bytes()
    (cut / "history.jsonl").write_bytes(content[:-30])
    (cut / "now.json").write_bytes(b"\xff\xfe")
    whole, damaged, half = Reader([tmp_path]).look().runs
    assert (whole.state, len(whole.history)) == ("unfinished", 2)
    assert damaged.state == "damaged"
    assert "recipe.json" in (damaged.why or "")
    assert (half.state, len(half.history)) == ("unfinished", 2)
    assert "history.jsonl: line 3 is damaged" in (half.why or "")
    assert "now.json" in (half.why or "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("recipe.json", b""),
        ("recipe.json", b"[]"),
        ("recipe.json", b'{"network": 3, "data": 4, "recipe": 5}'),
        ("recipe.json", b"[" * 100_000),
        ("history.jsonl", b"[" * 100_000),
        ("history.jsonl", b'{"epoch": 0}\n'),
        ("history.jsonl", b"\x00" * 1000),
        ("now.json", b"[" * 99_000),
        ("now.json", b'{"state": "running", "process": {"pid": 1}}'),
    ],
)
def test_nothing_in_a_file_ends_the_watching(name: str, content: bytes, tmp_path: Path) -> None:
    path = run(tmp_path / "run", epochs=2)
    (path / name).write_bytes(content)
    said = one(path)
    assert name in (said.why or "")
    json.dumps(said.to_json(), allow_nan=False)


def test_what_is_no_plain_file_or_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run(tmp_path / "run", epochs=2)
    if hasattr(os, "mkfifo"):
        os.mkfifo(path / "now.json")
        look = threading.Thread(target=one, args=(path,), daemon=True)
        look.start()
        look.join(5)  # who opens such a thing waits for somebody to write
        assert not look.is_alive()
    monkeypatch.setattr(seen, "LARGEST", 100)
    said = one(path)
    assert said.state == "damaged"
    assert "too much" in (said.why or "")


def test_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UsageError, match="name a run folder"):
        Reader([tmp_path / "x"])


# -- the command


def test_json_says_the_present_state_and_ends(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(finished_run), str(tmp_path / "later"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [each["state"] for each in said["runs"]] == ["finished", "absent"]
    assert [epoch["epoch"] for epoch in said["runs"][0]["history"]] == [0, 1, 2]


def test_watching_loads_neither_torch_nor_matplotlib(finished_run: Path) -> None:
    code = (
        "import sys\nfrom neocog.cli.main import main\n"
        f"main(['watch', {str(finished_run)!r}, '--json'])\nimport neocog.watching.server\n"
        "print(sorted({'torch', 'matplotlib', 'PIL', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
