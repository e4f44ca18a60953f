"""The plain PyTorch loop, as tutorials write it: a DataLoader over pictures, one at a time."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from neocog.bench import pictures, tutorial
from neocog.bench.plan import TARGETS, Job
from neocog.bench.reached import Reached
from neocog.bench.stopwatch import Stopwatch
from neocog.networks import create

LR, MOMENTUM = 0.01, 0.9


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Pictures in memory, each made float when asked for, as torchvision's ToTensor does."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, side: int) -> None:
        self.images, self.labels = torch.from_numpy(images), torch.from_numpy(labels)
        self.side = side

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.images[index].float() / 255
        if image.shape[-1] != self.side:
            image = F.interpolate(image[None], (self.side, self.side), mode="bilinear")[0]
        return image, self.labels[index]


def train(job: Job) -> dict[str, Any]:
    """Images a second."""
    device = _device(job.device)
    network = _network(job, device)
    optimizer = SGD(network.parameters(), lr=LR, momentum=MOMENTUM)
    images = pictures.pictures(job.pictures, job.size)
    labels = pictures.labels(job.pictures, job.classes)
    loader = DataLoader(Pictures(images, labels, job.size[1]), job.batch, shuffle=True)
    watch = Stopwatch(job.seconds, steps=job.steps, settle=_settle(device))
    watch.begin()
    while True:
        for given, wanted in loader:
            _step(network, optimizer, given.to(device), wanted.to(device), _bf16(job))
            if watch.tick():
                return {**watch.facts(job.batch), **_how(job, device)}
        watch.skip()


def whole(job: Job) -> dict[str, Any]:
    """Seconds of a whole run, or to the accuracy of its target."""
    device = _device(job.device)
    network = _network(job, device)
    target = TARGETS[job.network] if job.kind == "accuracy" else None
    lr, momentum = (target.lr, target.momentum) if target else (LR, MOMENTUM)
    optimizer = SGD(network.parameters(), lr=lr, momentum=momentum)
    made: Any = tutorial.Pictures if job.arm.startswith("torchvision") else Pictures
    train, test = (
        made(*pictures.load(Path(job.folder), name), job.size[1]) for name in ("train", "test")
    )
    reached = Reached(job)
    for _ in range(job.epochs):
        network.train()
        for given, wanted in DataLoader(train, job.batch, shuffle=True):
            _step(network, optimizer, given.to(device), wanted.to(device), _bf16(job))
        if reached.epoch(_accuracy(network, test, device, _bf16(job))):
            break
    return {**reached.facts(), **_how(job, device)}


def _step(network: nn.Module, optimizer: SGD, images: Tensor, labels: Tensor, bf16: bool) -> float:
    optimizer.zero_grad()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        loss = F.cross_entropy(network(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()  # for the running loss that tutorials print


@torch.no_grad()
def _accuracy(network: nn.Module, test: Any, device: torch.device, bf16: bool) -> float:
    network.eval()
    right = 0
    for images, labels in DataLoader(test, 256):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            said = network(images.to(device)).argmax(1).cpu()
        right += int((said == labels).sum())
    return right / len(test)


def _network(job: Job, device: torch.device) -> nn.Module:
    made = create(job.network, num_classes=job.classes, in_channels=job.size[0], seed=job.seed)
    torch.manual_seed(job.seed)
    return made.to(device)


def _bf16(job: Job) -> bool:
    return job.arm.endswith("-bf16")


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _settle(device: torch.device) -> Any:
    return partial(torch.cuda.synchronize, device) if device.type == "cuda" else None


def _how(job: Job, device: torch.device) -> dict[str, Any]:
    how = {"device": device.type, "precision": "bf16" if _bf16(job) else "fp32"}
    return {"hardware": {**how, "threads": torch.get_num_threads()}}
