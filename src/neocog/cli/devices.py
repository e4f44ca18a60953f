"""Several processes on this machine, started by torch's own launcher; and which of them this is."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from typing import NoReturn

from neocog.errors import UsageError

TERMINATED, INTERRUPTED = 75, 130
MOST = 4096
PR_SET_PDEATHSIG = 1  # of prctl(2)
DEVICES = "NEOCOG_DEVICES"  # in the environment of processes that `--devices` started


def asked(devices: int | None, arguments: Sequence[str]) -> int:
    """In how many processes a command is to be run that this one starts; 1: in this one."""
    if devices is None:
        return 1
    if not 1 <= devices <= MOST:
        raise UsageError(f"devices: {devices} was given; it takes a whole number from 1 to {MOST}")
    if "--plan" in arguments and devices > 1:
        raise UsageError("--plan measures one process: leave out --devices")
    if process() is not None:
        raise UsageError("torchrun says already how many processes there are: leave out --devices")
    return devices


def process() -> tuple[int, int] | None:
    """The place among processes that were started together: (rank, of how many); None if alone."""
    try:
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        return None
    return (rank, world) if world > 1 else None


def end_with_launcher() -> None:
    """Linux: if the launcher is killed, so that it cannot end this process, save and end."""
    if DEVICES not in os.environ or process() is None or not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


def leave(code: int) -> NoReturn:
    """End Python with an exit code. One of several processes ends at once: nothing is left to be
    done, and torch's threads now and then end it by SIGABRT when they are torn down.
    """
    if process() is None:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def again(resume: str) -> str:
    """How to go on with a run in as many processes."""
    if process() is None:
        return resume
    if DEVICES in os.environ:
        return f"{resume} --devices {os.environ[DEVICES]}"
    return f"{resume}, started by torchrun as before"


def run(devices: int, arguments: Sequence[str]) -> int:
    """The command in so many processes. Gives the exit code; they have said why themselves."""
    os.environ[DEVICES] = str(devices)
    # torch takes the machine's name for an address, and not every machine knows its own
    loopback = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
    if loopback:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # until each knows its share: or torch remarks
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.CRITICAL)  # of torch's launcher, which says what is said below
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "neocog", *without(arguments))
    except SignalException as stopped:
        return TERMINATED if stopped.sigval == signal.SIGTERM else INTERRUPTED
    except ChildFailedError as failed:
        return _said({rank: failure.exitcode for rank, failure in failed.failures.items()}, devices)
    return 0


def without(arguments: Sequence[str]) -> list[str]:
    """The arguments less `--devices N`."""
    kept, skip = [], False
    for argument in arguments:
        if skip or argument.startswith("--devices"):
            skip = argument == "--devices" and not skip
        else:
            kept.append(argument)
    return kept


def _said(codes: dict[int, int], devices: int) -> int:
    """The exit code for those of the processes; a signal that ended one is said. SIGTERM is what
    the launcher ends those with that are left.
    """
    for rank, code in sorted(codes.items()):
        if code < 0 and code != -signal.SIGTERM:
            print(
                f"neocog: process {rank + 1} of {devices} was ended by "
                f"{signal.Signals(-code).name}, and the others with it. (A system that runs out of "
                "memory does so.) From its last checkpoint the run goes on with: neocog resume RUN "
                f"--devices {devices}",
                file=sys.stderr,
            )
            return 1
    return next((code for code in (TERMINATED, INTERRUPTED, 2) if code in codes.values()), 1)
