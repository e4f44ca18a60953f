"""Sound bytes and values made unsound: what a disk, a network, a program or an enemy might do."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Sequence
from typing import Any

HUGE = (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64, 10**30)
ODD_NUMBERS = (*HUGE, 0, 1, -1, -(2**31), -(2**63), 0.5, 1e308, -0.0)
WORDS = ("", "\0", "a" * 5000, "../../../etc/passwd", "/etc/hostname", "\ud800", "é\u0301", "nan")
WORDS += ("{0..9}", "pipe:touch pwned", "%s%n", "null", "\n", " ", "__proto__", "1e999", "-1")
# as text only: what json.dumps would never write
TOKENS = ("NaN", "-Infinity", "1e999", "9" * 5000, "-0", "tru", "'a'", "[" * 3000, '{"a":' * 3000)
TOKENS += ("[" * 100_000, '"\\ud800"', '"\\u0000"', "//", "{}", "[]", '""', "[[[[[[[]]]]]]]")


def changed_bytes(content: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """One to a few accidents to some bytes."""
    made = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        _accident(made, chance, others)
    return bytes(made)


def _accident(made: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    end = len(made)
    # beginnings and ends hold the headers
    near = chance.choice((end, end, min(end, 64), min(end, 600)))
    at = chance.randrange(near) if near else 0
    if chance.random() < 0.2:
        at = max(end - 1 - at, 0)
    size = min(chance.choice((1, 2, 4, 8, 16, 100, 1000, 5000)), max(end - at, 0))
    kind = chance.randrange(9)
    if kind == 0 and end:
        made[at] ^= 1 << chance.randrange(8)
    elif kind == 1 and end:
        made[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    elif kind == 2:
        del made[at:]
    elif kind == 3:
        made[at : at + size] = bytes(size)
    elif kind == 4:
        made[at : at + size] = chance.randbytes(size)
    elif kind == 5:
        del made[at : at + size]
    elif kind == 6:
        made[at:at] = made[at : at + size] * chance.choice((1, 1, 50))
    elif kind == 7:
        number = chance.choice(HUGE[:8]) + chance.choice((-1, 0, 1))
        form = chance.choice(("<I", ">I", "<Q", ">Q", "<H", ">H"))
        most = 256 ** struct.calcsize(form)
        made[at : at + struct.calcsize(form)] = struct.pack(form, number % most)
    elif others:
        other = chance.choice(others)
        begin = chance.randrange(len(other)) if other else 0
        made[at : at + size] = other[begin : begin + size]


def changed_value(value: Any, chance: random.Random, odd: Sequence[Any] = ()) -> Any:
    """A tree of dicts and lists with one to a few of its values made others, moved or gone."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        path: list[tuple[Any, Any]] = []
        here = value
        while (
            isinstance(here, dict | list | tuple) and here and (not path or chance.random() < 0.8)
        ):
            key = chance.choice(list(here) if isinstance(here, dict) else range(len(here)))
            path.append((here, key))
            here = here[key]
        value = _replaced(path, here, chance, odd) if path else odd_value(chance, odd)
    return value


def _replaced(path: list[tuple[Any, Any]], here: Any, chance: random.Random, odd: Any) -> Any:
    """The whole, with what is at the end of a path made another."""
    holder, key = path[-1]
    kind = chance.randrange(7)
    if isinstance(holder, dict):
        new: Any = dict(holder)
        if kind == 0:
            del new[key]
        elif kind == 1:
            new[chance.choice((*WORDS, str(key) + "x", str(key).upper()))] = new.pop(key)
        elif kind == 2:
            new[chance.choice(list(new))] = here
        else:
            new[key] = odd_value(chance, odd, here)
    else:
        new = list(holder)
        if kind == 0:
            del new[key]
        elif kind == 1:
            new[key:key] = [here] * chance.choice((1, 3, 500))
        elif kind == 2:
            chance.shuffle(new)
        else:
            new[key] = odd_value(chance, odd, here)
        new = tuple(new) if isinstance(holder, tuple) else new
    for holder, key in reversed(path[:-1]):
        copy: Any = dict(holder) if isinstance(holder, dict) else list(holder)
        copy[key] = new
        new = tuple(copy) if isinstance(holder, tuple) else copy
    return new


def odd_value(chance: random.Random, odd: Sequence[Any] = (), here: Any = None) -> Any:
    kind = chance.randrange(8)
    if kind == 0 and odd:
        return chance.choice(odd)
    if kind <= 2:
        return chance.choice(ODD_NUMBERS)
    if kind == 3:
        return chance.choice(WORDS)
    if kind == 4:
        return chance.choice((None, True, False, [], {}, [[]], {"a": {}}, [None] * 3))
    if kind == 5:
        return _deep(chance.choice((3, 50, 900)), here, chance)
    if kind == 6:
        return chance.choice((str(here)[:500], [here], {"value": here}))
    near = here if isinstance(here, int) and not isinstance(here, bool) else 1
    return chance.choice((near + 1, near - 1, -near, near * 1000, float(near), float("nan")))


def _deep(depth: int, here: Any, chance: random.Random) -> Any:
    value = here
    for _ in range(depth):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def as_json(value: Any, chance: random.Random) -> bytes:
    """A value as JSON, now and then as no program would write it."""
    text = _dumped(value, chance.choice((None, 2)))
    kind = chance.randrange(12)
    if kind == 0:
        places = [i for i, letter in enumerate(text) if letter in ":[,"]
        at = chance.choice(places) + 1 if places else 0
        text = text[:at] + chance.choice(TOKENS) + text[at:]
    elif kind == 1 and isinstance(value, dict) and value:  # a key twice
        key = chance.choice(list(value))
        again = _dumped(odd_value(chance, here=value[key]))
        text = text.rstrip()[:-1] + f",{json.dumps(key)}:{again}}}"
    elif kind == 2:
        return text.encode(chance.choice(("utf-16", "utf-8-sig", "utf-32", "latin-1")), "replace")
    return text.encode("utf-8", "surrogatepass")


def _dumped(value: Any, indent: int | None = None) -> str:
    try:
        text = json.dumps(value)
        # what is deep would grow by its square
        return json.dumps(value, indent=indent) if indent and len(text) < 5000 else text
    except RecursionError:  # made deep twice over
        return "[" * 5000
