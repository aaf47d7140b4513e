"""The strip that a second look sees in nearly every picture of a fine camera: full width, around the horizon, where
what is far lies. Its pixels are the camera's own or nearly so, while the first look sees the picture smaller.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model_card import InputSpec, ModelCard
from ..object_rule import Strip
from .sizes import network_size

LEAST_DETAIL = 0.75
"""Of the strip's columns, so many has the image itself at least: below that the strip would be mostly enlarged picture,
which shows nothing more and costs a run of the network in every frame.
"""
FLATTEST, USUAL = 1 / 4, 9 / 16
"""Height over width of the flattest pictures that are taken for a camera's, and of most cameras'."""
SEEN = 0.05
"""Of a row's cells, so many are ground where the ground begins: fewer are wrong labels here and there."""
ABOVE = 0.35
"""Of the strip's height, so much lies above that row: objects reach above the ground that they stand on."""


class StripSize(NamedTuple):
    """Rows and columns as the network sees them, and how many rows of the image that is."""

    rows: int
    columns: int
    tall: int


def is_fine(height: int, width: int, strip: Strip, spec: InputSpec) -> bool:
    """Whether a camera with images of this size is fine enough for the strip."""
    return width >= LEAST_DETAIL * strip.zoom * network_size(height, width, spec)[1]


def strip_size(height: int, width: int, strip: Strip, spec: InputSpec) -> StripSize | None:
    """Size of the strip of images of this size, fine or not.

    It takes at most as many pixels as the first look and is not scaled by `network_size`. None where there is no such
    size: the network's input is less than a few multiples high, or has `resize` or `windows`.
    """
    if spec.resize is not None or spec.windows is not None:
        return None
    of_height, of_width = network_size(height, width, spec)
    columns = int(strip.zoom * of_width / spec.multiple) * spec.multiple
    rows = max(1, int(strip.zoom * of_height * strip.height / spec.multiple)) * spec.multiple
    # The first look's own sides are rounded: what takes as many pixels may be scaled all the same.
    while rows and (rows * columns > of_height * of_width or network_size(rows, columns, spec) != (rows, columns)):
        rows -= spec.multiple
    if not rows:
        return None
    return StripSize(rows, columns, min(height, max(1, round(rows / (strip.zoom * of_height) * height))))


def strip_of(height: int, width: int, card: ModelCard) -> StripSize | None:
    """Size of the strip of a camera with images of this size, for which engines are needed, too; None = it has none."""
    strip, spec = card.calibration.strip, card.input
    if strip is None or not is_fine(height, width, strip, spec):
        return None
    return strip_size(height, width, strip, spec)


def camera_of(rows: int, columns: int, card: ModelCard) -> tuple[int, int] | None:
    """Size (height, width) of a camera whose strip has this size, of the usual shape if that has; None = no strip has.

    Of fine cameras of one shape and any size the strip is of one size, so one as wide as the strip stands for all.
    Pictures that are higher than wide are left out: their strip has the shape of a whole picture of another camera.
    """
    if card.calibration.strip is None:
        return None
    heights = [
        height
        for height in range(max(1, round(FLATTEST * columns)), columns + 1)
        if (strip := strip_of(height, columns, card)) is not None and strip[:2] == (rows, columns)
    ]
    return (min(heights, key=lambda height: abs(height - USUAL * columns)), columns) if heights else None


def strip_top(classes: np.ndarray, ground: np.ndarray, step: int, height: int, tall: int) -> int:
    """First row of an image that is in the strip.

    It begins above the topmost row in which the ground is seen; it lies around the middle of the picture where none is
    seen, because a picture without ground is looked at all the same, and where no class is ground.

    Args:
        classes: predicted class ids uint8 `[h, w]`, of the cells.
        ground: bool `[256]`, by class id.
        step: pixels a side of a cell.
        height, tall: of the image and of the strip in it, in pixels.
    """
    seen = np.flatnonzero(ground[classes].mean(axis=1) >= SEEN)
    top = int(seen[0] * step - ABOVE * tall) if seen.size else (height - tall) // 2
    return min(max(0, top), height - tall)
