from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tests.conftest import Silent

from neocog import api, checkpoints, training
from neocog.analysis.scores import scores, summary
from neocog.data.dataset import Split
from neocog.data.loading import load
from neocog.engine.saved import check_same_run
from neocog.errors import NeocogError, UsageError
from neocog.networks import create
from neocog.recipe import Recipe
from neocog.recipes import find
from neocog.records import Predictions, Step
from neocog.run import RunFolder
from neocog.stopping import Interrupted


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def test_a_run_folder_holds_what_the_design_says_and_nothing_half_written(
    finished_run: Path,
) -> None:
    assert sorted(path.name for path in finished_run.iterdir()) == [
        ".lock",
        "best.safetensors",
        "curves.png",
        "environment.json",
        "history.csv",
        "history.jsonl",
        "input.json",
        "last.pt",
        "norms.jsonl",
        "recipe.json",
        "test.npz",
        "validation.npz",
    ]


def test_everything_is_read_back(finished_run: Path) -> None:
    folder = RunFolder.open(finished_run)
    assert folder.recipe == find("quick").changed({"epochs": 3})
    assert folder.spec.classes == tuple("0123456789")
    assert folder.network_name == "lenet_relu"
    assert [epoch.epoch for epoch in folder.history] == [0, 1, 2]
    assert [norms.epoch for norms in api.open_run(finished_run).norms] == [0, 1, 2]
    assert min(norm or 0 for norm in folder.norms[-1].gradients.values()) > 0
    assert folder.finished
    said = json.loads((finished_run / "environment.json").read_text())
    assert said["versions"]["torch"] == torch.__version__
    assert said["hardware"]["device"] == "cpu"


def test_the_weights_carry_recipe_and_input_with_them(finished_run: Path) -> None:
    with safe_open(finished_run / "best.safetensors", "pt") as file:
        about = file.metadata()
    assert json.loads(about["neocog"])["recipe"]["name"] == "quick"
    assert json.loads(about["input"])["classes"] == list("0123456789")


def test_the_weights_give_the_logits_that_were_written(finished_run: Path) -> None:
    from neocog.engine.evaluate import predictions

    folder, run = RunFolder.open(finished_run), api.open_run(finished_run)
    said = predictions(run.network(), load("digits").test, folder.spec)
    written = folder.predictions("test")
    assert written is not None
    np.testing.assert_allclose(said.logits, written.logits, rtol=1e-5, atol=1e-5)


