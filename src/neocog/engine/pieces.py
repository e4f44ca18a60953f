"""Pieces of a picture that protocols look at, and how large the picture is made for them.

Papers say these sizes for inputs of 224 pixels; other inputs have them in proportion.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from neocog.data import geometry
from neocog.data.spec import InputSpec

INPUT, SIDE, STEP = 224, 256, 32  # pixels: a crop, a picture's shorter side, between two scales
GOOGLENETS = (256, 288, 320, 352)

Sides = tuple[int, ...]  # shorter sides that pictures are brought to, in pixels


def sized(images: Tensor, spec: InputSpec, side: int) -> Tensor:
    """uint8 pictures (N, C, H, W) with a shorter side of so many pixels, none below the input's.

    Those that an input frames, `placing` "pad", are framed before: the frame is of the picture. One
    that is too large for its frame has none.
    """
    fits = images.shape[2] <= spec.size[0] and images.shape[3] <= spec.size[1]
    framed = geometry.scaled(images, spec) if spec.placing == "pad" and fits else images
    return geometry.scaled(framed, dataclasses.replace(spec, placing="resize", resize=side))


def five_crops(images: Tensor, size: tuple[int, int]) -> Tensor:
    """The corners and the centre: pictures (N, C, H, W) -> (N, 5, C, *size)."""
    height, width = size
    corners = [images[..., :height, :width], images[..., :height, -width:]]
    corners += [images[..., -height:, :width], images[..., -height:, -width:]]
    return torch.stack([*corners, geometry.centre(images, size)], 1)


def of_square(images: Tensor, spec: InputSpec) -> Tensor:
    """Five pieces of the central square. Krizhevsky et al. 2012: section 2 for the square."""
    side = min(images.shape[2:])
    square = geometry.centre(images, (max(side, spec.size[0]), max(side, spec.size[1])))
    return five_crops(square, spec.size)


def of_squares(images: Tensor, spec: InputSpec) -> Tensor:
    """Of the squares at both ends and in the middle five pieces, and the square made as small.

    Szegedy et al. 2014, section 7. The three of a square picture are one, which is taken once.
    """
    side, longer = min(images.shape[2:]), max(images.shape[2:])
    along = 2 if images.shape[2] > images.shape[3] else 3
    starts = (0, (longer - side) // 2, longer - side) if longer > side else (0,)
    views = []
    for start in starts:
        square = images.narrow(along, start, side)
        small = geometry.resized(square.contiguous(), spec.size, spec.interpolation)
        views += [five_crops(square, spec.size), small[:, None]]
    return torch.cat(views, 1)


def of_the_input(spec: InputSpec) -> Sides:
    """None: the picture is cut to the input as for scoring."""
    return ()


def googlenets(spec: InputSpec) -> Sides:
    """Four: Szegedy et al. 2014, section 7."""
    return _to_input(spec, GOOGLENETS)


def trained_at(spec: InputSpec) -> Sides:
    """The shorter side that the network was trained at: its own where that is more than its input,
    else what 256 is to an input of 224.
    """
    if spec.placing == "resize" and spec.resize > min(spec.size):
        return (spec.resize,)
    return _to_input(spec, (SIDE,))


def around(spec: InputSpec) -> Sides:
    """Three: Simonyan and Zisserman 2014, section 4.2, for a fixed S. None below the input."""
    (side,), (step,) = trained_at(spec), _to_input(spec, (STEP,))
    return max(side - step, min(spec.size)), side, side + step


def _to_input(spec: InputSpec, sides: Sides) -> Sides:
    """Sides for an input of 224, for this one."""
    return tuple(round(side * min(spec.size) / INPUT) for side in sides)
