"""How far the ground is seen free of anything, by strips of the image: what may clear a costmap."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ...frame import Prediction
from ...labels import LabelSet
from ...parameters.settings import default
from ..geometry.ground import CameraGeometry, ground_position

STRIPS = 48
MAX_CLEAR = 60.0
"""Metres; farther away a ray proves too little to clear anything."""
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
    is anomalous or not judged. The end is the near end of the range interval: what may be an obstacle is not cleared.
    Strips that begin with something else have no end.

    Args:
        prediction: labels uint8 and score float32 `[H, W]`, NaN = not judged.
        mask: uint8 `[H, W]`, non-zero = anomalous.
        geometry: of the camera at this size.
        ground: bool `[256]`, see `ground_ids`.
        strips: number of lines at most.
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
        if highest <= lowest and (end := _end(geometry, (edges[index] + edges[index + 1] - 1) / 2, highest, lowest)):
            ends.append(end)
    return np.array(ends, float).reshape(-1, 2)


def _end(geometry: CameraGeometry, column: float, highest: int, lowest: int) -> tuple[float, float] | None:
    """The farthest ground point of the column's free rows, drawn in to the near end of its interval."""
    top, bottom = highest, lowest
    place = ground_position(geometry, (column, float(top)), MAX_CLEAR)
    if place is None:
        # The rows from the horizon on show no ground; the highest one that does is between.
        if (place := ground_position(geometry, (column, float(bottom)), MAX_CLEAR)) is None:
            return None
        for _ in range(_BISECTIONS):
            middle = (top + bottom) // 2
            if middle == top:
                break
            found = ground_position(geometry, (column, float(middle)), MAX_CLEAR)
            if found is None:
                top = middle
            else:
                bottom, place = middle, found
    x, y = place.position[:2]
    distance = math.hypot(x, y)
    share = min(1.0, place.range_min / distance) if distance > 0 else 1.0
    return x * share, y * share
