"""What docs/security.md promises; the promises that no other test holds, and the page itself."""

from __future__ import annotations

import ast
import contextlib
import gzip
import io
import json
import os
import pickle
import re
import shutil
import socket
import ssl
import subprocess
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import Silent
from tests.data.shelf import PNG
from tests.folders import flat_folder

from neocog import api, checkpoints, unpacked
from neocog.data import members, opening, pictures, reading
from neocog.data.catalogue import SOURCES
from neocog.data.download import Downloader, UnobtainableError
from neocog.data.spec import InputSpec
from neocog.errors import DataError, NeocogError
from neocog.records import Epoch
from neocog.run import RunFolder

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")


# -- the page


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`(tests/\S+?\.py)::(\w+)`", PAGE)
    assert len(named) > 20
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {f.name for f in tree.body if isinstance(f, ast.FunctionDef)}, (path, name)


def test_nothing_but_the_files_that_the_page_names_calls_a_loader() -> None:
    wanted = {
        "torch.load(": {"checkpoints.py"},
        "np.load(": {"runfiles.py", "data/store.py", "reporting/looked.py"},
        "load_file(": {"verifying.py"},
        "pickle.load": set(),
        "pickle.Unpickler": set(),
        "yaml.": set(),
        "extractall": set(),
        "shell=True": set(),
        "verify=False": set(),
        "_create_unverified_context": set(),
    }
    sources = {
        path.relative_to(ROOT / "src/neocog").as_posix(): path.read_text(encoding="utf-8")
        for path in (ROOT / "src/neocog").rglob("*.py")
    }
    for call, where in wanted.items():
        found = {
            name
            for name, text in sources.items()
            # a docstring may name it
            if re.search(rf"(?m)^[^`\n]*(?<![\w`]){re.escape(call)}", text)
        }
        assert found - {name for name in found if name.startswith("bench/")} == where, call
    assert "weights_only=True" in sources["checkpoints.py"].split("torch.load(path, ")[1]
    for name in wanted["np.load("]:
        assert "allow_pickle=False" in sources[name]


# -- pickles


class Evil:
    def __reduce__(self) -> object:
        return os.mkdir, ("pwned",)


def sealed(path: Path, pickled: bytes, packing: int = zipfile.ZIP_STORED) -> Path:
    """A checkpoint with that pickle in it, and a seal that fits."""
    stream = io.BytesIO()
    torch.save({}, stream)
    before = zipfile.ZipFile(stream)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packing) as archive:
        for info in before.infolist():
            is_pickle = info.filename.endswith("/data.pkl")
            archive.writestr(info.filename, pickled if is_pickle else before.read(info))
    content = checkpoints._Sealed(io.BytesIO())
    content.write(made.getvalue())
    seal = checkpoints.MARK + content.digest.hexdigest().encode() + b"\n"
    path.write_bytes(made.getvalue() + seal)
    return path


