"""The house's one direction (docs/design.md): who may import whom, checked from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import neocog

SRC = Path(__file__).parents[1] / "src" / "neocog"

# package or module -> what it may import of neocog, beside itself and errors
MAY = {
    "errors": set(),
    "networks": set(),
    "compiled": set(),
    "data": {"compiled"},
    "recipe": set(),
    "recipes": {"recipe"},
    "records": set(),
    "engine": {"compiled", "data", "recipe", "records"},
    "runfiles": {"records", "runtext", "unpacked"},
    "runtext": {"records"},
    "locking": set(),
    "now": {"records"},
    "checkpoints": {"unpacked"},
    "unpacked": set(),
    "writing": set(),
    "run": {
        "networks",
        "data",
        "recipe",
        "records",
        "runfiles",
        "runtext",
        "checkpoints",
        "writing",
        "locking",
    },
    "live": {"now", "progress", "records", "run", "training"},
    "events": {"data", "live", "progress", "records", "training"},
    "watching": {"now", "records", "report", "runtext"},
    "saving": {"checkpoints", "records", "run", "room"},
    "aftermath": {"run", "checkpoints", "stopping"},
    "room": {"data", "engine", "recipe"},
    "analysis": {"networks", "data", "now", "recipe", "records", "run", "stopping"},
    "fitting": {"networks", "data", "recipe", "analysis"},
    "choosing": {"data", "recipe", "engine", "run"},
    "planning": {"networks", "data", "recipe", "engine", "fitting", "choosing", "room"},
    "training": {
        "aftermath",
        "room",
        "data",
        "recipe",
        "records",
        "engine",
        "run",
        "saving",
        "stopping",
        "environment",
        "fitting",
        "choosing",
        "planning",
        "rundata",
    },
    "rundata": {"data", "run"},
    "together": {"data", "engine", "checkpoints", "run", "rundata", "training"},
    "opened": {
        "data",
        "recipe",
        "recipes",
        "records",
        "run",
        "analysis",
        "report",
        "reporting",
        "understanding",
        "protocols",
        "evaluation",
    },
    "evaluation": {"engine", "records", "analysis", "run"},
    "otherdata": {"data", "run", "rundata", "asked"},
    "asking": {"data", "engine", "records", "fitting", "evaluation", "otherdata"},
    "protocols": {
        "asking",
        "choosing",
        "data",
        "engine",
        "records",
        "run",
        "rundata",
        "stopping",
        "evaluation",
        "otherdata",
    },
    "stopping": set(),
    "environment": {"data", "engine"},
    "verifying": {
        "networks",
        "data",
        "engine",
        "records",
        "run",
        "stopping",
        "choosing",
        "training",
        "rundata",
        "progress",
    },
    "announced": {"data", "engine", "recipes", "records", "training", "progress"},
    "asked": {"networks", "data", "recipe", "recipes"},
    "looking": {"data", "recipe", "planning", "report"},
    "understanding": {"data", "records", "run", "rundata", "analysis", "report"},
    "report": {"data", "records", "run", "analysis"},
    "reporting": {
        "data",
        "now",
        "stopping",
        "recipe",
        "recipes",
        "records",
        "run",
        "rundata",
        "runtext",
        "analysis",
        "report",
        "understanding",
        "unpacked",
        "watching",
        "writing",
    },
    "progress": {"records", "report"},
}
EVERYTHING_BUT_CLI = {"api", "bench"}
EVERYTHING = {"cli", "__init__", "__main__"}


def part(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Parts of neocog that a file imports anywhere in it, inside functions too."""
    package = ("neocog", *path.relative_to(SRC).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            whole = ".".join((*base, *((node.module or "").split(".") if node.module else ())))
            names = [f"{whole}.{alias.name}" for alias in node.names]
        for name in names:
            pieces = name.split(".")
            if pieces[0] == "neocog" and len(pieces) > 1 and not pieces[1].startswith("__"):
                found.add(pieces[1])
    return found


FILES = sorted(SRC.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_a_file_imports_only_what_its_part_may(path: Path) -> None:
    here, seen = part(path), imported(path)
    if here in EVERYTHING:
        return
    assert "cli" not in seen
    if here not in EVERYTHING_BUT_CLI:
        assert here in MAY, f"{here} is not in the table: add it there and to docs/design.md"
        assert seen <= MAY[here] | {here, "errors"}


def test_every_part_is_found() -> None:
    assert {part(path) for path in FILES} >= {"networks", "data", "engine", "cli", "run"}


def test_no_import_cycles_between_modules() -> None:
    graph: dict[str, set[str]] = {}
    names = {".".join(("neocog", *p.relative_to(SRC).with_suffix("").parts)): p for p in FILES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    for name, path in names.items():
        graph[name] = set()
        package = ("neocog", *path.relative_to(SRC).parent.parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                whole = ".".join((*base, *(node.module.split(".") if node.module else ())))
                for alias in node.names:
                    deep = f"{whole}.{alias.name}"
                    graph[name] |= {n for n in (deep if deep in names else whole,) if n in names}
        graph[name] -= {name, "neocog"}  # `from neocog import x` imports the module x
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("code", ["import neocog", "from neocog.cli.main import parser; parser()"])
def test_import_and_help_load_no_heavy_library(code: str) -> None:
    heavy = "{'torch', 'numpy', 'matplotlib', 'PIL', 'sklearn'}"
    check = f"import sys; {code}; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_documented_table_is_the_one_that_holds() -> None:
    lines = (SRC.parents[1] / "docs" / "design.md").read_text(encoding="utf-8").splitlines()
    said: dict[str, set[str]] = {}
    for line in lines[lines.index("| part | may import, beside errors |") + 2 :]:
        if not line.startswith("|"):
            break
        parts, others = (cell.strip() for cell in line.strip("|").split("|"))
        names = set() if others == "nothing of ours" else set(others.split(", "))
        said |= dict.fromkeys(parts.split(", "), names)
    assert {part: names for part, names in said.items() if part in MAY} == MAY
    assert set(said) - set(MAY) == {"api", "bench", "cli"}


def test_public_names_are_there() -> None:
    import neocog

    assert all(getattr(neocog, name) is not None for name in neocog.__all__)
    assert set(neocog.__all__) <= set(dir(neocog))
    with pytest.raises(AttributeError, match="nothing"):
        _ = neocog.nothing


@pytest.mark.usefixtures("kept_c")
def test_training_imports_no_compiler(tmp_path: Path) -> None:
    """torch._dynamo takes two seconds to import, and many an innocent call asks for it; sympy, by
    which torch compares shapes, half a second, scikit-learn and scipy.stats more than one.
    """
    code = (
        "import sys, neocog\n"
        "for name in ('lenet_relu', 'fast_mnist'):\n"
        f"    run = neocog.train(name, 'digits', epochs=1, out=f'{tmp_path}/{{name}}')\n"
        "    assert run.scores['test']\n"
        "slow = {'torch._dynamo', 'sympy', 'sklearn', 'scipy.stats'}\n"
        "print(sorted(slow & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.usefixtures("kept_c")
def test_who_draws_nothing_loads_nothing_to_draw_with_and_ends_at_once(tmp_path: Path) -> None:
    """matplotlib takes half a second to import; torch's objects as long to look through at exit."""
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    neocog.train("lenet_relu", "digits", epochs=1, out=tmp_path / "run")
    code = (
        "import atexit, gc, sys\n"
        "from neocog.cli.main import main\n"
        f"assert main(['predict', {str(tmp_path / 'run')!r}, {str(tmp_path / 'a.png')!r}]) == 0\n"
        "atexit._run_exitfuncs()\n"
        "print('matplotlib' in sys.modules, gc.get_freeze_count() > 100_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False True"
