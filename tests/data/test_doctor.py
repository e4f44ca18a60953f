"""`neocog data doctor`: what is wrong with whole folders, and how it is said."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.data.scenes import jpeg, put, scene, sound, state

from neocog.cli import doctor as command
from neocog.cli.main import main
from neocog.data import doctor, examine
from neocog.data.doctor import Checkup, Problem
from neocog.data.kinds import KINDS
from neocog.data.listing import Ignored, Listing, listed
from neocog.data.skips import read_skip_list

DOCS = (Path(__file__).parents[2] / "docs/doctor.md").read_text(encoding="utf-8")


def checkup(root: Path) -> Checkup:
    listing = listed(root)
    return doctor.diagnosed(listing, list(examine.examined(listing)))


def said(found: Checkup) -> set[tuple[str, str]]:
    return {(each.file, each.kind) for each in found.problems}


def of(found: Checkup, kind: str) -> list[Problem]:
    return [each for each in found.problems if each.kind == kind]


# -- what is found


def test_a_sound_folder_has_nothing_wrong(tmp_path: Path) -> None:
    found = checkup(sound(tmp_path / "p"))
    assert found.problems == ()
    assert found.sound
    assert found.classes() == {"left": {"train": 5, "val": 5}, "right": {"train": 5, "val": 5}}


def test_facts_come_in_the_order_of_the_listing_on_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "AHEAD", 2)
    listing = listed(sound(tmp_path / "p"))
    one, four = (list(examine.examined(listing, threads=threads)) for threads in (1, 4))
    assert one == four
    assert [each.file for each in one] == [p for f in listing.splits.values() for p in f.paths]


def test_equal_files_in_one_class_in_two_classes_and_held_out(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    shutil.copy(root / "train/left/a.jpg", root / "train/left/again.jpg")
    shutil.copy(root / "train/left/b.jpg", root / "train/right/other.jpg")
    shutil.copy(root / "train/right/c.jpg", root / "val/right/leak.jpg")
    found = checkup(root)
    assert said(found) == {
        ("train/left/again.jpg", "duplicate"),
        ("train/left/b.jpg", "duplicate_across_classes"),
        ("train/right/other.jpg", "duplicate_across_classes"),
        ("train/right/c.jpg", "duplicate_across_splits"),
    }
    assert of(found, "duplicate_across_splits")[0].detail == "the same file in val: " + (
        "val/right/leak.jpg"
    )
    assert not found.sound


def test_of_a_picture_in_all_splits_the_one_in_test_stays(tmp_path: Path) -> None:
    root = sound(tmp_path / "p", splits=("train", "val", "test"))
    for split in ("train", "val", "test"):
        for name in ("m.jpg", "n.jpg"):
            put(root / split / "left" / name, jpeg(scene(99)))
    assert said(checkup(root)) == {
        ("train/left/m.jpg", "duplicate_across_splits"),
        ("train/left/n.jpg", "duplicate_across_splits"),
        ("val/left/m.jpg", "duplicate_across_splits"),
        ("val/left/n.jpg", "duplicate_across_splits"),
        ("test/left/n.jpg", "duplicate"),
    }


def test_near_copies_are_told_from_equal_ones(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    smaller = scene(0).resize((80, 60))  # scene(0) is train/left/a.jpg
    put(root / "train/left/small.jpg", jpeg(smaller))
    put(root / "val/left/small.jpg", jpeg(smaller))
    put(root / "train/right/small.jpg", jpeg(scene(6).resize((80, 60))))  # of b.jpg
    found = checkup(root)
    assert said(found) == {
        ("train/left/small.jpg", "duplicate_across_splits"),
        ("train/left/a.jpg", "near_duplicate_across_splits"),
        ("train/right/small.jpg", "near_duplicate"),
    }
    assert "160 x 120 here and 80 x 60" in of(found, "near_duplicate_across_splits")[0].detail


def test_a_near_copy_in_another_class(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    put(root / "train/right/z.jpg", jpeg(scene(1), quality=30))
    assert said(checkup(root)) == {
        ("train/left/b.jpg", "near_duplicate_across_classes"),
        ("train/right/z.jpg", "near_duplicate_across_classes"),
    }


def views(root: Path, places: dict[str, int]) -> None:
    """Parts of one wide scene, the left edge of each at so many pixels."""
    wide = scene(77, (400, 240))
    for name, left in places.items():
        put(root / name, jpeg(wide.crop((left, 0, left + 320, 240))))


def test_a_series_that_lies_in_two_splits(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    views(root, {"train/left/v1.jpg": 0, "train/left/v2.jpg": 35, "val/left/v3.jpg": 70})
    found = checkup(root)
    assert said(found) == {
        ("train/left/v1.jpg", "series_across_splits"),
        ("train/left/v2.jpg", "series_across_splits"),
    }


def test_a_series_in_one_split_is_none_of_our_business(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    views(root, {"train/left/v1.jpg": 0, "train/left/v2.jpg": 35})
    views(root, {"val/right/w1.jpg": 20, "val/right/w2.jpg": 60})
    assert said(checkup(root)) == set()


def test_a_leak_is_said_once_and_in_its_strongest_form(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    views(root, {"train/left/v1.jpg": 0, "val/left/v2.jpg": 35, "val/left/copy.jpg": 0})
    assert said(checkup(root)) == {("train/left/v1.jpg", "duplicate_across_splits")}


def test_a_series_where_validation_is_still_to_be_drawn_is_a_note(tmp_path: Path) -> None:
    root = sound(tmp_path / "p", splits=("",))
    views(root, {"left/v1.jpg": 0, "left/v2.jpg": 35, "left/v3.jpg": 70})
    found = checkup(root)
    assert said(found) == {("left/v1.jpg", "series")}
    assert found.sound


def test_classes_missing_nearly_empty_and_uneven(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    for number in range(4):
        put(root / "train/few" / f"{'abcd'[number]}.jpg", jpeg(scene(100 + number)))
    for number in range(36):
        put(root / "train/left" / f"more-{'abcdef'[number % 6]}{'xyzuvw'[number // 6]}.jpg",
            jpeg(scene(200 + number)))  # fmt: skip
    put(root / "val/only/a.jpg", jpeg(scene(300)))
    put(root / "train/only/a.jpg", jpeg(scene(301))[:400])
    found = checkup(root)
    assert [(each.file, each.kind, each.detail) for each in found.problems][1:] == [
        ("few", "class_missing", "no picture of it in val"),
        ("only", "class_missing", "no picture of it in train"),
        ("few", "class_small", "4 in train"),
        ("few", "imbalance", "4 of it, and 41 of left"),
    ]
    assert found.problems[0].kind == "truncated"


def test_what_is_left_out_and_seems_meant_is_a_problem(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    put(root / "train/left/empty.jpg", b"")
    put(root / "train/left/page.jpg", b"<!doctype html><p>404")
    put(root / "train/left/phone.HEIC", b"\0\0\0\x18ftypheic and so on, at some length")
    put(root / "train/beside.png", scene(50))
    put(root / "notes.txt", b"my pictures, all of them")
    put(root / "train/left/.hidden.jpg", b"x")
    found = checkup(root)
    assert said(found) == {
        ("train/left/empty.jpg", "empty"),
        ("train/left/page.jpg", "not_a_picture"),
        ("train/left/phone.HEIC", "not_a_picture"),
        ("train/beside.png", "unused"),
    }
    assert {each["file"] for each in found.to_json()["ignored"]} == {
        "train/left/empty.jpg",
        "train/left/page.jpg",
        "train/left/phone.HEIC",
        "train/beside.png",
        "notes.txt",
        "train/left/.hidden.jpg",
    }


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = sound(tmp_path / "p")
    opened = os.open

    def forbidden(path: str | Path, *how: int, **more: int) -> int:  # nothing is, to root
        if str(path).endswith("a.jpg") and "left" in str(path) and "train" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *how, **more)

    listing = listed(root)
    monkeypatch.setattr(os, "open", forbidden)
    found = doctor.diagnosed(listing, list(examine.examined(listing)))
    # what is left of the class is few pictures
    assert said(found) == {("train/left/a.jpg", "unreadable"), ("left", "class_small")}


def test_what_the_system_would_not_let_us_read_is_a_problem_whatever_its_name() -> None:
    listing = Listing(Path("p"), "classes", ("a", "b"), {}, (Ignored("a/x", "cannot be read: no"),))
    assert said(doctor.diagnosed(listing, [])) == {("a/x", "unreadable"), (".", "no_data_set")}


def test_a_list_that_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    lines = ["filename,label"]
    for number in range(200):
        put(tmp_path / "all" / f"{number:03}x.png", scene(number, (24, 18)))
        lines.append(f"all/{number:03}x.png,{'ab'[number % 2]}")
    put(tmp_path / "my.csv", "\n".join([*lines, "all/gone.png,a"]).encode())
    assert ("all/gone.png", "missing") in said(checkup(tmp_path / "my.csv"))


def test_small_pictures_among_large_ones(tmp_path: Path) -> None:
    root = tmp_path / "p"
    for seed in range(12):
        put(root / "ab"[seed % 2] / f"{'uvwxyz'[seed // 2]}.jpg", jpeg(scene(seed, (400, 300))))
    put(root / "a/icon.png", scene(50, (28, 28)))
    put(root / "b/less.png", scene(60, (60, 50)))
    assert said(checkup(root)) == {("a/icon.png", "tiny")}


def test_the_folder_stays_as_it_was(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    put(root / "train/left/cut.jpg", jpeg(scene(0))[:500])
    before = state(root)
    main(["data", "doctor", str(root), "--out", str(tmp_path / "p.html"), "--skip",
          str(tmp_path / "s.txt")])  # fmt: skip
    assert state(root) == before


def test_ending_early_leaves_no_work_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = [], threading.Event()

    def slow(root: Path, file: str, *_: object) -> examine.Facts:
        begun.append(file)
        if len(begun) > 1:
            assert go_on.wait(10)
        return examine.Facts(file, "train", 0)

    monkeypatch.setattr(examine, "examine", slow)
    facts = examine.examined(listed(sound(tmp_path / "p")), threads=1)
    next(facts)
    facts.close()
    go_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("examine"):
            thread.join(timeout=10)
            assert not thread.is_alive()
    assert len(begun) <= 2


# -- how it is said


def broken(tmp_path: Path) -> Path:
    """A sound folder, but for a truncated and a sideways picture."""
    root = sound(tmp_path / "p")
    put(root / "train/left/cut.jpg", jpeg(scene(90))[:900])
    exif = Image.Exif()
    exif[0x0112] = 6
    put(root / "train/left/turned.jpg", jpeg(scene(91), exif=exif))
    return root


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = broken(tmp_path)
    assert main(["data", "doctor", str(root)]) == 1
    shown = capsys.readouterr()
    assert "truncated" in shown.out
    assert shown.err.endswith("1 problem\n")
    (root / "train/left/cut.jpg").unlink()
    assert main(["data", "doctor", str(root)]) == 0  # sideways is a note
    shown = capsys.readouterr()
    assert "sideways" in shown.out
    assert "nothing is wrong" in shown.out
    assert main(["data", "doctor", str(root), "--threads", "0"]) == 2
    assert main(["data", "doctor", str(tmp_path / "none")]) == 1


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = broken(tmp_path)
    assert main(["data", "doctor", str(root), "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert list(value) == ["pictures", "classes", "ignored", "problems"]
    assert (value["pictures"], value["ignored"]) == (22, [])
    assert value["classes"]["left"] == {"train": 7, "val": 5}
    cut, turned = value["problems"]
    assert list(cut) == ["file", "kind", "detail", "remedy", "severity"]
    assert (cut["file"], cut["kind"]) == ("train/left/cut.jpg", "truncated")
    assert (turned["kind"], turned["severity"]) == ("sideways", "note")


@pytest.mark.parametrize("made", ["nothing", "one class", "side by side"])
def test_a_folder_that_is_no_data_set_is_said_to_programs_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: str
) -> None:
    root = tmp_path / "p"
    root.mkdir()
    if made == "one class":
        put(root / "cats/a.jpg", jpeg(scene(1)))
    if made == "side by side":
        put(root / "a.jpg", jpeg(scene(1)))
    assert main(["data", "doctor", str(root), "--json"]) == 1
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found["pictures"] == (made == "one class")
    (problem,) = [each for each in found["problems"] if each["kind"] != "class_small"]
    assert (problem["kind"], problem["severity"]) == ("no_data_set", "problem")
    assert str(root) in problem["detail"]
    assert main(["data", "doctor", str(root)]) == 1
    assert str(root) in capsys.readouterr().err


def test_of_one_class_every_picture_is_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "p"
    for seed in range(6):
        put(root / f"cats/{seed}.jpg", jpeg(scene(seed)))
    put(root / "cats/cut.jpg", jpeg(scene(9))[:900])
    assert main(["data", "doctor", str(root), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["pictures"], found["classes"]) == (7, {"cats": {"all": 7}})
    kinds = {each["file"]: each["kind"] for each in found["problems"]}
    assert kinds == {"cats/cut.jpg": "truncated", ".": "no_data_set"}
    assert main(["data", "doctor", str(root), "--out", str(tmp_path / "page.html")]) == 1
    shown = capsys.readouterr()
    assert "7 pictures of 1 class (all 7)" in shown.out
    assert "one class only, 'cats'; telling pictures apart takes two" in " ".join(shown.out.split())
    assert shown.err.endswith("2 problems\n")


def test_a_folder_that_may_not_be_read_is_a_problem_and_the_rest_is_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sound(tmp_path / "p", splits=("",))
    put(root / "shut/a.jpg", jpeg(scene(90)))
    scanned = os.scandir

    def locked(path: object) -> object:  # nothing is, to root
        if str(path) == str(root / "shut"):
            raise PermissionError(13, "Permission denied", path)
        return scanned(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", locked)
    assert main(["data", "doctor", str(root), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["classes"] == {"left": {"all": 5}, "right": {"all": 5}}
    (problem,) = found["problems"]
    assert (problem["file"], problem["kind"]) == ("shut", "unreadable")
    assert "Allow it to be read, or take it out of the data" in problem["detail"]
    shutil.rmtree(root / "left")
    shutil.rmtree(root / "right")
    assert main(["data", "doctor", str(root)]) == 1
    shown = capsys.readouterr()
    assert "0 pictures of 0 classes\n" in shown.out
    assert "- shut: cannot be read (a folder): Permission denied" in shown.out
    assert shown.err.endswith("2 problems\n")


def test_a_name_too_long_for_any_folder_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--json"], ["--out", str(tmp_path / "page.html")]):
        assert main(["data", "doctor", "x" * 300, *more]) == 1
        assert "[Errno" not in (said := capsys.readouterr().err)
        assert "there is no such folder" in said


def test_the_skip_list_leaves_out_what_is_better_not_learnt_from(tmp_path: Path) -> None:
    root = broken(tmp_path)
    shutil.copy(root / "train/right/c.jpg", root / "val/right/leak.jpg")
    put(root / "train/left/empty.jpg", b"")  # no picture of the listing: nothing to leave out
    skip = tmp_path / "skip.txt"
    assert main(["data", "doctor", str(root), "--skip", str(skip)]) == 1
    assert read_skip_list(skip) == {"train/left/cut.jpg", "train/right/c.jpg"}
    assert "# truncated: " in skip.read_text("utf-8")
    assert main(["data", "doctor", str(root), "--skip", str(skip)]) == 1  # ours is written over


def test_nothing_of_the_users_is_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = sound(tmp_path / "p")
    mine = put(tmp_path / "labels.txt", b"mine")
    page = put(tmp_path / "page.html", b"<!doctype html>mine")
    arguments = ["data", "doctor", str(root)]
    assert main([*arguments, "--skip", str(mine)]) == 2
    assert main([*arguments, "--out", str(page)]) == 2
    assert main([*arguments, "--out", str(tmp_path / "page.pdf")]) == 2
    assert main([*arguments, "--skip", str(root / "skip.txt")]) == 2
    assert main([*arguments, "--out", str(tmp_path / "none/page.html")]) == 2
    assert (mine.read_bytes(), page.read_bytes()) == (b"mine", b"<!doctype html>mine")
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.txt", "p", "page.html"]


def test_who_stops_it_finds_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> Iterator[object]:
        yield examine.Facts("a", "train", 0)
        raise KeyboardInterrupt

    root = sound(tmp_path / "p")
    monkeypatch.setattr(command, "examined", stopped)
    assert main(["data", "doctor", str(root), "--out", str(tmp_path / "a.html"), "--skip",
                 str(tmp_path / "a.txt")]) == 130  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_names_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = sound(tmp_path / "p")
    try:
        put(root / "train/left/\x1b[2Jbad\n.jpg", jpeg(scene(1))[:600])
    except OSError:
        pytest.skip("this system has no such names")
    skip = tmp_path / "skip.txt"
    assert main(["data", "doctor", str(root), "--skip", str(skip)]) == 1
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert read_skip_list(skip) == {"train/left/\x1b[2Jbad\n.jpg"}


def test_the_documented_kinds_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \| (yes)? ?\|$", DOCS, re.MULTILINE)
    assert rows == [
        (name, kind.severity, kind.about, kind.remedy, "yes" if kind.skip else "")
        for name, kind in KINDS.items()
    ]


def test_every_kind_that_the_code_names_is_in_the_list() -> None:
    for module in (doctor, examine, command):
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        named = set(re.findall(r'Problem\(\S+, "(\w+)"', text))
        named |= set(re.findall(r'\(\("(\w+)", f?[\w"]', text)) | set(
            re.findall(r'yield "(\w+)"', text)
        )
        assert named <= set(KINDS), named - set(KINDS)
