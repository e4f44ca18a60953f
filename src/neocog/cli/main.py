"""`neocog`: one command, and its exit code. It is imported when called: `--help` is instant."""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from neocog.cli import devices
from neocog.cli.parser import parser
from neocog.errors import NeocogError, UsageError

DONE, FAILED, WRONG_USAGE, TERMINATED, INTERRUPTED = 0, 1, 2, 75, 130
SAID = 3.0  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code comes back. Messages go to stderr, results to stdout."""
    for name in ("stdout", "stderr"):  # closed, as for what a clock starts: nobody listens
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal cannot show is no failure
            stream.reconfigure(errors="backslashreplace")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(given)
    # else Python looks at the end through all that torch has made for what might be thrown away
    atexit.register(gc.freeze)
    try:
        count = devices.asked(getattr(options, "devices", None), given)
        if count > 1:
            return devices.run(count, given)
        devices.end_with_launcher()
        _called(options.call)(options)
        sys.stdout.flush()
    except UsageError as error:
        return _failed(error, WRONG_USAGE)
    except NeocogError as error:
        return _failed(error, FAILED)
    except KeyboardInterrupt as interrupt:
        _say_interrupted(interrupt)
        return TERMINATED if getattr(interrupt, "terminated", False) else INTERRUPTED
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # `neocog nets | head`: who reads has read enough
            return DONE
        return _failed(error, FAILED)
    return DONE


def _called(call: str) -> Callable[[argparse.Namespace], None]:
    """The function of a command. Ctrl-C waits for its imports: libraries break in the middle."""
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:  # Windows
        return _imported(call)
    mask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return _imported(call)
    finally:
        mask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _imported(call: str) -> Callable[[argparse.Namespace], None]:
    module, function = call.split(":")
    found: Callable[[argparse.Namespace], None]
    found = getattr(importlib.import_module(f"neocog.cli.{module}"), function)
    return found


def _failed(error: Exception, code: int) -> int:
    from neocog.cli.output import plain

    said = str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        said = f"{os.fsdecode(error.filename)}: {error.strerror}"
    among, said = devices.process(), plain(said)
    if among is None:
        print(f"neocog: {said}", file=sys.stderr)
    elif among[0] == 0 or not getattr(error, "of_all", False):
        if among[0] and code == WRONG_USAGE:
            time.sleep(SAID)  # if the first says the same, this one is ended meanwhile
        print(f"neocog: process {among[0] + 1} of {among[1]}: {said}", file=sys.stderr, flush=True)
    if getattr(error, "abandoned", False):
        time.sleep(SAID)  # whoever ended first ends first: its exit code is the run's
    return code


def _say_interrupted(interrupt: KeyboardInterrupt) -> None:
    path = getattr(interrupt, "path", None)  # there if a run was saved
    if (devices.process() or (0, 1))[0] > 0:
        return  # the first of them says it
    if path is None:
        print("\nstopped", file=sys.stderr)
        return
    from neocog.cli.output import program
    from neocog.stopping import quoted

    go_on = devices.again(f"{program()} resume {quoted(path)}")
    print(f"\nstopped and saved. Go on with: {go_on}", file=sys.stderr)
