"""What can be typed after `neocog`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from neocog import __version__

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

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
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _nets(commands)
    _data(commands)
    _train(commands)
    _resume(commands)
    _watch(commands)
    _eval(commands)
    _verify(commands)
    _predict(commands)
    _bench(commands)
    return top


def _command(commands: Commands, name: str, call: str, *, about: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    command.add_argument("--json", action="store_true", help="one JSON value on stdout")
    command.set_defaults(call=call)
    return command


def _nets(commands: Commands) -> None:
    nets = _command(
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
    _command(kinds, "list", "data:list_sets", about="list the data sets and where each is at hand")
    get = _command(kinds, "get", "data:get", about="get a data set into the cache")
    look = _command(kinds, "look", "data:look", about="draw a sheet of sample pictures")
    look.add_argument("--out", metavar="FILE", help="where to write the sheet (default NAME.png)")
    look.add_argument("--seed", type=int, default=0, metavar="N", help="which pictures are drawn")
    look.add_argument(
        "--augment", metavar="RECIPE", help="before and after what a recipe does to them"
    )
    stats = _command(kinds, "stats", "folders:stats", about="count classes, sizes, mean and std")
    lists = _command(
        kinds, "manifest", "folders:write_manifest", about="write train.txt and val.txt of a folder"
    )
    split = _command(
        kinds, "split", "folders:write_split", about="write one list of a folder, cut into splits"
    )
    pack = _command(
        kinds, "pack", "folders:write_shards", about="write a folder as shards, to be streamed"
    )
    pack.add_argument(
        "--shard-size", type=float, default=256, metavar="MB", help="of each archive, about (256)"
    )
    doctor = _command(kinds, "doctor", "doctor:doctor", about="say what is wrong with a folder")
    doctor.add_argument("folder", metavar="FOLDER", help="a folder of pictures, or a list of them")
    doctor.add_argument("--out", metavar="PAGE.html", help="write a page that shows what was found")
    doctor.add_argument("--skip", metavar="FILE", help="write the list that train --skip takes")
    doctor.add_argument("--threads", type=int, metavar="N", help="of the processor, at most")
    get.add_argument("name", metavar="NAME", help="a data set, such as mnist")
    for command in (look, stats):
        command.add_argument("name", metavar="DATA", help="a data set, or a folder of pictures")
    for command, out in ((lists, "DIR"), (split, "FILE.csv"), (pack, "DIR")):
        command.add_argument("name", metavar="FOLDER", help="a folder of pictures, or a list")
        command.add_argument("--out", metavar=out, help="where to write, never in FOLDER")
        command.add_argument("--validation", metavar="SHARE", help="held out to validate (0.1)")
        command.add_argument("--test", metavar="SHARE", help="held out to test (0.1)")
        command.add_argument("--seed", metavar="N", help="what chance follows from")
        command.add_argument("--skip", metavar="FILE", help="a list of pictures to leave out")
    for command in (get, look, stats):
        _from(command)


def _train(commands: Commands) -> None:
    train = _command(commands, "train", "train:train", about="train a network on a data set")
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
    _device(train)
    _from(train)
    _cache_size(train)
    _save_every(train)
    _log(train)


def _resume(commands: Commands) -> None:
    resume = _command(commands, "resume", "train:resume", about="go on with a run that was stopped")
    resume.add_argument("run", metavar="RUN", help="its run folder")
    resume.add_argument("--epochs", type=float, metavar="N", help="more than it began with")
    _device(resume)
    _from(resume)
    _cache_size(resume)
    _save_every(resume)
    _log(resume)


def _watch(commands: Commands) -> None:
    watch = _command(
        commands,
        "watch",
        "watch:watch",
        about="show the curves of runs while they train, on a page",
    )
    watch.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        default=["runs"],
        help="a run folder, or a folder of them (default: runs); it need not be there yet",
    )
    watch.add_argument("--port", type=int, metavar="N", help="of the page (8642, or the next free)")
    watch.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="whom to listen to (127.0.0.1: nobody else)",
    )
    watch.add_argument("--lang", metavar="en|zh", help="of the page (default: the browser's)")


def _verify(commands: Commands) -> None:
    verify = _command(
        commands,
        "verify",
        "verify:verify_run",
        about="check that a run says the truth of itself",
    )
    verify.add_argument("run", metavar="RUN", help="its run folder")
    verify.add_argument(
        "--retrain", action="store_true", help="train it again, and compare to the bit"
    )
    _from(verify)


def _eval(commands: Commands) -> None:
    evaluate = _command(commands, "eval", "eval:evaluate", about="show the scores of runs")
    evaluate.add_argument("runs", metavar="RUN", nargs="+", help="a run folder")
    evaluate.add_argument(
        "--compare",
        action="store_true",
        help="each with the first, on the same test pictures: differences, and McNemar's test",
    )


def _predict(commands: Commands) -> None:
    predict = _command(commands, "predict", "predict:predict", about="say what pictures show")
    predict.add_argument("run", metavar="RUN", help="the run folder of a trained network")
    predict.add_argument("files", metavar="FILE", nargs="+", help="a picture")


def _bench(commands: Commands) -> None:
    bench = _command(
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


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:1, mps"
    )
    words = {
        "precision": "auto (default), fp32, bf16",
        "layout": "auto (default), contiguous, channels_last",
        "compile": "auto (default), yes, no",
    }
    for name, about in words.items():
        command.add_argument(f"--{name}", default="auto", metavar="WORD", help=about)
    command.add_argument("--threads", type=int, metavar="N", help="of the processor, at most")
    command.add_argument(
        "--accumulate",
        type=int,
        metavar="N",
        help="pass each batch in N pieces, one after the other: the same step in less memory",
    )
    command.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="train in N processes on this machine that share each batch: a GPU each, or the "
        "processor's cores dealt out; for several machines see docs/devices.md",
    )


def _cache_size(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--cache-size",
        type=float,
        metavar="GB",
        help="of decoded pictures kept on disk (20, or half of what is free); 0: none",
    )


def _save_every(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--save-every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="between checkpoints (60), beside those after each epoch",
    )


def _log(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--log", metavar="KIND", help="tensorboard: write its event files into RUN/tensorboard too"
    )


def _from(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--from",
        dest="from_dir",
        metavar="DIR",
        help="a folder of the data set's official files, or to which a list leads (or NEOCOG_DATA)",
    )
