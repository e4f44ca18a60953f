"""The page in a real browser: Chromium, where it is installed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests import chromium
from tests.chromium import Browser
from tests.watching.runs import history, run, says
from tests.watching.test_server import serving

pytestmark = pytest.mark.skipif(
    chromium.FOUND is None, reason="needs Chromium (Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium.browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture
def page(browser: Browser) -> Iterator[Browser]:
    browser.look()
    browser.said.clear()
    yield browser
    browser.open("about:blank")  # it asks the server of this test no more


LIVE = "document.getElementById('said').textContent.startsWith('Live')"
AWAY = "document.getElementById('said').textContent.startsWith('The server is away')"


def test_it_grows_while_it_trains_and_nobody_loses_a_place(tmp_path: Path, page: Browser) -> None:
    path = run(tmp_path / "run", epochs=2)
    says(path, epoch=2)
    with serving(tmp_path) as made:
        page.open(made.url)
        page.until(LIVE)
        page.ask("document.querySelector('summary').click()")
        page.ask("document.querySelector('#runs input').focus()")
        figure = page.ask("document.getElementById('lr').innerHTML")
        says(path, epoch=2, step=17)
        page.until("document.getElementById('runs').textContent.includes('17/20')")
        assert page.ask("document.getElementById('lr').innerHTML") == figure
        history(path, 3)
        run(tmp_path / "later", epochs=1)
        page.until("document.querySelectorAll('#runs tr').length === 2")
        page.until("document.querySelectorAll('#numbers tr').length === 6")
        assert page.ask("document.querySelector('details').open")
        assert page.ask("document.activeElement.type") == "checkbox"
    assert page.said == []


def test_it_says_when_the_server_is_away_and_goes_on_when_it_is_back(
    tmp_path: Path, page: Browser
) -> None:
    path = run(tmp_path / "run", epochs=2)
    with command(tmp_path, port=0) as url:
        page.open(url)
        page.until(LIVE)
    page.until(AWAY)
    assert "2/12" in page.ask("document.getElementById('runs').textContent")
    history(path, 5)
    with command(tmp_path, port=int(url.rstrip("/").rpartition(":")[2])) as again:
        assert again == url
        page.until(LIVE)
        assert "5/12" in page.ask("document.getElementById('runs').textContent")


@contextmanager
def command(folder: Path, *, port: int) -> Iterator[str]:
    """`neocog watch` as one types it, ended by Ctrl-C; gives the address that it says."""
    line = [sys.executable, "-m", "neocog", "watch", str(folder), "--port", str(port)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = re.search(r"http://\S+", process.stderr.readline())
            assert found
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
        assert rest == "\nthe page is closed; what trains goes on\n"
    assert process.returncode == 0


def test_runs_are_chosen_with_the_keyboard_and_the_address_keeps_it(
    tmp_path: Path, page: Browser
) -> None:
    run(tmp_path / "a", epochs=2, began=9)
    run(tmp_path / "b", epochs=2)
    with serving(tmp_path) as made:
        page.open(made.url)
        page.until(LIVE)
        for _ in range(2):  # the table, which can be scrolled, then the first box
            page.press("Tab")
        assert page.ask("document.activeElement.getAttribute('aria-label')") == "draw a"
        page.press(" ")
        page.until("document.querySelectorAll('#loss path.line').length === 2")
        assert page.ask("document.querySelector('#loss title').nextSibling.textContent").startswith(
            "b, training"
        )
        page.open(made.url[:-1] + "/" + page.ask("location.search"))
        assert page.ask("[...document.querySelectorAll('#runs input')].map(b => b.checked)") == [
            False,
            True,
        ]
    assert page.said == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("phone", [False, True])
def test_it_is_light_or_dark_and_fits_a_phone(
    tmp_path: Path, page: Browser, dark: bool, phone: bool
) -> None:
    path = run(tmp_path / ("long-name-" * 12), epochs=30, of=40)
    says(path, state="stopped", epoch=30, why="x" * 300 + " and " + "y" * 300)
    width = 360 if phone else 1280
    page.look(width=width, height=800, dark=dark, phone=phone)
    with serving(tmp_path) as made:
        for lang in ("en", "zh"):
            page.open(f"{made.url}?lang={lang}")
            assert page.ask("document.documentElement.scrollWidth") <= width
            paper = page.ask("getComputedStyle(document.body).backgroundColor")
            assert paper == ("rgb(22, 24, 28)" if dark else "rgb(255, 255, 255)")
            words = "getComputedStyle(document.querySelector('svg.lines text')).fill"
            assert page.ask(words) != paper
            cells = page.ask("getComputedStyle(document.querySelector('#table td')).display")
            assert cells == ("flex" if phone else "table-cell")
    assert page.said == []


@pytest.mark.parametrize("phone", [False, True])
def test_a_screen_reader_finds_a_table_figures_and_names(
    tmp_path: Path, page: Browser, phone: bool
) -> None:
    run(tmp_path / "a", epochs=3)
    page.look(width=360 if phone else 1280, phone=phone)
    with serving(tmp_path) as made:
        page.open(made.url)
        page.until(LIVE)
        tree = page.call("Accessibility.getFullAXTree")["nodes"]
    heard = [node for node in tree if not node["ignored"]]
    roles = [node["role"]["value"] for node in heard]
    assert roles.count("table") == 1
    assert roles.count("columnheader") == len(made_columns())
    assert roles.count("cell") + roles.count("gridcell") >= len(made_columns()) - 4
    assert named(heard, "checkbox") == ["draw a"]
    assert named(heard, "img", "image") == [
        "loss by epoch",
        "accuracy by epoch",
        "learning rate by epoch",
    ]
    assert named(heard, "status") is not None


def made_columns() -> tuple[str, ...]:
    from neocog.watching.page import COLUMNS

    return COLUMNS


def named(nodes: list[dict[str, Any]], *roles: str) -> list[str]:
    return [
        node["name"]["value"]
        for node in nodes
        if node["role"]["value"] in roles and node["name"]["value"]
    ]
