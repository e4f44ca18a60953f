"""The filters of a layer as pictures: AlexNet's figure of 96 kernels, for any convolution."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from neocog.report import fonts
from neocog.report.panels import bare

MOST = 256  # filters
ON_PAGE = 96  # filters, as AlexNet has them
SIDES = 16  # filters, and inputs of each, where inputs are no colours
CLIP = 99.5  # percent of the weights lie within the scale: one outlier would grey out the rest


def figure(weights: np.ndarray, *, title: str) -> Figure:
    """Filters (K, C, h, w), all on one scale: mid-grey is 0. Three inputs are shown as colours,
    one as grey; of others each input is a column, each filter a row; 1x1s are a table of K x C.
    """
    count, inputs, height, width = weights.shape
    scale = float(np.percentile(np.abs(weights), CLIP)) or 1.0
    level = np.clip(weights / (2 * scale) + 0.5, 0, 1)
    if height * width == 1:
        return _table(level[:, :, 0, 0], title)
    if inputs in (1, 3):
        tiles, columns = level[:MOST].transpose(0, 2, 3, 1), _columns(min(count, MOST))
    else:
        few = level[:SIDES, :SIDES]
        tiles, columns = few.reshape(-1, height, width, 1), few.shape[1]
    axes_size = min(10.0, 0.55 * columns + 0.4)
    sheet = tiled(tiles, columns)
    high = axes_size * sheet.shape[0] / sheet.shape[1] + 0.6
    drawn = Figure(figsize=(max(axes_size, 4.5), high), layout="constrained")
    axes = drawn.subplots()
    bare(axes)
    axes.imshow(sheet.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    if inputs not in (1, 3):
        axes.set(xlabel="input map", ylabel="filter")
    fonts.set_title(drawn, title, size=10)
    return drawn


def sheet(weights: np.ndarray) -> tuple[np.ndarray, int]:
    """The same for a page: pixels uint8 (H, W, 4), each weight a pixel, what is between the filters
    transparent; and how many filters they are.
    """
    count, inputs, height, width = weights.shape
    scale = float(np.percentile(np.abs(weights), CLIP)) or 1.0
    level = np.clip(weights / (2 * scale) + 0.5, 0, 1)
    if inputs in (1, 3):
        tiles, columns = level[:ON_PAGE].transpose(0, 2, 3, 1), _columns(min(count, ON_PAGE))
    else:
        few = level[:SIDES, :SIDES]
        tiles, columns = few.reshape(-1, height, width, 1), few.shape[1]
    colours = np.broadcast_to(tiles, (*tiles.shape[:3], 3))
    solid = 1 - tiled(np.zeros((*tiles.shape[:3], 1)), columns)
    made = np.concatenate([tiled(colours, columns), solid], 2)
    shown = min(count, ON_PAGE if inputs in (1, 3) else SIDES)
    return (255 * made).round().astype(np.uint8), shown


def tiled(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles (N, h, w, C) beside and below each other, with white lines between."""
    count, height, width, channels = tiles.shape
    rows = math.ceil(count / columns)
    line = line_between(height)
    sheet = np.ones((rows * (height + line) + line, columns * (width + line) + line, channels))
    for place, tile in enumerate(tiles):
        top = line + place // columns * (height + line)
        left = line + place % columns * (width + line)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def line_between(height: int) -> int:
    """Pixels between tiles so high."""
    return max(1, height // 8)


def _columns(count: int) -> int:
    """As wide as a page: 16 for AlexNet's 96."""
    return min(count, 16 if count > 32 else 8)


def _table(level: np.ndarray, title: str) -> Figure:
    drawn = Figure(figsize=(6.5, 5), layout="constrained")
    axes = drawn.subplots()
    axes.imshow(level, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(xlabel="input map", ylabel="filter")
    fonts.set_title(drawn, title, size=10)
    return drawn
