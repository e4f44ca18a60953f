"""The real peers, where the bench extra is installed: a few steps and answers of each."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from neocog.bench import inference, runtimes, sets
from neocog.bench.plan import Job


def lenet(kind: str, arm: str, folder: Path) -> Job:
    return Job(
        kind=kind,
        arm=arm,
        network="lenet_relu",
        size=(1, 28, 28),
        batch=4,
        pictures=24,
        epochs=2,
        steps=3,
        seconds=60.0,
        device="cpu",
        folder=str(folder),
        launched=time.monotonic(),
    )


@pytest.mark.parametrize("arm", ["keras", "keras-bf16"])
def test_keras_trains(arm: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from neocog.bench import keras_fit

    facts = keras_fit.train(lenet("train", arm, tmp_path))
    assert facts["steps"] == 3
    assert facts["value"] > 0
    assert facts["hardware"]["precision"] == ("bf16" if arm == "keras-bf16" else "fp32")
    job = lenet("whole", arm, tmp_path)
    sets.lay_out(job)
    facts = keras_fit.whole(job)
    assert (facts["epochs"], len(facts["accuracies"])) == (2, 2)


def test_runtimes_answer_as_torch_does(tmp_path: Path) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(name)
    job = Job(
        kind="inference",
        arm="onnxruntime",
        network="resnet50",
        size=(3, 32, 32),
        batch=4,
        pictures=12,
        classes=1000,
        steps=4,
        seconds=60.0,
        device="cpu",
        folder=str(tmp_path),
        precision="fp32",
    )
    assert inference.reference(job)["onnx"] is None
    for run in (runtimes.onnxruntime, runtimes.openvino):
        facts = run(job)
        assert facts["agreement"]["agreed"] == facts["agreement"]["pictures"] >= 8
        assert facts["hardware"]["precision"] == "fp32"
