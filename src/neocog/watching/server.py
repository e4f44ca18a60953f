"""The server of `neocog watch`: three addresses, read only, for this machine alone unless asked.

/            the page
/view.json   the pieces of it that change, with an ETag: nothing is sent where nothing changed
/state.json  the same facts as numbers, for programs
"""

from __future__ import annotations

import errno
import functools
import hashlib
import http.server
import ipaddress
import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from neocog import __version__
from neocog.errors import UsageError
from neocog.report.page import printable
from neocog.watching.page import POLICY, pieces, whole
from neocog.watching.seen import Reader
from neocog.watching.words import LANGUAGES, preferred

PORT = 8642
TRIED = 20  # ports after it, where it is in use
SHOWN = 100  # runs that one may ask for
KEPT, MOST = 16, 4 << 20  # answers that are kept for others who ask, and their bytes, about
IDLE = 30.0  # seconds that a connection may say nothing

HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Shows what `reader` sees, at `host` and `port`; `lang` where not the browser's is meant."""

    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # there it would let two servers share a port

    def __init__(self, reader: Reader, *, host: str, port: int, lang: str | None = None) -> None:
        self.reader, self.host, self.lang = reader, host, lang
        self.address_family, address = _address(host, port)
        self._made: dict[str, bytes] = {}
        self._lock = threading.Lock()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # without asking how this machine is called
        self.server_name, self.server_port = self.host, self.server_address[1]

    @property
    def url(self) -> str:
        host = self.host or "localhost"
        named = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
        return f"http://{f'[{named}]' if ':' in named else named}:{self.server_port}/"

    @property
    def alone(self) -> bool:
        """Whether only this machine is listened to."""
        return ipaddress.ip_address(str(self.server_address[0]).partition("%")[0]).is_loopback

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exception()
        if not isinstance(error, OSError):  # a browser that went away is none
            sys.stderr.write(f"neocog: the page could not be made: {error!r}\n")

    def knows(self, host: str) -> bool:
        """Whether a Host header may name this server. Another name, which its owner had point to
        this machine, would let a strange page read what is shown here (DNS rebinding).
        """
        name = urlsplit(f"//{host}").hostname or ""
        own = {"localhost", self.host.lower()}
        if not self.alone:
            own |= {socket.gethostname().lower(), socket.gethostname().lower() + ".local"}
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in own or name.endswith(".localhost")
        return address.is_loopback or not self.alone

    def made(self, key: str, make: Callable[[], str]) -> bytes:
        """What `make` gives, made once for as long as nothing changes."""
        with self._lock:
            if key not in self._made:
                made = make().encode()
                if len(self._made) >= KEPT or sum(map(len, self._made.values())) > MOST:
                    self._made.clear()
                self._made[key] = made
            return self._made[key]


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "neocog", ""
    timeout = IDLE
    server: Server

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        make = {"/": self._page, "/view.json": self._view, "/state.json": self._state}
        if not self._known():
            self._say(403, "This server answers to the name it was started with, and to localhost.")
        elif asked.path not in make:
            self._say(404, "There is nothing here. The page is at /")
        else:
            make[asked.path](parse_qs(asked.query, keep_blank_values=True))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _page(self, asked: dict[str, list[str]]) -> None:
        self._answer("text/html", asked, whole)

    def _view(self, asked: dict[str, list[str]]) -> None:
        self._answer(
            "application/json", asked, lambda *given: json.dumps({"pieces": pieces(*given)})
        )

    def _state(self, asked: dict[str, list[str]]) -> None:
        self._answer("application/json", asked, lambda look, *_: json.dumps(look.to_json()))

    def _answer(self, kind: str, asked: dict[str, list[str]], make: Callable[..., str]) -> None:
        look, lang = self.server.reader.look(), self._lang(asked)
        shown = asked["show"][0].split(",")[:SHOWN] if "show" in asked else None
        named = (__version__, POLICY, urlsplit(self.path).path, look.version, lang, shown)
        tag = '"' + hashlib.blake2b(repr(named).encode(), digest_size=12).hexdigest() + '"'
        if tag in self.headers.get("If-None-Match", ""):
            self._send(304, b"", {"ETag": tag})
            return
        content = self.server.made(tag, functools.partial(make, look, lang, shown))
        self._send(200, content, {"ETag": tag, "Content-Type": f"{kind}; charset=utf-8"})

    def _lang(self, asked: dict[str, list[str]]) -> str:
        given = asked.get("lang", [""])[0]
        if given in LANGUAGES:
            return given
        return self.server.lang or preferred(self.headers.get("Accept-Language", ""))

    def _known(self) -> bool:
        hosts = self.headers.get_all("Host", [])
        try:
            return len(hosts) == 1 and self.server.knows(hosts[0])
        except ValueError:
            return False

    def _say(self, code: int, words: str) -> None:
        self._send(code, f"{words}\n".encode(), {"Content-Type": "text/plain; charset=utf-8"})

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)
        if code != 304:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself, such as another method than GET: in plain words."""
        self.close_connection = True
        self._send(
            code,
            f"{code}: {printable(message or '')}\n".encode(),
            {"Content-Type": "text/plain; charset=utf-8", "Connection": "close", "Allow": "GET"},
        )

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def open_server(reader: Reader, *, host: str, port: int | None, lang: str | None) -> Server:
    """A server at `port`; without one at PORT, or at the next that is free."""
    if port is not None and not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: it takes a number from 0 (any that is free) to 65535")
    for each in [port] if port is not None else range(PORT, PORT + TRIED):
        try:
            return Server(reader, host=host, port=each, lang=lang)
        except socket.gaierror:
            raise UsageError(
                f"--host {host}: no address of this name; 127.0.0.1 is for this machine alone, "
                "0.0.0.0 for all that can reach it"
            ) from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = error.strerror or error
                raise UsageError(f"--host {host}, port {each}: {reason}") from None
    if port is None:
        raise UsageError(
            f"the ports from {PORT} to {PORT + TRIED - 1} are in use: name one, --port N"
        )
    raise UsageError(f"--port {port}: it is in use; name another, or none to have one found")


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)
