"""Lists of pictures: in every form that is about, and no line that is misread or lost unsaid."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import string
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.data.shelf import labelled, put, reasons
from tests.folders import tree_digest

from neocog.data import lists
from neocog.data.listing import listed
from neocog.errors import DataError

FILES = ("a/1.png", "a/2.png", "b c/3.png", "4.png")
WANTED = {"a/1.png": "cat", "a/2.png": "dog", "b c/3.png": "dog", "4.png": "cat"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return put(tmp_path / "pictures", *FILES)


def write(root: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = root / name
    path.write_bytes(text.encode(encoding))
    return path


def rows(path: Path) -> list[tuple[str, str]]:
    return [(row.path, row.label) for row in lists.read(path)]


# -- every form

CSV = "filename,label\na/1.png,cat\na/2.png,dog\nb c/3.png,dog\n4.png,cat\n"
JSON = "".join(
    json.dumps({"file_name": path, "label": label}) + "\n" for path, label in WANTED.items()
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", CSV),
        ("x.CSV", CSV.replace("filename,label", '"File_Name", "Class"')),
        ("x.csv", CSV.replace(",", ";")),
        ("x.csv", CSV.replace(",", "\t")),
        ("x.csv", CSV.replace(",", "|")),
        ("x.tsv", CSV.replace(",", "\t")),
        ("x.csv", CSV.replace("\n", "\r\n")),
        ("x.csv", CSV.replace("\n", "\r")),
        ("x.csv", "\n\n" + CSV.replace("\n", "\n\n , \n")),
        ("x.csv", CSV.rstrip("\n")),
        ("x.csv", "id,label,filename\n1,cat,a/1.png\n2,dog,a/2.png\n3,dog,b c/3.png\n4,cat,4.png"),
        ("x.csv", CSV.replace("b c/3.png", '"b c/3.png"').replace("dog\n", "dog,,\n")),
        ("x.csv", CSV.replace("a/1.png", "./a/1.png").replace("4.png", ".//4.png")),
        ("x.csv", CSV.replace("a/", "a\\")),
        ("x.txt", CSV.split("\n", 1)[1].replace(",", " ")),
        ("x.txt", "# made by hand\n#\n" + CSV.split("\n", 1)[1].replace(",", "\t")),
        ("x.jsonl", JSON),
        ("x.jsonl", JSON.replace("\n", "\r\n\r\n")),
    ],
)
def test_lists_as_people_write_them(root: Path, name: str, text: str) -> None:
    found = listed(write(root, name, text))
    assert (found.root, found.layout, found.classes) == (root, "list", ("cat", "dog"))
    assert labelled(found) == {"all": WANTED}
    assert found.ignored == found.remarks == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
@pytest.mark.parametrize("name", ["x.csv", "x.txt", "x.jsonl"])
def test_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    root = put(tmp_path / "p", "图片/猫一.png", "图片/猫二.png", "图片/狗.png")
    pairs = [("图片/猫一.png", "猫"), ("图片/猫二.png", "猫"), ("图片/狗.png", "狗")]
    text = {
        "x.csv": "filename,label\n" + "".join(f"{path},{label}\n" for path, label in pairs),
        "x.txt": "".join(f"{path} {label}\n" for path, label in pairs),
        "x.jsonl": "".join(
            json.dumps({"file_name": path, "label": label}, ensure_ascii=False) + "\n"
            for path, label in pairs
        ),
    }[name]
    found = listed(write(root, name, text, encoding))
    assert found.classes == ("狗", "猫")
    assert labelled(found)["all"] == dict(pairs)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE])
def test_both_orders_of_utf_16(root: Path, mark: bytes) -> None:
    encoding = "utf-16-be" if mark == codecs.BOM_UTF16_BE else "utf-16-le"
    (root / "x.csv").write_bytes(mark + CSV.encode(encoding))
    assert labelled(listed(root / "x.csv")) == {"all": WANTED}


@pytest.mark.parametrize(
    "content",
    [
        CSV.replace("cat", "Chêne").encode("cp1252"),
        CSV.replace("cat", "été").encode("cp1252"),
        CSV.encode("utf-16-le"),
        CSV.encode("utf-32"),
        b"\xff\xd8\xff\xe0" + bytes(range(256)) * 9,
    ],
)
def test_an_encoding_that_is_not_known_is_never_guessed(root: Path, content: bytes) -> None:
    (root / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.csv: .*save it as UTF-8"):
        listed(root / "x.csv")


@pytest.mark.parametrize(
    ("encoding", "label"),
    [("cp1251", "Собака"), ("cp949", "고양이"), ("big5", "貓狗"), ("gb18030", "家猫")],
)
def test_what_is_read_as_gb_18030_is_told_with_an_example(
    root: Path, encoding: str, label: str
) -> None:
    said: list[str] = []
    path = write(root, "x.csv", CSV.replace("cat", label), encoding)
    found = lists.read(path, said.append)
    assert (found[0].label == label) == (encoding == "gb18030")
    (told,) = said
    assert told.startswith("x.csv is no UTF-8; it was read as GB 18030")
    assert repr(found[0].label) in told
    assert "save it as UTF-8" in told


def test_nothing_is_told_of_a_list_in_unicode(root: Path) -> None:
    said: list[str] = []
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        lists.read(write(root, "x.csv", CSV.replace("cat", "猫"), encoding), said.append)
    assert said == []


def test_class_names_read_as_gb_18030_are_told(root: Path) -> None:
    said: list[str] = []
    write(root, "classes.txt", "猫\n狗\n", "gb18030")
    assert lists.classes(["0", "1"], root, tell=said.append).names == ("猫", "狗")
    (told,) = said
    assert told.startswith("classes.txt is no UTF-8")
    assert "'猫'" in told


@pytest.mark.parametrize(
    ("header", "name"),
    [("filename,label,Label", "label"), ("path,path,label", "path"), ("file,class,class", "class")],
)
def test_a_column_that_stands_there_twice_is_refused(root: Path, header: str, name: str) -> None:
    path = write(root, "x.csv", f"{header}\na/1.png,cat,dog\n")
    with pytest.raises(DataError, match=rf"line 1: found the column {name} 2 times") as caught:
        lists.read(path)
    assert str(caught.value).startswith(str(path))


def test_columns_that_are_not_used_may_stand_there_twice(root: Path) -> None:
    path = write(root, "x.csv", "filename,label,,,note,note\na/1.png,cat,,,x,y\n")
    assert rows(path) == [("a/1.png", "cat")]


def test_quotes_commas_and_line_ends_in_csv(tmp_path: Path) -> None:
    names = ["a, b.png", 'say "x".png'] + ([] if os.name == "nt" else ["two\nlines.png"])
    if os.name == "nt":
        names.remove('say "x".png')
    root = put(tmp_path / "p", *names, "plain.png")
    quoted = ['"{}"'.format(name.replace('"', '""')) for name in names]
    text = "filename,label\n" + "".join(f'{name},"big, red"\n' for name in quoted)
    found = listed(write(root, "x.csv", text + "plain.png,small\n"))
    assert labelled(found)["all"] == {**dict.fromkeys(names, "big, red"), "plain.png": "small"}


def test_lines_end_where_lines_end(tmp_path: Path) -> None:
    odd = "a\u2028b\x85c.png"
    root = put(tmp_path / "p", odd, "2.png", "3.png")
    text = json.dumps({"file_name": odd, "label": 0}, ensure_ascii=False)
    text += '\n{"file_name": "2.png", "label": 1}\n{"file_name": "3.png", "label": 1}'
    assert labelled(listed(write(root, "x.jsonl", text)))["all"][odd] == "0"
    assert labelled(listed(write(root, "x.txt", f"{odd}\t0\n2.png 1\n3.png 1")))["all"][odd] == "0"


def test_a_name_that_begins_as_a_remark_does(tmp_path: Path) -> None:
    root = put(tmp_path / "p", "#1.png", "# 2.png", "3.png")
    found = listed(write(root, "x.txt", "#1.png a\n# 2.png\tb\n# about 3.png\n3.png b\n"))
    assert labelled(found)["all"] == {"#1.png": "a", "# 2.png": "b", "3.png": "b"}


def test_splits_said_by_the_lines(root: Path) -> None:
    text = "filename,label,split\na/1.png,cat,train\na/2.png,dog,TRAIN\nb c/3.png,dog,valid\n"
    found = listed(write(root, "x.csv", text + "4.png,cat,test\n"))
    assert {split: len(files) for split, files in found.splits.items()} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    assert found.remarks == ("val has no pictures of cat", "test has no pictures of dog")
    for bad, says in (
        ("5", "split '5'; expected train, val or test"),
        ("", "say a split and some"),
    ):
        write(root, "x.csv", text + f"4.png,cat,{bad}\n")
        with pytest.raises(DataError, match=says):
            listed(root / "x.csv")
    write(root, "x.csv", text.replace("train", "test").replace("TRAIN", "val"))
    with pytest.raises(DataError, match="no line is of the split train"):
        listed(root / "x.csv")


# -- lists in a folder


@pytest.mark.parametrize(
    "names", [("train.csv", "val.csv", "test.csv"), ("train_list.txt", "valid.txt", "test.txt")]
)
def test_a_list_for_each_split(root: Path, names: tuple[str, ...]) -> None:
    if names[0] == "train_list.txt":
        names = ("training.txt", *names[1:])
    lines = [["a/1.png,cat", "a/2.png,dog"], ["b c/3.png,dog"], ["4.png,cat"]]
    for name, each in zip(names, lines, strict=True):
        text = "\n".join(["filename,label", *each])
        write(root, name, text if name.endswith("csv") else "\n".join(each).replace(",", " "))
    put(root, "a/unlisted.png")
    put(root, "notes.md", content=b"text")
    found = listed(root)
    assert found.layout == "lists"
    assert labelled(found) == {
        "train": {"a/1.png": "cat", "a/2.png": "dog"},
        "val": {"b c/3.png": "dog"},
        "test": {"4.png": "cat"},
    }
    assert reasons(found) == {"a/unlisted.png": "not in the list", "notes.md": "not a picture"}


@pytest.mark.parametrize("name", ["labels.csv", "metadata.jsonl", "labels.txt", "all.tsv"])
def test_one_list_in_a_folder_without_classes(tmp_path: Path, name: str) -> None:
    root = put(tmp_path / "p", "1.png", "2.png", "3.png")
    pairs = {"1.png": "x", "2.png": "y", "3.png": "y"}
    text = "".join(f"{path}\t{label}\n" for path, label in pairs.items())
    if name.endswith("jsonl"):
        text = "".join(json.dumps({"image": p, "label": c}) + "\n" for p, c in pairs.items())
    elif not name.endswith("txt"):
        text = "file\tclass\n" + text
    found = listed(write(root, name, text).parent)
    assert (found.layout, labelled(found), found.ignored) == ("list", {"all": pairs}, ())


def test_where_folders_say_the_classes_a_list_is_said_not_to_be_read(tmp_path: Path) -> None:
    root = put(tmp_path / "p", "cat/1.png", "dog/1.png", "dog/2.png")
    write(root, "labels.csv", "filename,label\ncat/1.png,dog\n")
    found = listed(root)
    assert found.layout == "classes"
    assert found.remarks == ("labels.csv not read: the folders say the classes",)
    (root / "labels.txt").write_bytes(b"\xff\xff no text of any kind")
    write(root, "metadata.csv", "one more\n")
    (remark,) = listed(root).remarks
    assert remark == "labels.csv, metadata.csv not read: the folders say the classes"


def test_lists_of_splits_beside_folders_of_classes(tmp_path: Path) -> None:
    root = put(tmp_path / "p", "cat/1.png", "dog/1.png", "dog/2.png")
    write(root, "train.txt", "cat/1.png 0\ndog/1.png 1\n")
    write(root, "val.txt", "dog/2.png 1\n")
    write(root, "classes.txt", "cat\ndog\n")
    assert labelled(listed(root)) == {
        "train": {"cat/1.png": "cat", "dog/1.png": "dog"},
        "val": {"dog/2.png": "dog"},
    }


def test_a_list_inside_each_folder_of_a_split(tmp_path: Path) -> None:
    root = put(tmp_path / "p", "train/1.png", "train/2.png", "validation/1.png")
    write(root, "train/metadata.jsonl", '{"file_name": "1.png", "label": "b"}\n'
          '{"file_name": "2.png", "label": "a"}')  # fmt: skip
    write(root, "validation/metadata.csv", "file_name,label\n1.png,b\n")
    found = listed(root)
    assert labelled(found) == {
        "train": {"train/1.png": "b", "train/2.png": "a"},
        "val": {"validation/1.png": "b"},
    }
    assert found.ignored == ()


def test_a_contest_whose_lists_count_from_folders_and_whose_test_has_no_labels(
    tmp_path: Path,
) -> None:
    root = put(tmp_path / "p", "train_images/1.png", "train_images/2.png", "test_images/1.png")
    put(root, "train_images/3.png")
    write(root, "train.csv", "image,label\n1.png,0\n2.png,1\n3.png,1\n")
    write(root, "test.csv", "image\n1.png\n")
    found = listed(root)
    assert labelled(found)["train"] == {
        "train_images/1.png": "0",
        "train_images/2.png": "1",
        "train_images/3.png": "1",
    }
    assert found.remarks == ("test.csv says no labels, so there are no test pictures",)
    assert reasons(found)["test_images/1.png"] == "not in the list"
    write(root, "train.csv", "image\n1.png\n")
    with pytest.raises(DataError, match="found the columns image, expected a header"):
        listed(root)


def test_two_lists_of_one_split(root: Path) -> None:
    write(root, "train.csv", CSV)
    write(root, "training.txt", "a/1.png cat\n")
    with pytest.raises(DataError, match=r"train\.csv and training\.txt both list the train"):
        listed(root)


# -- numbers and class lists


def test_numbers_are_taken_in_their_order(root: Path) -> None:
    write(root, "x.txt", "a/1.png 10\na/2.png 9\nb c/3.png\t10\n4.png 2\n")
    found = listed(root / "x.txt")
    assert found.classes == ("2", "9", "10")
    assert labelled(found)["all"]["a/1.png"] == "10"


@pytest.mark.parametrize("name", lists.CLASS_LISTS)
def test_a_class_list_names_the_numbers(root: Path, name: str) -> None:
    write(root, name, "zebra\r\nGreat Dane\n\n  ant \n")
    write(root, "x.txt", "a/1.png 2\na/2.png 0\n4.png 2\n")
    found = listed(root / "x.txt")
    assert found.classes == ("zebra", "Great Dane", "ant")
    assert found.splits["all"].labels.tolist() == [0 if p == "a/2.png" else 2
                                                   for p in found.splits["all"].paths]  # fmt: skip
    assert found.remarks == ("there are no pictures of Great Dane",)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ("zebra\nant\n", "2 names, and label 2 is among the pictures; they count from 0"),
        ("zebra\nant\nzebra\n", "a class name stands in it twice"),
        ("1 zebra\n2 ant\n3 owl\n", "counted from 1, and no label is 0"),
    ],
)
def test_a_class_list_that_does_not_fit(root: Path, names: str, says: str) -> None:
    write(root, "classes.txt", names)
    write(root, "x.txt", "a/1.png 2\na/2.png 1\n4.png 2\n")
    with pytest.raises(DataError, match=says):
        listed(root / "x.txt")


def test_labels_that_are_names_need_no_class_list(root: Path) -> None:
    write(root, "classes.txt", "zebra\nant\n")
    assert listed(write(root, "x.csv", CSV)).classes == ("cat", "dog")


@pytest.mark.parametrize("labels", [("1", "01"), ("007", "7")])
def test_numbers_written_in_two_ways(root: Path, labels: tuple[str, str]) -> None:
    write(root, "x.txt", f"a/1.png {labels[0]}\na/2.png {labels[1]}\n")
    with pytest.raises(DataError, match="numbers written in two ways"):
        listed(root / "x.txt")


@pytest.mark.parametrize("label", ["²", "-1", "1.0", "9" * 5000, "٣"])
def test_what_is_no_plain_number_is_a_name(root: Path, label: str) -> None:
    found = listed(write(root, "x.txt", f"a/1.png {label}\na/2.png 0\n4.png 0"))
    assert set(found.classes) == {"0", label}


# -- what does not fit


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.csv", "", "the list is empty"),
        ("x.csv", " \n\n", "the list is empty"),
        ("x.csv", "filename,label\n", "no line with a picture"),
        ("x.txt", "# nothing\n", "no line with a picture"),
        ("x.csv", "a/1.png,cat\n", "line 1: found the columns a/1.png, cat, expected a header"),
        ("x.csv", CSV + "5.png\n", "line 6: found 1 columns, expected 2"),
        ("x.csv", CSV + "one, two.png,cat\n", "line 6: found 3 columns, expected 2; put quotes"),
        ("x.csv", CSV + '"5.png,cat\n6.png,dog\n7.png,dog\n', "line 6: unexpected end of data"),
        ("x.csv", CSV + '"5.png"x,cat\n', "line 6: "),
        ("x.csv", CSV + ",cat\n", "line 6: there is no path"),
        ("x.csv", CSV + "5.png, \n", "line 6: there is no label"),
        ("x.csv", CSV + '5.png,"two\nlines"\n', "line 6: there is no label .* a line of text"),
        ("x.csv", CSV + "x" * 200_000 + ",cat\n", "line 6: field larger"),
        ("x.txt", "a/1.png\n", r"line 1: found 'a/1\.png', expected a path and a label"),
        ("x.jsonl", "{}\n", "line 1: expected"),
        ("x.jsonl", '{"file_name": "a/1.png"}\n', 'line 1: there is no "label"'),
        ("x.jsonl", '{"file_name": 1, "label": 1}\n', "line 1: expected"),
        ("x.jsonl", '{"file_name": "a/1.png", "label": true}\n', "line 1: expected"),
        ("x.jsonl", '{"file_name": "a/1.png", "label": [1]}\n', "line 1: expected"),
        ("x.jsonl", '{"file_name": "a/1.png", "label": "\\ud800"}', "line 1: there is no label"),
        ("x.jsonl", '{"file_name": "\\ud800.png", "label": "a"}', "line 1: there is no path"),
        ("x.jsonl", '{"file_name": "\\u0000", "label": "a"}', "line 1: there is no path"),
        ("x.jsonl", "\n[1,\n", "line 2: no JSON value"),
        ("x.jsonl", "[" * 100_000, "line 1: no JSON value"),
        ("x.jsonl", '{"file_name": "a", "label": ' + "9" * 5000 + "}", "line 1: no JSON value"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named(
    root: Path, name: str, text: str, says: str
) -> None:
    path = write(root, name, text)
    with pytest.raises(DataError, match=says) as caught:
        listed(path)
    assert str(caught.value).startswith(f"{path}")


@pytest.mark.parametrize(
    "wrong", ["nowhere/1.png", "x" * 300 + ".png", "a", "C:\\x\\1.png", "/1.png"]
)
def test_a_list_that_points_nowhere(root: Path, wrong: str) -> None:
    path = write(root, "x.csv", CSV.replace("b c/3.png", wrong))
    with pytest.raises(DataError, match=r"1 of its 4 files are not there\. Looked in") as caught:
        listed(path)
    assert f"line 4: {wrong[:200]!r}" in str(caught.value)


def test_a_few_files_that_are_gone_are_named(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(200)]
    root = put(tmp_path / "p", *names[2:])
    text = "".join(f"{name} {number % 2}\n" for number, name in enumerate(names))
    found = listed(write(root, "x.txt", text))
    assert len(found) == 198
    assert reasons(found) == dict.fromkeys(names[:2], "listed, but not there")
    (root / names[5]).unlink()
    with pytest.raises(DataError, match="3 of its 200 files are not there"):
        listed(root / "x.txt")


def test_listed_files_that_are_no_pictures(root: Path) -> None:
    put(root, "5.png", content=b"")
    put(root, "6.png", content=b"text")
    found = listed(write(root, "labels.csv", CSV + "5.png,cat\n6.png,dog\n"))
    assert reasons(found) == {"5.png": "empty", "6.png": "not a picture"}
    assert labelled(found)["all"] == WANTED
    for path in FILES:
        put(root, path, content=b"")
    with pytest.raises(DataError, match=r"no picture is left to train on\n.*5 left out: empty"):
        listed(root / "labels.csv")


def test_a_file_twice(root: Path) -> None:
    found = listed(write(root, "x.csv", CSV + "./a/1.png,cat\na/../4.png,cat\n"))
    assert found.remarks == ("2 lines stand there twice; counted once",)
    assert labelled(found) == {"all": WANTED}
    with pytest.raises(DataError, match=r"line 6: \./a/1\.png is dog here and cat in an earlier"):
        listed(write(root, "x.csv", CSV + "./a/1.png,dog\n"))
    write(root, "train.csv", CSV)
    write(root, "val.csv", "filename,label\na/1.png,cat\n")
    with pytest.raises(DataError, match=r"a/1\.png is (val|train) here and (val|train) in an"):
        listed(root)


def test_whole_paths_and_paths_beside(root: Path, tmp_path: Path) -> None:
    other = put(tmp_path / "else", "9.png")
    text = CSV.replace("a/1.png", str(root / "a/1.png")).replace("4.png", "../else/9.png")
    found = listed(write(root, "x.csv", text), allowed=other)
    assert labelled(found)["all"][str(root / "a/1.png")] == "cat"
    assert all((found.root / path).is_file() for path in found.splits["all"].paths)


@pytest.mark.parametrize("way", ["../else/9.png", "whole", "out/9.png", "a/../../else/9.png", "9"])
def test_paths_in_lists_do_not_leave_the_root_unless_allowed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    other = put(tmp_path / "else", "9.png")
    (root / "out").symlink_to(other)
    (root / "9").symlink_to(other / "9.png")
    named = str(other / "9.png") if way == "whole" else way
    path = write(root, "x.csv", CSV + f"{named},cat\n")
    with pytest.raises(DataError, match=r"x\.csv, line 6: .* leads out of .*--from"):
        listed(path)
    assert len(listed(path, allowed=other)) == 5
    monkeypatch.setenv("NEOCOG_DATA", str(tmp_path))
    assert len(listed(path)) == 5
    write(root, "train.csv", path.read_text(encoding="utf-8"))
    monkeypatch.delenv("NEOCOG_DATA")
    with pytest.raises(DataError, match=r"train\.csv, line 6: .* leads out of"):
        listed(root)


def test_links_in_the_root_to_what_is_in_it_are_followed(root: Path) -> None:
    (root / "other").symlink_to(root / "a")
    (root / "back").mkdir()
    path = write(root, "x.csv", CSV + "other/1.png,cat\nback/../4.png,cat\n")
    assert len(listed(path)) == 5


def test_letters_composed_in_another_way(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    root = put(tmp_path / "p", f"{composed}.png", "2.png", "3.png")
    text = f"{apart}.png {composed}\n2.png {apart}\n3.png x\n"
    found = listed(write(root, "labels.txt", text).parent)
    assert found.classes == ("x", composed)
    assert found.ignored == ()


def test_a_list_that_may_not_be_read_or_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "x.csv").mkdir()
    with pytest.raises(DataError, match="no pictures in it"):
        listed(root / "x.csv")

    def locked(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", locked)
    write(root, "y.csv", CSV)
    with pytest.raises(DataError, match=r"y\.csv: cannot be read \(Permission denied\)"):
        listed(root / "y.csv")


def test_the_folder_is_left_as_it_was(root: Path) -> None:
    write(root, "labels.csv", CSV)
    before = tree_digest(root)
    listed(root)
    listed(root / "labels.csv")
    assert tree_digest(root) == before


# -- whatever people have

texts = st.text(
    st.sampled_from(string.ascii_letters[:4] + "0123 \t,;|\"'\n\r\\/.#{}[]:é猫\x85\u2028\ufeff\0")
    | st.characters(),
    max_size=60,
)
pieces = st.sampled_from(["filename,label", "a/1.png", "4.png", "cat", "0", '"', ",", "\n", "\r\n"])
suffixes = st.sampled_from(lists.SUFFIXES)
quiet = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


any_bytes = st.one_of(
    st.binary(max_size=80),
    texts.map(lambda text: text.encode("utf-8", "replace")),
    st.lists(pieces | texts, max_size=12).map(lambda p: "".join(p).encode("utf-8", "replace")),
)


@quiet
@given(suffixes, any_bytes)
@example(".csv", b"filename,label\n\xe9t,\xe9t\n")
def test_any_bytes_are_read_or_refused(root: Path, suffix: str, content: bytes) -> None:
    path = root / f"any{suffix}"
    path.write_bytes(content)
    try:
        found = lists.read(path)
    except DataError as error:
        if str(path) not in str(error):
            raise
        return
    assert found
    for row in found:
        assert row.path == row.path.strip() != ""
        assert row.label == row.label.strip() != ""
        row.path.encode()
        row.label.encode()


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda name: name == name.strip() and not name.startswith("#")
)


@settings(quiet, max_examples=100)
@given(
    st.dictionaries(names, names, min_size=1, max_size=6), st.sampled_from(DELIMITERS := ",;\t|")
)
def test_what_was_written_is_what_is_read(
    root: Path, pairs: dict[str, str], delimiter: str
) -> None:
    stream = io.StringIO(newline="")
    out = csv.writer(stream, delimiter=delimiter)
    out.writerows([("filename", "label"), *pairs.items()])
    wanted = list(pairs.items())
    text = "".join(json.dumps({"file_name": p, "label": c}) + "\n" for p, c in wanted)
    assert rows(write(root, "any.jsonl", text)) == wanted
    assert rows(write(root, "any.jsonl", text, "utf-16")) == wanted
    assert rows(write(root, "any.csv", stream.getvalue())) == wanted
    assert rows(write(root, "any.txt", "".join(f"{p}\t{c}\n" for p, c in wanted))) == wanted


def test_a_list_that_is_no_utf8_is_told_with_the_data_set(tmp_path: Path) -> None:
    for name in ("猫猫", "狗狗"):
        put(tmp_path, f"{name}/1.png", f"{name}/2.png")
    files = [f"{name}/{number}.png,{name}\n" for name in ("猫猫", "狗狗") for number in (1, 2)]
    text = f"filename,label\n{''.join(files)}"
    (tmp_path / "labels.csv").write_bytes(text.encode("gb18030"))
    listing = listed(tmp_path / "labels.csv")
    assert set(listing.classes) == {"狗狗", "猫猫"}
    assert [line for line in listing.remarks if "read as GB 18030" in line and "猫猫" in line]
