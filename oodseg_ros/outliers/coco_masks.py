"""COCO segmentations to masks: polygons, and run lengths plain or packed into text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ..errors import DatasetError

FINER = 5
"""Factor between a pixel and the raster that polygons are drawn on."""


def outline_of(segmentation: Any, height: int, width: int, where: str) -> Any:
    """A foreign `segmentation` checked for `mask_of`: polygons as a tuple of float32 arrays (a tenth of the memory of
    lists), run lengths as they are; None where there is nothing to fill (absent, or only polygons without an area).

    Raises:
        DatasetError: it is something else; `where` is named.
    """
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, dict):
        size, counts = segmentation.get("size"), segmentation.get("counts")
        listed = isinstance(counts, list) and all(isinstance(run, int) and run >= 0 for run in counts)
        if size != [height, width] or not (listed or isinstance(counts, str)):
            raise DatasetError(
                f"{where}: COCO run lengths need `size: [{height}, {width}]`, the picture's, and `counts`; "
                f"it has size {size!r:.40} and counts of type {type(counts).__name__}"
            )
        try:
            mask_of(segmentation, height, width)
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from error
        return segmentation
    if not isinstance(segmentation, list):
        raise DatasetError(f"{where}: a COCO segmentation must be polygons or run lengths, not {segmentation!r:.40}")
    polygons = []
    for polygon in segmentation:
        numbers = isinstance(polygon, list) and all(isinstance(x, (int, float)) and math.isfinite(x) for x in polygon)
        if not numbers or len(polygon) % 2:
            raise DatasetError(f"{where}: a COCO polygon is a list of x, y, x, y, …; one is {polygon!r:.60}")
        if len(polygon) >= 6:  # a point or a line has no inside
            points = np.asarray(polygon, np.float64).reshape(-1, 2)
            if (points.min(axis=0) >= (width, height)).any() or (points.max(axis=0) <= 0).any():
                raise DatasetError(f"{where}: a polygon lies wholly outside of its picture of {width}x{height}")
            polygons.append(points.ravel().astype(np.float32))
    return tuple(polygons) or None


def mask_of(segmentation: Any, height: int, width: int) -> np.ndarray:
    """bool `[height, width]` of one annotation.

    Args:
        segmentation: a list of polygons `[x0, y0, x1, y1, …]`, or `{size: [h, w], counts: list or text}`.

    Raises:
        DatasetError: it is neither.
    """
    if isinstance(segmentation, dict):
        return _run_lengths(segmentation, height, width)
    if not isinstance(segmentation, Sequence):
        raise DatasetError(f"a COCO segmentation must be polygons or run lengths, not {type(segmentation).__name__}")
    mask = np.zeros((height, width), bool)
    for polygon in segmentation:
        if len(polygon):
            _fill(mask, np.asarray(polygon, np.float64).reshape(-1, 2))
    return mask


def _fill(mask: np.ndarray, points: np.ndarray) -> None:
    """Set the pixels whose centres are inside; OpenCV also fills what the outline touches, so it draws finer."""
    limit = np.array(mask.shape[::-1])
    low = np.clip(np.floor(points.min(axis=0)), 0, limit).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)), 0, limit).astype(int)
    width, height = high - low
    if width <= 0 or height <= 0:
        return
    canvas = np.zeros((height * FINER, width * FINER), np.uint8)
    # COCO coordinates are pixel corners, OpenCV's are pixel centres; 4 fractional bits.
    cv2.fillPoly(canvas, [np.rint(((points - low) * FINER - 0.5) * 16).astype(np.int32)], 1, shift=4)
    middle = FINER // 2
    mask[low[1] : high[1], low[0] : high[0]] |= canvas[middle::FINER, middle::FINER].astype(bool)


def _run_lengths(segmentation: dict[str, Any], height: int, width: int) -> np.ndarray:
    counts = segmentation.get("counts")
    if list(segmentation.get("size", ())) != [height, width]:
        raise DatasetError(f"COCO run lengths of size {segmentation.get('size')} in a picture of {[height, width]}")
    runs = unpack_counts(counts) if isinstance(counts, (str, bytes)) else [int(count) for count in counts or ()]
    if sum(runs) != height * width or min(runs, default=0) < 0:
        raise DatasetError(f"COCO run lengths cover {sum(runs)} of {height * width} pixels")
    values = np.zeros(len(runs), bool)
    values[1::2] = True
    # Runs go down the columns.
    return np.repeat(values, runs).reshape(width, height).T


def unpack_counts(text: str | bytes) -> list[int]:
    """Run lengths of COCO's text form: 6 bits per character from `0` on, 5 of value and one that says more follows;
    from the third run on only the difference to the run two before is stored.

    Raises:
        DatasetError: it ends within a number or holds other characters.
    """
    codes = [ord(char) - 48 for char in (text.decode("ascii") if isinstance(text, bytes) else text)]
    if any(not 0 <= code < 64 for code in codes) or (codes and codes[-1] & 32):
        raise DatasetError("COCO run lengths: the text is cut off or damaged")
    runs: list[int] = []
    value, shift = 0, 0
    for code in codes:
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    return runs
