"""ImageNet: the contest's order of classes, and every packing that people have on their disks."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.data.shelf import labelled, put, reasons
from tests.peers import torchvision_models  # noqa: F401 - a fixture

from neocog.data import imagenet
from neocog.data.listing import listed
from neocog.errors import DataError

# The first validation pictures: their numbers as the contest's ground truth has them, and their
# synsets as tensorflow-datasets does.
NUMBERS = (490, 361, 171, 822, 297, 482, 13, 704, 599, 164, 649, 11)
SYNSETS: tuple[str, ...] = ("n01751748", "n09193705", "n02105855", "n04263257", "n03125729")
SYNSETS += ("n01735189", "n02346627", "n02776631", "n03794056", "n02328150", "n01917289")
SYNSETS += ("n02125311",)
FEW = ("n01440764", "n01443537", "n01484850")  # 449, 450 and 442 of the kit
TITLES = ("n01440764 tench", "n01443537 goldfish", "n01484850 great white shark")
VAL = "ILSVRC2012_val_{:08}.JPEG"


def train(root: Path, base: str = "") -> Path:
    return put(root, *(f"{base}train/{synset}/{synset}_1.JPEG" for synset in FEW))


def val(root: Path, count: int, folder: str = "val") -> Path:
    return put(root, *(f"{folder}/{VAL.format(number)}" for number in range(1, count + 1)))


def write(path: Path, lines: Sequence[object], end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}{end}" for line in lines), encoding="utf-8")


def split(root: Path, name: str = "val") -> dict[str, str]:
    """{file name: synset} of a split."""
    found = labelled(listed(root))[name]
    return {path.split("/")[-1]: title.split(" ")[0] for path, title in found.items()}


# -- the thousand classes


def test_the_order_of_the_kit() -> None:
    kit = list(imagenet.synsets())
    assert len(kit) == len(set(kit)) == 1000
    assert imagenet.are_synsets(kit)
    assert tuple(kit[number - 1] for number in NUMBERS) == SYNSETS
    named = {0: "kit fox", 1: "English setter", 448: "tench", 999: "dumbbell"}
    assert {place: imagenet.synsets()[kit[place]] for place in named} == named


def test_the_set_is_timms() -> None:
    found = importlib.util.find_spec("timm")  # importing it takes long
    assert found is not None
    assert found.origin is not None
    theirs = Path(found.origin).parent / "data" / "_info" / "imagenet_synsets.txt"
    assert sorted(imagenet.synsets()) == theirs.read_text(encoding="utf-8").split()


def test_the_names_are_torchvisions(torchvision_models: ModuleType) -> None:  # noqa: F811
    from torchvision.models._meta import _IMAGENET_CATEGORIES as THEIRS

    ours = [imagenet.synsets()[synset] for synset in sorted(imagenet.synsets())]
    other = {pair for pair in zip(ours, THEIRS, strict=True) if pair[0] != pair[1]}
    assert other == {("crane", "crane bird"), ("maillot", "maillot tank suit")}


def test_titles_are_distinct() -> None:
    titles = imagenet.titled(tuple(sorted(imagenet.synsets())))
    assert len(set(titles)) == 1000
    assert titles[:3] == TITLES
    assert imagenet.titled(("n00000000", "n01440764")) == ("n00000000", "n01440764 tench")
    assert imagenet.titled(("n01440764", "cat")) == ("n01440764", "cat")


# -- packings


def test_both_splits_in_folders(tmp_path: Path) -> None:
    root = train(tmp_path)
    put(root, *(f"val/{synset}/{VAL.format(number)}" for number, synset in enumerate(FEW, 1)))
    found = listed(root)
    assert found.classes == TITLES
    assert found.splits["val"].labels.tolist() == found.splits["train"].labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "place",
    [
        imagenet.GROUND_TRUTH,
        f"val/{imagenet.GROUND_TRUTH}",
        "/".join((*imagenet.KIT, imagenet.GROUND_TRUTH)),
        "ILSVRC2015_clsloc_validation_ground_truth.txt",
    ],
)
def test_a_flat_folder_with_the_official_ground_truth(tmp_path: Path, place: str) -> None:
    root = val(train(tmp_path), len(NUMBERS))
    write(root / place, NUMBERS)
    assert split(root) == {VAL.format(n): synset for n, synset in enumerate(SYNSETS, 1)}
    found = listed(root)
    assert found.classes == imagenet.titled(tuple(sorted({*FEW, *SYNSETS})))
    assert any(line.startswith("train has no pictures of n01735189") for line in found.remarks)


def test_pictures_that_are_missing_shift_nothing(tmp_path: Path) -> None:
    root = val(train(tmp_path), len(NUMBERS))
    write(root / imagenet.GROUND_TRUTH, NUMBERS)
    (root / "val" / VAL.format(1)).unlink()
    (root / "val" / VAL.format(5)).write_bytes(b"")
    assert split(root) == {
        VAL.format(n): synset for n, synset in enumerate(SYNSETS, 1) if n not in (1, 5)
    }


def test_the_ground_truth_is_not_about_the_test_pictures(tmp_path: Path) -> None:
    root = val(val(train(tmp_path), len(NUMBERS)), len(NUMBERS), "test")
    write(root / imagenet.GROUND_TRUTH, NUMBERS)
    found = listed(root)
    assert set(found.splits) == {"train", "val"}
    assert set(reasons(found).values()) == {"beside the class folders, so of no class"}
    assert found.left_out()[0].startswith("12 left out: beside the class folders")


def test_synsets_line_by_line(tmp_path: Path) -> None:
    root = val(train(tmp_path), len(SYNSETS))
    write(root / "imagenet_2012_validation_synset_labels.txt", SYNSETS, "\r\n")
    assert tuple(split(root).values()) == SYNSETS


@pytest.mark.parametrize(
    ("name", "form", "head"),
    [
        ("val.txt", "{file}.JPEG {synset}", ()),
        ("val/val_map.txt", "{file}.JPEG\t{synset}", ()),
        ("val.csv", "{file}.JPEG,{synset}", ("filename,label",)),
        ("val_labels.txt", "{file} {synset}", ()),
        ("LOC_val_solution.csv", "{file},{synset} 85 1 499 272 {synset} 1 1 9 9 ", ("Id,Boxes",)),
        ("val/val_annotations.txt", "{file}.JPEG\t{synset}\t0\t32\t44\t62", ()),
        ("val.txt", "val/{file}.JPEG {synset}", ()),
    ],
)
def test_a_flat_folder_with_a_list_by_name(
    tmp_path: Path, name: str, form: str, head: tuple[str, ...]
) -> None:
    root = val(train(tmp_path), len(FEW))
    files = [VAL.format(number).removesuffix(".JPEG") for number in (1, 2, 3)]
    lines = [form.format(file=f, synset=s) for f, s in zip(files, FEW[::-1], strict=True)]
    write(root / name, [*head, *reversed(lines)])
    assert tuple(split(root).values()) == FEW[::-1]
    assert listed(root).classes == TITLES
    assert listed(root).left_out() == []  # the list was used


def test_only_the_list_that_was_used_is_not_left_out(tmp_path: Path) -> None:
    root = val(train(tmp_path), len(FEW))
    lines = [f"{VAL.format(number)} {synset}" for number, synset in enumerate(FEW, 1)]
    for name in ("val.txt", "val_labels.txt", "train/val.txt"):
        write(root / name, lines)
    assert reasons(listed(root)) == {
        "val_labels.txt": "not a picture",
        "train/val.txt": "not a picture",
    }


def test_caffes_list_counts_all_thousand_in_plain_order(tmp_path: Path) -> None:
    plain = sorted(imagenet.synsets())
    root = put(val(tmp_path, 12), *(f"train/{synset}/1.JPEG" for synset in plain))
    write(root / "val.txt", [f"{VAL.format(n)} {plain.index(s)}" for n, s in enumerate(SYNSETS, 1)])
    assert tuple(split(root).values()) == SYNSETS
    (root / "train" / FEW[0] / "1.JPEG").unlink()
    with pytest.raises(DataError, match=r"val\.txt, line 1: found .* of all 1000 classes"):
        listed(root)  # of 999 classes, numbers might count those


@pytest.mark.parametrize("start", ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"])
def test_kaggles_packing_from_wherever_it_is_named(tmp_path: Path, start: str) -> None:
    root = tmp_path / "imagenet"
    base = "ILSVRC/Data/CLS-LOC/"
    val(val(train(root, base), 3, f"{base}val"), 3, f"{base}test")
    put(root, "ILSVRC/Annotations/CLS-LOC/val/x.xml", content=b"<annotation>")
    put(root, "ILSVRC/Data/DET/x.xml", content=b"<annotation>")
    write(
        root / "ILSVRC/ImageSets/CLS-LOC/val.txt", [f"ILSVRC2012_val_{n:08} {n}" for n in (1, 2, 3)]
    )
    lines = [
        f"ILSVRC2012_val_{n:08},{s} 1 2 3 4" for n, s in zip((1, 2, 3), FEW[::-1], strict=True)
    ]
    write(root / "LOC_val_solution.csv", ["ImageId,PredictionString", *lines])
    found = listed(root / start)
    assert found.classes == TITLES
    assert set(found.splits) == {"train", "val"}
    assert tuple(split(root / start).values()) == FEW[::-1]
    assert "LOC_val_solution.csv" not in reasons(found)


def test_kaggles_packing_with_val_in_folders_below_any_of_its_own(tmp_path: Path) -> None:
    put(
        train(tmp_path, "ILSVRC/Data/CLS-LOC/"),
        *(f"ILSVRC/Data/CLS-LOC/val/{s}/1.png" for s in FEW),
    )
    for below in ("", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"):
        found = listed(tmp_path / below)
        assert found.classes == TITLES
        assert len(found) == 6


def test_the_two_hundred_classes_with_a_folder_between(tmp_path: Path) -> None:
    root = put(tmp_path, *(f"train/{synset}/images/{synset}_0.JPEG" for synset in FEW))
    put(root, *(f"val/images/val_{number}.JPEG" for number in range(3)), "test/images/test_0.JPEG")
    lines = [f"val_{n}.JPEG\t{synset}\t0\t0\t9\t9" for n, synset in enumerate(FEW[::-1])]
    write(root / "val/val_annotations.txt", lines)
    found = listed(root)
    assert found.classes == TITLES
    assert tuple(split(root).values()) == FEW[::-1]
    assert reasons(found)["test/images/test_0.JPEG"] == "beside the class folders, so of no class"


def test_a_flat_folder_without_a_list_is_left_out_and_said(tmp_path: Path) -> None:
    found = listed(val(train(put(tmp_path, "train/n01440764/2.png")), 2))
    assert set(found.splits) == {"train"}
    assert found.left_out() == [
        "2 left out: beside the class folders, so of no class "
        "(val/ILSVRC2012_val_00000001.JPEG, ...)"
    ]


# -- lists that do not fit


@pytest.mark.parametrize(
    ("name", "lines", "says"),
    [
        (imagenet.GROUND_TRUTH, NUMBERS[:11], "11 lines .*_00000012.JPEG is none of them"),
        (imagenet.GROUND_TRUTH, [0, *NUMBERS], "found 0 to 822, expected the kit's 1 to 1000"),
        (imagenet.GROUND_TRUTH, [*NUMBERS, 1001], "found 11 to 1001, expected the kit's"),
        (imagenet.GROUND_TRUTH, [], "found nothing, expected the kit's"),
        (imagenet.GROUND_TRUTH, ["²"], "line 1: found '²', expected a file and its synset"),
        (imagenet.GROUND_TRUTH, ["9" * 5000], "line 1: found '9999"),
        ("val.txt", NUMBERS, "line 1: found '490', expected a file and its synset"),
        ("val.txt", [f"{VAL.format(1)} {FEW[0]}"], "says nothing of 11 of 12 pictures, such as"),
        ("val.txt", [f"{VAL.format(1)} {s}" for s in FEW], "n01440764 in one line and n01443537"),
        ("val.txt", ["my picture.JPEG n01440764"], "line 1: found 'my picture"),
        ("val.txt", ["img 5 n01440764"], "line 1: found 'img 5"),
        ("val.csv", ["filename,label", "x.JPEG,tench"], "line 2: found 'x.JPEG,tench'"),
    ],
)
def test_a_list_that_does_not_fit_ends_it(
    tmp_path: Path, name: str, lines: Sequence[object], says: str
) -> None:
    root = val(train(tmp_path), 12)
    write(root / name, lines)
    with pytest.raises(DataError, match=says) as caught:
        listed(root)
    assert name in str(caught.value)


def test_other_names_do_not_go_by_line(tmp_path: Path) -> None:
    root = put(train(tmp_path), "val/a.JPEG", "val/b.JPEG")
    write(root / imagenet.GROUND_TRUTH, [1, 2])
    with pytest.raises(DataError, match=r"a\.JPEG is none of them; expected names such as ILSVRC"):
        listed(root)


WORDS = ["ILSVRC2012_val_00000001", "n0144076", "1", "449", "1000", "0", "²", "é", "filename,label"]
ENDS = [" ", "\n", ",", "\t", "\r\n", "\n", " "]
pieces = st.sampled_from([VAL.format(1), VAL.format(2), *FEW, *WORDS, *ENDS])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(pieces, max_size=14).map("".join), st.sampled_from([imagenet.GROUND_TRUTH, "val.txt"])
)
@example("449\n450\n", imagenet.GROUND_TRUTH)
@example(f"{VAL.format(2)} {FEW[0]}\n{VAL.format(1)} {FEW[1]}", "val.txt")
def test_any_list_of_labels_is_taken_rightly_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    root = val(train(tmp_path_factory.mktemp("net")), 2)
    (root / name).write_bytes(text.encode())
    try:
        made = split(root)
    except DataError as error:
        if str(root) not in str(error):
            raise
        return
    except KeyError:
        pytest.fail("flat pictures were passed over although there is a list")
    kit = list(imagenet.synsets())
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", text) if line.strip()]
    for number in (1, 2):
        synset = made[VAL.format(number)]
        by_line = lines[number - 1] if len(lines) >= number else ""
        said = kit[int(by_line) - 1] if by_line.isascii() and by_line.isdigit() else by_line
        file = VAL.format(number).removesuffix(".JPEG")
        by_name = any(re.match(rf"{file}(\.JPEG)?[\s,]+{synset}\b", line) for line in lines)
        assert synset == said or by_name
