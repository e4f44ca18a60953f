"""A run in hand: what a run folder has to say, as Python values and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from neocog.analysis import calibration, confusion
from neocog.analysis.answers import answers
from neocog.analysis.evaluation import check_classes, evaluation
from neocog.analysis.scores import check_finished, summary
from neocog.data.batches import to_input
from neocog.data.pictures import read
from neocog.errors import NeocogError, unknown
from neocog.recipe import Recipe
from neocog.recipes import described
from neocog.records import Epoch, Norms, Predictions
from neocog.run import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from neocog.data.dataset import Dataset
    from neocog.evaluation import Evaluation
    from neocog.understanding import Seen


class Run:
    """A run folder in hand: its history, its scores, its network."""

    def __init__(self, folder: RunFolder, network: nn.Module | None = None) -> None:
        self.folder = folder
        self._network = network

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def recipe(self) -> Recipe:
        return self.folder.recipe

    @property
    def history(self) -> list[Epoch]:
        return self.folder.history

    @property
    def norms(self) -> list[Norms]:
        """How large weights and gradients of each layer were after each epoch."""
        return self.folder.norms

    @property
    def scores(self) -> dict[str, Any]:
        """What `neocog train --json` prints: test and validation scores, time, speed."""
        return summary(self.folder)

    def all_scores(self) -> dict[str, Any]:
        """What `neocog eval --json` prints: the same with intervals, classes, calibration."""
        return evaluation(self.folder)

    def confusion(self, split: str | None = None) -> np.ndarray:
        """int64 (K, K): row k, column j: pictures of class k that were taken for class j.

        `split`: "test" or "validation"; None is the test, or validation where there is none.
        """
        return confusion.confusion(answers(self._predictions(split)[1]))

    def plot_confusion(self, split: str | None = None) -> Figure:
        """The same in one figure."""
        from neocog.report import confusion as figures  # matplotlib: half a second

        split, said = self._predictions(split)
        counts = confusion.confusion(answers(said))
        title = f"{self._what()}, {split}, views {self.recipe.views}"
        return figures.figure(counts, self.folder.spec.classes, title=title)

    def plot_reliability(self) -> Figure:
        """How often it is right by how sure it is; of the test also with a temperature that was
        fitted to validation.
        """
        from neocog.report import reliability as figures

        split, said = self._predictions(None)
        binned = calibration.reliability(answers(said), binning="equal width")
        after: list[calibration.Bin] = []
        held_out = self.folder.predictions("validation")
        if split == "test" and held_out is not None:
            value = calibration.fitted_temperature(held_out).value
            if value is not None:
                cooled = answers(said, temperature=value)
                after = calibration.reliability(cooled, binning="equal width")
        title = f"{self._what()}, {split}, views {self.recipe.views}; bins of equal width"
        return figures.figure(binned, after, title=title)

    def _what(self) -> str:
        return f"{self.folder.network_name} on {self.folder.data['name']}"

    def _predictions(self, split: str | None) -> tuple[str, Predictions]:
        if split not in ("test", "validation", None):
            raise unknown("split", str(split), ("test", "validation"))
        check_finished(self.folder)
        for name in ("test", "validation") if split is None else (split,):
            said = self.folder.predictions(name)
            if said is not None:
                check_classes(self.folder, name, said)
                return name, said
        raise NeocogError(f"{self.path}: the run has no {split}.npz: its data have no such split")

    def network(self) -> nn.Module:
        """The network with the weights that were scored, in eval mode."""
        network = self.folder.new_network() if self._network is None else self._network
        self.folder.load_weights(network)
        return network.eval()

    def plot(self) -> Figure:
        """Loss and accuracy of training and validation by epoch, in one figure."""
        from neocog.report import curves

        title = f"{self._what()}, recipe {described(self.recipe)}"
        return curves.figure(self.history, title=title)

    def save_plot(self) -> Path:
        """The same as curves.png in the run folder; gives its path."""
        from neocog.report import curves

        path = self.path / "curves.png"
        content = curves.png(self.plot(), dpi=150)
        self.folder.write("curves.png", lambda file: file.write(content))
        return path

    def predict(self, *files: str | Path) -> list[dict[str, Any]]:
        """[{"file", "ranked": [{"class", "probability"}, ...]}], the likeliest class first.

        Every file is read before the first is classified, so a wrong one is said at once.
        """
        spec, network = self.folder.spec, self.network()
        shorter = spec.resize if spec.placing == "resize" else 0
        channels = 1 if spec.channels == 1 else 3
        pictures = [read(Path(file), channels, shorter=shorter) for file in files]
        answers = []
        for file, pixels in zip(files, pictures, strict=True):
            device = next(network.parameters()).device
            with torch.inference_mode():
                chances = network(to_input(pixels[None], spec).to(device))[0].softmax(0)
            order = chances.argsort(descending=True).tolist()
            ranked = [{"class": spec.classes[k], "probability": float(chances[k])} for k in order]
            answers.append({"file": str(file), "ranked": ranked})
        return answers

    def evaluate(
        self,
        *,
        views: str = "single",
        scales: Sequence[int] = (),
        data: Dataset | str | Path | None = None,
        from_dir: str | Path | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Evaluation:
        """Its scores by one of the papers' protocols, or on other data: see `neocog.evaluate`."""
        from neocog import protocols

        return protocols.evaluate(
            self, views=views, scales=scales, data=data, from_dir=from_dir, tell=tell
        )

    def look(
        self,
        what: str,
        *files: str | Path,
        data: Dataset | None = None,
        layer: str | None = None,
        target: str | int | None = None,
        channel: int | None = None,
        split: str = "test",
        number: int | None = None,
        sample: int | None = None,
        seed: int = 0,
        from_dir: str | Path | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Seen:
        """Into the network: one of `neocog.understanding.LOOKS`, as `look("cam", "coat.png")`.

        What comes back has a `figure`, its `numbers`, `arrays`, and the same in `words`. See
        `neocog.understanding.look` for the options; `data` is needed where the run's were a
        Dataset of your own.
        """
        from neocog import understanding

        return understanding.look(
            self.folder,
            what,
            *files,
            network=self.network(),
            data=data,
            layer=layer,
            target=target,
            channel=channel,
            split=split,
            number=number,
            sample=sample,
            seed=seed,
            from_dir=from_dir,
            tell=tell,
        )

    def report(
        self,
        *,
        out: str | Path | None = None,
        lang: str = "en",
        data: Dataset | None = None,
        sample: int | None = None,
        from_dir: str | Path | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> Path:
        """Write the run as one HTML page, report.html in its folder; gives its path.

        `neocog.write_report` does it of several runs, and says what the options are.
        """
        from neocog.reporting import gathering, making

        way = gathering.Gathering(from_dir, sample, self._network, data, tell or making.nobody)
        return making.report([self.folder], out=out, lang=lang, how=way).path


def open_run(path: str | Path, *, network: nn.Module | None = None) -> Run:
    """A run that exists; `neocog.open` in Python. A network that is not neocog's is given again."""
    return Run(RunFolder.open(path), network)
