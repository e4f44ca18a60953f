"""`neocog watch`."""

from __future__ import annotations

import argparse
from pathlib import Path

from neocog.cli.output import emit, tell
from neocog.errors import UsageError, unknown
from neocog.watching.seen import Reader
from neocog.watching.words import LANGUAGES


def watch(options: argparse.Namespace) -> None:
    if options.lang not in (None, *LANGUAGES):
        raise unknown("language of the page", options.lang, LANGUAGES)
    if any(not name for name in options.runs):
        raise UsageError("an empty name was given; name a run folder, or a folder of them")
    reader = Reader([Path(name) for name in options.runs])
    if options.json:
        emit(reader.look().to_json())
        return
    _serve(reader, options)


def _serve(reader: Reader, options: argparse.Namespace) -> None:
    from neocog.watching.server import PORT, open_server

    with open_server(reader, host=options.host, port=options.port, lang=options.lang) as server:
        if options.port is None and server.server_port != PORT:
            tell(f"port {PORT} is in use: {server.server_port} instead")
        if not server.alone:
            tell("whoever can reach this machine can see these runs")
        tell(f"{_seen(reader)}: {server.url}  (Ctrl-C ends the page, and no run)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            tell("\nthe page is closed; what trains goes on")


def _seen(reader: Reader) -> str:
    """What there is to be seen, in a few words."""
    runs = reader.look().runs
    there = sum(run.state != "absent" for run in runs)
    if not there:
        return f"waiting for {', '.join(str(path) for path in reader.paths)}"
    return f"{there} run{'s' * (there > 1)}"
