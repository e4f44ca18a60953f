"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["Intermixed"]


class Intermixed(argparse.ArgumentParser):
    """Of a command: names may stand before, between and behind options, which argparse by itself
    refuses where there may be any number of them.
    """

    within = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        many = any(each.nargs in ("*", "+") for each in self._get_positional_actions())
        if self.within or not many:
            return super().parse_known_args(args, namespace)
        self.within = True  # it calls this method
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.within = False


def command(commands: Commands, name: str, call: str, *, about: str) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    made.add_argument("--json", action="store_true", help="one JSON value on stdout")
    made.set_defaults(call=call)
    return made


def device(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps"
    )
    words = {
        "precision": "auto (default), fp32, bf16",
        "layout": "auto (default), contiguous, channels_last",
        "compile": "auto (default), yes, no",
    }
    for name, about in words.items():
        to.add_argument(f"--{name}", default="auto", metavar="WORD", help=about)
    to.add_argument("--threads", type=int, metavar="N", help="of the processor, at most")
    to.add_argument(
        "--accumulate",
        type=int,
        metavar="N",
        help="pass each batch in N pieces, one after the other: the same step in less memory",
    )
    to.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="train in N processes on this machine that share each batch: a GPU each, or the "
        "processor's cores dealt out; for several machines see docs/devices.md",
    )


def cache_size(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--cache-size",
        type=float,
        metavar="GB",
        help="of decoded pictures kept on disk (20, or half of what is free); 0: none",
    )


def save_every(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--save-every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="between checkpoints (60), beside those after each epoch",
    )


def log(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--log", metavar="KIND", help="tensorboard: write its event files into RUN/tensorboard too"
    )


def from_dir(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--from",
        dest="from_dir",
        metavar="DIR",
        help="a folder of the data set's official files, or to which a list leads (or NEOCOG_DATA)",
    )
