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


class StaticTransforms:
    """The tree of /tf_static, filled message by message; a `PoseSource` without ROS.

    Transforms that move (/tf) are not in it: a camera behind such a joint has no pose here.

    Attributes:
        problem: why the last lookup had no answer; empty when it had one.

    Args:
        base_frame: the vehicle's frame, origin on the ground.
    """

    def __init__(self, base_frame: str) -> None:
        self.problem = ""
        self._base = base_frame.lstrip("/")
        self._parents: dict[str, tuple[str, Pose]] = {}

    def add(self, message: Any) -> None:
        """A tf2_msgs/TFMessage; of two transforms for one frame the later one counts.

        Raises:
            ConfigError: a transform is broken.
        """
        for stamped in message.transforms:
            child, parent = stamped.child_frame_id.lstrip("/"), stamped.header.frame_id.lstrip("/")
            self._parents[child] = parent, to_pose(stamped.transform)

    def lookup(self, frame_id: str, stamp_ns: int) -> Pose | None:
        """Pose of a frame on the vehicle, at any time; None if the tree does not hold it, the reason in `problem`."""
        camera, base = self._to_root(frame_id.lstrip("/")), self._to_root(self._base)
        shared = next((frame for frame in camera if frame in base), None)
        if shared is None:
            self.problem = f"/tf_static holds no way from {frame_id!r} to {self._base!r}"
            return None
        self.problem = ""
        seen, vehicle = camera[shared], base[shared]
        inverse = vehicle.rotation.T
        return Pose(inverse @ seen.rotation, inverse @ (seen.translation - vehicle.translation))

    def _to_root(self, frame: str) -> dict[str, Pose]:
        """Pose of `frame` in itself, its parent, and so on."""
        pose = Pose(np.eye(3), np.zeros(3))
        found = {frame: pose}
        while (above := self._parents.get(frame)) is not None and above[0] not in found:
            frame, step = above
            pose = Pose(step.rotation @ pose.rotation, step.rotation @ pose.translation + step.translation)
            found[frame] = pose
        return found
