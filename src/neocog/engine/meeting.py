"""How the processes of a run find each other, also where they are started again, and part."""

from __future__ import annotations

import gc
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from neocog.data.threads import count as processors
from neocog.engine.exchange import GoneError
from neocog.engine.ranks import Ranks
from neocog.errors import NeocogError, UsageError

PATIENCE = timedelta(hours=2)  # for one that fetches a data set; one that has ended is noticed
LONGEST = timedelta(minutes=15)  # until all have come
LOOK = 0.05  # seconds


class AbandonedError(NeocogError):
    """Another process of the run has ended."""

    of_all = abandoned = True  # the first of the processes says it for all


def launched() -> bool:
    """Whether torchrun, or what does as it does, has started this process among others."""
    there = all(name in os.environ for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"))
    return there and _number("WORLD_SIZE", 1) > 1


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The process among those that were started with it; alone where there are none.

    Raises `AbandonedError` where another one ends before this one does.
    """
    if not launched():
        yield Ranks()
        return
    ours = not dist.is_initialized()
    if ours:
        _begin(device)
    ranks = Ranks(dist.get_rank(), dist.get_world_size())
    try:
        yield ranks
    except RuntimeError as error:
        if _is_of_peers(error):
            raise AbandonedError(
                "another process of this run has ended, and so does this one"
            ) from error
        raise
    finally:
        ranks.part_with()
        if ours:
            dist.destroy_process_group()
        # what still holds the group goes now: at the end of Python its threads would be torn apart,
        # which ends the process by SIGABRT now and then (torch 2.13)
        gc.collect()


def device_of(device: str) -> str:
    """The device of this process: of the GPUs of a machine, each has one."""
    if not launched() or device not in ("auto", "cuda") or not torch.cuda.is_available():
        if launched() and device == "auto":
            return "cpu"
        if launched() and device != "cpu":
            raise UsageError(f"device: {device} was given; several processes take cpu or cuda")
        return device
    place, there = _number("LOCAL_RANK", 0), torch.cuda.device_count()
    if place >= there:
        raise UsageError(
            f"devices: {place + 1} processes on this machine, and it has {there} GPUs: start as "
            "many, or name --device cpu"
        )
    return f"cuda:{place}"


def _begin(device: str) -> None:
    here = _number("LOCAL_WORLD_SIZE", 1)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    elif os.environ.get("OMP_NUM_THREADS", "1") == "1":  # torchrun's: each gets its share
        torch.set_num_threads(max(processors() // here, 1))
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    try:
        store, rank, world = met()
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NeocogError(f"the processes of this run do not find each other: {reason}") from error


def _is_of_peers(error: RuntimeError) -> bool:
    words = str(error)
    return (
        isinstance(error, dist.DistError | GoneError)
        or "gloo" in words
        or "Connection closed" in words
    )


def _number(name: str, otherwise: int) -> int:
    try:
        return int(os.environ.get(name, otherwise))
    except ValueError:
        raise UsageError(
            f"{name}: {os.environ[name]!r} is in the environment; not a number"
        ) from None


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
