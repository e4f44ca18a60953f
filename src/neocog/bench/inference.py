"""ResNet-50 for predictions: what all arms are given, neocog's arm, and PyTorch as it stands.

All are given the same weights and the same pictures. No trained weights are at hand where there is
no network, and a fresh network makes more of every rounding from unit to unit: in bf16 two answers
of three would be others. So branches are made weak beside their shortcuts, as training makes them,
batch norms are set on the pictures, and a last layer is solved for that tells scenes apart: then
answers have margins, and agreement means something.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neocog.bench import pictures
from neocog.bench.answers import inputs, measured
from neocog.bench.plan import Job
from neocog.engine import memory
from neocog.engine.hardware import choose
from neocog.engine.inference import prepared
from neocog.networks import create

SCENES = 100  # pictures whose like the network tells apart
NOISE = 24  # levels by which a picture of a scene differs from it
BRANCH = 0.25  # the scale of the last norm of each branch; 1 where weights are fresh
RIDGE = 0.1  # of the features' mean power
BATCH = 16  # of the pictures by which the batch norms are set and the answers found


def reference(job: Job) -> dict[str, Any]:
    """The network, its pictures and PyTorch's fp32 answers, left in the job's folder."""
    folder = Path(job.folder)
    network = create(job.network, num_classes=job.classes, seed=0)
    scenes = pictures.pictures(min(SCENES, job.classes, job.pictures), job.size, seed=1)
    _tell_apart(network, torch.from_numpy(pictures.to_float(scenes)))
    seen = _like(scenes, job.pictures)
    np.save(folder / "pictures.npy", seen)
    torch.save(network.state_dict(), folder / "weights.pt")
    with torch.inference_mode():
        said = [
            network(torch.from_numpy(pictures.to_float(part))).argmax(1)
            for part in np.split(seen, range(BATCH, len(seen), BATCH))
        ]
    np.save(folder / "answers.npy", torch.cat(said).numpy())
    return {"value": 0.0, "onnx": _export(network, job, folder / "network.onnx")}


def neocog(job: Job) -> dict[str, Any]:
    """`engine.inference.prepared`, left to choose."""
    device = choose(job.device).device
    if device == "cpu":
        memory.keep()
    network = _network(job).to(device)
    example = torch.from_numpy(inputs(job)[: job.batch]).to(device)
    compiled = False if job.steps else None  # a quick run does not wait for a compiler
    fast = prepared(network, example, precision=job.precision, compiled=compiled)

    def predict(images: np.ndarray) -> np.ndarray:
        return fast(torch.from_numpy(images).to(device)).cpu().numpy()

    return {**measured(job, predict), "hardware": {"device": device, **fast.to_json()}}


def torch_eager(job: Job) -> dict[str, Any]:
    """The network in eval mode, in fp32 or in bf16 autocast."""
    device, bf16 = choose(job.device).device, job.arm == "torch-bf16"
    network = _network(job).to(device)

    def predict(images: np.ndarray) -> np.ndarray:
        kind = torch.device(device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=bf16):
            said: Tensor = network(torch.from_numpy(images).to(device))
        return said.float().cpu().numpy()

    how = {"device": device, "precision": "bf16" if bf16 else "fp32"}
    return {**measured(job, predict), "hardware": how}


def _network(job: Job) -> nn.Module:
    network = create(job.network, num_classes=job.classes)
    weights = torch.load(Path(job.folder) / "weights.pt", weights_only=True)
    network.load_state_dict(weights)
    return network.eval()


def _like(scenes: np.ndarray, count: int) -> np.ndarray:
    """`count` pictures of the scenes, each with noise of its own."""
    rng = np.random.default_rng(2)
    drawn = scenes[rng.permutation(count) % len(scenes)].astype(np.int16)
    drawn += rng.integers(-NOISE, NOISE + 1, drawn.shape, dtype=np.int16)
    return drawn.clip(0, 255).astype(np.uint8)


@torch.no_grad()
def _tell_apart(network: nn.Sequential, scenes: Tensor) -> None:
    """Batch norms that know the scenes, and a last layer that gives each a class of its own."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
            if name.endswith("branch.norm3"):
                layer.weight.fill_(BRANCH)
    network.train()
    for part in scenes.split(BATCH)[:2]:
        network(part)
    network.eval()
    features = torch.cat([network[:-1](part).mean((2, 3)) for part in scenes.split(BATCH)])
    centre = features.mean(0)
    spread = features - centre
    alike = spread @ spread.T
    ridge = RIDGE * alike.diagonal().mean() * torch.eye(len(alike))
    last = network.get_submodule("head.fc")
    assert isinstance(last, nn.Linear)
    last.weight.zero_()
    last.bias.fill_(-10.0)  # the other classes are out of it
    last.weight[: len(scenes)] = 10 * torch.linalg.solve(alike + ridge, spread)
    last.bias[: len(scenes)] = -(last.weight[: len(scenes)] @ centre)


def _export(network: nn.Module, job: Job, path: Path) -> str | None:
    """ONNX of any batch; where that cannot be made the reason comes back, None where it was."""
    shape = {"input": {0: torch.export.Dim("batch")}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (torch.zeros(2, *job.size),),
                path,
                input_names=["input"],
                dynamic_shapes=shape,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # an exporter can fail in any way
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return None
