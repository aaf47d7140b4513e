"""Camera poses from TF: with the real tf2_ros where it is installed, else only the parts without it."""

from __future__ import annotations

import math
import os
import time

import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from hypothesis import given
from hypothesis import strategies as st
from std_msgs.msg import Header

from oodseg_ros.errors import ConfigError
from oodseg_ros.ros.messages.alert import to_ns, to_stamp
from oodseg_ros.ros.node import vehicle
from oodseg_ros.ros.node.vehicle import LATEST_TOLERANCE, TF2_ROS, Transforms, to_pose

os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
needs_tf = pytest.mark.skipif(not TF2_ROS, reason="tf2_ros is not installed (it is not on PyPI)")
OPTICAL = Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5)  # optical axes in body axes, as every camera URDF has it
SECOND = 1_000_000_000


def stamped(parent: str, child: str, seconds: float, x: float = 0.0, rotation: Quaternion | None = None):
    message = TransformStamped(header=Header(stamp=to_stamp(round(seconds * SECOND)), frame_id=parent))
    message.child_frame_id = child
    message.transform = Transform(translation=Vector3(x=x, y=0.0, z=1.5), rotation=rotation or Quaternion(w=1.0))
    return message


def test_the_optical_rotation_points_forward():
    pose = to_pose(Transform(rotation=OPTICAL, translation=Vector3(x=1.0, y=2.0, z=3.0)))
    np.testing.assert_allclose(pose.rotation @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(pose.rotation @ [1, 0, 0], [0, -1, 0], atol=1e-12)
    np.testing.assert_array_equal(pose.translation, [1, 2, 3])


@given(st.tuples(*[st.floats(-1, 1)] * 3), st.floats(-math.pi, math.pi))
def test_quaternions_become_the_rotation_about_their_axis(axis, angle):
    import cv2

    length = math.sqrt(sum(value * value for value in axis))
    if length < 1e-3:
        return
    unit = np.array(axis) / length
    x, y, z = unit * math.sin(angle / 2)
    rotation = to_pose(Transform(rotation=Quaternion(x=x, y=y, z=z, w=math.cos(angle / 2)))).rotation
    np.testing.assert_allclose(rotation, cv2.Rodrigues(unit * angle)[0], atol=1e-9)


@pytest.mark.parametrize(
    "broken",
    [
        Transform(rotation=Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)),
        Transform(rotation=Quaternion(w=float("nan"))),
        Transform(rotation=Quaternion(w=2.0)),
        Transform(rotation=Quaternion(w=1.0), translation=Vector3(x=float("inf"))),
    ],
)
def test_broken_transforms_are_refused(broken):
    with pytest.raises(ConfigError, match="the transform is broken"):
        to_pose(broken)


@given(st.integers(0, 2**31 * SECOND - 1))
def test_stamps_survive(ns):
    assert to_ns(to_stamp(ns)) == ns


def test_without_tf2_ros_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(vehicle, "TF2_ROS", False)
    with pytest.raises(RuntimeError, match="set the camera's mount instead, or install"):
        Transforms(None, "base_link")


@pytest.fixture(scope="module")
def tf():
    """A `Transforms` that has heard of a static camera and one on a rail over DDS."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from tf2_msgs.msg import TFMessage

    context = rclpy.Context()
    rclpy.init(context=context)
    speaker, node = (rclpy.create_node(name, context=context) for name in ("speaker", "listener"))
    latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publishers = {
        "/tf": speaker.create_publisher(TFMessage, "/tf", 100),
        "/tf_static": speaker.create_publisher(TFMessage, "/tf_static", latched),
    }
    listener = Transforms(node, "base_link")
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def wait(condition):
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, listener.problem
            executor.spin_once(timeout_sec=0.05)

    wait(lambda: all(publisher.get_subscription_count() for publisher in publishers.values()))
    publishers["/tf_static"].publish(
        TFMessage(transforms=[stamped("base_link", "mast", 0, x=2.0), stamped("mast", "front", 0, rotation=OPTICAL)])
    )
    # A camera on a rail: 1 m/s forward, known from 100 s to 101 s.
    rail = [stamped("base_link", "rail", 100 + step / 10, x=step / 10) for step in range(11)]
    publishers["/tf"].publish(TFMessage(transforms=rail))
    wait(lambda: listener.lookup("front", 0) and listener.lookup("rail", round(100.95 * SECOND)))
    yield listener
    listener.destroy()
    executor.shutdown()
    for ended in (speaker, node):
        ended.destroy_node()
    rclpy.try_shutdown(context=context)


@needs_tf
@pytest.mark.parametrize("seconds", [0, 1, 100.5, 1_700_000_000])
def test_a_static_chain_holds_at_any_time(tf, seconds):
    pose = tf.lookup("front", round(seconds * SECOND))
    np.testing.assert_allclose(pose.translation, [2.0, 0.0, 3.0])
    np.testing.assert_allclose(pose.rotation @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    assert tf.problem == ""


@needs_tf
@pytest.mark.parametrize("seconds", [100.0, 100.05, 100.5, 100.777, 101.0])
def test_a_moving_camera_is_looked_up_at_the_images_stamp(tf, seconds):
    pose = tf.lookup("rail", round(seconds * SECOND))
    np.testing.assert_allclose(pose.translation[0], seconds - 100, atol=1e-6)


@needs_tf
def test_the_newest_transform_serves_an_image_that_is_a_little_newer_but_not_much(tf):
    np.testing.assert_allclose(tf.lookup("rail", round((101 + LATEST_TOLERANCE * 0.9) * SECOND)).translation[0], 1.0)
    for seconds in (101 + LATEST_TOLERANCE * 1.1, 90.0, 2000.0):
        assert tf.lookup("rail", round(seconds * SECOND)) is None
        assert "no transform from 'rail' to 'base_link'" in tf.problem


@needs_tf
@pytest.mark.parametrize("frame", ["nowhere", "", "/slash"])
def test_an_unknown_frame_has_no_pose_but_a_reason(tf, frame):
    assert tf.lookup(frame, 100 * SECOND) is None
    assert f"no transform from {frame!r} to 'base_link': " in tf.problem
    assert tf.lookup("front", 100 * SECOND) is not None
    assert tf.problem == ""
