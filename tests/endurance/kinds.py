"""The kinds of input that are fuzzed: how a case of each is made, and how it is read.

`make` puts one case into an empty folder; `read` reads it as neocog does, and ends with what was
promised: a sound answer, or an error of ours.
"""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import io
import json
import lzma
import os
import pickle
import random
import re
import shutil
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import Silent
from tests.data.shelf import JPEG, PNG
from tests.data.tiny_sets import arrays, cifar_bin, idx_images, idx_labels, python2_pickle
from tests.endurance.mutations import (
    WORDS,
    as_json,
    changed_bytes,
    changed_value,
    odd_value,
)
from tests.folders import flat_folder

from neocog import api, checkpoints, training
from neocog.analysis.scores import summary
from neocog.data import lists, places, shardindex
from neocog.data.catalogue import SOURCES
from neocog.data.dataset import Dataset
from neocog.data.filesplit import FileSplit
from neocog.data.formats import Arrays
from neocog.data.listing import listed
from neocog.data.loading import load, load_folder
from neocog.data.packing import pack
from neocog.data.skips import read_skip_list
from neocog.data.spec import InputSpec
from neocog.errors import DataError
from neocog.run import RunFolder

SPEC = InputSpec(("a", "b"), 3, (8, 8), 8, "resize", (0.5,) * 3, (0.3,) * 3)
Files = dict[str, bytes]


class Evil:
    """A pickle of it runs a program: the file that it leaves is looked for."""

    def __reduce__(self) -> object:
        return os.system, ("touch pwned",)


@dataclass
class Seeds:
    """What sound files of each kind hold, made once."""

    run: Files  # of a finished run on digits
    half: Files  # of one that was stopped
    photos: Files  # of one on a folder of pictures
    states: list[dict[str, Any]]
    folder: Path  # of pictures
    shards: dict[str, Files]
    bombs: dict[str, bytes]

    @functools.cached_property
    def digits(self) -> Dataset:
        return load("digits", validation=0.1, seed=0)


def seeds(root: Path) -> Seeds:
    quiet: dict[str, Any] = {"tell": _nobody, "watcher": Silent()}
    changes = {"epochs": 1, "batch_size": 512, "momentum": 0.9, "average": "lookahead"}
    api.train("lenet_relu", "digits", recipe="quick", changes=changes, out=root / "run", **quiet)
    folder = flat_folder(root / "pictures", 4)
    changes = {"epochs": 1, "batch_size": 8}
    api.train(
        "lenet_relu", str(folder), recipe="quick", changes=changes, out=root / "photos", **quiet
    )
    run = _files(root / "run")
    scores = ("test.npz", "validation.npz")
    half = {name: content for name, content in run.items() if name not in scores}
    made = {"photos": _files(root / "photos"), "half": half}
    set_of = load_folder(folder, cache_size=0)
    pack(set_of, root / "packed", shard_size=6000)
    packed = _files(root / "packed")
    return Seeds(
        run,
        half,
        {name: content for name, content in made["photos"].items() if name not in scores},
        [checkpoints.read(root / name / "last.pt") for name in ("run", "photos")],
        folder,
        {"packed": packed, **_shards()},
        _bombs(),
    )


