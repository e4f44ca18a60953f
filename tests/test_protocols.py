"""Protocols on finished runs: what is kept, what is averaged, which data, what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest
from tests.conftest import Silent
from tests.folders import flat_folder, tree_digest

import neocog
from neocog import api, asking
from neocog.cli.main import main
from neocog.cli.views import lines
from neocog.data.dataset import Dataset, Split
from neocog.data.loading import load_folder
from neocog.data.spec import InputSpec
from neocog.engine import pieces
from neocog.engine.views import PROTOCOLS
from neocog.errors import NeocogError, UsageError
from neocog.evaluation import Evaluation, compared
from neocog.recipe import Recipe
from neocog.records import Predictions
from neocog.run import RunFolder


def quiet(line: str) -> None:
    pass


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def mirrorable() -> Dataset:
    """The digits, as if their mirror images were the same digits."""
    digits = neocog.load("digits")
    few = {name: getattr(digits, name).first(count) for name, count in COUNTS.items()}
    return dataclasses.replace(digits, mirrors=True, name="mirrorable", **few)


COUNTS = {"train": 300, "val": 40, "test": 60}


@pytest.fixture(scope="session")
def trained(mirrorable: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two networks on the same pictures."""
    out = tmp_path_factory.mktemp("trained")
    for name in ("lenet_relu", "lenet_mxnet"):
        made = neocog.create(name, num_classes=10, in_channels=1, seed=1)
        recipe = Recipe(epochs=1, batch_size=32, lr=0.05)
        api.train(made, mirrorable, recipe=recipe, out=out / name, tell=quiet, watcher=Silent())
    return [out / "lenet_relu", out / "lenet_mxnet"]


@pytest.fixture
def runs(trained: list[Path], tmp_path: Path) -> list[Path]:
    return [Path(shutil.copytree(path, tmp_path / path.name)) for path in trained]


def chances(said: Evaluation) -> torch.Tensor:
    return torch.from_numpy(said.predictions.logits).softmax(1)


def never(*given: Any, **named: Any) -> Any:
    raise AssertionError("it was asked again")


# -- one run


def test_single_is_what_the_run_was_scored_by(run: Path) -> None:
    said = neocog.evaluate(run, tell=quiet)
    then = RunFolder.open(run).predictions("test")
    assert then is not None
    assert np.array_equal(said.predictions.logits, then.logits)
    assert said.scores == api.open_run(run).evaluate(views="single").scores
    assert (said.split, said.data, said.kept, said.members) == ("test", "digits", False, ())


