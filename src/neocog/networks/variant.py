"""What a network of the catalogue is, and how one was made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Variant:
    """One line of the table of contents: a network as one paper, or one course, prints it."""

    name: str
    build: Callable[..., nn.Sequential]  # build(num_classes=..., in_channels=...)
    input: tuple[int, int, int]  # (C, H, W) of the paper
    year: int
    paper: str
    num_classes: int  # the paper's
    about: str  # one line: what makes this form


@dataclass(frozen=True)
class Made:
    """How a network of ours was made: enough to make it again."""

    name: str
    num_classes: int
    in_channels: int
    input: tuple[int, int, int]  # (C, H, W), C being `in_channels`
