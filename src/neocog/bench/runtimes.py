"""The runtimes that networks are deployed with, each with its defaults, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neocog.bench.answers import measured
from neocog.bench.plan import Job


def onnxruntime(job: Job) -> dict[str, Any]:
    """fp32: what it is given."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(_onnx(job)), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {name: images})[0])

    return {**measured(job, predict), "hardware": {"device": "cpu", "precision": "fp32"}}


def openvino(job: Job) -> dict[str, Any]:
    """It takes bf16 by itself where the processor has units for it."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(_onnx(job))
    model.reshape([job.batch, *job.size])
    wish = {"INFERENCE_PRECISION_HINT": "f32"} if job.precision == "fp32" else {}
    compiled = core.compile_model(model, "CPU", wish)
    request = compiled.create_infer_request()

    def predict(images: np.ndarray) -> np.ndarray:
        return np.array(request.infer([images])[0])

    took = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    how = {"device": "cpu", "precision": {"f32": "fp32"}.get(took, took)}
    return {**measured(job, predict), "hardware": how}


def _onnx(job: Job) -> Path:
    path = Path(job.folder) / "network.onnx"
    if not path.exists():
        raise RuntimeError("the network could not be exported to ONNX: are onnx, onnxscript there?")
    return path
