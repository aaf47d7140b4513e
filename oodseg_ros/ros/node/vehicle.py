"""What the node hears of the vehicle: its speed from an odometry topic, and where a camera sits on it, by TF at the
time of the image. TF needs tf2_ros, which PyPI lacks (`TF2_ROS`).
"""

from __future__ import annotations

import math
import time
from typing import Any

from rclpy.node import Node
from rclpy.time import Time

from ...errors import ConfigError
from ...pipeline.geometry.source import Pose, to_pose
from . import qos, topics

STALE = 1.0
"""Seconds after which a speed is no longer known."""


class Odometry:
    """Subscribes on construction.

    Raises:
        ConfigError: nav_msgs is not installed.
    """

    def __init__(self, node: Node, topic: str) -> None:
        try:
            from nav_msgs.msg import Odometry as Message
        except ImportError as error:
            raise ConfigError(f"parameter odometry = {topic!r} needs nav_msgs; install it or leave it empty") from error
        self._node = node
        self._speed, self._at = math.nan, -math.inf
        self._subscription = node.create_subscription(
            Message,
            topic,
            self._on_message,
            qos.profile(topics.CAMERA_INFO_IN),
            qos_overriding_options=qos.overridable(),
        )

    def speed(self) -> float | None:
        """Metres per second forward, or None where none came lately."""
        return self._speed if time.monotonic() - self._at <= STALE and math.isfinite(self._speed) else None

    def destroy(self) -> None:
        self._node.destroy_subscription(self._subscription)

    def _on_message(self, message: Any) -> None:
        self._speed, self._at = message.twist.twist.linear.x, time.monotonic()


try:
    import tf2_ros

    TF2_ROS = True
except ImportError:
    tf2_ros = None
    TF2_ROS = False

LATEST_TOLERANCE = 0.2
"""Seconds by which the newest transform may miss the image's stamp: /tf often arrives after the image it is for."""


class Transforms:
    """Listens to /tf and /tf_static in the node's own executor; lookups never wait and may come from any thread.

    Attributes:
        problem: why the last lookup had no answer; empty when it had one.

    Args:
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
