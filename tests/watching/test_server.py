"""The page over loopback: what is served, to whom, and what not."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.watching.runs import history, run, says

from neocog.cli.main import main
from neocog.errors import UsageError
from neocog.watching import page, seen, server
from neocog.watching.seen import Reader
from neocog.watching.server import Server, open_server
from neocog.watching.words import LANGUAGES, WORDS, preferred, say, spell


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "FRESH", -1.0)


@contextmanager
def serving(*paths: Path, port: int = 0, lang: str | None = None) -> Iterator[Server]:
    made = open_server(Reader(paths), host="127.0.0.1", port=port, lang=lang)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def get(made: Server, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers; `headers` with _ for -."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(made.url + path, headers=sent)
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)


def view(made: Server, query: str = "") -> dict[str, str]:
    pieces: dict[str, str] = json.loads(get(made, f"view.json?{query}")[1])["pieces"]
    return pieces


# -- what is served


def test_the_page_is_there_before_while_and_after_a_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with serving(path) as made:
        assert "not there yet" in view(made)["runs"]
        run(path)
        says(path, epoch=0, step=3, trail=((0.1, 2.3, 0.1), (0.15, 2.2, 0.2)))
        during = view(made)
        assert "running" in during["runs"]
        assert "3 min 25 s" in during["runs"]
        assert "3/20" in during["runs"]
        assert during["loss"].count("<path class=") == 1  # the epoch under way
        history(path, 12)
        (path / "now.json").unlink()
        (path / "test.npz").touch()
        after = view(made)
        assert "finished" in after["runs"]
        assert "12/12" in after["runs"]
        assert "epoch 12" in after["loss"]


def test_the_same_is_sent_once(tmp_path: Path) -> None:
    path = run(tmp_path / "run", epochs=2)
    with serving(path) as made:
        for address in ("", "view.json", "state.json", "view.json?lang=zh"):
            status, body, headers = get(made, address)
            assert (status, bool(body)) == (200, True)
            again = get(made, address, If_None_Match=headers["ETag"])
            assert again[:2] == (304, "")
            assert again[2]["ETag"] == headers["ETag"]
        tags = {get(made, f"view.json{query}")[2]["ETag"] for query in ("", "?lang=zh", "?show=")}
        assert len(tags) == 3
        before = get(made, "view.json")[2]["ETag"]
        history(path, 3)
        status, body, headers = get(made, "view.json", If_None_Match=before)
        assert status == 200
        assert headers["ETag"] != before
    with serving(path) as again_made:  # a server that was started again says the same
        assert get(again_made, "view.json", If_None_Match=headers["ETag"])[0] == 304


def test_state_has_the_numbers_that_json_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run(tmp_path / "run", epochs=2)
    says(path)
    main(["watch", str(path), "--json"])
    with serving(path) as made:
        assert json.loads(get(made, "state.json")[1]) == json.loads(capsys.readouterr().out)


def test_runs_are_drawn_as_they_are_chosen(tmp_path: Path) -> None:
    for number in range(10):
        run(tmp_path / f"run{number}", epochs=2, began=100 - number)
    with serving(tmp_path) as made:
        first = view(made)
        assert first["runs"].count(" checked") == page.DRAWN
        assert first["loss"].count("<path class=line") == 2 * page.DRAWN
        keys = re.findall(r"value=(\w+)", first["runs"])
        assert len(set(keys)) == 10
        two = view(made, f"show={keys[0]},{keys[9]}")
        assert two["runs"].count(" checked") == 2
        assert two["numbers"].count("<table>") == 2
        none = view(made, "show=")
        assert "no epoch has ended yet" in none["loss"]
        assert " checked" not in none["runs"]


def test_names_are_text_whatever_is_in_them(tmp_path: Path) -> None:
    path = run(tmp_path / 'a<script>alert("x")\'\u202e', epochs=2, network="<b>&amp;")
    says(path, state="stopped", why="<img src=x onerror=alert(1)>", epoch=2)
    with serving(tmp_path) as made:
        text = get(made, "")[1]
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "&lt;b&gt;&amp;amp;" in text
    assert "\u202e" not in text


def test_every_word_is_there_in_both_languages(tmp_path: Path) -> None:
    assert all(len(words) == len(LANGUAGES) and all(words) for words in WORDS.values())
    for english, chinese in WORDS.values():
        assert re.findall(r"{\w+", english).sort() == re.findall(r"{\w+", chinese).sort()
    path = run(tmp_path / "run", epochs=2)
    says(path, epoch=2)
    with serving(path) as made:
        assert "训练过程" in get(made, "", Accept_Language="zh-CN,zh;q=0.9,en;q=0.8")[1]
        assert "<html lang=zh-Hans>" in get(made, "?lang=zh")[1]
        assert "Training runs" in get(made, "", Accept_Language="fr")[1]
        assert "3 分 25 秒" in view(made, "lang=zh")["runs"]
    with serving(path, lang="zh") as made:
        assert "训练过程" in get(made, "", Accept_Language="en")[1]


@pytest.mark.parametrize(
    ("accepted", "lang"),
    [
        ("", "en"),
        ("zh-TW", "zh"),
        ("en;q=0.5, zh;q=0.9", "zh"),
        ("de, zh;q=0.1", "zh"),
        ("zh;q=0", "en"),
        ("*;q=1", "en"),
        ("en,zh", "en"),
        ("zh;q=x", "en"),
        ("ZH-hans-cn ; q=1.0", "zh"),
        ("a" * 5000 + ",zh", "en"),
    ],
)
def test_the_language_is_the_one_that_the_browser_likes_best(accepted: str, lang: str) -> None:
    assert preferred(accepted) == lang


def test_durations_read_as_people_say_them() -> None:
    from neocog.progress import duration

    for seconds in (0, 8.2, 59.7, 200, 3599.6, 7500, 1e6):
        assert spell("en", seconds) == duration(seconds)
    assert spell("zh", 7500) == "2 小时 05 分"
    assert say("zh", "epoch") == "轮次"


# -- the page as HTML


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_the_page_needs_nothing_beside_itself_and_its_policy_says_so(tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=3, began=9)
    run(tmp_path / "b", epochs=3)
    with serving(tmp_path) as made:
        _, text, headers = get(made, "")
    tags = Tags(text)
    assert not re.search(r"url\(|@import|<link rel=style|src=", text)
    assert set(re.findall(r"https?://[^\"]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not any(set(attributes) & {"style", "onclick"} for _, attributes in tags.found)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    ids = [attributes["id"] for _, attributes in tags.found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_who_cannot_see_it_is_told_the_same(tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=3)
    with serving(tmp_path) as made:
        text = get(made, "")[1]
    tags = Tags(text)
    ids = {attributes["id"] for _, attributes in tags.found if "id" in attributes}
    figures = [each for each in tags.all("svg") if each.get("role") == "img"]
    assert len(figures) == 3
    for figure in figures:
        assert {figure["aria-labelledby"], figure["aria-describedby"]} <= ids
    assert "a, validation: 2.1 after epoch 1, 0.7 after epoch 3." in text
    assert all(box["aria-label"] == "draw a" for box in tags.all("input"))
    roles = {attributes.get("role") for _, attributes in tags.found}
    # said outright: on a narrow screen rows are blocks, which browsers take for no table
    assert roles >= {"table", "row", "cell", "columnheader", "rowheader", "rowgroup", "status"}


def test_a_long_history_makes_no_long_page(tmp_path: Path) -> None:
    run(tmp_path / "a", epochs=5000, of=5000)
    with serving(tmp_path) as made:
        pieces = view(made)
    assert sum(map(len, pieces.values())) < 100_000
    assert "The last 200 of 5000 epochs" in pieces["numbers"]


def test_what_is_kept_for_others_who_ask_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neocog.watching.server.MOST", 50_000)
    with serving(tmp_path) as made:
        run(tmp_path / "a", epochs=150, of=200)
        history = tmp_path / "a/history.jsonl"
        lines = history.read_text().splitlines(keepends=True)
        for epochs in range(100, 140):  # each time another answer, of some 30 kB
            history.write_text("".join(lines[:epochs]))
            made.reader._when = -1.0  # as if a moment had passed
            get(made, "state.json")
        assert sum(map(len, made._made.values())) < 50_000 + 60_000
        assert made._made


# -- what is not served


@pytest.mark.parametrize(
    "path", ["recipe.json", "../recipe.json", "%2e%2e/etc/passwd", "view.json/", "state.json.bak"]
)
def test_nothing_else_of_the_disk_is_served(path: str, tmp_path: Path) -> None:
    run(tmp_path / "run")
    with serving(tmp_path / "run") as made:
        connection = http.client.HTTPConnection("127.0.0.1", made.server_port, timeout=5)
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        assert answer.status == 404
        assert b"The page is at /" in answer.read()
        connection.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "X"])
def test_only_reading_is_allowed(method: str, tmp_path: Path) -> None:
    with serving(tmp_path) as made:
        connection = http.client.HTTPConnection("127.0.0.1", made.server_port, timeout=5)
        connection.request(method, "/")
        answer = connection.getresponse()
        assert answer.status == 501
        assert "Access-Control-Allow-Origin" not in answer.headers
        answer.read()
        connection.request("HEAD", "/")
        head = connection.getresponse()
        assert head.status == 200
        assert int(head.headers["Content-Length"]) > 1000
        assert head.read() == b""
        connection.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:{port}", 200),
        ("127.0.0.1:{port}", 200),
        ("127.0.0.1", 200),
        ("localhost:9999", 200),  # as through a tunnel
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        ("me.localhost", 200),
        ("evil.example:{port}", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.nip.io", 403),
        ("10.1.2.3", 403),
        ("evil.example@localhost", 200),
        ("", 403),
        ("[", 403),
        ("[::1", 403),
    ],
)
def test_a_host_that_is_no_local_name_is_refused(host: str, status: int, tmp_path: Path) -> None:
    with serving(tmp_path) as made:
        assert get(made, "", Host=host.format(port=made.server_port))[0] == status


def test_a_request_with_no_host_or_two_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as made:
        for lines in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
            with socket.create_connection(("127.0.0.1", made.server_port), timeout=5) as line:
                line.sendall(b"GET / HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
                assert line.recv(1000).split()[1] == b"403"


def test_nonsense_is_answered_and_the_server_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path) as made:
        for sent in (b"\x16\x03\x01\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", made.server_port), timeout=5) as line:
                line.sendall(sent)
                line.recv(1000)
        query = "&".join(f"a{n}=1" for n in range(1000))
        assert get(made, f"view.json?{query}")[0] == 200
        assert get(made, "view.json?show=nobody&lang=xx")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


# -- where it listens


def test_it_listens_to_this_machine_alone_unless_asked(tmp_path: Path) -> None:
    with serving(tmp_path) as made:
        assert made.server_address[0] == "127.0.0.1"
        assert made.alone
    with open_server(Reader([tmp_path]), host="0.0.0.0", port=0, lang=None) as wide:
        assert not wide.alone
        assert wide.url == f"http://localhost:{wide.server_port}/"
        assert wide.knows("10.1.2.3:80")
        assert wide.knows(socket.gethostname())
        assert not wide.knows("evil.example")  # a name that a stranger's page may be of


def test_a_port_in_use_is_passed_over_unless_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as made:
        monkeypatch.setattr(server, "PORT", made.server_port)
        with open_server(Reader([tmp_path]), host="127.0.0.1", port=None, lang=None) as next_one:
            assert made.server_port < next_one.server_port <= made.server_port + server.TRIED
        monkeypatch.setattr(server, "TRIED", 1)
        for port in (None, made.server_port):
            with pytest.raises(UsageError, match="in use"):
                open_server(Reader([tmp_path]), host="127.0.0.1", port=port, lang=None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "0 (any that is free) to 65535"),
        (["--port", "-1"], "0 (any that is free) to 65535"),
        (["--host", "no.such.name.invalid"], "no address of this name"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1"),  # RFC 5737: nobody's own
        (["--lang", "fr"], "en, zh"),
        ([""], "an empty name"),
        (["x" * 300], "cannot be looked at: File name too long"),
        ([__file__], "name a run folder"),
    ],
)
def test_what_cannot_be_is_said_in_plain_words(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", *options]) == 2
    assert words in capsys.readouterr().err


def test_ctrl_c_ends_it_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: Server) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", interrupted)
    run(tmp_path / "a")
    assert main(["watch", str(tmp_path), str(tmp_path / "b"), "--port", "0"]) == 0
    said = capsys.readouterr().err
    assert re.search(r"1 run: http://127\.0\.0\.1:\d+/ ", said)
    assert said.endswith("the page is closed; what trains goes on\n")
