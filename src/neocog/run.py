"""The run folder: its only reader and writer. Everything after training reads nothing else.

recipe.json        network, data set and recipe: enough to repeat the run
input.json         InputSpec
environment.json   versions, hardware, command line, where the data came from
last.pt            all that changes while training; what resuming reads
before.pt          the same as it was saved before that, while the run is not finished
best.safetensors   the weights that are scored, with recipe and InputSpec in its metadata
history.jsonl      an epoch a line
history.csv        the same as a table
norms.jsonl        how large weights and gradients of each layer were, an epoch a line
now.json           where it stands within an epoch, while it trains; see now.py
validation.npz     logits and labels of the validation split, under those weights
test.npz           the same of the test split: written once, at the end
test.VIEWS.npz     the same by a protocol that was asked for later, with its facts
pictures.csv       of pictures in files: which are in which split, of which class
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, TypeVar

import filelock
from torch import Tensor, nn

from neocog import checkpoints, runfiles, runtext
from neocog.data import recorded
from neocog.data.recorded import Row
from neocog.data.spec import InputSpec
from neocog.errors import NeocogError, UsageError
from neocog.locking import check_unused, locked
from neocog.networks import Made, create
from neocog.recipe import Recipe
from neocog.records import Epoch, Norms, Predictions
from neocog.writing import first_free, replaced, sweep, written

T = TypeVar("T")
NOW = "now.json"
CHECKPOINTS = ("last.pt", "before.pt")  # in the order in which they are tried


class RunFolder:
    """One run on disk. Files are written aside, flushed and renamed: each is whole or absent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: filelock.BaseFileLock | None = None
        self._last_is_whole = True  # as far as this process has read or written it

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    # -- making one

    @classmethod
    def create(cls, out: Path | None, *, name: str, root: Path = Path("runs")) -> RunFolder:
        """A new, empty folder: `out` itself, or `root/name` with the first free suffix.

        Raises `UsageError` if `out` has something in it: a run is never written over another.
        """
        cls.check_unused(out)
        try:
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                return cls(out)
            root.mkdir(parents=True, exist_ok=True)
            return cls(first_free(root, name))
        except OSError as error:
            where = out or root
            raise NeocogError(
                f"{where}: the run folder cannot be made there: {error.strerror}. "
                "Name another with --out"
            ) from error

    @staticmethod
    def check_unused(out: str | Path | None) -> None:
        """`UsageError` if `out` is a folder with something in it, or no name at all."""
        if out is not None:
            check_unused(out)

    def write_start(
        self,
        recipe: Recipe,
        spec: InputSpec,
        *,
        network: Made | str,
        data: dict[str, Any],
        environment: dict[str, Any],
    ) -> None:
        """What is known before the first step. `network`: a str is the name of a foreign class."""
        made = {"class": network} if isinstance(network, str) else asdict(network)
        self._write_json("recipe.json", {"network": made, "data": data, "recipe": recipe.to_json()})
        self._write_json("input.json", spec.to_json())
        self._write_json("environment.json", environment)

    def write_recipe(self, recipe: Recipe) -> None:
        """Another recipe in the place of the run's."""
        about = self._read("recipe.json", runtext.json_in)
        self._write_json("recipe.json", {**about, "recipe": recipe.to_json()})

    def save_state(self, state: dict[str, Any]) -> None:
        """The checkpoint; the one before it stays until the next."""
        keep = "before.pt" if self._last_is_whole else None  # a damaged one replaces no whole one
        self.write("last.pt", lambda file: checkpoints.write(state, file), keep=keep)
        self._last_is_whole = True
        self.write_history(state)

    def write_history(self, state: dict[str, Any]) -> None:
        """The epochs that a state knows of, for people and plots."""
        epochs = state["history"]
        self.write("history.jsonl", lambda file: file.write(runtext.json_lines(epochs)))
        lines = runtext.json_lines(state.get("norms", [])[: len(epochs)])
        self.write("norms.jsonl", lambda file: file.write(lines))
        self.write("history.csv", lambda file: file.write(runtext.history_table(epochs)))

    def save_weights(self, weights: dict[str, Tensor], epoch: int) -> None:
        """The weights that would be scored, after that epoch; none shares its memory."""
        about = {
            "neocog": json.dumps({**self._read("recipe.json", runtext.json_in), "epoch": epoch}),
            "input": json.dumps(self.spec.to_json()),
        }
        content = runfiles.weights_bytes(weights, about)
        self.write("best.safetensors", lambda file: file.write(content))

    def write_predictions(
        self, split: str, said: Predictions, *, facts: dict[str, Any] | None = None
    ) -> None:
        """`facts`: how they were asked for, where that is not what the recipe says."""
        content = runfiles.predictions_bytes(said, facts)
        self.write(f"{split}.npz", lambda file: file.write(content))

    def write_now(self, text: str) -> None:
        """now.json: whole, and not flushed. Raises `OSError`."""
        replaced(self.path / NOW, text.encode())

    def remove_now(self) -> None:
        (self.path / NOW).unlink(missing_ok=True)

    def write_pictures(self, rows: list[Row]) -> None:
        content = recorded.to_csv(rows)
        self.write("pictures.csv", lambda file: file.write(content))

    def write(
        self, name: str, write: Callable[[IO[bytes]], object], *, keep: str | None = None
    ) -> None:
        """File `name`, whole or not at all; `NeocogError` where it cannot be written. What it was
        before stays as `keep`.
        """
        written(self.path / name, write, keep=None if keep is None else self.path / keep)

    # -- reading one

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run. Raises `UsageError` if there is none at `path`."""
        folder = cls(Path(path))
        try:
            if (folder.path / "recipe.json").is_file():
                return folder
            what = "no recipe.json in it" if folder.path.exists() else "there is no such folder"
        except OSError as error:
            what = str(error.strerror)
        raise UsageError(f"{path}: not a run folder: {what}")

    @property
    def recipe(self) -> Recipe:
        return self._read("recipe.json", lambda p: Recipe.from_json(runtext.json_in(p)["recipe"]))

    @property
    def spec(self) -> InputSpec:
        return self._read("input.json", lambda p: InputSpec.from_json(runtext.json_in(p)))

    @property
    def data(self) -> dict[str, Any]:
        """The data set: name, fingerprint, and how it was asked for."""
        return self._read("recipe.json", runtext.data_in)

    @property
    def made(self) -> dict[str, Any]:
        """How the network was made: the fields of `Made`, or {"class": ...} for a foreign one."""
        return self._read("recipe.json", runtext.made_in)

    @property
    def network_name(self) -> str:
        made = self.made
        return str(made.get("name") or made.get("class"))

    @property
    def history(self) -> list[Epoch]:
        if not (self.path / "history.jsonl").exists():
            return []
        return self._read("history.jsonl", runtext.history_in)

    @property
    def norms(self) -> list[Norms]:
        """Of weights and gradients after each epoch; none of a run of an earlier neocog."""
        if not (self.path / "norms.jsonl").exists():
            return []
        return self._read("norms.jsonl", runtext.norms_in)

    @property
    def pictures(self) -> list[Row]:
        """What `write_pictures` was given."""
        return self._read("pictures.csv", lambda p: recorded.from_csv(p.read_bytes()))

    @property
    def pictures_recorded(self) -> int:
        """When that was, in ns."""
        return self._read("pictures.csv", lambda path: path.stat().st_mtime_ns)

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, hardware, command line: on what the run was carried out, and how."""
        return self._read("environment.json", runtext.json_in)

    def write_environment(self, environment: dict[str, Any]) -> None:
        self._write_json("environment.json", environment)

    @property
    def finished(self) -> bool:
        """Whether the last thing was written: the test split, or, without one, validation."""
        last = "test" if self.data["pictures"]["test"] else "validation"
        return (self.path / f"{last}.npz").exists()

    @property
    def saved(self) -> bool:
        """Whether there is anything to go on from."""
        return any((self.path / name).exists() for name in CHECKPOINTS)

    def state(self, tell: Callable[[str], None] | None = None) -> dict[str, Any]:
        """What `save_state` was given last; where that is damaged, what it was given before, which
        is told.
        """
        if not self.saved:
            self._need("last.pt", "it was stopped before anything could be saved")
        state, path = checkpoints.newest([self.path / name for name in CHECKPOINTS], tell)
        self._last_is_whole = path.name == CHECKPOINTS[0]
        return state

    def finish(self) -> None:
        """All is written: the checkpoint before the last is not needed any more."""
        (self.path / CHECKPOINTS[1]).unlink(missing_ok=True)

    # -- one process at a time

    def hold(self) -> None:
        """Keep other processes from training in this folder, until `let_go` or the end of this
        one, however it ends. Raises `UsageError` if one does already.
        """
        self._lock = locked(self.path)
        if self._lock is not None:
            sweep(self.path)

    def let_go(self) -> None:
        if self._lock is not None:
            self._lock.release(force=True)
            self._lock = None  # the file stays: who removes it splits those who wait for it

    def new_network(self) -> nn.Sequential:
        """The run's network, as it was made, without its weights."""
        made = self.made
        if "class" in made:
            raise NeocogError(
                f"{self.path}: this run trained {made['class']}, a class that is not neocog's; "
                "load best.safetensors into it in Python"
            )
        return self._read(
            "recipe.json",
            lambda p: create(
                made["name"],
                num_classes=made["num_classes"],
                in_channels=made["in_channels"],
                seed=0,  # nobody's generator is disturbed for weights that will be replaced
            ),
        )

    def load_weights(self, network: nn.Module) -> None:
        """The weights that are scored, into `network`."""
        weights = self.weights()
        self._read("best.safetensors", lambda p: network.load_state_dict(weights))

    def weights(self) -> dict[str, Tensor]:
        """What `save_weights` was given; `NeocogError` where they are not as they were written."""
        why = "it was stopped before its first epoch ended, or somebody removed the file"
        self._need("best.safetensors", why)
        return self._read("best.safetensors", runfiles.weights_in)

    def predictions(self, split: str) -> Predictions | None:
        """What the network said of "test" or "validation"; None if that was not written."""
        if not (self.path / f"{split}.npz").exists():
            return None
        return self._read(f"{split}.npz", runfiles.predictions_in, quote=False)

    def facts(self, split: str) -> dict[str, Any]:
        """The facts that `write_predictions` was given with them; none are {}."""
        return self._read(f"{split}.npz", runfiles.facts_in, quote=False)

    # -- inside

    def _need(self, name: str, why: str) -> None:
        if not (self.path / name).exists():
            raise NeocogError(f"{self.path}: the run has no {name}: {why}")

    def _read(self, name: str, understand: Callable[[Path], T], *, quote: bool = True) -> T:
        """What `understand` makes of a file; whatever goes wrong in it is said of that file.

        With `quote` in the words of the library that failed.
        """
        path = self.path / name
        try:
            return understand(path)
        except FileNotFoundError:
            raise NeocogError(f"{path}: missing from this run folder") from None
        except Exception as error:  # json, numpy, torch and safetensors raise whatever they like
            first = (str(error).splitlines() or [""])[0] if quote else ""
            why = f": {first}" if first else ""
            raise NeocogError(f"{path}: damaged, or not written by neocog{why}") from error

    def _write_json(self, name: str, value: dict[str, Any]) -> None:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        self.write(name, lambda file: file.write(text.encode("utf-8", "surrogateescape")))
