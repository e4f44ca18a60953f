"""The page in a real browser: Chromium, where it is installed."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import chromium
from tests.analysis.made import calibrated
from tests.analysis.runs import run_with
from tests.chromium import Browser

import neocog

pytestmark = pytest.mark.skipif(
    chromium.FOUND is None, reason="needs Chromium (Debian: apt-get install chromium)"
)

OPEN = "document.querySelectorAll(':popover-open').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium.browser(tmp_path_factory.mktemp("profile")) as made:
        made.call("Network.enable")
        yield made


@pytest.fixture(scope="module")
def addresses(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Reports in both languages, of names as long as they come, and of two runs."""
    root = tmp_path_factory.mktemp("reported")
    path = Path(shutil.copytree(finished_run, root / "digits"))
    names = [f"{'long' * 60} {n}" if n % 2 else "长名字" * 40 + str(n) for n in range(10)]
    long = run_with(finished_run, root / "long", calibrated(300), classes=names).path
    made = {lang: neocog.write_report(path, lang=lang) for lang in ("en", "zh")}
    made["long"] = neocog.write_report(long)
    made["both"] = neocog.write_report([path, long], out=root / "both.html")
    return {name: file.as_uri() for name, file in made.items()}


@pytest.fixture
def page(browser: Browser) -> Browser:
    browser.look()
    browser.said.clear()
    return browser


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_is_light_or_dark_and_never_wider_than_the_screen(
    page: Browser, addresses: dict[str, str], dark: bool, width: int
) -> None:
    page.look(width=width, height=800, dark=dark, phone=width < 500)
    for address in addresses.values():
        page.open(address)
        page.ask("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert page.ask("document.documentElement.scrollWidth") <= width
        paper = page.ask("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(22, 24, 28)" if dark else "rgb(255, 255, 255)")
    assert page.said == []  # nothing is refused, nothing fails


def test_nothing_is_asked_of_a_network(page: Browser, addresses: dict[str, str]) -> None:
    page.open(addresses["en"])
    loaded = page.ask("performance.getEntriesByType('resource').map(e => e.name)")
    assert [each for each in loaded if not each.startswith("data:")] == []
    shown = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert page.ask(shown)


@pytest.mark.parametrize("key", [" ", "Enter"])
def test_a_cell_opens_and_closes_by_keyboard(
    page: Browser, addresses: dict[str, str], key: str
) -> None:
    page.open(addresses["en"])
    page.ask("document.querySelector('.matrix button').focus()")
    page.press(key)
    page.until(f"{OPEN} === 1")
    assert page.ask("document.querySelector(':popover-open img').naturalWidth") > 0
    assert "taken for" in page.ask("document.querySelector(':popover-open').textContent")
    page.press("Tab")  # into what was opened
    assert page.ask("document.activeElement.closest('[popover]') !== null")
    page.press("Escape")
    page.until(f"{OPEN} === 0")
    assert page.ask("document.activeElement.matches('.matrix button')")  # where one was before
    assert page.said == []


def test_a_screen_reader_finds_landmarks_figures_and_tables(
    page: Browser, addresses: dict[str, str]
) -> None:
    page.open(addresses["en"])
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    heard = [node for node in tree if not node["ignored"]]
    roles = {node["role"]["value"] for node in heard}
    assert {"main", "navigation", "banner", "heading", "table", "rowheader"} <= roles
    figures = named(heard, "img", "image")
    assert {"log loss by epoch", "accuracy by epoch", "Reliability"} <= set(figures)
    assert any(name.startswith("conv1: 6 filters of 5×5×1") for name in figures)
    assert any("labelled" in name for name in figures)
    buttons = named(heard, "button")
    assert any("taken for" in name and name.endswith("show them") for name in buttons)
    told = [node["description"]["value"] for node in heard if "description" in node]
    assert any("after epoch 3" in words for words in told)


def named(nodes: list[dict[str, Any]], *roles: str) -> list[str]:
    return [
        node["name"]["value"]
        for node in nodes
        if node["role"]["value"] in roles and node["name"]["value"]
    ]


def test_on_paper_it_is_light_and_shows_what_was_folded(
    page: Browser, addresses: dict[str, str]
) -> None:
    page.look(dark=True)
    page.open(addresses["en"])
    content = base64.b64decode(page.call("Page.printToPDF", printBackground=True)["data"])
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page\n") >= 3
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.call("Emulation.setEmulatedMedia", media="print", features=[dark])
    try:
        ground = page.ask("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)"
        assert page.ask("getComputedStyle(document.body).color") == "rgb(27, 27, 27)"
        cell = "document.querySelector('[popover]:not(.more)').getBoundingClientRect().height"
        assert page.ask(cell) > 100  # pictures behind the first cells are on paper
        assert page.ask("document.querySelector('nav').getBoundingClientRect().height") == 0
    finally:
        page.call("Emulation.setEmulatedMedia", media="screen")


def test_contents_and_skip_link_lead_somewhere(page: Browser, addresses: dict[str, str]) -> None:
    for address in addresses.values():
        page.open(address)
        links = "[...document.querySelectorAll('nav a, td a, th a, .skip')]"
        assert page.ask(f"{links}.every(a => document.getElementById(a.hash.slice(1)))")
    page.press("Tab")
    assert page.ask("document.activeElement.className") == "skip"
    page.press("Enter")
    page.until("document.activeElement.id === 'main'")
