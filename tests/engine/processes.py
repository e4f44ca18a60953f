"""A function in several processes that find each other, as torchrun starts them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from neocog.engine.meeting import joined
from neocog.engine.ranks import Ranks

LIMIT = 240.0  # seconds, for a machine that does much else


def together(count: int, do: Callable[..., Any], *given: Any) -> list[Any]:
    """What `do(ranks, *given)` gives in each of so many processes, in order of rank.

    `do` is a function of a module. What it raises is given as the text of it.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ends, started = [], []
    for rank in range(count):
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(there, rank, count, port, do, given))
        process.start()
        there.close()
        ends.append(here)
        started.append(process)
    answers = []
    for end in ends:
        answers.append(end.recv() if end.poll(LIMIT) else "no answer")
    for process in started:
        process.join(10)
        process.kill()
    return answers


def _run(
    answer: Connection, rank: int, count: int, port: int, do: Callable[..., Any], given: Any
) -> None:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(count),
        LOCAL_WORLD_SIZE=str(count),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)
    try:
        with joined("cpu") as ranks:
            made = do(ranks, *given)
    except Exception as error:
        made = f"{type(error).__name__}: {error}"
    answer.send(made)


def alone(do: Callable[..., Any], *given: Any) -> Any:
    """The same in this process, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return do(Ranks(), *given)
    finally:
        torch.set_num_threads(before)
