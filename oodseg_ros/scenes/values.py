"""What a rendered scene holds, and the ids that the renderer writes while it paints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Class ids of label set driving11, in which the renderer paints its ground truth.
SKY, BUILDING, POLE, ROAD, SIDEWALK, VEGETATION, SIGN, FENCE, VEHICLE, PERSON, TWO_WHEELER = range(11)
LABEL_SET = "driving11"

FIRST_UNKNOWN = 100
"""Unknown number k is painted with id 100 + k, so that later, nearer things take its pixels away from it."""
MAX_UNKNOWNS = 100
"""Ids are used again after this many unknowns; never are so many in sight."""
FADING = 254
"""Pixels of an unknown that is too far or too small to be judged: neither anomaly nor inlier."""
VOID = 255


@dataclass(frozen=True)
class SceneObstacle:
    """One unknown object, as it can be seen in the image.

    Attributes:
        box: (x0, y0, x1, y1) of its visible pixels, half open.
        distance_m: horizontal distance from the point on the ground under the camera to the foot point, metres.
        area: number of visible pixels.
        kind: what was drawn, e.g. `tyre`, or `cutout`.
        foot: (u, v) pixel of the ground point under its nearest face's middle; integers are pixel centers.
    """

    box: tuple[int, int, int, int]
    distance_m: float
    area: int
    kind: str
    foot: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """One frame with exact ground truth.

    Attributes:
        image: RGB uint8 `[H, W, 3]`.
        labels: uint8 `[H, W]` in label set driving11; 255 on unknowns and on the own hood.
        anomaly: uint8 `[H, W]`: 1 on unknowns, 0 elsewhere, 255 where nobody could tell (hood, a few distant pixels).
        obstacles: the unknowns with at least `MIN_AREA` visible pixels, nearest first.
        matrix: float64 `[3, 3]` pinhole camera matrix K at this size; no distortion.
        mount_height: height of the camera above the road, metres.
        mount_pitch: radians, > 0 looks down.
        stamp_ns: acquisition time.
    """

    image: np.ndarray
    labels: np.ndarray
    anomaly: np.ndarray
    obstacles: tuple[SceneObstacle, ...]
    matrix: np.ndarray
    mount_height: float
    mount_pitch: float
    stamp_ns: int = 0


MIN_AREA = 12
"""Unknowns with fewer visible pixels are ignored (255) instead of being asked for."""
