"""Obstacles and class names → vision_msgs, where vision_msgs is installed.

The node asks `VISION_MSGS` once and says in log and diagnostics when these outputs are missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import Point, PoseWithCovariance, Quaternion, Vector3
from std_msgs.msg import Header

from ...frame import UNLABELED, Obstacle
from ...labels import LabelSet
from ...views import UNKNOWN_ID
from .obstacles import BASE_FRAME, placed

try:
    from vision_msgs.msg import (
        Detection2D,
        Detection2DArray,
        Detection3D,
        Detection3DArray,
        LabelInfo,
        ObjectHypothesisWithPose,
        VisionClass,
    )

    VISION_MSGS = True
except ImportError:
    Detection2D = Detection2DArray = Detection3D = Detection3DArray = None
    LabelInfo = ObjectHypothesisWithPose = VisionClass = None
    VISION_MSGS = False

if TYPE_CHECKING:
    from ...pipeline.geometry.ground import CameraGeometry

UNKNOWN_CLASS = "unknown"
"""class_id of every detection: the obstacle belongs to none of the classes that the model knows."""

_NOT_KNOWN = 1e6
"""Variance of what nothing tells: the orientation, and a range without an end."""
_THICKNESS = 0.3
"""Metres; how deep an obstacle is, a camera does not see."""


def to_detections(
    obstacles: Iterable[Obstacle], header: Any, geometry: CameraGeometry | None = None
) -> Detection2DArray:
    """Detection2DArray in pixels of the input image: box centre and size, calibrated score, track id (empty = none).

    Where the position is known, `results[0].pose` is the foot point in the frame of `header` (the camera's optical
    frame), with the covariance of the range interval; otherwise its covariance is 0 throughout, which says "not set".

    Raises:
        RuntimeError: vision_msgs is not installed (`VISION_MSGS` is False).
    """
    _require()
    obstacles = list(obstacles)
    extents = {id(obstacle): extent for obstacle, extent in placed(obstacles, geometry)} if geometry is not None else {}
    array = Detection2DArray()
    array.header = header
    for obstacle in obstacles:
        detection = Detection2D(header=header, results=[_hypothesis(obstacle)], id=_track(obstacle))
        x0, y0, x1, y1 = obstacle.box
        detection.bbox.center.position.x = (x0 + x1) / 2
        detection.bbox.center.position.y = (y0 + y1) / 2
        detection.bbox.size_x = float(x1 - x0)
        detection.bbox.size_y = float(y1 - y0)
        if geometry is not None and id(obstacle) in extents:
            rotation = geometry.rotation.T
            foot = rotation @ (extents[id(obstacle)].foot - geometry.translation)
            detection.results[0].pose = _pose(foot, rotation @ _covariance(obstacle, geometry) @ rotation.T)
        array.detections.append(detection)
    return array


def to_detections_3d(
    obstacles: Iterable[Obstacle], header: Any, geometry: CameraGeometry | None = None, frame: str = BASE_FRAME
) -> Detection3DArray:
    """Detection3DArray in `frame` (x forward, y left, z up) of the obstacles of known position, standing on the ground.

    Box: x along the line of sight (0.3 m, as its depth is not seen), y across it, z up. `results[0].pose` is the foot
    point with the covariance that follows from the range interval.

    Raises:
        RuntimeError: vision_msgs is not installed (`VISION_MSGS` is False).
    """
    _require()
    array = Detection3DArray()
    array.header = Header(stamp=header.stamp, frame_id=frame)
    for obstacle, extent in placed(obstacles, geometry):
        detection = Detection3D(header=array.header, results=[_hypothesis(obstacle)], id=_track(obstacle))
        detection.results[0].pose = _pose(extent.foot, _covariance(obstacle, geometry))
        # The image's x axis runs to the right, the box's y axis to the left.
        heading = float(np.arctan2(extent.across[0], -extent.across[1]))
        center = extent.middle + np.array([0.0, 0.0, extent.height / 2])
        detection.bbox.center.position = Point(**dict(zip("xyz", map(float, center), strict=True)))
        detection.bbox.center.orientation = Quaternion(z=float(np.sin(heading / 2)), w=float(np.cos(heading / 2)))
        detection.bbox.size = Vector3(x=_THICKNESS, y=float(extent.width), z=float(extent.height))
        array.detections.append(detection)
    return array


def to_label_info(labels: LabelSet, header: Any) -> LabelInfo:
    """LabelInfo of the label images: every class id with its name, 254 as `unknown`, 255 as `unlabeled`; to be latched.

    Raises:
        RuntimeError: vision_msgs is not installed (`VISION_MSGS` is False).
    """
    _require()
    info = LabelInfo()
    info.header = header
    names = {**dict(enumerate(labels.names)), UNKNOWN_ID: UNKNOWN_CLASS, UNLABELED: "unlabeled"}
    info.class_map = [VisionClass(class_id=index, class_name=name) for index, name in names.items()]
    return info


def _hypothesis(obstacle: Obstacle) -> ObjectHypothesisWithPose:
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = UNKNOWN_CLASS
    hypothesis.hypothesis.score = float(obstacle.score)
    return hypothesis


def _track(obstacle: Obstacle) -> str:
    return str(obstacle.track_id) if obstacle.track_id else ""


def _pose(position: np.ndarray, covariance: np.ndarray) -> PoseWithCovariance:
    """A point with its `[3, 3]` covariance, of unknown orientation."""
    pose = PoseWithCovariance()
    pose.pose.position = Point(**dict(zip("xyz", map(float, position), strict=True)))
    full = np.diag([0.0, 0.0, 0.0, _NOT_KNOWN, _NOT_KNOWN, _NOT_KNOWN])
    full[:3, :3] = covariance
    pose.covariance = full.reshape(-1).tolist()
    return pose


def _covariance(obstacle: Obstacle, geometry: CameraGeometry | None) -> np.ndarray:
    """Of the foot point `[3, 3]` in the base frame, square metres: half the range interval is one sigma."""
    ground = obstacle.ground
    assert ground is not None  # only placed obstacles are given here
    origin = np.zeros(3) if geometry is None else geometry.translation * [1, 1, 0]
    line = np.array([*ground.position[:2], 0.0]) - origin
    length = float(np.linalg.norm(line))
    line = line / length if length > 1e-9 else np.array([1.0, 0.0, 0.0])
    half = (ground.range_max - ground.range_min) / 2
    along = half**2 if np.isfinite(half) else _NOT_KNOWN
    return along * np.outer(line, line)


def _require() -> None:
    if not VISION_MSGS:
        raise RuntimeError(
            "vision_msgs is not installed; install ros-<distro>-vision-msgs for detections and label info"
        )
