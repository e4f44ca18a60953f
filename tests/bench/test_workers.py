"""What children do, done here with a few small pictures."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from neocog.bench import answers, inference, loop, machine, ours, pictures, sets, tutorial
from neocog.bench.plan import TARGETS, Job, Settings
from neocog.bench.reached import Reached
from neocog.bench.results import Results, versions
from neocog.cli.main import main


def small(kind: str, arm: str, folder: Path, **more: object) -> Job:
    values: dict[str, object] = {
        "kind": kind,
        "arm": arm,
        "network": "lenet_relu",
        "size": (1, 28, 28),
        "batch": 4,
        "pictures": 24,
        "run": 24,
        "steps": 3,
        "seconds": 60.0,
        "device": "cpu",
        "folder": str(folder),
        "launched": time.monotonic(),
    }
    return Job(**{**values, **more})  # type: ignore[arg-type]


def sound(facts: dict[str, object]) -> None:
    json.dumps(facts)
    assert isinstance(facts["value"], float)
    assert facts["value"] > 0
    assert math.isfinite(facts["value"])


def test_neocog_trains_the_way_its_users_do(tmp_path: Path) -> None:
    facts = ours.train(small("train", "neocog", tmp_path))
    sound(facts)
    assert facts["steps"] == 3
    assert facts["multiply_adds"] == 416_520
    assert facts["hardware"]["device"] == "cpu"
    assert {"precision", "layout", "compile"} <= set(facts["hardware"])
    assert not list(tmp_path.iterdir())  # its run folder is gone


@pytest.mark.parametrize("arm", ["torch", "torch-bf16"])
def test_the_plain_loop_trains(arm: str, tmp_path: Path) -> None:
    facts = loop.train(small("train", arm, tmp_path))
    sound(facts)
    assert facts["steps"] == 3
    precision = "bf16" if arm == "torch-bf16" else "fp32"
    assert facts["hardware"]["precision"] == precision


@pytest.mark.parametrize("size", [(1, 8, 8), (3, 8, 8)])
def test_torchvisions_pictures_are_the_same_pictures(size: tuple[int, int, int]) -> None:
    images, labels = pictures.pictures(5, size), pictures.labels(5, 10)
    plain, theirs = loop.Pictures(images, labels, 8), tutorial.Pictures(images, labels, 8)
    assert len(theirs) == len(plain) == 5
    for (one, label), (other, same) in zip(plain, theirs, strict=False):
        torch.testing.assert_close((one - tutorial.MEAN) / tutorial.STD, other)
        assert label == same
    assert tutorial.Pictures(images, labels, 12)[0][0].shape == (size[0], 12, 12)


def test_the_measured_steps_may_span_epochs(tmp_path: Path) -> None:
    facts = loop.train(small("train", "torch", tmp_path, pictures=8, steps=5))
    assert facts["steps"] == 5


def test_a_whole_run_is_laid_out_trained_and_evaluated(tmp_path: Path) -> None:
    job = small("whole", "neocog", tmp_path, epochs=2)
    sets.lay_out(job)
    images, labels = pictures.load(tmp_path, "train")
    assert (images.shape, images.dtype, len(labels)) == ((24, 1, 28, 28), np.uint8, 24)
    assert len(pictures.load(tmp_path, "test")[1]) == 4
    peers = ("torch", "torchvision", "torchvision-bf16")
    theirs = (loop.whole(small("whole", arm, tmp_path, epochs=2)) for arm in peers)
    for facts in (ours.whole(job), *theirs):
        sound(facts)
        assert facts["epochs"] == 2
        assert "status" not in facts


def test_seconds_count_from_the_start_of_the_process() -> None:
    reached = Reached(Job(kind="whole", arm="torch", launched=time.monotonic() - 100))
    assert not reached.epoch(1.0)
    assert 100 <= reached.facts()["value"] < 200


def test_a_run_ends_when_the_target_is_reached() -> None:
    job = Job(kind="accuracy", arm="torch", network="lenet_relu", launched=time.monotonic())
    reached = Reached(job)
    assert [reached.epoch(accuracy) for accuracy in (0.9, 0.9899, 0.99)] == [False, False, True]
    assert reached.facts()["accuracies"] == [0.9, 0.9899, 0.99]
    assert "status" not in reached.facts()


def test_a_target_that_is_not_reached_is_told_with_the_best() -> None:
    reached = Reached(Job(kind="accuracy", arm="torch", network="lenet_relu"))
    for accuracy in (0.97, 0.98):
        reached.epoch(accuracy)
    facts = reached.facts()
    assert facts["status"] == "not reached"
    assert facts["reason"].startswith("0.9800 was the best of 2 epochs")


def test_the_accuracy_of_our_runs_is_that_of_the_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = small("accuracy", "neocog", tmp_path, data="fashion-mnist")
    sets.lay_out(small("whole", "neocog", tmp_path))
    seen: list[float] = []
    monkeypatch.setattr(Reached, "epoch", lambda self, accuracy: not seen.append(accuracy))
    monkeypatch.setattr(Reached, "facts", lambda self: {"value": 1.0})
    facts = ours.accuracy(job)
    assert len(seen) == 1
    assert seen[0] in (0.0, 0.25, 0.5, 0.75, 1.0)  # of four pictures
    assert facts["recipe"] in TARGETS["lenet_relu"].recipes


def test_the_plain_loop_resizes_where_the_network_wants_it() -> None:
    drawn = pictures.pictures(3, (1, 28, 28))
    image, label = loop.Pictures(drawn, pictures.labels(3, 10), 56)[0]
    assert tuple(image.shape) == (1, 56, 56)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    assert 0 <= int(label) < 10


def test_pictures_follow_from_the_seed_and_are_smooth_under_grain() -> None:
    drawn = pictures.pictures(300, (3, 30, 20), seed=5)
    assert (drawn.shape, drawn.dtype) == ((300, 3, 30, 20), np.uint8)
    assert np.array_equal(drawn, pictures.pictures(300, (3, 30, 20), seed=5))
    assert not np.array_equal(drawn, pictures.pictures(300, (3, 30, 20), seed=6))
    near = np.abs(np.diff(drawn[..., :8].astype(int))).mean()
    far = np.abs(drawn[..., 0].astype(int) - drawn[..., -1]).mean()
    assert near < far / 2
    assert set(pictures.labels(1000, 10)) == set(range(10))


def test_predictions_of_all_arms_are_compared_with_fp32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_export", lambda network, job, path: "not here")
    job = small(
        "inference", "torch", tmp_path, network="resnet50", size=(3, 32, 32), pictures=12, steps=4
    )
    made = inference.reference(job)
    assert made["onnx"] == "not here"
    facts = inference.torch_eager(job)
    sound(facts)
    assert facts["agreement"]["agreed"] == facts["agreement"]["pictures"] >= 8
    assert len(set(np.load(tmp_path / "answers.npy"))) > 6  # scenes are told apart
    quick = inference.neocog(small(**{**vars(job), "arm": "neocog", "precision": "fp32"}))  # type: ignore[arg-type]
    assert quick["agreement"]["agreed"] == quick["agreement"]["pictures"]
    assert quick["hardware"]["precision"] == "fp32"


def test_another_answer_is_counted_as_another(tmp_path: Path) -> None:
    np.save(tmp_path / "pictures.npy", pictures.pictures(8, (1, 4, 4)))
    np.save(tmp_path / "answers.npy", np.array([0, 1, 0, 0, 0, 0, 0, 0]))
    job = small("inference", "torch", tmp_path, size=(1, 4, 4), pictures=8)
    facts = answers.measured(job, lambda images: np.eye(1, 10).repeat(len(images), 0))
    assert facts["agreement"]["agreed"] == facts["agreement"]["pictures"] - 1


def test_the_machine_is_described_and_its_products_timed() -> None:
    facts = machine.peak(Job(kind="peak", arm="neocog", device="cpu", steps=1, seconds=0.01))
    sound(facts)
    assert facts["peaks"]["fp32"] == facts["value"]
    assert {"processor", "cores", "threads", "memory", "amx", "bf16"} <= set(facts["machine"])
    held = machine.peak(
        Job(kind="peak", arm="neocog", device="cpu", steps=1, seconds=0.01, precision="fp32")
    )
    assert set(held["peaks"]) == {"fp32"}


def test_versions_are_those_installed_and_the_environment_tells_no_paths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert versions()["torch"] == torch.__version__
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/somewhere/private")
    told = Results(Settings(), "neocog bench").to_json()["environment"]
    assert told["OMP_NUM_THREADS"] == "1"
    assert "TF_CLI_CONFIG_FILE" not in told


def test_neocog_bench_measures_and_ends_well_with_peers_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from neocog.bench import children

    def child(job: Job, *, limit: float, avx2: bool) -> dict[str, object]:
        if job.kind == "peak":
            rates, known = {"fp32": 100.0}, {"processor": "a processor", "bf16": False}
            return {"status": "measured", "value": 1.0, "peaks": rates, "machine": known}
        if job.arm == "keras":
            return {"status": "not installed", "reason": "no module keras"}
        return {"status": "measured", "value": 30.0 if job.arm == "neocog" else 10.0, "steps": 2}

    monkeypatch.setattr(children, "measured", child)
    monkeypatch.setattr(children, "start_up", dict)
    line = ["bench", "--only", "train", "--networks", "vgg11", "--rounds", "1", "--out"]
    assert main([*line, str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "not installed | 10.0 (3.00x) |" in said.out
    assert "vgg11, training, against PyTorch: bar 1.00x, measured 3.00x, met" in said.out
    assert "train vgg11, batch 16, keras: not installed (no module keras)" in said.err
    assert main([*line, str(tmp_path), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert Path(value["file"]).is_file()
    assert {facts["arm"] for facts in value["rows"]} == {"neocog", "keras", "torch"}
    assert main(["bench", "--only", "nothing"]) == 2
