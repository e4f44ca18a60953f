"""What figures of pictures are put together from: bare axes, a picture, a map of heat over it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from neocog.report import fonts

WRONG, RIGHT = "#d55e00", "#0072b2"  # Okabe and Ito: told apart by colour-blind eyes too
GREY = "#555555"


def bare(axes: Axes) -> None:
    """Nothing but what is drawn in it."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def picture(axes: Axes, image: Tensor, *, top: float | None = None, left: float = 0.0) -> None:
    """(C, H, W), uint8 or float from 0 to 1, grey or RGB. With `top` and `left`, in pixels, it is
    one of several in the same axes.
    """
    pixels = image.movedim(0, 2).numpy()
    if pixels.shape[2] not in (3, 4):  # of other channels, their mean
        pixels = pixels.mean(2).astype(pixels.dtype)
    most = 255 if pixels.dtype == np.uint8 else 1
    height, width = pixels.shape[:2]
    place = None if top is None else (left, left + width, top + height, top)
    shown = pixels if most == 255 else pixels.clip(0, 1)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=most, extent=place)


def heat(axes: Axes, image: Tensor, values: np.ndarray) -> None:
    """A picture in grey, and over it where `values` (h, w) are large: dark red to yellow, the more
    the less can be seen through it. They are stretched to the picture.
    """
    height, width = image.shape[1:]
    grey = image.float().mean(0).numpy() / (255 if image.dtype.is_floating_point is False else 1)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1)
    most = float(values.max(initial=0.0))
    level = np.clip(values / most, 0, 1) if most > 0 else np.zeros_like(values)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    smooth = "bilinear" if level.shape != (height, width) else "nearest"
    axes.imshow(
        level,
        cmap="inferno",
        vmin=0,
        vmax=1,
        alpha=0.15 + 0.65 * level,
        extent=extent,
        interpolation=smooth,
    )


def caption(axes: Axes, text: str, *, colour: str = "black", size: float = 8) -> None:
    """Lines above a picture; class names in them have gone through `fonts.shown`."""
    axes.set_title(text, fontsize=size, color=colour, fontfamily=fonts.families(), pad=3)
