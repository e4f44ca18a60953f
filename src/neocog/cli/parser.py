"""What can be typed after `neocog`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from neocog import __version__
from neocog.cli import ofruns
from neocog.cli.arguments import (
    Intermixed,
    cache_size,
    command,
    device,
    from_dir,
    log,
    save_every,
)

if TYPE_CHECKING:
    from neocog.cli.arguments import Commands

ABOUT = """\
The classic convolutional networks as their papers print them, trained from one command.

  neocog nets                               every network, one a line
  neocog nets alexnet                       one network, layer by layer
  neocog train lenet_relu fashion-mnist     train, score, and keep it all in runs/
  neocog predict RUN picture.png            what a trained network says of a picture
"""
EXIT_CODES = "exit codes: 0 done, 1 a failure that the message explains, 2 wrong usage, \
75 terminated and saved: `neocog resume` goes on, 130 interrupted"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="neocog",
        description=ABOUT,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"neocog {__version__}")
    commands = top.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Intermixed
    )
    _nets(commands)
    _data(commands)
    _train(commands)
    _resume(commands)
    ofruns.watch(commands)
    ofruns.evaluate(commands)
    ofruns.verify(commands)
    ofruns.predict(commands)
    ofruns.look(commands)
    ofruns.report(commands)
    _bench(commands)
    return top


def _nets(commands: Commands) -> None:
    nets = command(
        commands, "nets", "nets:nets", about="list the networks, or show one layer by layer"
    )
    nets.add_argument("name", nargs="?", metavar="NAME", help="a network, such as alexnet")
    nets.add_argument("--input", metavar="C,H,W", help="for a picture of this size instead")
    nets.add_argument("--stages", action="store_true", help="stage by stage, not layer by layer")
    nets.add_argument(
        "--compare", nargs="+", metavar="NAME", help="several networks side by side, with factors"
    )
    nets.add_argument("--draw", metavar="FILE.svg", help="write a picture of the network as blocks")


def _data(commands: Commands) -> None:
    about = "list, get and look at data sets"
    data = commands.add_parser("data", help=about, description="List, get and look at data sets.")
    kinds = data.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command(kinds, "list", "data:list_sets", about="list the data sets and where each is at hand")
    get = command(kinds, "get", "data:get", about="get a data set into the cache")
    look = command(kinds, "look", "data:look", about="draw a sheet of sample pictures")
    look.add_argument("--out", metavar="FILE", help="where to write the sheet (default NAME.png)")
    look.add_argument("--seed", type=int, default=0, metavar="N", help="which pictures are drawn")
    look.add_argument(
        "--augment", metavar="RECIPE", help="before and after what a recipe does to them"
    )
    stats = command(kinds, "stats", "folders:stats", about="count classes, sizes, mean and std")
    lists = command(
        kinds, "manifest", "folders:write_manifest", about="write train.txt and val.txt of a folder"
    )
    split = command(
        kinds, "split", "folders:write_split", about="write one list of a folder, cut into splits"
    )
    pack = command(
        kinds, "pack", "folders:write_shards", about="write a folder as shards, to be streamed"
    )
    pack.add_argument(
        "--shard-size", type=float, default=256, metavar="MB", help="of each archive, about (256)"
    )
    doctor = command(kinds, "doctor", "doctor:doctor", about="say what is wrong with a folder")
    doctor.add_argument("folder", metavar="FOLDER", help="a folder of pictures, or a list of them")
    doctor.add_argument("--out", metavar="PAGE.html", help="write a page that shows what was found")
    doctor.add_argument("--skip", metavar="FILE", help="write the list that train --skip takes")
    doctor.add_argument("--threads", type=int, metavar="N", help="of the processor, at most")
    get.add_argument("name", metavar="NAME", help="a data set, such as mnist")
    for made in (look, stats):
        made.add_argument("name", metavar="DATA", help="a data set, or a folder of pictures")
    for made, out in ((lists, "DIR"), (split, "FILE.csv"), (pack, "DIR")):
        made.add_argument("name", metavar="FOLDER", help="a folder of pictures, or a list")
        made.add_argument("--out", metavar=out, help="where to write, never in FOLDER")
        made.add_argument("--validation", metavar="SHARE", help="held out to validate (0.1)")
        made.add_argument("--test", metavar="SHARE", help="held out to test (0.1)")
        made.add_argument("--seed", metavar="N", help="what chance follows from")
        made.add_argument("--skip", metavar="FILE", help="a list of pictures to leave out")
    for made in (get, look, stats):
        from_dir(made)


def _train(commands: Commands) -> None:
    train = command(commands, "train", "train:train", about="train a network on a data set")
    train.add_argument("network", metavar="NETWORK", help="`neocog nets` lists them")
    train.add_argument(
        "data",
        metavar="DATA",
        help="`neocog data list` lists them; or a folder of pictures, a list of them, or shards",
    )
    train.add_argument(
        "--or",
        dest="instead",
        action="append",
        default=[],
        metavar="DATA",
        help="a data set to take where the one before cannot be had; may be given again",
    )
    train.add_argument("--recipe", metavar="NAME", help="how to train (default: the network's own)")
    train.add_argument("--epochs", metavar="N", help="passes over the training pictures")
    train.add_argument(
        "--minutes", type=float, metavar="M", help="fit the schedule into so many minutes"
    )
    train.add_argument(
        "--plan", action="store_true", help="say how long it would take, and train nothing"
    )
    train.add_argument("--batch-size", metavar="N", help="pictures a step")
    train.add_argument("--lr", metavar="RATE", help="learning rate")
    train.add_argument("--seed", metavar="N", help="what chance follows from")
    train.add_argument("--size", metavar="PIXELS", help="input size (default: the network's own)")
    train.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="change any field of the recipe; may be given again",
    )
    train.add_argument("--out", metavar="RUN", help="the run folder (default: a new one in runs/)")
    train.add_argument(
        "--skip", metavar="FILE", help="a list of pictures of the folder to leave out"
    )
    device(train)
    from_dir(train)
    cache_size(train)
    save_every(train)
    log(train)


def _resume(commands: Commands) -> None:
    resume = command(commands, "resume", "train:resume", about="go on with a run that was stopped")
    resume.add_argument("run", metavar="RUN", help="its run folder")
    resume.add_argument("--epochs", type=float, metavar="N", help="more than it began with")
    device(resume)
    from_dir(resume)
    cache_size(resume)
    save_every(resume)
    log(resume)


def _bench(commands: Commands) -> None:
    bench = command(
        commands, "bench", "bench:bench", about="measure neocog beside what one would use instead"
    )
    bench.add_argument("--only", metavar="PART", help="train, inference or accuracy alone")
    bench.add_argument("--all", action="store_true", help="time to an accuracy too: hours")
    bench.add_argument("--networks", nargs="+", default=[], metavar="NAME", help="these alone")
    bench.add_argument("--arms", nargs="+", default=[], metavar="NAME", help="these alone")
    bench.add_argument("--rounds", type=int, metavar="N", help="at most (default 3)")
    bench.add_argument("--minutes", type=float, metavar="M", help="in all, about (20); 0: no end")
    bench.add_argument(
        "--seconds", type=float, default=4.0, metavar="S", help="of each measurement (4)"
    )
    bench.add_argument("--limit", type=float, metavar="S", help="of each process, at most (600)")
    bench.add_argument("--batch", type=int, metavar="N", help="pictures a training step")
    bench.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda")
    bench.add_argument("--avx2", action="store_true", help="as if it had AVX2 and no more")
    bench.add_argument("--quick", action="store_true", help="a few steps, to see that all works")
    bench.add_argument("--out", metavar="DIR", help="where the result is written")
