from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neocog.data.skips import HEADER, read_skip_list, skip_list
from neocog.errors import DataError

names = st.text(st.characters(exclude_characters="\0", exclude_categories=()), min_size=1)


@given(st.dictionaries(names, st.text()))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "skip.txt"
    path.write_bytes(skip_list(rows.items()))
    assert read_skip_list(path) == set(rows)


def test_a_list_reads_well_and_names_each_picture_once(tmp_path: Path) -> None:
    path = tmp_path / "skip.txt"
    path.write_bytes(skip_list([("b/é.jpg", "blank: grey"), ("#a", "x"), ("b/é.jpg", "tiny")]))
    assert path.read_text("utf-8").splitlines() == [
        HEADER,
        "",
        "# x",
        '"#a"',
        "# blank: grey; tiny",
        "b/é.jpg",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_from_any_editor(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "skip.txt"
    path.write_bytes("# mine\r\n\r\ncats/雪 1.jpg\r\n  dogs/b.jpg \n#c.jpg".encode(encoding))
    assert read_skip_list(path) == {"cats/雪 1.jpg", "dogs/b.jpg"}


def test_what_is_no_list_is_said_with_its_path(tmp_path: Path) -> None:
    for number, content in enumerate((b'ok.jpg\n"open', b"\x89PNG\r\n\0\0", b"\xff\xfe\x00")):
        path = tmp_path / f"{number}.txt"
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{number}.txt"):
            read_skip_list(path)
    with pytest.raises(DataError, match="none"):
        read_skip_list(tmp_path / "none.txt")
