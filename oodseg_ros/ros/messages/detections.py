"""Obstacles and class names → vision_msgs, where vision_msgs is installed.

The node asks `VISION_MSGS` once and says in log and diagnostics when these outputs are missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...frame import UNLABELED, Obstacle
from ...labels import LabelSet

try:
    from vision_msgs.msg import Detection2D, Detection2DArray, LabelInfo, ObjectHypothesisWithPose, VisionClass

    VISION_MSGS = True
except ImportError:
    Detection2D = Detection2DArray = LabelInfo = ObjectHypothesisWithPose = VisionClass = None
    VISION_MSGS = False

UNKNOWN_CLASS = "unknown"
"""class_id of every detection: the obstacle belongs to none of the classes that the model knows."""


def to_detections(obstacles: Iterable[Obstacle], header: Any) -> Detection2DArray:
    """Detection2DArray in pixels of the input image: box centre and size, calibrated score, track id (empty = none).

    Raises:
        RuntimeError: vision_msgs is not installed (`VISION_MSGS` is False).
    """
    _require()
    array = Detection2DArray()
    array.header = header
    array.detections = [_detection(obstacle, header) for obstacle in obstacles]
    return array


def to_label_info(labels: LabelSet, header: Any) -> LabelInfo:
    """LabelInfo of the label image: every class id with its name, and 255 as `unlabeled`; publish it latched.

    Raises:
        RuntimeError: vision_msgs is not installed (`VISION_MSGS` is False).
    """
    _require()
    info = LabelInfo()
    info.header = header
    names = {**dict(enumerate(labels.names)), UNLABELED: "unlabeled"}
    info.class_map = [VisionClass(class_id=index, class_name=name) for index, name in names.items()]
    return info


def _detection(obstacle: Obstacle, header: Any) -> Detection2D:
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = UNKNOWN_CLASS
    hypothesis.hypothesis.score = float(obstacle.score)
    detection = Detection2D()
    detection.header = header
    detection.results = [hypothesis]
    x0, y0, x1, y1 = obstacle.box
    detection.bbox.center.position.x = (x0 + x1) / 2
    detection.bbox.center.position.y = (y0 + y1) / 2
    detection.bbox.size_x = float(x1 - x0)
    detection.bbox.size_y = float(y1 - y0)
    detection.id = str(obstacle.track_id) if obstacle.track_id else ""
    return detection


def _require() -> None:
    if not VISION_MSGS:
        raise RuntimeError(
            "vision_msgs is not installed; install ros-<distro>-vision-msgs for detections and label info"
        )
