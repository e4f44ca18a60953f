"""Checkpoints as bytes: what torch writes, and a digest of it at the end.

A file that was cut off, filled with zeros by a lost power supply or changed in any bit is known for
what it is. `torch.load(path, weights_only=True)` reads such a file as well: what follows a zip is
not looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from neocog.errors import NeocogError
from neocog.unpacked import check_pickle

MARK = b"\nneocog sha256 "
SEAL = len(MARK) + 64 + 1  # bytes: the mark, the digest in hexadecimal, a line end
AT_ONCE = 1 << 20  # bytes
PLAIN = {bool, int, float, complex, str, type(None), torch.dtype, torch.device, torch.Size}


def write(state: dict[str, Any], file: IO[bytes]) -> None:
    """A state of tensors and plain values, sealed. Raises `NeocogError` for any other: reading
    would refuse it.
    """
    _check_plain(state)
    sealed = _Sealed(file)
    torch.save(state, cast(IO[bytes], sealed))  # it asks for no more than these two
    file.write(MARK + sealed.digest.hexdigest().encode() + b"\n")


def read(path: Path) -> dict[str, Any]:
    """What `write` was given, on the processor. Raises `ValueError` for a file that is not as it
    was written; nothing of it is executed.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        rest = size - SEAL
        digest = hashlib.sha256()
        while rest > 0 and (chunk := file.read(min(rest, AT_ONCE))):
            digest.update(chunk)
            rest -= len(chunk)
        seal = file.read()
        if len(seal) != SEAL or not seal.startswith(MARK):
            raise ValueError("it has no seal: it is cut off, or was never written whole")
        if seal != MARK + digest.hexdigest().encode() + b"\n":
            raise ValueError("its content is not what was written: it does not fit its seal")
    check_pickle(path, size)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if type(state) is not dict:
        raise ValueError("it is no state of a run")
    return state


def newest(
    paths: Sequence[Path], tell: Callable[[str], None] | None = None
) -> tuple[dict[str, Any], Path]:
    """The first of the checkpoints that is as it was written, and which one it is; that one before
    it was not is told.

    Raises `NeocogError` where none is.
    """
    wrong = []
    for path in paths:
        try:
            state = read(path)
        except FileNotFoundError:
            wrong.append(f"{path}: missing")
        except ValueError as error:
            wrong.append(f"{path}: {error}")
        except Exception:  # torch raises many things, and would advise to load it unsafely
            wrong.append(f"{path}: damaged, or not written by neocog")
        else:
            if wrong and tell:
                tell(f"{wrong[0]}. Going on from the one before it, {path.name}: nothing is lost")
            return state, path
    raise NeocogError("; ".join(wrong) + ". There is nothing to go on from")


def copied(state: Any) -> Any:
    """A state that stays as it is while training goes on."""
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(copied(value) for value in state)
    return state


def _check_plain(state: Any) -> None:
    if isinstance(state, dict):
        for key, value in state.items():
            _check_plain(key)
            _check_plain(value)
    elif isinstance(state, list | tuple | set):
        for value in state:
            _check_plain(value)
    elif type(state) not in PLAIN and not isinstance(state, Tensor):
        raise NeocogError(
            f"a {type(state).__name__} is in what the network or its optimizer would save; a "
            "checkpoint holds tensors, numbers and texts, so that reading it runs nothing"
        )


class _Sealed:
    """A file that is digested while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()
