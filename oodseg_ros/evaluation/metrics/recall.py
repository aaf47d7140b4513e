"""Which objects are found: recall by size, by the row of the foot, and by distance where the camera's pose is known.

Rows are (class, objects, share found, mean covered share); an object is found if its sIoU is at least `DETECTED`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...errors import ConfigError
from ...pipeline.geometry.ground import ground_position, pinhole
from .components import DETECTED, FrameComponents

Row = tuple[str, int, float, float]
SIZES = (0, 100, 400, 1600, 6400, 25600, math.inf)
"""Limits of the size classes of objects, in pixels: each class is twice as long as the one before."""
FEET = (0, 45, 50, 55, 60, 70, 80, 100)
"""Limits of the classes of an object's foot, in percent of the image height from the top."""
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


def by_size(components: Iterable[FrameComponents]) -> list[Row]:
    """Rows by the limits of the area in pixels."""
    components = list(components)
    area = _joined([frame.truth_area for frame in components])
    some = [(low, high, (area >= low) & (area < high)) for low, high in pairwise(SIZES)]
    names = [f"{low:.0f}-{high - 1:.0f}" if math.isfinite(high) else f"from {low:.0f}" for low, high, _ in some]
    return _rows(components, names, [members for _, _, members in some])


def by_foot(components: Sequence[FrameComponents], heights: Sequence[int]) -> list[Row]:
    """Rows by an object's lowest pixel, in percent of the image height; lower rows are nearer.

    Distances are not known to most datasets; on a flat road the foot's row orders objects by distance.
    """
    foot = _joined([100 * frame.truth_box[:, 3] / height for frame, height in zip(components, heights, strict=True)])
    names = [f"{low}-{high} %" for low, high in pairwise(FEET)]
    return _rows(components, names, [(foot > low) & (foot <= high) for low, high in pairwise(FEET)])


def by_distance(
    components: Sequence[FrameComponents], sizes: Sequence[tuple[int, int]], mount: CameraMount
) -> list[Row]:
    """Rows by metres to where the lowest pixel meets a flat road.

    Args:
        sizes: (height, width) of the frames, in the same order.
    """
    distance = []
    for frame, (height, width) in zip(components, sizes, strict=True):
        camera = pinhole(width, height, math.radians(mount.field_of_view), mount.height, math.radians(mount.pitch))
        for x0, _, x1, y1 in frame.truth_box:
            ground = ground_position(camera, ((x0 + x1 - 1) / 2, y1 - 1.0), max_range=math.inf)
            # Above the horizon there is no ground to stand on: as far as can be.
            distance.append(math.inf if ground is None else math.hypot(*ground.position[:2]))
    metres = np.asarray(distance, np.float64)
    classes = list(pairwise(DISTANCES))
    names = [f"{low:g}-{high:g} m" if math.isfinite(high) else f"from {low:g} m" for low, high in classes]
    members = [(metres >= low) & ((metres < high) | (high == math.inf)) for low, high in classes]
    return _rows(components, names, members)


def _rows(components: Sequence[FrameComponents], names: Sequence[str], members: Sequence[np.ndarray]) -> list[Row]:
    siou, covered = (_joined([getattr(frame, key) for frame in components]) for key in ("siou", "covered"))
    return [
        (name, int(some.sum()), float((siou[some] >= DETECTED).mean()), float(covered[some].mean()))
        for name, some in zip(names, members, strict=True)
        if some.any()
    ]


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays or [np.zeros(0)])
