"""Where a camera sits on the vehicle, by TF at the time of the image. Needs tf2_ros, which PyPI lacks (`TF2_ROS`)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import Transform
from rclpy.node import Node
from rclpy.time import Time

from ...errors import ConfigError

try:
    import tf2_ros

    TF2_ROS = True
except ImportError:
    tf2_ros = None
    TF2_ROS = False

LATEST_TOLERANCE = 0.2
"""Seconds by which the newest transform may miss the image's stamp: /tf often arrives after the image it is for."""


class Pose(NamedTuple):
    """Pose of a camera: rotation `[3, 3]` optical frame → base frame, translation `[3]` in the base frame, metres."""

    rotation: np.ndarray
    translation: np.ndarray


class Transforms:
    """Listens to /tf and /tf_static in the node's own executor; lookups never wait and may come from any thread.

    Attributes:
        problem: why the last lookup had no answer; empty when it had one.

    Args:
        node: gets the two subscriptions.
        base_frame: the vehicle's frame, origin on the ground.

    Raises:
        RuntimeError: tf2_ros is not installed (`TF2_ROS` is False).
    """

    def __init__(self, node: Node, base_frame: str) -> None:
        if not TF2_ROS:
            raise RuntimeError(
                "tf2_ros is not installed; set the camera's mount instead, or install ros-<distro>-tf2-ros"
            )
        self.problem = ""
        self._base_frame = base_frame
        # Not given the node: since Jazzy the buffer would forget static transforms, too, when a bag starts over.
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, frame_id: str, stamp_ns: int) -> Pose | None:
        """Pose of the frame at that time; None if TF does not know it, with the reason in `problem`."""
        self.problem = ""
        try:
            return self._at(frame_id, stamp_ns)
        except (tf2_ros.TransformException, ConfigError) as error:
            self.problem = f"no transform from {frame_id!r} to {self._base_frame!r}: {error}"
            return None

    def destroy(self) -> None:
        """End the subscriptions."""
        self._listener.unregister()

    def _at(self, frame_id: str, stamp_ns: int) -> Pose:
        try:
            found = self._buffer.lookup_transform(self._base_frame, frame_id, Time(nanoseconds=stamp_ns))
        except tf2_ros.ExtrapolationException:
            found = self._buffer.lookup_transform(self._base_frame, frame_id, Time())
            latest = found.header.stamp.sec + found.header.stamp.nanosec * 1e-9
            if abs(latest - stamp_ns * 1e-9) > LATEST_TOLERANCE:
                raise
        return to_pose(found.transform)


def to_pose(transform: Transform) -> Pose:
    """Rotation matrix and vector of a transform message.

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
