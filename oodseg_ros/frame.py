"""The values that flow through the pipeline: camera message → Frame → Prediction → Obstacle → Alert.

All are frozen; arrays in them are treated as read-only by everyone downstream.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

UNLABELED = 255
"""Label id of a pixel without a class; also LabelInfo's unlabeled id, so no class may use it."""

OUTLIER = 254
"""An unknown, in a training target."""
KNOWN = 253
"""In a training target: known to be an inlier, but not of which class."""


@dataclass(frozen=True)
class Frame:
    """One camera image.

    Attributes:
        image: RGB uint8 `[H, W, 3]`, C-contiguous.
        stamp_ns: acquisition time in nanoseconds, as the message header states it (not the receive time).
        camera: name of the camera as configured (`front`), or the file name offline.
        frame_id: optical frame of the camera (REP-103: z forward, x right, y down); empty offline.
        file: name of the file that it was read from; empty live.
    """

    image: np.ndarray
    stamp_ns: int = 0
    camera: str = "camera"
    frame_id: str = ""
    file: str = ""


@dataclass(frozen=True)
class Prediction:
    """What a bundle says about one frame, at the frame's size.

    Attributes:
        labels: uint8 `[H, W]`, class ids of the bundle's label set; 255 = unlabeled.
        score: float32 `[H, W]` anomaly score, higher = more anomalous, unbounded; NaN = not judged. It decides.
        bundle_id: `name@weights-hash` of the bundle that made it.
        greater: float32 `[H, W]`, the greater of two looks (`inference.second_look`) where their mean decides, which is
            what is published; None = the score is.
    """

    labels: np.ndarray
    score: np.ndarray
    bundle_id: str
    greater: np.ndarray | None = None

    @property
    def published(self) -> np.ndarray:
        """The score that is shown and published, before it is made coherent (`pipeline.obstacles.coherent`)."""
        return self.score if self.greater is None else self.greater


@dataclass(frozen=True)
class GroundPosition:
    """Where the foot point of an obstacle meets the ground plane.

    Attributes:
        position: (x, y, z) in metres in `base_link` (REP-103: x forward, y left, z up).
        range_min, range_max: interval of the horizontal distance in metres from the pitch uncertainty;
            `range_max` may be infinite when the upper ray does not meet the ground.
    """

    position: tuple[float, float, float]
    range_min: float
    range_max: float


@dataclass(frozen=True)
class Obstacle:
    """One connected group of anomalous pixels.

    Attributes:
        box: (x0, y0, x1, y1) in pixels, half open: columns x0..x1-1, rows y0..y1-1.
        area: number of anomalous pixels.
        score: calibrated to [0, 1]: the bundle's score table applied to the component's strong pixels.
        foot: (u, v) pixel of the lowest point, where it is assumed to touch the ground.
        track_id: stable over frames of one camera; 0 = not tracked.
        age: number of frames in which this track was seen.
        ground: position and range interval, or None where geometry is unknown or the foot is above the horizon.
        zone: name of the zone it is in; empty = in none.
        counts: it counts for the alert; False = only reported, by its zone.
        reach_s: seconds until the vehicle is there, or None where nothing tells.
        margin: raw score by which it is stronger than its size and place need (see `Component`); NaN = not known.
    """

    box: tuple[int, int, int, int]
    area: int
    score: float
    foot: tuple[float, float]
    track_id: int = 0
    age: int = 1
    ground: GroundPosition | None = None
    zone: str = ""
    counts: bool = True
    reach_s: float | None = None
    margin: float = float("nan")


class AlertState(str, Enum):
    """The three answers. "No message", "nothing there" and "cannot tell" are different things everywhere."""

    CLEAR = "CLEAR"
    OBSTACLE = "OBSTACLE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Alert:
    """What a consumer may act on, per camera.

    Attributes:
        reason: short code, one of `pipeline.reasons`.
        stamp_ns: header stamp of the frame that the state rests on; 0 if there is none.
        evidence_age_s: seconds from that stamp to now; infinity if there is none.
        obstacles: the obstacles of that frame; empty unless judged.
        detail: the figures behind the reason, for people; may be empty.
        drift: how far the last scores are from the bundle's calibration, bits in [0, 1]; None = not measured.
    """

    state: AlertState
    reason: str
    stamp_ns: int = 0
    evidence_age_s: float = float("inf")
    obstacles: tuple[Obstacle, ...] = ()
    detail: str = ""
    drift: float | None = None