@pytest.mark.parametrize(
    ("pickled", "named"),
    [
        (pickle.dumps(Evil(), 2), "posix.mkdir"),
        (pickle.dumps(Evil(), 4), "STACK_GLOBAL"),
        (b"(S'pwned'\nios\nmkdir\n.", "os mkdir"),
        (b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x01\x85R.", "builtins.bytearray"),
        (b"\x80\x02ctorch\nUntypedStorage\n\x8a\x05\0\0\0\0\x01\x85R.", "torch.UntypedStorage"),
        (b"\x80\x02ctorch\nFloatTensor\n\x8a\x05\0\0\0\0\x01\x85\x81.", "torch.FloatTensor"),
    ],
)
def test_a_checkpoint_with_code_is_refused_and_the_call_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pickled: bytes, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = sealed(tmp_path / "last.pt", pickled)
    said = re.escape(named).replace("posix", "(posix|nt)").replace(r"os\ mkdir", "os.mkdir|INST")
    with pytest.raises(NeocogError, match=rf"last\.pt: a pickle with a call of .*({said})"):
        checkpoints.newest([path])
    assert not (tmp_path / "pwned").exists()


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    path = sealed(tmp_path / "last.pt", b"\x80\x02}.", zipfile.ZIP_DEFLATED)
    with pytest.raises(NeocogError, match=r"last\.pt: it is compressed"):
        checkpoints.newest([path])
    path = sealed(tmp_path / "last.pt", b"\x80\x02" + b"]" * unpacked.MOST_OPERATIONS + b".")
    with pytest.raises(NeocogError, match=r"last\.pt: a pickle of more than"):
        checkpoints.newest([path])


def test_what_reading_would_refuse_is_not_saved() -> None:
    kinds = {"a": torch.zeros(2), "b": [1, 2.5, None, "x", True], "c": torch.float32}
    checkpoints.write(kinds, io.BytesIO())
    with pytest.raises(NeocogError, match="a bytes is in what"):
        checkpoints.write({"network": {"extra": b"x"}}, io.BytesIO())


@pytest.mark.parametrize("value", ["object", "bomb", "claim", "pickle"])
def test_scores_with_objects_or_a_bomb_in_them_are_refused(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    monkeypatch.chdir(tmp_path)
    labels = np.zeros(3, np.int64)
    if value == "object":
        np.savez(run / "test.npz", logits=np.array([Evil()], dtype=object), labels=labels)
    elif value == "bomb":
        many = np.zeros(10**6, np.int64)  # what would be read if it were not compressed
        logits = np.zeros((10**6, 2), np.float32)
        np.savez_compressed(run / "test.npz", logits=logits, labels=many)
    elif value == "pickle":
        (run / "test.npz").write_bytes(pickle.dumps(Evil()))
    else:
        header = repr({"descr": "<f4", "fortran_order": False, "shape": (10**9, 500)}) + "\n"
        content = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header.encode()
        with zipfile.ZipFile(run / "test.npz", "w") as archive:
            archive.writestr("logits.npy", content)
    with pytest.raises(NeocogError, match=r"test\.npz: damaged, or not written by neocog"):
        RunFolder.open(run).predictions("test")
    assert not (tmp_path / "pwned").exists()


# -- run folders that others wrote


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("recipe.json", {"network": {"name": "lenet_relu", "num_classes": 10**9}}),
        ("recipe.json", {"data": {"pictures": {"train": "many"}}}),
        ("recipe.json", {"network": {"name": "lenet_relu", "num_classes": None}}),
        ("input.json", {"size": [10**9, 10**9]}),
        ("input.json", {"classes": [1, 2]}),
    ],
)
def test_a_number_in_a_run_folder_does_not_fill_the_memory(
    finished_run: Path, tmp_path: Path, name: str, change: dict[str, Any]
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    facts = json.loads((run / name).read_text(encoding="utf-8"))
    for key, value in change.items():
        facts[key] = {**facts[key], **value} if isinstance(value, dict) else value
    (run / name).write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(NeocogError, match=r"(recipe|input)\.json: "):
        RunFolder.open(run).spec, RunFolder.open(run).data, RunFolder.open(run).new_network()


def test_an_epoch_is_of_numbers() -> None:
    numbers = dict.fromkeys(("lr", "train_loss", "train_accuracy", "images_per_second"), 1.0)
    sound = {**numbers, "epoch": 0, "val_loss": None, "val_accuracy": 0.5, "seconds": 1.0}
    sound["best"] = True
    assert Epoch.from_json(sound).to_json() == sound
    for name in sound:
        for value in ("1", [], float("nan"), 1e301, -1 if name == "seconds" else {}):
            with pytest.raises(ValueError, match="epoch"):
                Epoch.from_json({**sound, name: value})


def test_a_state_that_training_did_not_save_is_refused(tmp_path: Path, finished_run: Path) -> None:
    state = checkpoints.read(finished_run / "last.pt")
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    (run / "test.npz").unlink()
    group = {**state["optimizer"]["param_groups"][0], "momentum": "x"}
    for change in (
        {"epoch": {}}, {"step": -1}, {"seconds": float("nan")}, {"history": []},
        {"loss_sum": torch.zeros(3)}, {"network": {"stem.weight": [1]}},
        {"optimizer": {**state["optimizer"], "param_groups": [group]}},
        {"optimizer": {**state["optimizer"], "state": {0: {"momentum_buffer": torch.zeros(1)}}}},
    ):  # fmt: skip
        with (run / "last.pt").open("wb") as file:
            checkpoints.write({**state, **change}, file)
        with pytest.raises(NeocogError, match=r"last\.pt: cannot be resumed: its"):
            api.resume(run, tell=_nobody, watcher=Silent())


def test_a_program_in_a_run_folder_is_not_started(
    tmp_path: Path, finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    monkeypatch.chdir(tmp_path)
    facts = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    facts["data"] |= {"layout": "shards", "classes": list(map(str, range(10)))}
    facts["data"] |= {"from": "x.tar::pipe:mkdir pwned"}
    (run / "recipe.json").write_text(json.dumps(facts), encoding="utf-8")
    (run / "pictures.csv").write_text("split,class,path,bytes\n", encoding="utf-8")
    (run / "test.npz").unlink()
    for act in (lambda: api.resume(run, tell=_nobody), lambda: api.resume(run, tell=_nobody)):
        with pytest.raises(DataError, match="say it again with --from"):
            act()
    assert not (tmp_path / "pwned").exists()


# -- archives and pictures


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def entry(name: str, content: bytes = b"", **facts: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info, content


def test_a_shard_is_never_unpacked_and_its_links_and_devices_are_no_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = [
        entry(f"a/{number}.png", type=kind, linkname="/etc/passwd")
        for number, kind in enumerate(
            (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
        )
    ]
    content = tar(*odd, entry("../../up.png", PNG), entry("/whole.png", PNG), entry("a/x.png", PNG))
    for seeks in (False, True):
        found = members.samples(io.BytesIO(content), "x.tar", seeks=seeks)
        assert [each.member for each in found] == ["../../up.png", "/whole.png", "a/x.png"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["content", "name", "end"])
def test_a_packed_shard_that_unfolds_too_far_is_refused(kind: str) -> None:
    size = 1 << 28
    info = entry("a/1.png")[0]
    info.size = size
    if kind == "name":
        info.type = tarfile.GNUTYPE_LONGNAME
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as file:
        if kind != "end":
            file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(size >> 24):
            file.write(bytes(1 << 24))
    said = "a name of" if kind == "name" else "bytes unpacked from"
    with pytest.raises(DataError, match=rf"^x\.tar: .*{said}"):
        list(members.samples(io.BytesIO(stream.getvalue()), "x.tar", seeks=False))


def test_an_official_archive_that_unfolds_too_far_is_refused(tmp_path: Path) -> None:
    content = tar(entry("a/1.png", bytes(1 << 26)), entry("d/b", b"x"))
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(content, 1))
    with pytest.raises(DataError, match=r"x\.tar\.gz: found more than [\d,]+ bytes unpacked"):
        list(reading.read_members(tmp_path / "x.tar.gz", ["d/b"]))


def test_a_sparse_member_of_a_shard_is_no_picture() -> None:
    info = tarfile.TarInfo("a/1.png")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"07777777777\0"  # what it would unfold to
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    content = bytes(block) + bytes(1024)
    for seeks in (False, True):
        assert list(members.samples(io.BytesIO(content), "x.tar", seeks=seeks)) == []


def test_a_picture_that_claims_too_many_pixels_is_refused_unread(tmp_path: Path) -> None:
    import zlib

    header = b"IHDR" + (100_000).to_bytes(4) * 2 + b"\x08\x02\0\0\0"
    content = PNG[:12] + header + zlib.crc32(header).to_bytes(4) + PNG[33:]
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.png: .*(pixels|decompression bomb)"):
        pictures.read(tmp_path / "x.png", 3)


def test_a_mean_picture_is_no_bomb() -> None:
    import base64
    import zlib

    text = base64.b64encode(zlib.compress(bytes(10**7), 9)).decode()
    with pytest.raises(NeocogError, match="mean picture of this input is damaged"):
        InputSpec(("a",), 1, (4, 4), 4, "resize", (0.5,), (0.5,), mean_picture=text)


# -- the network


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: object, **named: object) -> None:
        raise AssertionError(f"the network, or another program: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", none)
    monkeypatch.setattr(socket, "getaddrinfo", none)
    monkeypatch.setattr(subprocess, "Popen", none)


@pytest.mark.usefixtures("alone")
def test_a_run_on_local_data_asks_no_network_and_starts_no_program(tmp_path: Path) -> None:
    folder = flat_folder(tmp_path / "p", 6)
    out = tmp_path / "run"
    api.train(
        "lenet_relu", str(folder), epochs=1, out=out, changes={"batch_size": 4}, tell=_nobody,
        watcher=Silent(),
    )  # fmt: skip
    run = api.open_run(out)
    assert run.scores["test"]["n"]
    assert run.predict(next(folder.rglob("*.jpg")))
    assert api.train(
        "lenet_relu", "digits", epochs=1, out=tmp_path / "d", tell=_nobody, watcher=Silent()
    ).scores
    with pytest.raises(AssertionError, match="the network"):  # the fixture bites
        socket.create_connection(("localhost", 9))


def test_every_official_address_is_https_and_every_file_has_a_checksum() -> None:
    for source in SOURCES.values():
        assert source.content or source.name == "cifar100", source.name
        for download in source.downloads:
            assert all(base.startswith("https://") for base in download.bases)
            assert all(re.fullmatch("[0-9a-f]{64}", sha256) for _, sha256 in download.files)


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.server.to)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def tls_server(folder: Path, to: str = "") -> Any:
    """A server with a certificate of its own making; (port, certificate)."""
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
         "cert.pem", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    server = HTTPServer(("localhost", 0), _Elsewhere)
    server.to = to  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes a certificate with openssl"
)