def test_scores_agree_with_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(500, 10)).astype(np.float32) * 3
    labels = rng.integers(10, size=500)
    said = scores(Predictions(logits=logits, labels=labels))
    chances = torch.from_numpy(logits).double().softmax(1).numpy()
    assert said["top1"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert said["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5))
    assert said["loss"] == pytest.approx(log_loss(labels, chances))
    assert said["n"] == 500


def test_a_network_that_says_the_same_of_all_classes_earns_nothing() -> None:
    same = Predictions(logits=np.zeros((20, 10), np.float32), labels=np.arange(20) % 10)
    assert (scores(same)["top1"], scores(same)["top5"]) == (0.0, 0.0)
    broken = Predictions(logits=np.full((4, 10), np.nan, np.float32), labels=np.zeros(4, np.int64))
    with pytest.raises(NeocogError, match="not numbers"):
        scores(broken)


def test_top5_means_nothing_below_six_classes() -> None:
    few = Predictions(logits=np.zeros((4, 5), np.float32), labels=np.zeros(4, np.int64))
    assert scores(few)["top5"] is None


def test_a_run_is_never_written_over_another(tmp_path: Path) -> None:
    first = RunFolder.create(None, name="a-b", root=tmp_path)
    second = RunFolder.create(None, name="a-b", root=tmp_path)
    assert [first.path.name, second.path.name] == ["a-b", "a-b-2"]
    out = tmp_path / "mine"
    assert RunFolder.create(out, name="x").path == out
    (out / "notes.txt").write_text("keep me")
    with pytest.raises(UsageError, match="not empty"):
        RunFolder.create(out, name="x")
    assert (out / "notes.txt").read_text() == "keep me"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NeocogError, match="cannot be made"):
        RunFolder.create(tmp_path / "file" / "run", name="x")


def test_a_full_disk_leaves_the_last_good_state(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.open(run)
    before = (run / "last.pt").read_bytes()
    names = sorted(path.name for path in run.iterdir())

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("neocog.writing.os.fsync", full)
    with pytest.raises(NeocogError, match=r"last\.pt: cannot be written: No space left"):
        folder.save_state({"history": []})
    assert (run / "last.pt").read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == names


def test_the_systems_reason_is_said_though_torch_says_another(run: Path) -> None:
    """torch.save answers a disk that takes no more with a RuntimeError about positions."""
    resource = pytest.importorskip("resource")  # not on Windows
    folder, before = RunFolder.open(run), (run / "last.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(NeocogError, match=r"last\.pt: cannot be written: File too large"):
            folder.save_state({"weights": torch.zeros(1_000_000), "history": []})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (run / "last.pt").read_bytes() == before
    assert not list(run.glob(".*.part"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\x80\x04.", b"\x00" * 500])
@pytest.mark.parametrize(
    "name",
    ["recipe.json", "input.json", "history.jsonl", "norms.jsonl", "best.safetensors", "test.npz"],
)
def test_a_damaged_file_is_named(run: Path, name: str, content: bytes) -> None:
    if name.endswith(".jsonl") and content == b"":
        return  # an empty history is a history
    (run / name).write_bytes(content)
    with pytest.raises(NeocogError, match=name):
        opened = api.open_run(run)
        _ = opened.scores, opened.recipe, opened.folder.norms, opened.folder.spec, opened.network()


@pytest.mark.parametrize("content", [b"", b"junk", b"\x00" * 1000])
def test_a_damaged_checkpoint_is_named(run: Path, content: bytes) -> None:
    (run / "last.pt").write_bytes(content)
    with pytest.raises(NeocogError, match=r"last\.pt: it has no seal: it is cut off"):
        RunFolder.open(run).state()


def test_a_checkpoint_with_code_in_it_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    class Evil:
        def __reduce__(self) -> object:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    monkeypatch.setattr(checkpoints, "_check_plain", lambda state: None)
    with (run / "last.pt").open("wb") as file:
        checkpoints.write({"network": Evil()}, file)
    with pytest.raises(
        NeocogError, match=r"last\.pt: a pickle with a call of '(posix|nt)\.system'"
    ):
        RunFolder.open(run).state()
    assert not (tmp_path / "ran").exists()


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(UsageError, match=r"no recipe\.json"):
        RunFolder.open(tmp_path)


def interrupted(tmp_path: Path, after: int, recipe: Recipe) -> Path:
    """A run that got Ctrl-C in its step number `after`."""
    import signal

    data = load("digits", validation=recipe.validation, seed=recipe.seed)
    network = create("lenet_relu", seed=recipe.seed)
    job = training.begin(network, data, recipe=recipe, out=tmp_path / "stopped")
    steps = 0
    with pytest.raises(Interrupted, match="neocog resume"):
        for fact in training.run(job):
            steps += isinstance(fact, Step)
            if steps == after and isinstance(fact, Step):
                signal.raise_signal(signal.SIGINT)
    return job.folder.path


def weights(run: Path) -> dict[str, torch.Tensor]:
    return dict(RunFolder.open(run).state()["network"])


@pytest.mark.parametrize(
    "after", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (5, 15)), 12]
)
def test_ctrl_c_saves_and_resume_reaches_the_same_weights(tmp_path: Path, after: int) -> None:
    recipe = find("quick").changed({"epochs": 2, "shift": 1})
    straight = api.train(
        "lenet_relu", "digits", recipe=recipe, out=tmp_path / "straight", watcher=Silent()
    )
    stopped = interrupted(tmp_path, after, recipe)
    assert not (stopped / "test.npz").exists()
    with pytest.raises(NeocogError, match="neocog resume"):
        summary(RunFolder.open(stopped))
    resumed = api.resume(stopped, watcher=Silent())
    for a, b in zip(weights(straight.path).values(), weights(resumed.path).values(), strict=True):
        assert torch.equal(a, b)
    one, two = straight.folder.predictions("test"), resumed.folder.predictions("test")
    assert one is not None
    assert two is not None
    assert np.array_equal(one.logits, two.logits)
    with pytest.raises(UsageError, match="finished"):
        api.resume(stopped, watcher=Silent())


def test_resume_takes_the_split_that_the_run_began_with(tmp_path: Path) -> None:
    """The data were cut by hand with another seed than the recipe's."""
    data = load("digits", seed=7, validation=0.2)
    recipe = find("quick").changed({"epochs": 2})
    runs = []
    for name, stop in (("straight", 0), ("stopped", 9)):
        job = training.begin(create("lenet_relu", seed=0), data, recipe=recipe, out=tmp_path / name)
        facts = training.run(job)
        for count, _ in enumerate(facts, 1):
            if count == stop:
                job.folder.save_state({**job.training.state(), "recipe": recipe.to_json()})
                facts.close()
                break
        if stop:
            api.resume(job.folder.path, watcher=Silent())
        runs.append(job.folder)
    one, two = (folder.predictions("validation") for folder in runs)
    assert one is not None
    assert two is not None
    assert np.array_equal(one.logits, two.logits)


def test_resume_refuses_the_same_pictures_with_other_labels(tmp_path: Path) -> None:
    recipe = find("quick").changed({"epochs": 2})
    stopped = interrupted(tmp_path, 3, recipe)
    data = load("digits")
    shuffled = Split(data.train.images, data.train.labels.flip(0))
    with pytest.raises(NeocogError, match="began on other data"):
        api.resume(stopped, data=dataclasses.replace(data, train=shuffled), watcher=Silent())


def test_resume_refuses_a_recipe_that_was_edited(tmp_path: Path) -> None:
    stopped = interrupted(tmp_path, 3, find("quick").changed({"epochs": 2}))
    path = stopped / "recipe.json"
    path.write_text(path.read_text().replace('"batch_size": 128', '"batch_size": 64'))
    with pytest.raises(NeocogError, match="another recipe"):
        api.resume(stopped, watcher=Silent())


def test_a_tensor_in_the_place_of_a_word_is_refused_unread(finished_run: Path) -> None:
    folder = RunFolder.open(finished_run)
    said = folder.spec.to_json() | {"bgr": torch.zeros(1).expand(10**10)}  # four bytes
    state = {"recipe": folder.recipe.to_json(), "input": said}
    with pytest.raises(ValueError, match="not what training saves"):
        check_same_run(state, folder.recipe, folder.spec)


@pytest.mark.parametrize(
    ("name", "read", "spaces"),
    [("recipe.json", "recipe", 7 * 10**7), ("history.jsonl", "history", 5 * 10**6),
     ("norms.jsonl", "norms", 5 * 10**6)],
)  # fmt: skip
def test_text_files_that_are_far_too_large_are_refused(
    finished_run: Path, tmp_path: Path, name: str, read: str, spaces: int
) -> None:
    """Spaces are sound JSON, and would be read for as long as there are any."""
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(b" " * spaces + content)
    with pytest.raises(NeocogError, match=rf"{name}.*more than"):
        getattr(RunFolder.open(copy), read)


def test_an_input_that_was_edited_is_refused(tmp_path: Path, run: Path) -> None:
    """Pictures would be normalised in another way, and nothing would look wrong."""
    stopped = interrupted(tmp_path, 3, find("quick").changed({"epochs": 2}))
    with edited(stopped / "input.json"), pytest.raises(NeocogError, match="another description"):
        api.resume(stopped, watcher=Silent())
    with edited(run / "input.json"), pytest.raises(NeocogError, match=r"input\.json, beside it"):
        api.open_run(run).network()
    assert api.open_run(run).network()


@contextmanager
def edited(path: Path) -> Iterator[None]:
    before = path.read_text()
    values = json.loads(before)
    values["std"] = [std * 1.5 for std in values["std"]]
    path.write_text(json.dumps(values))
    yield
    path.write_text(before)


def test_ctrl_c_while_scoring_leaves_a_run_that_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    recipe = find("quick").changed({"epochs": 1})
    job = training.begin(
        create("lenet_relu", seed=0), load("digits"), recipe=recipe, out=tmp_path / "a b"
    )
    with monkeypatch.context() as patch:
        patch.setattr(training, "_score", interrupt)
        with pytest.raises(Interrupted, match=r"neocog resume '.*a b'"):
            list(training.run(job))
    assert api.resume(job.folder.path, watcher=Silent()).scores["test"]["n"] == 359


def test_a_second_ctrl_c_leaves_nothing_half_written(run: Path) -> None:
    def interrupted_write(file: object) -> None:
        raise KeyboardInterrupt

    before = sorted(path.name for path in run.iterdir())
    with pytest.raises(KeyboardInterrupt):
        RunFolder.open(run).write("last.pt", interrupted_write)
    assert sorted(path.name for path in run.iterdir()) == before


def test_reading_a_run_leaves_torchs_generator_alone(finished_run: Path) -> None:
    before = torch.get_rng_state()
    api.open_run(finished_run).network()
    assert torch.equal(before, torch.get_rng_state())


def test_resume_refuses_other_data(tmp_path: Path) -> None:
    recipe = find("quick").changed({"epochs": 2})
    stopped = interrupted(tmp_path, 3, recipe)
    with pytest.raises(NeocogError, match="began on other data"):
        api.resume(stopped, data=load("digits", validation=0.3), watcher=Silent())


def test_select_last_scores_the_last_epoch_and_best_the_best(tmp_path: Path) -> None:
    for select in ("last", "best"):
        recipe = find("quick").changed({"epochs": 3, "select": select})
        run = api.train(
            "lenet_relu",
            "digits",
            recipe=recipe,
            out=tmp_path / select,
            precision="fp32",  # in bfloat16 an epoch may have a picture right that is scored wrong
            watcher=Silent(),
        )
        best = max((e for e in run.history if e.best), key=lambda e: e.epoch)
        scored = run.history[-1] if select == "last" else best
        assert run.scores["validation"]["top1"] == pytest.approx(scored.val_accuracy)


def test_without_validation_the_last_epoch_is_scored(tmp_path: Path) -> None:
    recipe = find("quick").changed({"epochs": 1, "validation": 0})
    run = api.train("lenet_relu", "digits", recipe=recipe, out=tmp_path / "r", watcher=Silent())
    assert run.scores["validation"] is None
    assert run.history[0].val_accuracy is None
    run.plot()


def test_weights_that_changed_in_a_bit_are_refused(run: Path) -> None:
    path = run / "best.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(NeocogError, match=r"best\.safetensors.*does not fit its seal"):
        api.open_run(run).network()


def test_weights_that_others_wrote_are_taken_as_they_are(run: Path) -> None:
    import safetensors.torch

    path = run / "best.safetensors"
    before = RunFolder.open(run).weights()
    safetensors.torch.save_file(before, path)
    after = RunFolder.open(run).weights()
    assert all(torch.equal(before[name], after[name]) for name in before)
