"""What a zip of ours holds, looked at before a library reads it: checkpoints and .npz are such.

Ours are not compressed, so a small file cannot become a large one; and of a pickle inside, every
call is known by name before any is made.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

MOST_OPERATIONS = 500_000  # of a pickle; a network of 1,000 tensors takes about 80,000
LARGEST_PICKLE = 256 << 20  # bytes; tensors lie beside it
# what torch.save writes of tensors and plain values
_CALLS = re.compile(
    r"torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)|collections OrderedDict"
    r"|torch (?!Untyped|Typed)\w+Storage|torch (Size|device|b?float\w+|u?int\d+|bool|complex\d+)"
    r"|(builtins|__builtin__) (set|complex)"
)
# opcodes that name a call in another way than GLOBAL, or make objects by a class
_OTHER_CALLS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}


def entries(path: Path | IO[bytes], size: int) -> list[zipfile.ZipInfo]:
    """The entries of a zip of `size` bytes. Raises `ValueError` where they would take more memory
    than the file takes of the disk.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeError) as error:
        raise ValueError(f"it is no whole archive: {error}") from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in found):
        raise ValueError("it is compressed, which neocog writes none")
    if sum(entry.file_size for entry in found) > size:
        raise ValueError("it would unpack to more than it is")
    if len({entry.filename for entry in found}) < len(found):
        raise ValueError("two of its entries have one name")
    return found


def check_pickle(path: Path, size: int) -> None:
    """`ValueError` for a file of torch.save that asks for anything but tensors and plain values;
    it names what it asks for.
    """
    found = entries(path, size)
    names = [entry.filename for entry in found if entry.filename.endswith("data.pkl")]
    if len(names) != 1:
        raise ValueError("it is no file of torch.save")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(names[0]).file_size > LARGEST_PICKLE:
                raise ValueError("its pickle is too large")
            content = archive.read(names[0])
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"it is no whole archive: {error}") from error
    for call in _calls(content):
        if not _CALLS.fullmatch(call):
            raise ValueError(
                f"a pickle with a call of {call.replace(' ', '.')!r}, which was not run"
            )


def _calls(content: bytes) -> Sequence[str]:
    calls = []
    for count, (opcode, given, _) in enumerate(pickletools.genops(content)):
        if count >= MOST_OPERATIONS:
            raise ValueError(f"a pickle of more than {MOST_OPERATIONS:,} operations")
        if opcode.name in _OTHER_CALLS:
            calls.append(f"{given or ''} by {opcode.name}".strip())
        elif opcode.name == "GLOBAL":
            calls.append(str(given))
    return calls
