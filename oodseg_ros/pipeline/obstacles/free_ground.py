"""How far the ground is seen free of anything, by strips of the image: what may clear a costmap."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ...frame import Prediction
from ...labels import LabelSet
from ...parameters.judging import default
from ..geometry.ground import CameraGeometry, ground_position

STRIPS = 48
MAX_CLEAR = 60.0
"""Metres; farther away a ray proves too little to clear anything."""
SPACING = 0.05
"""Metres between neighbouring ends: the cell size of a usual costmap, so that lines leave out no cell."""
_BISECTIONS = 12


def ground_ids(labels: LabelSet, names: Iterable[str] = default("ground_classes")) -> np.ndarray:
    """bool `[256]`: which class ids are ground, by the names of the parameter `ground_classes`."""
    wanted, table = set(names), np.zeros(256, bool)
    table[: len(labels)] = [name in wanted for name in labels.names]
    return table


def free_ground(
    prediction: Prediction, mask: np.ndarray, geometry: CameraGeometry, ground: np.ndarray, strips: int = STRIPS
) -> np.ndarray:
    """Ends `[N, 2]` (x, y in the base frame, metres) of the lines from the camera along which only ground is seen.

    Each strip of columns is followed from the lowest judged row upwards, as long as all its pixels are ground and none
    is anomalous or not judged. Its ends lie side by side, `SPACING` apart, at the near end of the range interval: what
    may be an obstacle is not cleared. Strips that begin with something else have none.

    Args:
        prediction: labels uint8 and score float32 `[H, W]`, NaN = not judged.
        mask: uint8 `[H, W]`, non-zero = anomalous.
        geometry: of the camera at this size.
        ground: bool `[256]`, see `ground_ids`.
        strips: into which the image is cut.
    """
    width = mask.shape[1]
    strips = min(strips, width)
    edges = np.arange(strips + 1) * width // strips
    free = ground[prediction.labels] & (mask == 0)
    judged = np.isfinite(prediction.score)
    columns = np.add.reduceat((free & judged).view(np.uint8), edges[:-1], axis=1, dtype=np.int32) == np.diff(edges)
    seen = np.logical_or.reduceat(judged, edges[:-1], axis=1)
    ends = []
    for index in range(strips):
        rows = np.flatnonzero(seen[:, index])
        if not len(rows):
            continue
        lowest = int(rows[-1])
        blocked = np.flatnonzero(~columns[: lowest + 1, index])
        highest = int(blocked[-1]) + 1 if len(blocked) else 0
        if highest <= lowest:
            ends.append(_ends(geometry, edges[index] - 0.5, edges[index + 1] - 0.5, highest, lowest))
    return np.concatenate([np.zeros((0, 2)), *ends])


def _ends(geometry: CameraGeometry, left: float, right: float, highest: int, lowest: int) -> np.ndarray:
    """Ends `[N, 2]` of the free rows of a strip between two columns: those of its farthest ground."""
    middle = (left + right) / 2
    top, bottom = highest, lowest
    if ground_position(geometry, (middle, float(top)), MAX_CLEAR) is not None:
        bottom = top
    for _ in range(_BISECTIONS):
        # The rows from the horizon on show no ground; the highest one that does is between.
        if bottom - top <= 1:
            break
        row = (top + bottom) // 2
        if ground_position(geometry, (middle, float(row)), MAX_CLEAR) is None:
            top = row
        else:
            bottom = row
    sides = [_near_end(geometry, column, bottom) for column in (left, right)]
    if any(side is None for side in sides):
        return np.zeros((0, 2))
    start, end = np.array(sides)
    count = 1 + math.ceil(float(np.linalg.norm(end - start)) / SPACING)
    return np.linspace(start, end, count)


def _near_end(geometry: CameraGeometry, column: float, row: int) -> tuple[float, float] | None:
    """The ground seen at a pixel, drawn in to the near end of its interval."""
    place = ground_position(geometry, (column, float(row)), 1.1 * MAX_CLEAR)
    if place is None:
        return None
    x, y = place.position[:2]
    distance = math.hypot(x, y)
    share = min(1.0, place.range_min / distance) if distance > 0 else 1.0
    return x * share, y * share
