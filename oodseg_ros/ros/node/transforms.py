"""Where a camera sits on the vehicle, by TF at the time of the image. Needs tf2_ros, which PyPI lacks (`TF2_ROS`)."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.time import Time

from ...errors import ConfigError
from ...pipeline.geometry.source import Pose, to_pose

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
