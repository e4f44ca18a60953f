"""Pictures as PyTorch's own MNIST example has them: Pillow's, through torchvision's transforms."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

MEAN, STD = 0.1307, 0.3081  # what the example normalises MNIST by
OPERATORS = ("nms", "qnms")
TAKES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class Pictures(Dataset[tuple[Tensor, int]]):
    """uint8 (N, C, H, W) and labels; each picture as `torchvision.datasets.MNIST` makes it."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, side: int) -> None:
        # (N, H, W) of grey ones, as that set keeps them, and (N, H, W, C)
        last = images.transpose(0, 2, 3, 1)
        self.images = torch.from_numpy((last[..., 0] if last.shape[3] == 1 else last).copy())
        self.labels = torch.from_numpy(labels)
        self.change = _transforms().Compose(
            [
                *([_transforms().Resize(side)] if side != images.shape[-1] else []),
                _transforms().ToTensor(),
                _transforms().Normalize((MEAN,), (STD,)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index].numpy())
        return self.change(picture), int(self.labels[index])


@functools.cache
def _transforms() -> Any:
    """Torchvision's. Its operators are another build's where torch is the CPU's: two are declared,
    without which it cannot be imported, and which no transform calls.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from torchvision import transforms
        except RuntimeError:
            _declared()
            from torchvision import transforms
    return transforms


@functools.cache
def _declared() -> Any:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        library.define(name + TAKES)
    return library  # a declaration lives as long as it
