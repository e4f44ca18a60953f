"""How the processes of a run find each other, also when torchrun has started them again."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

LONGEST = timedelta(minutes=15)  # until all have come
LOOK = 0.05  # seconds


def met() -> tuple[Store, int, int]:
    """A place to exchange addresses that is new to this start of the processes; rank and number.

    torchrun's own place (torch 2.13) is one for all its starts, in which the addresses of processes
    that are gone still stand: who reads one waits for good. The number of restarts tells starts
    apart on one machine alone. So each process shows a name that it has just made, and the first
    answers every name with that of the meeting, until all have said that they know it.
    """
    store, rank, world = next(rendezvous("env://", timeout=LONGEST))
    own = uuid.uuid4().hex
    store.set(f"neocog/name/{rank}", own)
    if rank == 0:
        _answer(store, own, world)
        meeting = own
    else:
        meeting = store.get(f"neocog/answer/{own}").decode()  # waits until it is there
        store.set(f"neocog/known/{meeting}/{rank}", "yes")
    return PrefixStore(f"neocog/{meeting}", store), rank, world


def _answer(store: Store, meeting: str, world: int) -> None:
    missing, end = set(range(1, world)), time.monotonic() + LONGEST.total_seconds()
    while missing:
        for rank in sorted(missing):
            name = f"neocog/name/{rank}"
            if store.check([name]):
                store.set(f"neocog/answer/{store.get(name).decode()}", meeting)
            if store.check([f"neocog/known/{meeting}/{rank}"]):
                missing.discard(rank)
        if time.monotonic() > end:
            raise RuntimeError(f"processes {sorted(missing)} did not come")
        time.sleep(LOOK)