def fetched(port: int, folder: Path) -> None:
    (folder / "parts").mkdir()
    downloader = Downloader(folder, folder / "parts", tell=_nobody, progress=lambda *_: None)
    downloader.fetch("x.gz", "0" * 64, [f"https://localhost:{port}/"])


@needs_openssl
def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with (
        tls_server(tmp_path) as port,
        pytest.raises(UnobtainableError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        fetched(port, tmp_path)


@needs_openssl
def test_a_redirect_from_tls_to_none_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with tls_server(tmp_path, to="http://localhost:9/x.gz") as port:
        with pytest.raises(UnobtainableError, match="to where there is no TLS"):
            fetched(port, tmp_path)
        if shutil.which("curl"):
            monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "cert.pem"))
            monkeypatch.setattr(opening, "FETCH", (*opening.FETCH[4:], "--noproxy", "*"))
            with (
                pytest.raises(DataError, match=r"exit code 1\)"),  # a protocol that is not allowed
                opening.reading(f"https://localhost:{port}/x.tar") as stream,
            ):
                stream.read()


def test_a_download_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neocog.data import download

    class Endless:
        status, headers = 200, {}  # type: ignore[var-annotated]

        def read1(self, size: int) -> bytes:
            return bytes(size)

    monkeypatch.setattr(download, "LARGEST", 1 << 20)
    one = Downloader(tmp_path, tmp_path, tell=_nobody, progress=lambda *_: None)
    with pytest.raises(UnobtainableError, match="more than 1,048,576 bytes"):
        one._save("https://x/y.gz", Endless(), tmp_path / "part")  # type: ignore[arg-type]


def _nobody(line: str) -> None:
    pass
