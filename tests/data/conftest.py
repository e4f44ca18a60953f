"""Tiny data sets as known ones, a loopback file server, fake programs, and no way out."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.data.tiny_sets import (
    TINY_BIN,
    TINY_PY,
    Tiny,
    arrays,
    batches,
    cifar_bin,
    make_idx,
    make_source,
)
from tests.peers import torchvision_models

from neocog.data.catalogue import SOURCES

__all__ = ["torchvision_models"]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, an empty PATH, no proxies; the folder of the PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NEOCOG_DATA", raising=False)
    monkeypatch.setenv("PATH", str(tools))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return tools


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    made = make_idx("tiny", seed=1)
    monkeypatch.setitem(SOURCES, "tiny", made.source)
    return made


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Another set with the same file names, as MNIST and Fashion-MNIST have."""
    made = make_idx("other", seed=7)
    monkeypatch.setitem(SOURCES, "other", made.source)
    return made


@pytest.fixture
def colour(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A set in the CIFAR layouts; `files` are the binary ones."""
    train, test = arrays(4, 3, 32, 32, seed=3), arrays(2, 3, 32, 32, seed=4)
    source = make_source("colour", train, test, (TINY_BIN, TINY_PY))
    monkeypatch.setitem(SOURCES, "colour", source)
    files = {name: cifar_bin(part) for name, part in batches(train, test).items()}
    return Tiny(source, train, test, files)


@dataclass
class Server:
    """Files by path; `cut` is how many bytes to send of a file before breaking off, once."""

    base: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    shown = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            shown.asked.append((self.path, asked))
            content = shown.files.get(self.path)
            if content is None:
                return self.send_error(404)
            start = int(asked[6:-1]) if asked and shown.ranges else 0
            if start and start >= len(content):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : shown.cut.pop(self.path, None)])
            return None

        def log_message(self, *args: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shown.base = f"http://127.0.0.1:{listening.server_port}/"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield shown
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture
def tool(alone: Path) -> Callable[[str, str], None]:
    """Put a fake program (the body of a sh script) on the PATH."""

    def write(name: str, body: str) -> None:
        path = alone / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
        path.chmod(0o755)

    return write