def _files(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _bombs() -> dict[str, bytes]:
    """A gigabyte of zeros in each kind of packing."""
    block = bytes(1 << 24)
    made = {}
    for name, packer in (("gz", gzip.GzipFile), ("bz2", bz2.BZ2File), ("xz", lzma.LZMAFile)):
        stream = io.BytesIO()
        options: dict[str, Any] = {"gz": {"fileobj": stream}}.get(name, {"filename": stream})
        level = {"xz": {"preset": 0}, "gz": {"compresslevel": 1}}.get(name, {})
        with packer(mode="wb", **options, **level) as file:
            for _ in range(64):
                file.write(block)
        made[name] = stream.getvalue()
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as file:
        info = tarfile.TarInfo("a/1.png")
        info.size = 1 << 30
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(block)
        file.write(bytes(1024))
    made["tar.gz"] = stream.getvalue()
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as file:
        info = tarfile.TarInfo("a/1.png")
        info.size, info.type = 1 << 30, tarfile.GNUTYPE_LONGNAME
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(64):
            file.write(block)
    made["longname.tar.gz"] = stream.getvalue()
    return made


# -- runs: checkpoint, weights, JSON, npz


def make_checkpoint(seeds: Seeds, folder: Path, chance: random.Random) -> None:
    which = chance.randrange(2)
    _put(folder, (seeds.half, seeds.photos)[which])
    path, kind = folder / "last.pt", chance.randrange(10)
    content = path.read_bytes()
    if chance.random() < 0.9:
        (folder / "before.pt").unlink(missing_ok=True)
    elif chance.random() < 0.5:
        (folder / "before.pt").write_bytes(changed_bytes(content, chance))
    if kind == 0:
        path.write_bytes(changed_bytes(content, chance))
    elif kind <= 2:
        path.write_bytes(_sealed(changed_bytes(content[: -checkpoints.SEAL], chance)))
    elif kind <= 5:
        odd = (Evil(), Fraction(1, 3), torch.zeros(3), torch.zeros(10_000, 10_000, device="meta"))
        odd += (OrderedDict(a=1), {1, 2}, 3j, b"bytes", torch.zeros(()), torch.full((), torch.nan))
        odd += (torch.zeros(2, dtype=torch.float64), torch.zeros(1).expand(10**10), range(9))
        odd += (torch.zeros(3).to_sparse(), np.float64(2), np.zeros(3), torch.float32)
        stream = io.BytesIO()
        with contextlib.suppress(Exception):  # what cannot even be written
            torch.save(changed_value(seeds.states[which], chance, odd), stream)
        path.write_bytes(_sealed(stream.getvalue()))
    elif kind <= 7:
        path.write_bytes(_sealed(_other_pickle(content, chance)))
    else:
        path.write_bytes(_sealed(_other_zip(content[: -checkpoints.SEAL], chance)))


def _sealed(content: bytes) -> bytes:
    import hashlib

    return content + checkpoints.MARK + hashlib.sha256(content).hexdigest().encode() + b"\n"


PICKLES = (
    pickle.dumps(Evil(), 2),
    pickle.dumps({"network": Evil()}, 4),
    b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x01\x85R.",
    b"\x80\x02ctorch\nFloatTensor\n\x8a\x05\0\0\0\0\x01\x85\x81.",
    b"\x80\x02ctorch\nUntypedStorage\n\x8a\x05\0\0\0\0\x01\x85R.",
    b"\x80\x02ctorch\nTensor\n\x8a\x05\0\0\0\0\x01\x85R.",
    b"\x80\x02ccollections\nCounter\nU\x03abc\x85R.",
    b"\x80\x02" + b"]" * 1000 + b"a" * 999 + b".",
    b"\x80\x02]" + b"\x85" * 3000 + b".",
    b"\x80\x02}q\0" + b"(h\0h\0u" * 1000 + b".",
    b"\x80\x02cos\nsystem\n(U\x0btouch pwnedtR.",
    b"(S'touch pwned'\nios\nsystem\n.",
    b"c__builtin__\neval\n(S'open(\"pwned\",\"w\")'\ntR.",
    b"\x80\x02.", b"\x80\x02N.", b"\x80\x02}.", b".", b"", b"\x80\xff}.",
    b"\x80\x02X\xff\xff\xff\x7fa.",
)  # fmt: skip


def _other_pickle(content: bytes, chance: random.Random) -> bytes:
    """A checkpoint whose pickle was replaced, or damaged."""
    before = zipfile.ZipFile(io.BytesIO(content))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for info in before.infolist():
            held = before.read(info)
            if info.filename.endswith("/data.pkl"):
                held = chance.choice(PICKLES) if chance.random() < 0.4 else _in_pickle(held, chance)
                if chance.random() < 0.005:
                    held = b"\x80\x02" + chance.choice((b"]", b"]\x85", b"}")) * 10**6 + b"."
            made.writestr(info.filename, held)
    return stream.getvalue()


def _in_pickle(held: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return changed_bytes(held, chance, PICKLES)
    names = (b"torch._utils\n_rebuild_tensor_v2", b"torch\nFloatStorage", b"storage", b"cpu")
    names += (b"collections\nOrderedDict", b"network", b"lr", b"history", b"momentum_buffer")
    others = (
        b"os\nsystem",
        b"torch\nLongStorage",
        b"torch\nComplexDoubleStorage",
        b"builtins\nset",
    )
    others += (b"torch._utils\n_rebuild_sparse_tensor", b"torch\nDoubleStorage", b"cuda:0", b"meta")
    others += (b"torch._utils\n_rebuild_meta_tensor_no_storage", b"torch\nUntypedStorage", b"epoch")
    others += (b"torch._utils\n_rebuild_wrapper_subclass", b"builtins\nbytearray", b"torch\nSize")
    return held.replace(chance.choice(names), chance.choice(others), chance.choice((1, 3, -1)))


def _other_zip(content: bytes, chance: random.Random) -> bytes:
    """A zip with the same entries, but not quite."""
    before = zipfile.ZipFile(io.BytesIO(content))
    stream = io.BytesIO()
    entries = before.infolist()
    kind = chance.randrange(6)
    with zipfile.ZipFile(stream, "w") as made:
        for info in entries:
            name, held = info.filename, before.read(info)
            packing = zipfile.ZIP_STORED
            if chance.random() < 0.2:
                if kind == 0:
                    packing = zipfile.ZIP_DEFLATED
                elif kind == 1:
                    continue
                elif kind == 2:
                    held = chance.choice((held * 2, held[:-1], b"", held + b"\0" * 100))
                elif kind == 3:
                    name = chance.choice((name + "x", "../" + name, "/" + name, name[1:], "x"))
                elif kind == 4:
                    held, packing = bytes(10**4), zipfile.ZIP_DEFLATED
                    if chance.random() < 0.005:
                        held = bytes(10**8)
                else:
                    made.writestr(name, held)
            with _no_warnings():
                made.writestr(name, held, packing, compresslevel=1)
    return stream.getvalue()


def read_checkpoint(seeds: Seeds, folder: Path) -> None:
    run = RunFolder.open(folder)
    dataset = seeds.digits if run.data["name"] == "digits" else None
    try:
        job = training.resume(
            run, dataset=dataset, from_dir=None if dataset else seeds.folder, cache_size=0,
            tell=_nobody,
        )  # fmt: skip
        assert job.training.done(job.recipe, 100) >= 0
        assert all(np.isfinite(epoch.seconds) for epoch in job.training.history)
    finally:
        run.let_go()


def make_weights(seeds: Seeds, folder: Path, chance: random.Random) -> None:
    _put(folder, seeds.run)
    path, kind = folder / "best.safetensors", chance.randrange(4)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    head, rest = content[8 : 8 + size], content[8 + size :]
    if kind == 0:
        content = changed_bytes(content, chance)
    elif kind == 1:
        number = chance.choice((0, 1, size - 1, size + 1, 2**31, 2**40, 2**62, 2**64 - 1, 10**8))
        content = struct.pack("<Q", number) + content[8:]
    elif kind == 2:
        head = changed_bytes(head, chance)
        content = struct.pack("<Q", len(head)) + head + rest
    else:
        odd = ("F64", "F16", "BF16", "I64", "BOOL", "U8", "F8_E4M3", "C64", [2**40, 2**40])
        odd += ([0, 0], [10, 5], [0, 2**63], [-1, 4], [3, 3, 3], [], [[1]])
        head = as_json(changed_value(json.loads(head), chance, odd), chance)
        content = struct.pack("<Q", len(head)) + head + rest
    path.write_bytes(content)


def read_weights(seeds: Seeds, folder: Path) -> None:
    run = RunFolder.open(folder)
    network = run.new_network()
    run.load_weights(network)
    assert all(tensor.isfinite().all() or True for tensor in network.state_dict().values())


def make_json(seeds: Seeds, folder: Path, chance: random.Random) -> None:
    kind = chance.randrange(12)
    if kind == 0:  # the index of shards
        _put(folder / "shards", seeds.shards["packed"])
        path = folder / "shards" / shardindex.NAME
    else:
        _put(folder, chance.choice((seeds.run, seeds.half, seeds.photos)))
        names = ["recipe.json", "input.json", "environment.json", "history.jsonl", "norms.jsonl"]
        name = "recipe.json" if kind <= 4 else chance.choice(names)
        if kind == 11 and (folder / "pictures.csv").exists():
            name = "pictures.csv"
        path = folder / name
    content = path.read_bytes()
    if path.suffix == ".csv" or chance.random() < 0.3:
        path.write_bytes(changed_bytes(content, chance, [b'"', b"[[[[{{{{", b"1e999", b"\\ud800"]))
    elif path.suffix == ".jsonl":
        rows = [json.loads(row) for row in content.splitlines()]
        rows = changed_value(rows, chance)
        rows = rows if isinstance(rows, list) else [rows]
        path.write_bytes(b"\n".join(as_json(row, chance) for row in rows) + b"\n")
    else:
        odd = ("lenet5", "nin", "pipe:touch pwned", "shards", "plateau")
        odd += ("lookahead", "muon", "diagonal-lm", "six", "https://127.0.0.1:9/x.tar", 10**7)
        path.write_bytes(as_json(changed_value(json.loads(content), chance, odd), chance))


def read_json(seeds: Seeds, folder: Path) -> None:
    if (folder / "shards").is_dir():
        return read_tar(seeds, folder)
    run = RunFolder.open(folder)
    assert 0 < run.recipe.lr < 1e7
    assert all(isinstance(name, str) for name in run.spec.classes)
    assert isinstance(run.network_name, str)
    assert isinstance(run.data["name"], str)
    assert isinstance(run.environment, dict)
    for epoch in run.history:
        assert isinstance(epoch.train_loss, float | int)
    assert all(isinstance(norms.weights, dict) for norms in run.norms)
    if run.finished:
        summary(run)
        run.load_weights(run.new_network())
        return None
    read_checkpoint(seeds, folder)
    return None


def make_npz(seeds: Seeds, folder: Path, chance: random.Random) -> None:
    _put(folder, seeds.run)
    path = folder / chance.choice(("test.npz", "validation.npz"))
    content, kind = path.read_bytes(), chance.randrange(6)
    before = zipfile.ZipFile(io.BytesIO(content))
    held = {info.filename: before.read(info) for info in before.infolist()}
    name = chance.choice(list(held))
    if kind == 0:
        path.write_bytes(changed_bytes(content, chance))
        return
    if kind == 1:
        held[name] = changed_bytes(held[name], chance)
    elif kind == 2:
        held[name] = _npy(chance)
    elif kind == 3:
        stream = io.BytesIO()
        said = [np.load(io.BytesIO(each)) for each in held.values()]
        np.savez(stream, **_odd_arrays(said, chance))
        path.write_bytes(stream.getvalue())
        return
    elif kind == 4:
        path.write_bytes(_other_zip(content, chance))
        return
    else:
        header = _npy_header("<f4", chance.choice(((10**9, 10), (2**28, 1), (10**5, 100))))
        size = chance.choice((10**4, 10**6, 5 * 10**7 if chance.random() < 0.05 else 10))
        held[name] = header + bytes(size)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", chance.choice((0, zipfile.ZIP_DEFLATED))) as made:
        for each, value in held.items():
            made.writestr(each, value, compresslevel=1)
    path.write_bytes(stream.getvalue())


def _odd_arrays(said: list[np.ndarray], chance: random.Random) -> dict[str, Any]:
    made: list[Any] = list(said)
    at = chance.randrange(len(made))
    other = made[at]
    made[at] = chance.choice(
        (
            other[:-1], other[..., None], other.astype(np.float64), other.astype(object),
            other.astype("U4"), np.full_like(other, -1), other[:0], np.array(Evil(), dtype=object),
            np.array([Evil()], dtype=object), np.asfortranarray(other), other.astype(">f4"),
            np.where(other > 0, np.nan, other).astype(np.float32), np.zeros((0, 10), np.float32),
        )
    )  # fmt: skip
    names = chance.choice((["logits", "labels"], ["labels", "logits"], ["logits", "x"]))
    return dict(zip(names, made, strict=False))


def _npy_header(kind: str, shape: Any) -> bytes:
    text = repr({"descr": kind, "fortran_order": False, "shape": shape})
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


def _npy(chance: random.Random) -> bytes:
    kinds = ("<f4", "|O", "<i8", "<U100000000", "V8", "<f4, <i8", "not", ">f4", "<M8[ns]", "f99999")
    shapes = ((10, 10), (2**40,), (2**62, 2), (-1, 10), (0, 10), (10,) * 40, "x", (1.5,), ())
    made = _npy_header(chance.choice(kinds), chance.choice(shapes)) + chance.randbytes(400)
    tricks = (b"cos\nsystem\n(S'touch pwned'\ntR.", pickle.dumps(Evil()), b"\x93NUMPY\x09\x00")
    return chance.choice((made, changed_bytes(made, chance), chance.choice(tricks)))


def read_npz(seeds: Seeds, folder: Path) -> None:
    run = RunFolder.open(folder)
    for name in ("test", "validation"):
        said = run.predictions(name)
        assert said is not None
        assert len(said.logits) == len(said.labels)
    summary(run)


# -- data sets: IDX and CIFAR


def make_idx(seeds: Seeds, folder: Path, chance: random.Random) -> None:
    parts = [arrays(count, 1, 4, 3, seed=count, classes=10) for count in (6, 4)]
    names = SOURCES["mnist"].layouts[0]
    held = [write(part) for part in parts for write in (idx_images, idx_labels)]
    at = chance.randrange(4)
    if chance.random() < 0.25:
        numbers = [chance.choice((0x801, 0x803, 0x0D03, 0, 6, 4, 3, 2**31, 2**32 - 1, 2**16))
                   for _ in range(4)]  # fmt: skip
        held[at] = struct.pack(">4I", *numbers) + held[at][16:]
    else:
        held[at] = changed_bytes(held[at], chance, held)
    for number, (name, content) in enumerate(zip((*names.train, *names.test), held, strict=True)):
        if chance.random() < 0.3:
            packed = gzip.compress(content, 1, mtime=0)
            if number == at and chance.random() < 0.5:
                packed = changed_bytes(packed, chance)
            (folder / f"{name}.gz").write_bytes(packed)
        else:
            (folder / name).write_bytes(content)
    if chance.random() < 0.002:
        (folder / names.train[0]).write_bytes(seeds.bombs["gz"])


def read_idx(seeds: Seeds, folder: Path) -> None:
    _read_set("mnist", folder)


def _read_set(name: str, folder: Path) -> None:
    source = SOURCES[name]
    every = places.find(source, folder)
    if not every:
        raise DataError(places.missing(source, folder))
    for found in every:
        for part in places.read(source, found):
            assert isinstance(part, Arrays)
            assert part.labels.max() < len(source.classes)
        with pytest.raises(DataError, match=re.escape(str(folder))):  # these are not the official
            places.check(source, places.read(source, found), found)


def make_cifar(seeds: Seeds, folder: Path, chance: random.Random) -> None:
    name = chance.choice(("cifar10", "cifar100"))
    layout = chance.choice(SOURCES[name].layouts)
    classes = len(SOURCES[name].classes)
    held: Files = {}
    for number, file in enumerate((*layout.train, *layout.test)):
        part = arrays(2, 3, 32, 32, seed=number, classes=classes)
        if layout.kind == "cifar-bin":
            held[file] = cifar_bin(part, coarse=classes == 100)
        else:
            held[file] = _batch(part, "labels" if classes == 10 else "fine_labels", chance)
    file = chance.choice(list(held))
    if layout.kind == "cifar-pickle" and chance.random() < 0.3:
        held[file] = _odd_batch(held[file], chance)
    else:
        held[file] = changed_bytes(held[file], chance, PICKLES)
    below = layout.folders[0]
    if chance.random() < 0.3:  # as the archive that people download
        content = _archive({f"{below}/{each}": value for each, value in held.items()}, chance)
        if chance.random() < 0.4:
            content = changed_bytes(content, chance)
        content = gzip.compress(content, 1)
        if chance.random() < 0.3:
            content = changed_bytes(content, chance)
        if chance.random() < 0.003:
            content = seeds.bombs[chance.choice(("tar.gz", "longname.tar.gz", "gz"))]
        (folder / str(layout.archive)).write_bytes(content)
    else:
        _put(folder / below, held)
    (folder / "name").write_text(name, encoding="utf-8")


def _batch(part: Arrays, key: str, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return python2_pickle(part, key=key)
    images = part.images.reshape(len(part), -1)
    return pickle.dumps({"data": images, key: part.labels.tolist()}, chance.randrange(6))


def _odd_batch(held: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return chance.choice(PICKLES)
    value = pickle.loads(held, encoding="bytes")
    odd = (Evil(), np.zeros((2, 3072), np.uint8), np.zeros((2, 3072)), np.zeros((2**9, 3072), bool))
    odd += (np.array([Evil()], dtype=object), Fraction(1, 3), {1, 2}, bytearray(5), np.uint8(3))
    try:
        return pickle.dumps(changed_value(value, chance, odd), chance.randrange(6))
    except RecursionError:  # too deep to be written
        return b""


def read_cifar(seeds: Seeds, folder: Path) -> None:
    _read_set((folder / "name").read_text(encoding="utf-8"), folder)


# -- archives and lists of pictures


def _shards() -> dict[str, Files]:
    made: dict[str, Files] = {}
    for name, form in (("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT),
                       ("pax", tarfile.PAX_FORMAT)):  # fmt: skip
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=form) as tar:
            for number in range(6):
                _add(tar, f"{'ab'[number % 2]}/{number}.png", PNG if number % 3 else JPEG)
                _add(tar, f"{'ab'[number % 2]}/{number}.cls", b"%d" % (number % 2))
            if form != tarfile.USTAR_FORMAT:
                _add(tar, "a/" + "é" * 120 + ".jpg", JPEG)
        made[name] = {"train-0.tar": content.getvalue()}
    return made


def _add(tar: tarfile.TarFile, name: str, content: bytes, **facts: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for fact, value in facts.items():
        setattr(info, fact, value)
    tar.addfile(info, io.BytesIO(content))


def _archive(files: Files, chance: random.Random) -> bytes:
    """A tar of files, among which may be some that no picture archive should have."""
    content = io.BytesIO()
    form = chance.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=content, mode="w", format=form) as tar:
        for name, held in files.items():
            if chance.random() < 0.15:
                types = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
                types += (tarfile.FIFOTYPE, tarfile.DIRTYPE)
                odd = chance.choice(("../../x.png", "/tmp/x.png", name, "a/../b.png", "x" * 300))
                facts = {"type": chance.choice(types), "linkname": "/etc/passwd", "size": 0}
                _add(tar, odd, b"", **facts)
            _add(tar, name, held)
    return content.getvalue()


def make_tar(seeds: Seeds, folder: Path, chance: random.Random) -> None:
    which = chance.choice(list(seeds.shards))
    held = dict(seeds.shards[which])
    if chance.random() < 0.3:
        held.pop(shardindex.NAME, None)
    if chance.random() < 0.2:
        files = {f"{'ab'[n % 2]}/{n}.{chance.choice(('png', 'json', 'jpg'))}": PNG
                 for n in range(8)}  # fmt: skip
        files = {n: as_json(odd_value(chance), chance) if n.endswith("json") else held_
                 for n, held_ in files.items()}  # fmt: skip
        held = {"train-0.tar": _archive(files, chance)}
    name = chance.choice([each for each in held if each.endswith(".tar")])
    content = held.pop(name)
    if chance.random() < 0.5:
        content = changed_bytes(content, chance)
    elif chance.random() < 0.6:
        content = _other_header(content, chance)
    if chance.random() < 0.3:
        kind = chance.choice(("gz", "bz2", "xz"))
        pack_ = {"gz": lambda c: gzip.compress(c, 1), "bz2": bz2.compress,
                 "xz": lambda c: lzma.compress(c, preset=0)}[kind]  # fmt: skip
        content = pack_(content)
        if chance.random() < 0.5:
            content = changed_bytes(content, chance)
        if chance.random() < 0.01:
            content = seeds.bombs[chance.choice(list(seeds.bombs))]
        name = name + chance.choice((".gz", ""))
    held[name] = content
    _put(folder / "shards", held)


def _other_header(content: bytes, chance: random.Random) -> bytes:
    """A header with another field, and a checksum that fits it."""
    made = bytearray(content)
    blocks = [at for at in range(0, len(made), 512) if made[at + 257 : at + 262] == b"ustar"]
    at = chance.choice(blocks)
    fields = {"name": (0, 100), "mode": (100, 8), "size": (124, 12), "mtime": (136, 12)}
    fields |= {"type": (156, 1), "link": (157, 100), "device": (329, 16), "prefix": (345, 155)}
    begin, size = fields[chance.choice(list(fields))]
    numbers = (b"77777777777\0", b"\x80" + b"\0" * 4 + b"\xff" * 7, b"\xff" * 12, b"-1", b"9" * 12)
    values = (*numbers, b"../../../x.png", b"/etc/passwd", b"\0" * size, chance.randbytes(size),
              *(bytes([each]) for each in b"01234567SLKxgDMNV\xff"))  # fmt: skip
    made[at + begin : at + begin + size] = chance.choice(values)[:size].ljust(size, b"\0")
    made[at + 148 : at + 156] = b" " * 8
    made[at + 148 : at + 156] = b"%06o\0 " % sum(made[at : at + 512])
    return bytes(made)


def read_tar(seeds: Seeds, folder: Path) -> None:
    dataset = load_folder(folder / "shards", cache_size=0, tell=_nobody)
    for split in dataset.splits.values():
        if isinstance(split, FileSplit) and len(split):
            for begin in range(0, min(len(split), 64), 32):
                made, labels = split.in_order(slice(begin, begin + 32), SPEC)
                assert made.dtype == torch.uint8
                assert len(made) == len(labels)
            if split.stream:
                split.stream.close()


ROWS = [("a/1.png", "cat"), ("b/2.png", "dog"), ("a/3.png", "cat"), ("b/4.png", "dog"),
        ("a/5.png", "cat"), ("b/ 6.png", "dog")]  # fmt: skip
PATHS = ("../outside.png", "/etc/hostname", "a/../../outside.png", "out/outside.png", "link.png",
         "..\\outside.png", "a\\1.png", "", ".", "a", "//etc/hostname", "~/x.png", "a/1.png\0",
         "file:///etc/passwd", "a/" * 2000 + "1.png")  # fmt: skip


def make_list(seeds: Seeds, folder: Path, chance: random.Random) -> None:
    root = folder / "root"
    for path, _ in ROWS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(PNG)
    (folder / "outside.png").write_bytes(PNG)
    (root / "out").symlink_to("..")
    (root / "link.png").symlink_to(folder / "outside.png")
    rows: list[list[str]] = [list(row) for row in ROWS]
    for _ in range(chance.choice((0, 0, 1, 2))):
        row = chance.choice(rows)
        row[chance.randrange(2)] = str(chance.choice((*PATHS, *WORDS, chance.random())))
    suffix = chance.choice(lists.SUFFIXES)
    names = ("labels", "metadata", "train", "x", "skip")
    content = _as_list(rows, suffix, chance)
    if chance.random() < 0.6:
        content = changed_bytes(content, chance, [b'"', b",\t;|", b"\0", b"\xff\xfe", b"../" * 9])
    (root / f"{chance.choice(names)}{suffix}").write_bytes(content)
    if chance.random() < 0.2:
        (root / f"val{suffix}").write_bytes(_as_list(rows[:2], suffix, chance))
    if chance.random() < 0.1:
        (root / "classes.txt").write_bytes(changed_bytes(b"cat\ndog\nfox\n", chance))


def _as_list(rows: list[list[str]], suffix: str, chance: random.Random) -> bytes:
    head = ["filename", "label"]
    if suffix == ".jsonl":
        values = [dict(zip(("file_name", "label"), row, strict=False)) for row in rows]
        if chance.random() < 0.3:
            values = [changed_value(value, chance) for value in values]
        return b"\n".join(as_json(value, chance) for value in values)
    between = {".csv": chance.choice(",;|\t"), ".tsv": "\t"}.get(suffix, chance.choice(" \t"))
    lines = [between.join(row) for row in ([head] if suffix != ".txt" else []) + rows]
    encoding = chance.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "gb18030"))
    return "\n".join(lines).encode(encoding, "replace")


def read_list(seeds: Seeds, folder: Path) -> None:
    root = folder / "root"
    for path in sorted(root.iterdir()):
        if path.suffix not in lists.SUFFIXES:
            continue
        if path.stem == "skip":
            assert all(isinstance(each, str) for each in read_skip_list(path))
            continue
        found = listed(root if path.stem in ("train", "val", "labels") else path)
        for files in found.splits.values():
            for each in files.paths:
                real = Path(os.path.realpath(found.root / each))
                assert real.is_relative_to(root.resolve()), real


@dataclass(frozen=True)
class Kind:
    make: Callable[[Seeds, Path, random.Random], None]
    read: Callable[[Seeds, Path], None]


KINDS = {
    "checkpoint": Kind(make_checkpoint, read_checkpoint),
    "safetensors": Kind(make_weights, read_weights),
    "IDX": Kind(make_idx, read_idx),
    "CIFAR": Kind(make_cifar, read_cifar),
    "tar": Kind(make_tar, read_tar),
    "list": Kind(make_list, read_list),
    "JSON": Kind(make_json, read_json),
    "npz": Kind(make_npz, read_npz),
}


def _put(folder: Path, files: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@contextlib.contextmanager
def _no_warnings() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _nobody(line: str) -> None:
    pass


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
