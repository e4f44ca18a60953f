"""The readers under a coverage-guided fuzzer: `make fuzz`, or python -m tests.fuzz.targets NAME.

Each target takes bytes, and ends with what the reader promises: a sound answer, or a `DataError`
with the path. Anything else is a find: the bytes that led to it are left in build/fuzz, and
`python -m tests.fuzz.targets NAME FILE` shows it again.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["neocog.data", "PIL", "csv", "json"]):
    from PIL import Image, ImageOps
    from tests.data.shelf import JPEG, PNG, put, sound

    from neocog.data import imagenet, lists, members, pictures, shardindex
    from neocog.errors import DataError

FOUND = Path("build/fuzz")
MEMORY = Path("/dev/shm")  # a disk that others use may keep a file of ten bytes waiting for seconds
SCRATCH = MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
SCRATCH /= "neocog-fuzz"
SYNSETS = ("n01440764", "n01443537", "n01484850")
SPLITS = (b"train", b"val", b"test", b"images", b"cat", b"dog", *(s.encode() for s in SYNSETS))
ENDS = (
    b"1.png",
    b"2.png",
    b"ILSVRC2012_val_00000001.JPEG",
    b"labels.csv",
    b"train.txt",
    b"val.txt",
)
ENDS += (imagenet.GROUND_TRUTH.encode(), b".x", b"metadata.jsonl", b"classes.txt")


def read_list(content: bytes) -> None:
    """A list in any of the forms; every row has a path and a label."""
    suffix = lists.SUFFIXES[content[0] % len(lists.SUFFIXES)] if content else ".csv"
    path = SCRATCH / f"list{suffix}"
    path.write_bytes(content[1:])
    try:
        rows = lists.read(path)
    except DataError as error:
        if str(path) not in str(error):
            raise
        return
    assert rows
    for row in rows:
        assert row.path.strip() == row.path != ""
        assert row.label.strip() == row.label != ""
        json.dumps([row.path, row.label], ensure_ascii=False).encode()


def read_labels(content: bytes) -> None:
    """A list of labels for a flat folder of ImageNet."""
    name = (imagenet.GROUND_TRUTH, "val.txt", "val.csv")[content[0] % 3 if content else 0]
    (SCRATCH / "net").mkdir(exist_ok=True)
    for old in (SCRATCH / "net").iterdir():
        old.unlink()
    path = SCRATCH / "net" / name
    path.write_bytes(content[1:])
    files = [f"ILSVRC2012_val_{number:08}.JPEG" for number in (1, 2)]
    try:
        labels = imagenet.labels_of_flat(path.parent, "val", "val", files, SYNSETS)
    except DataError as error:
        if str(path) not in str(error):
            raise
        return
    assert labels is not None
    assert len(labels) == 2
    assert imagenet.are_synsets(labels)


def decode(content: bytes) -> None:
    """A picture: uint8 (H, W, channels) of at least a pixel, or said to be none."""
    channels, shorter = (1, 3)[content[0] % 2] if content else 3, len(content) % 3 * 5
    try:
        made = pictures.pixels(content[1:], channels, shorter, "picture")
    except DataError as error:
        if not str(error).startswith("picture: "):
            raise
        return
    assert made.dtype == "uint8"
    assert made.ndim == 3
    assert made.shape[2] == channels
    assert made.size > 0
    if not shorter:
        try:
            with Image.open(io.BytesIO(content[1:]), formats=pictures.KINDS) as picture:
                upright = ImageOps.exif_transpose(picture).size
        except Exception:  # Pillow may refuse what libjpeg-turbo shows
            return
        assert made.shape[:2] == upright[::-1]


def walk(content: bytes) -> None:
    """A folder of some files: each is used rightly, or named with a reason, or all is refused."""
    root = SCRATCH / "tree"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    taken = atheris.FuzzedDataProvider(content)
    for _ in range(taken.ConsumeIntInRange(0, 10)):
        folders = [
            taken.PickValueInList(list(SPLITS)) for _ in range(taken.ConsumeIntInRange(0, 3))
        ]
        parts = [os.fsdecode(part) for part in (*folders, taken.PickValueInList(list(ENDS)))]
        kind = taken.ConsumeIntInRange(0, 3)
        held = (PNG, JPEG, b"", taken.ConsumeBytes(40) if kind == 3 else b"")[kind]
        try:
            put(root, "/".join(parts), content=held)
        except OSError:  # a file where a folder is to be
            continue
    sound(root)


def read_shard(content: bytes) -> None:
    """An archive: each picture has a name and as many bytes as it says, or all is refused."""
    seeks = bool(content) and content[0] % 2 == 1
    content = content[1:].ljust(512, b"\0") + bytes(1024)
    try:
        every = list(members.samples(io.BytesIO(content), "x.tar", seeks=seeks))
        wanted = {each.member: each.size for each in every}
        for name, held in members.contents(io.BytesIO(content), wanted, "x.tar"):
            assert name in wanted
            assert (
                seeks
                or len({each.member for each in every}) < len(every)
                or (len(held) == wanted[name])
            )
    except DataError as error:
        if not str(error).startswith("x.tar: "):
            raise


def read_index(content: bytes) -> None:
    """An index of shards: names that stay in its folder, columns of one length, or refused."""
    try:
        classes, shards = shardindex.parsed(content, "index")
    except DataError as error:
        if not str(error).startswith("index"):
            raise
        return
    for shard in shards:
        assert not Path(shard.name).is_absolute()
        assert ".." not in Path(shard.name).parts
        assert len(shard.members) == len(shard.labels) == len(shard.sizes) == len(shard.marks)
        assert all(0 <= label < len(classes) for label in shard.labels)


def _pictures() -> list[bytes]:
    Image.init()
    made = []
    for mode in ("RGB", "L", "P", "RGBA", "CMYK", "I;16", "1"):
        for kind in pictures.KINDS:
            stream = io.BytesIO()
            try:
                Image.new(mode, (7, 5)).save(stream, kind)
            except (OSError, KeyError, ValueError):  # not in this mode, or not written at all
                continue
            if stream.tell() < 4000:
                made.append(b"\1" + stream.getvalue())
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (7, 5)).save(stream, "JPEG", exif=exif)
    return [*made, b"\1" + stream.getvalue()]


def _lists() -> list[bytes]:
    rows = b"a/1.png,cat\n\"b, c.png\",'dog'\n"
    return [
        b"\0filename,label\n" + rows,
        b"\0\xef\xbb\xbffile_name;class;split\na.png;x;train\n",
        b"\1path\tlabel\na.png\tx\n",
        b"\2# remark\na b.png\t0\nc.png 1\r\n",
        b'\3{"file_name": "a.png", "label": 1, "split": null}\n',
        b"\0" + "filename,label\n猫.png,猫\n".encode("gb18030"),
        b"\0" + "filename,label\n猫.png,猫\n".encode("utf-16"),
    ]


def _labels() -> list[bytes]:
    named = b"ILSVRC2012_val_00000001.JPEG n01440764\nILSVRC2012_val_00000002,n01443537 1 2 3 4\n"
    return [
        b"\x00449\n450\n",
        b"\0n01440764\nn01443537\n",
        b"\1" + named,
        b"\2file,label\n" + named,
    ]


def _shards() -> list[bytes]:
    made = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
            for name, held in (("a/1.png", PNG), ("a/1.cls", b"3"), ("猫" * 60 + ".jpg", JPEG)):
                info = tarfile.TarInfo(name if form != tarfile.USTAR_FORMAT else name[-24:])
                info.size = len(held)
                tar.addfile(info, io.BytesIO(held))
        made += [b"\0" + stream.getvalue(), b"\1" + stream.getvalue()]
        made.append(b"\0" + gzip.compress(stream.getvalue()))
    return made


def _index() -> list[bytes]:
    shard = shardindex.Shard("train-0.tar", "train", 9, ["a.jpg"], [1], [7], [5])
    return ["".join(shardindex.lines(("a", "b"), [shard])).encode()]


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "lists": (read_list, _lists),
    "labels": (read_labels, _labels),
    "pictures": (decode, _pictures),
    "shards": (read_shard, _shards),
    "index": (read_index, _index),
    "folders": (walk, lambda: [bytes(range(256)), bytes(range(255, -1, -1)) * 2]),
}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"name one of {', '.join(TARGETS)}")
    target, seeds = TARGETS[name]
    warnings.simplefilter("ignore")
    pictures.MAX_PIXELS = 250_000  # so that a find is an error, and not a large picture
    corpus = FOUND / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    SCRATCH.mkdir(parents=True, exist_ok=True)

    def watched(content: bytes) -> None:
        try:
            target(content)
        except Exception:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)  # the fuzzer keeps the bytes; its own way out waits for torch's threads

    again = [each for each in sys.argv[2:] if not each.startswith("-")]
    flags = [each for each in sys.argv[2:] if each.startswith("-")]
    places = again or [str(corpus)]
    found = f"-artifact_prefix={FOUND}/{name}-"
    atheris.Setup(
        [sys.argv[0], "-timeout=60", "-rss_limit_mb=4096", found, *flags, *places], target
    )
    atheris.Fuzz()  # ends the process


if __name__ == "__main__":
    main()
