"""What stands in run folders, whoever may be writing them just now.

A run may not have begun, may go on, and may be damaged: what can be read is given, what cannot is
said. Files are read again only where they have changed.
"""

from __future__ import annotations

import hashlib
import json
import math
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neocog import runtext
from neocog.errors import UsageError
from neocog.now import Now, gone, now_in
from neocog.records import Epoch

MOST = 500  # runs of a folder
LARGEST = 64 << 20  # bytes of a file that is read
SILENT = 120.0  # seconds: a process elsewhere that has said nothing for so long may be gone
FRESH = 0.25  # seconds: those who ask within them are given the same answer

# absent, running, silent, stopped, diverged, finished, damaged; unfinished: there is no word of it


@dataclass(frozen=True)
class Seen:
    """A run, as far as it can be read."""

    path: Path
    name: str
    state: str
    why: str | None = None
    network: str | None = None
    data: str | None = None
    recipe: str | None = None
    epochs: int | None = None  # that it will have
    history: tuple[Epoch, ...] = ()
    now: Now | None = None  # of an epoch that is not in the history
    changed: float = 0.0  # when it last said something, in seconds since 1970

    @property
    def key(self) -> str:
        return hashlib.blake2b(_bytes(self.path.absolute()), digest_size=4).hexdigest()

    @property
    def validating(self) -> bool:
        """Whether the last step of the epoch is done, and its validation not."""
        now = self.now
        return self.state == "running" and now is not None and 0 < now.steps == now.step

    @property
    def last(self) -> Epoch | None:
        return self.history[-1] if self.history else None

    def to_json(self) -> dict[str, Any]:
        """`loss`, `accuracy`: of the training pictures, in this epoch so far or in the last one."""
        now, last = self.now, self.last
        told = now if now is not None and now.loss is not None else None
        return {
            "path": str(self.path),
            "name": self.name,
            "state": self.state,
            "why": self.why,
            "network": self.network,
            "data": self.data,
            "recipe": self.recipe,
            "epoch": len(self.history) if now is None else now.epoch,
            "epochs": self.epochs,
            "step": now.step if now else None,
            "steps": now.steps or None if now else None,
            "validating": self.validating,
            "loss": told.loss if told else (last.train_loss if last else None),
            "accuracy": told.accuracy if told else (last.train_accuracy if last else None),
            "lr": told.lr if told else (last.lr if last else None),
            "images_per_second": told.images_per_second
            if told
            else (last.images_per_second if last else None),
            "seconds_left": now.seconds_left if now and self.state == "running" else None,
            "trail": now.trail if now else (),
            "history": [epoch.to_json() for epoch in self.history],
        }


@dataclass(frozen=True)
class Look:
    """All runs at one moment. Two looks at what is the same have the same version."""

    version: str
    runs: tuple[Seen, ...]

    def to_json(self) -> dict[str, Any]:
        return {"runs": [run.to_json() for run in self.runs]}


class Reader:
    """Looks at run folders, and at folders of them, again and again; from several threads too."""

    def __init__(self, paths: Sequence[Path]) -> None:
        for path in paths:
            try:
                other = path.exists() and not path.is_dir()
            except OSError as error:  # a name that is too long, or a folder that is closed to us
                raise UsageError(f"{path}: cannot be looked at: {error.strerror}") from None
            if other:
                raise UsageError(f"{path}: a file; name a run folder, or a folder of them")
        self.paths = list(dict.fromkeys(paths))
        self._known: dict[Path, tuple[tuple[int, ...], Any]] = {}
        self._used: dict[Path, tuple[tuple[int, ...], Any]] = {}
        self._lock, self._look, self._when = threading.Lock(), Look("", ()), -math.inf

    def look(self) -> Look:
        """What stands there now, or did a moment ago."""
        with self._lock:
            if time.monotonic() - self._when > FRESH:
                self._used = {}
                runs = _named([self._seen(path) for path in _folders(self.paths)])
                self._known = self._used
                self._look = Look(_version(runs, self._known), tuple(runs))
                self._when = time.monotonic()
            return self._look

    def _seen(self, path: Path) -> Seen:
        absent = Seen(path, path.name or str(path.absolute().name), "absent")
        about, why = self._of(path / "recipe.json", _about_in)
        if about is None:
            if why is None:
                return absent
            return replace(absent, state="damaged", why=f"recipe.json: {why}")
        about = dict(about)
        epochs, lost = self._of(path / "history.jsonl", _history_in)
        history, cut = epochs or ((), None)
        now, unread = self._of(path / "now.json", now_in)
        # while it is renamed over, a file of some systems cannot be opened for a moment
        said = [f"history.jsonl: {why}" for why in (lost, cut) if why]
        said += [f"now.json: {unread}"] if unread else []
        state, ended = self._state(path, now, last=about.pop("last"))
        total = about.pop("epochs")
        return Seen(
            path,
            absent.name,
            state,
            why="; ".join([*([ended] if ended else []), *said]) or None,
            epochs=now.epochs if now and now.epochs else total,
            history=history,
            now=now if now and state != "finished" and now.epoch >= len(history) else None,
            changed=max((_changed(path / name) for name in FILES), default=0.0),
            **about,
        )

    def _state(self, path: Path, now: Now | None, *, last: str) -> tuple[str, str | None]:
        """The state of a run, and what ended it."""
        if _signature(path / last):
            return "finished", None
        if now is None:
            return "unfinished", None
        if now.state != "running":
            return now.state, now.why
        ended = gone(now.process)
        if ended is None:
            quiet = time.time() - _changed(path / "now.json") > SILENT
            return ("silent" if quiet else "running"), None
        return ("stopped" if ended else "running"), None

    def _of(self, path: Path, understand: Callable[[Path], Any]) -> tuple[Any, str | None]:
        """What a file holds, or None and why; None twice where there is no file."""
        signature = _signature(path)
        if not signature:
            return None, None
        known = self._known.get(path)
        if known is None or known[0] != signature:
            known = signature, _understood(path, signature, understand)
        self._used[path] = known
        value: tuple[Any, str | None] = known[1]
        return value


