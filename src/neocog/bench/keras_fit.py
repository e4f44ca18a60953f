"""Keras 3 on TensorFlow: `fit` over arrays in memory, float32, as its tutorials have them.

The pictures are floats before the first step: Keras is spared the conversion that others do.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from neocog.bench import pictures
from neocog.bench.keras_networks import build
from neocog.bench.plan import TARGETS, Job
from neocog.bench.reached import Reached
from neocog.bench.stopwatch import Stopwatch

LR, MOMENTUM = 0.01, 0.9
ENDLESS = 1_000_000  # epochs; the stopwatch ends it


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Times the steps of `fit`, and stops it."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.watch, self.enough = watch, False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.watch.skip()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.enough and self.watch.tick():
            self.enough = self.model.stop_training = True


class Goal(keras.callbacks.Callback):  # type: ignore[misc]
    """Hears the test accuracy after each epoch."""

    def __init__(self, reached: Reached) -> None:
        super().__init__()
        self.reached = reached

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.reached.epoch(float((logs or {})["val_accuracy"])):
            self.model.stop_training = True


def train(job: Job) -> dict[str, Any]:
    """Images a second."""
    how = _prepare(job)
    model = _model(job, lr=LR, momentum=MOMENTUM)
    x = _inputs(pictures.pictures(job.pictures, job.size))
    y = pictures.labels(job.pictures, job.classes)
    watch = Stopwatch(job.seconds, steps=job.steps)
    model.fit(x, y, batch_size=job.batch, epochs=ENDLESS, verbose=0, callbacks=[Watch(watch)])
    return {**watch.facts(job.batch), "hardware": how}


def whole(job: Job) -> dict[str, Any]:
    """Seconds of a whole run, or to the accuracy of its target."""
    how = _prepare(job)
    target = TARGETS[job.network] if job.kind == "accuracy" else None
    lr, momentum = (target.lr, target.momentum) if target else (LR, MOMENTUM)
    (x, y), (test_x, test_y) = (pictures.load(Path(job.folder), n) for n in ("train", "test"))
    model = _model(job, lr=lr, momentum=momentum, given=x.shape[2:])
    reached = Reached(job)
    model.fit(
        _inputs(x),
        y,
        batch_size=job.batch,
        epochs=job.epochs,
        verbose=0,
        validation_data=(_inputs(test_x), test_y),
        callbacks=[Goal(reached)],
    )
    return {**reached.facts(), "hardware": how}


def _prepare(job: Job) -> dict[str, Any]:
    """The policy and the device; what they are."""
    gpus = tf.config.list_physical_devices("GPU")
    if job.device.startswith("cuda") and not gpus:
        raise RuntimeError("this TensorFlow sees no GPU")
    if job.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
        gpus = []
    precision = "bf16" if job.arm == "keras-bf16" else "fp32"
    policy = {"bf16": "mixed_bfloat16", "fp32": "float32"}[precision]
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(job.seed)
    return {"device": "cuda" if gpus else "cpu", "precision": precision, "policy": policy}


def _model(
    job: Job, *, lr: float, momentum: float, given: tuple[int, int] | None = None
) -> keras.Model:
    channels, height, width = job.size
    model = build(job.network, (height, width, channels), job.classes, given=given)
    model.compile(
        optimizer=keras.optimizers.SGD(lr, momentum=momentum),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _inputs(images: np.ndarray) -> np.ndarray:
    """float32 (N, H, W, C) of uint8 (N, C, H, W)."""
    return pictures.to_float(np.ascontiguousarray(images.transpose(0, 2, 3, 1)))