def test_what_was_said_is_kept_with_its_facts_and_read_again(
    runs: list[Path], mirrorable: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = neocog.evaluate(runs[0], views="multi-scale", data=mirrorable, tell=quiet)
    assert RunFolder.open(runs[0]).facts("test.multi-scale") == first.facts
    facts = {"views": "multi-scale", "scales": [28, 32, 36], "passes": 6, "averaged": "softmax"}
    assert facts.items() <= first.facts.items()
    monkeypatch.setattr(asking, "viewed", never)
    again = neocog.evaluate(runs[0], views="multi-scale", tell=quiet)  # the data are not needed
    assert again.kept
    assert not first.kept
    assert np.array_equal(again.predictions.logits, first.predictions.logits)
    assert again.to_json() == first.to_json()
    for otherwise in ({"views": "dense"}, {"views": "multi-scale", "scales": (28, 40)}):
        with pytest.raises(AssertionError):
            neocog.evaluate(runs[0], data=mirrorable, tell=quiet, **otherwise)


def test_other_weights_are_asked_anew(runs: list[Path], mirrorable: Dataset) -> None:
    said = neocog.evaluate(runs[0], views="ten-crop", data=mirrorable, tell=quiet)
    folder = RunFolder.open(runs[0])
    weights = {name: tensor * 0.5 for name, tensor in folder.weights().items()}
    folder.save_weights(weights, epoch=1)
    again = neocog.evaluate(runs[0], views="ten-crop", data=mirrorable, tell=quiet)
    assert not again.kept
    assert not np.array_equal(again.predictions.logits, said.predictions.logits)


def test_what_was_kept_and_is_damaged_is_made_anew(runs: list[Path], mirrorable: Dataset) -> None:
    first = neocog.evaluate(runs[0], views="mirror", data=mirrorable, tell=quiet)
    path = runs[0] / "test.mirror.npz"
    whole, told = path.read_bytes(), list[str]()
    path.write_bytes(whole[: len(whole) // 2])
    again = neocog.evaluate(runs[0], views="mirror", data=mirrorable, tell=told.append)
    assert "test.mirror.npz: damaged" in told[0]
    assert path.read_bytes() == whole
    assert again.scores == first.scores
    strange = {**first.facts, "count": "many", "passes": "some"}
    RunFolder.open(runs[0]).write_predictions("test.mirror", first.predictions, facts=strange)
    again = neocog.evaluate(runs[0], views="mirror", data=mirrorable, tell=quiet)
    assert not again.kept
    assert again.facts == first.facts


def test_what_was_kept_of_other_classes_is_made_anew(runs: list[Path], mirrorable: Dataset) -> None:
    said = neocog.evaluate(runs[0], views="mirror", data=mirrorable, tell=quiet)
    folder, told = RunFolder.open(runs[0]), list[str]()
    few = Predictions(said.predictions.logits[:, :5], said.predictions.labels % 5)
    folder.write_predictions("test.mirror", few, facts=folder.facts("test.mirror"))
    again = neocog.evaluate(runs[0], views="mirror", data=mirrorable, tell=told.append)
    assert np.array_equal(again.predictions.logits, said.predictions.logits)
    assert any("test.mirror.npz: not what was asked" in line for line in told)


def test_a_damaged_score_hides_no_other(
    runs: list[Path], mirrorable: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    neocog.evaluate(runs[0], views="mirror", data=mirrorable, tell=quiet)
    (runs[0] / "test.npz").write_bytes(b"not this")
    assert main(["eval", str(runs[0]), "--views", "mirror"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("damaged")
    for option in ("--views", "--scales"):
        assert main(["eval", str(runs[0]), option, ""]) == 2


def test_what_cannot_be_kept_is_shown_all_the_same(
    runs: list[Path], mirrorable: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **named: Any) -> None:
        raise NeocogError("test.mirror.npz: cannot be written: No space left on device")

    monkeypatch.setattr(RunFolder, "write_predictions", full)
    told = list[str]()
    said = neocog.evaluate(runs[0], views="mirror", data=mirrorable, tell=told.append)
    assert said.scores["n"] == 60
    assert any("No space left on device. It is shown, and not kept" in line for line in told)


def test_one_who_stops_it_finds_nothing_half_written(runs: list[Path], mirrorable: Dataset) -> None:
    before = tree_digest(runs[0])

    def stop(*at: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        neocog.evaluate(runs[0], views="ten-crop", data=mirrorable, tell=quiet, watch=stop)
    assert tree_digest(runs[0]) == before


def test_mirror_images_of_digits_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for views in ("mirror", "ten-crop", "dense", "144-crop"):
        assert main(["eval", str(run), "--views", views]) == 2
        said = capsys.readouterr().err
        assert "pictures of digits do not keep their class" in said
        assert "what fits them: single" in said


def test_a_network_of_ones_own_is_asked_and_not_slid(mirrorable: Dataset, tmp_path: Path) -> None:
    class Own(torch.nn.Sequential):
        pass

    own = Own(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    recipe = Recipe(epochs=1, batch_size=64, lr=0.1)
    run = api.train(
        own, mirrorable, recipe=recipe, out=tmp_path / "r", tell=quiet, watcher=Silent()
    )
    ten = run.evaluate(views="ten-crop", data=mirrorable)
    assert ten.predictions.logits.shape == (60, 10)
    with pytest.raises(UsageError, match="this Own cannot be slid"):
        run.evaluate(views="dense", data=mirrorable)
    with pytest.raises(NeocogError, match="a class that is not neocog's"):
        neocog.evaluate(run.path, views="mirror", data=mirrorable)


# -- several runs


def test_weights_from_elsewhere_are_asked_as_a_runs_are(
    runs: list[Path], mirrorable: Dataset
) -> None:
    folder = RunFolder.open(runs[0])
    network = folder.new_network()
    folder.load_weights(network)
    other = dataclasses.replace(
        mirrorable, classes=tuple(reversed(mirrorable.classes)), name="others",
        test=Split(mirrorable.test.images, 9 - mirrorable.test.labels),
    )  # fmt: skip
    alone = neocog.Pretrained(network, folder.spec, "from elsewhere")
    for views in ("single", "ten-crop"):
        own = neocog.evaluate(runs[0], views=views, data=mirrorable, tell=quiet)
        said = neocog.evaluate(alone, views=views, data=other, tell=quiet)
        assert np.array_equal(said.predictions.logits, own.predictions.logits)
        assert np.array_equal(said.predictions.labels, own.predictions.labels)  # by name
        assert (said.runs, said.seen, said.own) == (("from elsewhere",), None, False)
    both = neocog.evaluate([alone, runs[1]], data=other, tell=quiet)
    assert [member.runs[0] for member in both.members] == ["from elsewhere", str(runs[1])]
    with pytest.raises(UsageError, match="from elsewhere: it is of no run; name the pictures"):
        neocog.evaluate(alone, tell=quiet)
    for classes, words in ((("x",) * 10, "knows no class"), (("x", "y"), "other classes than")):
        spec = dataclasses.replace(folder.spec, classes=classes)
        with pytest.raises(UsageError, match=words):
            odd = neocog.Pretrained(network, spec)
            neocog.evaluate(odd if len(classes) > 2 else [alone, odd], data=other, tell=quiet)


def test_of_several_runs_the_probabilities_are_averaged(
    runs: list[Path], mirrorable: Dataset
) -> None:
    for views in ("single", "dense"):
        said = neocog.evaluate(runs, views=views, data=mirrorable, tell=quiet)
        alone = [neocog.evaluate(path, views=views, data=mirrorable) for path in runs]
        mean = torch.stack([chances(each) for each in alone]).mean(0)
        torch.testing.assert_close(chances(said), mean)
        right = (mean.argmax(1).numpy() == said.predictions.labels).mean()
        assert said.scores["top1"] == pytest.approx(float(right))
        assert [member.scores for member in said.members] == [each.scores for each in alone]
        assert said.facts["passes"] == sum(each.facts["passes"] for each in alone)
        assert said.networks == ("lenet_relu", "lenet_mxnet")


def test_runs_are_compared_by_a_protocol(
    runs: list[Path], mirrorable: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    said = neocog.evaluate(runs, views="ten-crop", data=mirrorable, tell=quiet)
    right = [(chances(each).argmax(1).numpy() == each.predictions.labels) for each in said.members]
    found = compared(said)
    (difference,) = found["differences"]
    assert difference["top1"]["difference"] == pytest.approx(right[1].mean() - right[0].mean())
    test = difference["mcnemar"]
    fewer, n = min(test["only_first"], test["only_this"]), test["only_first"] + test["only_this"]
    assert test["only_this"] == int((right[1] & ~right[0]).sum())
    assert test["only_first"] == int((right[0] & ~right[1]).sum())
    if test["form"] == "exact":
        assert test["p"] == pytest.approx(binomtest(fewer, n).pvalue if n else 1)
    assert [run["test"]["protocol"] for run in found["runs"]] == ["ten-crop", "ten-crop"]
    # what was said is kept in the folders, and so the command needs no data
    command = ["eval", *map(str, runs), "--views", "ten-crop", "--compare"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "ten-crop: corners and centre" in out
    assert "60 test pictures, the same of every run" in out
    assert "together" not in out
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == found["differences"]
    assert main([command[0], command[1], *command[3:]]) == 2
    assert "two runs or more are needed" in capsys.readouterr().err


def test_seeds_are_summed_up_by_a_protocol(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    about = json.loads((other / "recipe.json").read_text())
    about["recipe"]["seed"] = 7
    (other / "recipe.json").write_text(json.dumps(about))
    found = compared(neocog.evaluate([run, other], tell=quiet))
    (group,) = found["seeds"]
    assert (group["seeds"], group["same_pictures"], group["top1"]["sd"]) == ([0, 7], True, 0.0)


def test_a_protocols_score_has_its_interval(run: Path) -> None:
    said = neocog.evaluate(run, views="single")
    hits, n = int((said.predictions.logits.argmax(1) == said.predictions.labels).sum()), 359
    wanted = binomtest(hits, n).proportion_ci(method="wilson")
    assert (said.interval.low, said.interval.high) == pytest.approx((wanted.low, wanted.high))
    assert said.to_json()["intervals"]["top1"]["n"] == n


def test_runs_of_other_seeds_share_their_test_pictures(run: Path, tmp_path: Path) -> None:
    """Other validation pictures were held out, so the data sets' fingerprints differ."""
    other = Path(shutil.copytree(run, tmp_path / "other"))
    made = json.loads((other / "recipe.json").read_text())
    made["data"] |= {"seed": 3, "fingerprint": neocog.load("digits", seed=3).fingerprint()}
    (other / "recipe.json").write_text(json.dumps(made))
    assert RunFolder.open(other).data["fingerprint"] != RunFolder.open(run).data["fingerprint"]
    said = neocog.evaluate([run, other], tell=quiet)
    assert len(said.members) == 2


def test_runs_that_cannot_be_asked_together_are_refused(
    run: Path, runs: list[Path], mirrorable: Dataset, tmp_path: Path
) -> None:
    for path in runs:
        neocog.evaluate(path, data=mirrorable, tell=quiet)  # kept, since it has no name
    with pytest.raises(UsageError, match="pictures are not those of"):
        neocog.evaluate([run, *runs], tell=quiet)
    with pytest.raises(UsageError, match="named twice"):
        neocog.evaluate([run, str(run)], tell=quiet)
    with pytest.raises(UsageError, match="at least one"):
        neocog.evaluate([], tell=quiet)
    fewer = dataclasses.replace(RunFolder.open(run).spec, classes=tuple("abcdefghij"))
    (runs[0] / "input.json").write_text(json.dumps(fewer.to_json()))
    with pytest.raises(UsageError, match="other classes than"):
        neocog.evaluate([run, runs[0]], tell=quiet)
    (run / "test.npz").unlink()
    with pytest.raises(UsageError, match="not finished"):
        neocog.evaluate(run, tell=quiet)


# -- other data


def taken(split: Split, *rows: int) -> Split:
    return Split(split.images[list(rows)], split.labels[list(rows)])


def joined(*splits: Split) -> Split:
    return Split(
        torch.cat([split.images for split in splits]), torch.cat([split.labels for split in splits])
    )


def test_pictures_that_were_trained_on_are_counted_and_told(run: Path) -> None:
    digits, told = neocog.load("digits"), list[str]()
    test = joined(taken(digits.train, 0, 5, 9), taken(digits.val, 1), taken(digits.test, 2, 3))
    other = dataclasses.replace(digits, test=test, name="mine")
    said = neocog.evaluate(run, data=other, tell=told.append)
    assert said.seen == {"train": 3, "validation": 1}
    assert any("TRAINED ON 3 of these 6 pictures" in line for line in told)
    assert said.to_json()["seen"] == {"train": 3, "validation": 1}
    assert any("3 of them were trained on, 1 validated with" in line for line in lines(said))
    assert not list(run.glob("test.*.npz"))  # they are not its test pictures: nothing is kept
    clean = dataclasses.replace(digits, test=taken(digits.test, 0, 1), name="mine")
    said = neocog.evaluate(run, data=clean, tell=quiet)
    assert said.seen == {"train": 0, "validation": 0}
    assert "none of them was trained on, or validated with" in lines(said)
    assert "whether any of them was trained on is not known" in lines(
        dataclasses.replace(said, seen=None)
    )


def test_classes_are_known_by_name_in_whatever_order(run: Path) -> None:
    digits = neocog.load("digits")
    turned = Split(digits.test.images, 9 - digits.test.labels)  # type: ignore[union-attr]
    backwards = dataclasses.replace(digits, test=turned, classes=digits.classes[::-1])
    said = neocog.evaluate(run, data=backwards, tell=quiet)
    assert said.scores == neocog.evaluate(run, tell=quiet).scores
    letters = dataclasses.replace(digits, classes=tuple("abcdefghij"))
    with pytest.raises(UsageError, match="and others; its classes are 0, 1"):
        neocog.evaluate(run, data=letters, tell=quiet)


def saved(split: Split, classes: tuple[str, ...], root: Path) -> Path:
    """As a folder of PNG files, a folder a class."""
    for number, (image, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
        (root / classes[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(root / classes[label] / f"{number}.png")
    return root


def test_a_folder_of_pictures_that_were_trained_on_is_found_out(run: Path, tmp_path: Path) -> None:
    digits = neocog.load("digits")
    some = joined(digits.train.first(20), digits.test.first(30))  # type: ignore[arg-type]
    folder = saved(some, digits.classes, tmp_path / "mine")
    before = tree_digest(folder)
    said = neocog.evaluate(run, data=str(folder), tell=quiet)
    assert said.seen is not None
    assert (said.seen["train"], said.scores["n"]) == (20, 50)
    assert tree_digest(folder) == before


@pytest.fixture(scope="session")
def of_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run on a folder of pictures of several sizes, and the folder."""
    root = tmp_path_factory.mktemp("files")
    folder = flat_folder(root / "p", 12)
    recipe = Recipe(epochs=1, batch_size=8, lr=0.02)
    run = api.train(
        "lenet_cifar", str(folder), recipe=recipe, out=root / "run", tell=quiet, watcher=Silent()
    )
    return run.path, folder


def test_a_run_on_files_is_asked_by_every_protocol(of_files: tuple[Path, Path]) -> None:
    path, _ = of_files
    for views in PROTOCOLS:
        said = neocog.evaluate(path, views=views, tell=quiet)
        assert said.scores["n"] == 3
        assert (path / f"test.{views}.npz").exists()


def test_of_files_contents_say_whether_they_were_trained_on(
    of_files: tuple[Path, Path], tmp_path: Path
) -> None:
    path, folder = of_files
    rows = RunFolder.open(path).pictures
    trained_on = [file for split, _, file, _ in rows if split == "train"]
    fresh = flat_folder(tmp_path / "fresh", 3, suffix=".png")
    for file in trained_on[:4]:
        shutil.copy(folder / file, fresh / Path(file).parent / f"again-{Path(file).name}")
    said = neocog.evaluate(path, data=fresh, tell=quiet)
    assert said.seen == {"train": 4, "validation": 0}
    assert said.scores["n"] == 13
    moved = folder.rename(tmp_path / "moved")  # then what was recorded has to do
    whole, told = neocog.evaluate(path, data=str(moved), tell=quiet), list[str]()
    assert whole.seen is not None
    assert whole.seen["train"] == len(trained_on)
    in_memory = load_folder_in_memory(moved)
    assert neocog.evaluate(path, data=in_memory, tell=told.append).seen is None
    assert any("could not be looked at" in line for line in told)
    moved.rename(folder)


def load_folder_in_memory(folder: Path) -> Dataset:
    made = load_folder(folder, validation=0, test=0)
    pixels = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
    none = Split(pixels[:0], torch.zeros(0, dtype=torch.int64))
    test = Split(pixels, torch.tensor([0, 1]))
    return dataclasses.replace(made, train=none, val=none, test=test, listing=None)


def test_a_run_without_test_pictures_is_asked_of_those_that_chose_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = flat_folder(tmp_path / "p" / "train", 6)
    flat_folder(tmp_path / "p" / "val", 2)
    recipe = Recipe(epochs=1, batch_size=8, lr=0.02)
    run = api.train(
        "lenet_cifar", str(folder.parent), recipe=recipe, out=tmp_path / "run", tell=quiet,
        watcher=Silent(),
    )  # fmt: skip
    assert main(["eval", str(run.path), "--views", "ten-crop"]) == 0
    assert "there is no test split: the weights were chosen by these" in capsys.readouterr().out
    assert (run.path / "validation.ten-crop.npz").exists()
    about = json.loads((run.path / "recipe.json").read_text())
    about["recipe"]["select"] = "last"
    (run.path / "recipe.json").write_text(json.dumps(about))
    for command in (["eval", str(run.path), "--views", "ten-crop"], ["eval", str(run.path)]):
        assert main(command) == 0
        said = capsys.readouterr().out
        assert "there is no test split" in said
        assert "chosen" not in said


# -- the command line


def test_the_command_shows_runs_and_all_together(
    runs: list[Path], mirrorable: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in runs:
        neocog.evaluate(path, views="dense", data=mirrorable, tell=quiet)
    given = ["eval", *map(str, runs), "--views", "dense"]
    assert main(given) == 0
    out = capsys.readouterr().out
    assert "Simonyan and Zisserman 2014, section 3.2" in out
    assert "softmax averaged, then softmax over the runs; 60 test pictures of mirrorable" in out
    assert "together" in out
    assert main([*given, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["members"]) == 2
    assert said["test"]["n"] == 60
    assert main(["eval", str(runs[0]), "--views", "dense", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == said["members"][0]


def test_without_a_protocol_eval_reads_what_there_is(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(run)]) == 0
    assert "validation" in capsys.readouterr().out
    assert not list(run.glob("test.*.npz"))


@pytest.mark.parametrize(
    ("given", "code", "what"),
    [
        (["--views", "tencrop"], 2, "did you mean ten-crop"),
        (["--views", "dense", "--scales", "8,x"], 2, "whole numbers of pixels"),
        (["--data", "nothing/"], 1, "there is no such folder"),
        (["--data", "mnits"], 2, "did you mean mnist"),
    ],
)
def test_bad_input_is_said(
    run: Path, capsys: pytest.CaptureFixture[str], given: list[str], code: int, what: str
) -> None:
    assert main(["eval", str(run), *given]) == code
    assert what in capsys.readouterr().err


def test_a_network_that_asks_is_heard_of(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("neocog.cli.output.PLAIN", 0.0)
    seen: Callable[..., Any] = neocog.evaluate
    told: list[tuple[str, int, int]] = []
    seen(run, tell=quiet, watch=lambda *at: told.append(at))
    assert told[-1][1:] == (359, 359)
    (run / "test.single.npz").unlink()
    assert main(["eval", str(run), "--views", "single"]) == 0
    assert "of 359 pictures" in capsys.readouterr().err


# -- the page


def test_the_page_names_every_protocol_and_the_sides_that_are_taken() -> None:
    page = (Path(__file__).parents[1] / "docs/protocols.md").read_text(encoding="utf-8")
    for protocol in PROTOCOLS.values():
        assert f"| `{protocol.name}` |" in page
        assert (protocol.source.split()[0] in page) or protocol.source == "none"
    for side in (224, 227, 32, 28):
        spec_of = InputSpec(("a", "b"), 1, (side, side), side, "resize", (0.0,), (1.0,))
        three = (pieces.trained_at, pieces.around, pieces.googlenets)
        cells = [", ".join(map(str, sides(spec_of))) for sides in three]
        assert f"| {side} | {' | '.join(cells)} |" in page
