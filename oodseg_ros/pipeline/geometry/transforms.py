"""Transforms of TF as poses, and the static ones of a bag; needs no ROS."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...errors import ConfigError


class Pose(NamedTuple):
    """Pose of a camera: rotation `[3, 3]` optical frame → base frame, translation `[3]` in the base frame, metres."""

    rotation: np.ndarray
    translation: np.ndarray


def to_pose(transform: Any) -> Pose:
    """Rotation matrix and vector of a geometry_msgs/Transform.

    Raises:
        ConfigError: a value is not finite, or the quaternion is not of unit length.
    """
    rotation, shift = transform.rotation, transform.translation
    x, y, z, w = quaternion = (rotation.x, rotation.y, rotation.z, rotation.w)
    length = math.sqrt(sum(value * value for value in quaternion))
    translation = np.array([shift.x, shift.y, shift.z])
    if not np.isfinite(translation).all() or not abs(length - 1) < 1e-2:
        raise ConfigError(f"the transform is broken: quaternion {quaternion}, translation {translation.tolist()}")
    x, y, z, w = (value / length for value in quaternion)
    matrix = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return Pose(np.array(matrix), translation)
