from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from tests.data.scenes import jpeg, put, scene, sound

from neocog.data.doctor import Checkup, Problem, diagnosed
from neocog.data.examine import examined
from neocog.data.listing import listed
from neocog.report import doctor_page
from neocog.report.doctor_page import page
from neocog.report.page import printable

VOID = {"meta", "img", "br"}
CLOSED_BY_THE_NEXT = {"td", "th", "p", "li", "tr"}


class Reader(HTMLParser):
    """Tags with what they say, the text, and whether what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open = "", list[str]()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in CLOSED_BY_THE_NEXT:
            self.open.pop()
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def checkup(root: Path) -> Checkup:
    listing = listed(root)
    return diagnosed(listing, list(examined(listing)))


def test_it_shows_the_pictures_and_what_is_said_of_them(tmp_path: Path) -> None:
    root = sound(tmp_path / "my <b>pictures & more")
    put(root / "val/left/copy.jpg", (root / "train/left/a.jpg").read_bytes())
    put(root / "train/left/<script>x&amp;.jpg", jpeg(Image.new("RGB", (300, 40), "teal")))
    read = Reader(page(checkup(root)))
    assert read.open == []
    assert "my <b>pictures & more" in read.text
    assert "train/left/<script>x&amp;.jpg" in read.text
    assert not read.all("script")
    assert [each["id"] for each in read.all("h2") if "id" in each] == [
        "blank",
        "duplicate_across_splits",
    ]
    images = read.all("img")
    assert len(images) == 3
    for each in images:
        head, data = str(each["src"]).split(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert picture.size == (int(str(each["width"])), int(str(each["height"])))
            assert max(picture.size) == doctor_page.SIDE


def test_it_needs_nothing_beside_itself_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    root = sound(tmp_path / "p")
    put(root / "train/left/cut.jpg", jpeg(scene(80))[:700])
    text = page(checkup(root))
    read = Reader(text)
    assert not re.search(
        r"https?:|//|url\(|@import|<link|<script", re.sub('base64,[^"]*', "", text)
    )
    ids = {each["id"] for _, each in read.tags if "id" in each}
    assert {str(each["href"])[1:] for each in read.all("a")} <= ids
    assert text.startswith(f"<!doctype html>\n{doctor_page.MARK}")
    assert read.all("html")[0]["lang"] == "en"
    assert any(each.get("name") == "viewport" for each in read.all("meta"))


def test_a_sound_folder_has_a_page_that_says_so(tmp_path: Path) -> None:
    text = page(checkup(sound(tmp_path / "p")))
    assert "Nothing is wrong" in text
    assert "<img" not in text


def test_it_stays_small_and_says_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = listed(sound(tmp_path / "p"))
    files = [f"train/left/{letter}.jpg" for letter in "abcde"]
    many = [Problem(files[n % 5], "near_duplicate", "x" * 300, tuple(files)) for n in range(20_000)]
    many += [Problem(f"train/left/{n}.jpg", "unreadable", "no") for n in range(20_000)]
    text = page(Checkup(listing, tuple(many)))
    assert text.count("<img") == doctor_page.SHOWN * (1 + doctor_page.OTHERS)
    assert len(text) < 2_000_000
    assert text.count("24 of 20,000 are shown") == 2
    monkeypatch.setattr(doctor_page, "ROWS", 1)
    assert "1 more classes are not shown" in page(Checkup(listing, ()))


def test_what_cannot_be_shown_or_is_no_text_does_not_stop_it(tmp_path: Path) -> None:
    listing = listed(sound(tmp_path / "p"))
    odd = [Problem("train/left/gone\udcff\x1b.jpg", "tiny", "1 x 1", ("train/left/a.jpg",))]
    text = page(Checkup(listing, tuple(odd)))
    text.encode()
    assert "cannot be shown" in text
    assert text.count("<img") == 1


def test_what_can_be_printed() -> None:
    assert printable("雪 é\u202e\x1b[0m\n\udc80") == "雪 é�" + "�[0m" + "��"
