"""Recall by distance: where an object's lowest pixel meets a flat road, for datasets whose camera pose is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..errors import ConfigError
from ..obstacles.ground import ground_position, pinhole
from .component_metrics import DETECTED, FrameComponents

DISTANCES = (0, 10, 20, 30, 50, 100, math.inf)
"""Limits of the distance classes in metres."""


@dataclass(frozen=True)
class CameraMount:
    """How the dataset's camera stands: metres above the road, degrees it looks down, horizontal degrees it sees.

    Raises:
        ConfigError: a height that is not positive, or an angle that no camera has.
    """

    height: float
    pitch: float = 0.0
    field_of_view: float = 60.0

    def __post_init__(self) -> None:
        if not (self.height > 0 and -89 < self.pitch < 89 and 1 < self.field_of_view < 179):
            raise ConfigError(
                f"camera {self.height:g} m high, {self.pitch:g}° down, {self.field_of_view:g}° wide: height must be "
                "positive, pitch within ±89°, field of view between 1° and 179°"
            )


def by_distance(
    components: Sequence[FrameComponents], sizes: Sequence[tuple[int, int]], mount: CameraMount
) -> list[tuple[str, int, float, float]]:
    """Per distance class with objects: (limits in metres, objects, share found, mean covered share).

    Args:
        components: per frame.
        sizes: (height, width) of the frames, in the same order.
        mount: of the camera.
    """
    distance, siou, covered = [], [], []
    for frame, (height, width) in zip(components, sizes, strict=True):
        camera = pinhole(width, height, math.radians(mount.field_of_view), mount.height, math.radians(mount.pitch))
        for (x0, _, x1, y1), found, share in zip(frame.truth_box, frame.siou, frame.covered, strict=True):
            ground = ground_position(camera, ((x0 + x1 - 1) / 2, y1 - 1.0), max_range=math.inf)
            # Above the horizon there is no ground to stand on: as far as can be.
            distance.append(math.inf if ground is None else math.hypot(*ground.position[:2]))
            siou.append(found)
            covered.append(share)
    distance, siou, covered = (np.asarray(values, np.float64) for values in (distance, siou, covered))
    rows = []
    for low, high in pairwise(DISTANCES):
        some = (distance >= low) & ((distance < high) | (high == math.inf))
        if some.any():
            name = f"{low:g}-{high:g} m" if math.isfinite(high) else f"from {low:g} m"
            found = float((siou[some] >= DETECTED).mean())
            rows.append((name, int(some.sum()), found, float(covered[some].mean())))
    return rows
