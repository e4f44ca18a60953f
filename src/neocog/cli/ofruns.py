"""What can be asked of runs: the arguments of commands that take run folders."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from neocog.cli.arguments import command, from_dir

if TYPE_CHECKING:
    from neocog.cli.arguments import Commands


def watch(commands: Commands) -> None:
    made = command(
        commands,
        "watch",
        "watch:watch",
        about="show the curves of runs while they train, on a page",
    )
    made.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        default=["runs"],
        help="a run folder, or a folder of them (default: runs); it need not be there yet",
    )
    made.add_argument("--port", type=int, metavar="N", help="of the page (8642, or the next free)")
    made.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="whom to listen to (127.0.0.1: nobody else)",
    )
    made.add_argument("--lang", metavar="en|zh", help="of the page (default: the browser's)")


def verify(commands: Commands) -> None:
    made = command(
        commands,
        "verify",
        "verify:verify_run",
        about="check that a run says the truth of itself",
    )
    made.add_argument("run", metavar="RUN", help="its run folder")
    made.add_argument(
        "--retrain", action="store_true", help="train it again, and compare to the bit"
    )
    from_dir(made)


def evaluate(commands: Commands) -> None:
    made = command(commands, "eval", "eval:evaluate", about="show the scores of runs")
    made.add_argument("runs", metavar="RUN", nargs="+", help="a run folder")
    made.add_argument(
        "--compare",
        action="store_true",
        help="each with the first, on the same test pictures: differences, and McNemar's test",
    )
    words = {
        "--views": (
            "PROTOCOL",
            "score anew: single, mirror, six-view, ten-crop, dense, "
            "multi-scale, 144-crop; several runs are averaged",
        ),
        "--scales": ("Q,Q", "shorter sides in pixels, for dense and multi-scale"),
        "--data": ("DATA", "other pictures: a data set or a folder with the same classes"),
        "--from": ("DIR", "where the pictures are now"),
    }
    for name, (value, about) in words.items():
        dest = "from_dir" if name == "--from" else None
        made.add_argument(name, dest=dest, metavar=value, action=_Anew, help=about)


class _Anew(argparse.Action):
    """An option that asks the network again, where scores alone would be read."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        namespace.call = "views:evaluate"


def predict(commands: Commands) -> None:
    made = command(commands, "predict", "predict:predict", about="say what pictures show")
    made.add_argument("run", metavar="RUN", help="the run folder of a trained network")
    made.add_argument("files", metavar="FILE", nargs="+", help="a picture")


def look(commands: Commands) -> None:
    made = command(
        commands,
        "look",
        "look:look",
        about="look into a network: filters, maps, Grad-CAM, mistakes",
    )
    made.add_argument("run", metavar="RUN", help="the run folder of a trained network")
    made.add_argument(
        "files", metavar="PICTURE", nargs="*", default=[], help="what it sees in these"
    )
    made.add_argument(
        "--what",
        metavar="NAME",
        help="sees, maps, cam, saliency, occlusion or gradients, of pictures; filters, units, "
        "weights, exciting, embedding, mistakes, suspects or twins (default: an overview)",
    )
    made.add_argument("--layer", metavar="NAME", help="a layer or stage, such as conv2")
    made.add_argument("--class", dest="target", metavar="NAME", help="default: the one it answers")
    made.add_argument("--channel", type=int, metavar="N", help="of the layer, from 0 (exciting)")
    made.add_argument(
        "--split", default="test", metavar="NAME", help="test (default), validation, train"
    )
    made.add_argument("--number", type=int, metavar="N", help="how many are shown")
    made.add_argument(
        "--sample", type=int, metavar="N", help="pictures looked at (what half a minute allows)"
    )
    made.add_argument(
        "--out", metavar="FILE", help="a .png or .svg (default: look-NAME.png in the run folder)"
    )
    from_dir(made)


def report(commands: Commands) -> None:
    made = command(
        commands,
        "report",
        "report:make_report",
        about="write one page of runs: how good they are, and where they fail",
    )
    made.add_argument("runs", metavar="RUN", nargs="+", help="a run folder")
    made.add_argument(
        "--out",
        metavar="FILE",
        help="an .html (default: report.html in the run folder; of several runs, here)",
    )
    made.add_argument("--lang", default="en", metavar="en|zh", help="of the page (en)")
    made.add_argument(
        "--sample", type=int, metavar="N", help="pictures that units are watched over (500)"
    )
    from_dir(made)
