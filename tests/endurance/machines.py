"""A run of two machines, each played by a network namespace with an address of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SKIPPED = "skipped: no network namespaces here"
NAMES = "neocog-a", "neocog-b"
ADDRESSES = "10.99.0.1", "10.99.0.2"
LONGEST = 240.0  # seconds
ON = "ip", "netns", "exec"
# processes of their own: else they would share memory, as those of one machine do
APART = "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"


@contextmanager
def two_machines() -> Iterator[bool]:
    """Two namespaces with a cable between them; False where they cannot be made."""
    one, other = NAMES
    steps = [
        ["netns", "add", one],
        ["netns", "add", other],
        ["link", "add", "va", "netns", one, "type", "veth", "peer", "name", "vb", "netns", other],
        *(
            step
            for name, device, address in zip(NAMES, ("va", "vb"), ADDRESSES, strict=True)
            for step in (
                ["-n", name, "addr", "add", f"{address}/24", "dev", device],
                ["-n", name, "link", "set", device, "up"],
                ["-n", name, "link", "set", "lo", "up"],
            )
        ),
    ]
    try:
        yield all(_ip(step) for step in steps) and _ip([*ON[1:], one, *APART, "true"])
    finally:
        for name in NAMES:
            _ip(["netns", "del", name])


def trained_on_both(command: Sequence[str | Path], out: Path) -> str:
    """`neocog` by torchrun on both, the run folder being the first's alone: what went wrong."""
    running = []
    for place, name in enumerate(NAMES):
        launch = [
            *("-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{ADDRESSES[0]}:29500"),
            *("--rdzv-id", "1", "--rdzv-conf", f"is_host={1 - place}"),
            *("--local-addr", ADDRESSES[place], "-m", "neocog", *map(str, command)),
        ]
        device = {"GLOO_SOCKET_IFNAME": ("va", "vb")[place]}
        with out.with_name(f"said-{name}").open("wb") as said:
            running.append(
                subprocess.Popen(
                    [*ON, name, *APART, sys.executable, *launch],
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env={**os.environ, **device},
                )
            )
    try:
        codes = [process.wait(LONGEST) for process in running]
    except subprocess.TimeoutExpired:
        for process in running:
            process.kill()
        return f"not at an end after {LONGEST:.0f} s"
    return "" if codes == [0, 0] else f"ended with {codes}"


def _ip(words: Sequence[str]) -> bool:
    try:
        return not subprocess.run(["ip", *words], capture_output=True, check=False).returncode
    except OSError:
        return False