FILES = ("recipe.json", "history.jsonl", "now.json")


def _understood(
    path: Path, signature: tuple[int, ...], understand: Callable[[Path], Any]
) -> tuple[Any, str | None]:
    if signature[0] > LARGEST:
        return None, f"{signature[0]:,} bytes, which is too much"
    try:
        return understand(path), None
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, error.strerror or "cannot be read"
    except Exception:  # whatever json and values of other kinds raise
        return None, "damaged, or not written by neocog"


def _about_in(path: Path) -> dict[str, Any]:
    """Of a recipe.json: names, epochs, and the file that is written last."""
    made, data = runtext.json_in(path), runtext.data_in(path)
    network, recipe = made["network"], made["recipe"]
    epochs = recipe["epochs"]
    if not (type(epochs) in (int, float) and 0 < epochs < 1e9):
        raise ValueError("no number of epochs")
    return {
        "network": str(network.get("name") or network["class"]),
        "data": data["name"],
        "recipe": str(recipe["name"]),
        "epochs": math.ceil(epochs),
        "last": "test.npz" if data["pictures"]["test"] else "validation.npz",
    }


def _history_in(path: Path) -> tuple[tuple[Epoch, ...], str | None]:
    """The epochs up to the first line that is none, and which that is."""
    epochs: list[Epoch] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            epochs.append(Epoch.from_json(json.loads(line)))
        except Exception:  # whatever json and values of other kinds raise
            return tuple(epochs), f"line {number} is damaged"
    return tuple(epochs), None


def _folders(paths: Sequence[Path]) -> list[Path]:
    """Run folders among them and in them, those in a folder in the order in which they began."""
    found: list[Path] = []
    for path in paths:
        within = [] if _signature(path / "recipe.json") else _within(path)
        found += within or [path]
    return list(dict.fromkeys(found))


def _within(path: Path) -> list[Path]:
    try:
        inside = [each for each in path.iterdir() if _signature(each / "recipe.json")]
    except OSError:
        return []
    began = {each: _changed(each / "recipe.json") for each in inside}
    return sorted(inside, key=lambda each: (began[each], each.name))[-MOST:]


def _named(runs: list[Seen]) -> list[Seen]:
    """The same, where two have one name, by their paths."""
    counts = Counter(run.name for run in runs)
    return [replace(run, name=str(run.path)) if counts[run.name] > 1 else run for run in runs]


def _version(runs: list[Seen], known: dict[Path, tuple[tuple[int, ...], Any]]) -> str:
    seen = hashlib.blake2b(digest_size=12)
    for run in runs:
        signatures = [known[run.path / name][0] for name in FILES if run.path / name in known]
        seen.update(_bytes(run.path) + repr((run.state, signatures)).encode())
    return seen.hexdigest()


def _signature(path: Path) -> tuple[int, ...]:
    """What changes when a file does; empty where there is no plain file."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a name with a zero in it
        return ()
    if not stat.S_ISREG(found.st_mode):
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _changed(path: Path) -> float:
    signature = _signature(path)
    return signature[1] / 1e9 if signature else 0.0


def _bytes(path: Path) -> bytes:
    return str(path).encode("utf-8", "surrogateescape")
