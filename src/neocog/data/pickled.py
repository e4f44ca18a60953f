"""Read a pickle without executing it.

The official CIFAR batches in Python form are pickles, and unpickling a file runs whatever it says.
Here its opcodes (named by the standard library's `pickletools`) are interpreted with our own stack:
strings, numbers, lists, tuples and dicts are built, and the few calls by which numpy writes an
array are noted down as `Call`, never made. Everything else is refused.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neocog.data.reading import damaged

# One byte of a pickle can make an object of 60: so their number is bounded, not only the file.
# The largest official batch, CIFAR-100's 50,000 training pictures, has about 500,000.
MOST_OPCODES = 2_000_000

_GLOBALS = {
    **{f"numpy.{core}.multiarray _reconstruct": "array" for core in ("core", "_core")},
    **{f"numpy.{core}.numeric _frombuffer": "frombuffer" for core in ("core", "_core")},
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",  # how Python 3 writes bytes for Python 2
}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"),
    *("BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True, eq=False)
class Name:
    """An admitted global, by the part it plays."""

    role: str


@dataclass(eq=False)
class Call:
    """A call that the pickle asks for, and the state it would set: noted, never made."""

    role: str
    arguments: tuple[Any, ...]
    state: Any = None


class _RefusedError(Exception):
    pass


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []  # the stacks below each open MARK
        self.memo: dict[int, Any] = {}

    def step(self, name: str, given: Any) -> None:
        """Do one opcode."""
        if name in _LITERALS:
            self.stack.append(given)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self.stack.append(tuple(self.take(_TUPLES[name])))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[given] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[given])
        elif name not in ("PROTO", "FRAME", "STOP"):
            self.build(name, given)

    def build(self, name: str, given: Any) -> None:
        """Do one of the opcodes that make or fill a container, or ask for a call."""
        match name:
            case "MARK":
                self.marked.append(self.stack)
                self.stack = []
            case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_TUPLE":
                self.stack.append(_container(name.removeprefix("EMPTY_"), []))
            case "LIST" | "DICT" | "TUPLE":
                items = self.to_mark()  # first: it changes the stack
                self.stack.append(_container(name, items))
            case "APPEND" | "APPENDS":
                items = self.take(1) if name == "APPEND" else self.to_mark()
                _expect(self.stack[-1], list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self.take(2) if name == "SETITEM" else self.to_mark()
                _expect(self.stack[-1], dict).update(_dict(items))
            case "GLOBAL":
                self.stack.append(_global(given))
            case "STACK_GLOBAL":
                self.stack.append(_global(" ".join(map(str, self.take(2)))))
            case "REDUCE":
                callee, arguments = self.take(2)
                self.stack.append(Call(_expect(callee, Name).role, _expect(arguments, tuple)))
            case "BUILD":
                (state,) = self.take(1)
                _expect(self.stack[-1], Call).state = state
            case _:
                raise _RefusedError(f"the opcode {name}")

    def take(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise _RefusedError("an operation without its operands")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items


def _expect(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        raise _RefusedError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _container(kind: str, items: list[Any]) -> Any:
    if kind == "DICT":
        return _dict(items)
    return items if kind == "LIST" else tuple(items)


def _dict(items: list[Any]) -> dict[str, Any]:
    keys, values = items[::2], items[1::2]
    if len(keys) != len(values) or not all(isinstance(key, str | bytes) for key in keys):
        raise _RefusedError("a dict whose keys are not strings")
    texts = (key.decode("latin-1") if isinstance(key, bytes) else key for key in keys)
    return dict(zip(texts, values, strict=True))


def _global(given: str) -> Name:
    if given not in _GLOBALS:
        raise _RefusedError(f"a call of {given.replace(' ', '.')!r}, which was not run")
    return Name(_GLOBALS[given])


def read_pickle(data: bytes, where: str | Path) -> Any:
    """What the pickle builds: plain values, with numpy's arrays as `Call` (see `array_of`).

    Raises DataError, naming `where`, for an operation that a CIFAR batch does not need and for
    a pickle that is damaged.
    """
    machine = _Machine()
    try:
        for count, (opcode, given, _) in enumerate(pickletools.genops(io.BytesIO(data))):
            if count >= MOST_OPCODES:
                raise _RefusedError(f"more than {MOST_OPCODES:,} operations")
            machine.step(opcode.name, given)
        return machine.take(1)[0]
    except _RefusedError as refusal:
        raise damaged(
            where,
            f"a pickle with {refusal}",
            "only numbers, strings, lists, dicts and arrays",
            advice="This is no official file: do not trust it. Get it from its official site.",
        ) from None
    except Exception as error:  # pickletools answers damage with many kinds of exception
        raise damaged(
            where, f"a broken pickle ({error})", "a CIFAR batch in Python form"
        ) from error


def array_of(node: Any, where: str | Path) -> np.ndarray:
    """The uint8 array (any shape, C order) that `node`, a noted numpy call, stands for."""
    shape, kind, fortran, raw = _array_parts(node)
    raw = _raw_bytes(raw)
    if not (isinstance(kind, Call) and kind.role == "dtype" and kind.arguments[:1] == ("u1",)):
        raise damaged(where, "pictures of another type", "an array of uint8")
    plain = type(shape) is tuple and all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
    if raw is None or not plain or fortran not in (False, 0, "C"):
        raise damaged(where, "no plain array of pictures", "an array of uint8 in C order")
    count = 1
    for n in shape[:8]:
        count *= n
    if len(shape) > 8 or count != len(raw):
        raise damaged(where, f"{len(raw):,} bytes of pictures", f"an array {shape[:8]}")
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _array_parts(node: Any) -> tuple[Any, Any, Any, Any]:
    """(shape, dtype, Fortran order, bytes), all still unchecked."""
    if isinstance(node, Call):
        state = node.state
        if node.role == "array" and type(state) is tuple and len(state) == 5:
            return state[1], state[2], state[3], state[4]
        if node.role == "frombuffer" and len(node.arguments) == 4:
            raw, kind, shape, order = node.arguments
            return shape, kind, order, raw
    return None, None, None, None


def _raw_bytes(value: Any) -> bytes | None:
    if isinstance(value, Call) and value.role == "encode":
        value = value.arguments[0] if value.arguments[1:] == ("latin1",) else None
    if isinstance(value, str):  # a Python 2 string, which pickletools decodes as Latin-1
        try:
            return value.encode("latin-1")
        except UnicodeError:
            return None
    return bytes(value) if isinstance(value, bytes | bytearray) else None
