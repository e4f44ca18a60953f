"""What README and docs claim is held here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from benchmarks import table

from neocog.cli.parser import parser
from neocog.data.sources import canonical_name
from neocog.networks import find
from neocog.run import RunFolder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Every neocog command line that README and the front page of --help show."""
    from neocog.cli.parser import ABOUT

    found = re.findall(r"^ +(neocog [^\n]*?)(?:  .*)?$", README + ABOUT, re.MULTILINE)
    return [line.split("  ")[0].split("#")[0].strip() for line in found]


@pytest.mark.parametrize("line", commands())
def test_a_command_that_we_show_can_be_parsed_and_its_names_exist(line: str) -> None:
    options = parser().parse_args(shlex.split(line)[1:])
    if options.call == "train:train":
        find(options.network)
        if not options.data.endswith("/"):  # a folder of the reader's own
            canonical_name(options.data)
    if options.call == "nets:nets" and options.name:
        find(options.name)


def test_commands_were_found() -> None:
    assert len(commands()) > 10


def test_the_table_of_results_is_the_one_that_the_measurements_give() -> None:
    shown = README.split(table.BEGIN)[1].split(table.END)[0].strip()
    assert shown == table.table(table.newest()).strip()
    assert shown.count("\n") >= 2


def test_the_table_of_speed_is_the_one_that_the_benchmark_gave() -> None:
    shown = README.split(table.SPEED_BEGIN)[1].split(table.SPEED_END)[0].strip()
    assert shown == table.speed(table.fastest()).strip()


def test_the_picture_is_there() -> None:
    for path in re.findall(r"!\[[^]]+\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file()


def test_the_design_page_names_every_file_of_a_run(finished_run: Path) -> None:
    design = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    assert RunFolder.open(finished_run).finished
    for path in finished_run.iterdir():
        assert f"      {path.name} " in design


def test_no_file_outgrows_its_bound() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= (150 if path.parent.name == "networks" else 325), path
