"""Detections and label info as real vision_msgs over DDS, announced with the released package's type hashes."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from oodseg_ros.frame import Obstacle
from oodseg_ros.labels import load_labels
from oodseg_ros.pipeline.geometry.ground import ground_position, mounted
from oodseg_ros.ros.messages.detections import UNKNOWN_CLASS, to_detections, to_detections_3d, to_label_info

vision_msgs = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is neither installed nor generated")
HEADER = Header(stamp=Time(sec=3, nanosec=4), frame_id="front_optical")
TYPE_HASHES = {
    "Detection2DArray": "214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "Detection3DArray": "793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
    "LabelInfo": "3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
}


@pytest.mark.parametrize("name", TYPE_HASHES)
def test_the_announced_type_hash_is_that_of_the_released_package(name):
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("hashes", context=context)
    try:
        node.create_publisher(getattr(vision_msgs, name), name, 1)
        end = time.monotonic() + 30
        while not (infos := node.get_publishers_info_by_topic(name)):
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    assert infos[0].topic_type == f"vision_msgs/msg/{name}"
    if not hasattr(infos[0], "topic_type_hash"):
        pytest.skip("this distribution has no type hashes")
    assert bytes(infos[0].topic_type_hash.value).hex() == TYPE_HASHES[name]


def test_detections_over_dds(echo):
    tracked = Obstacle((10, 20, 61, 80), 900, 0.93, (35.0, 80.0), track_id=7)
    new = Obstacle((0, 0, 1, 1), 1, 0.5, (0.5, 1.0))
    back = echo(to_detections([tracked, new], HEADER))
    assert back.header == HEADER
    first, second = back.detections
    assert first.header == HEADER
    assert (first.bbox.center.position.x, first.bbox.center.position.y, first.bbox.center.theta) == (35.5, 50.0, 0.0)
    assert (first.bbox.size_x, first.bbox.size_y) == (51.0, 60.0)
    assert (first.id, second.id) == ("7", "")
    (result,) = first.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == (UNKNOWN_CLASS, 0.93)
    assert (second.bbox.center.position.x, second.bbox.size_x) == (0.5, 1.0)
    assert to_detections([], HEADER).detections == []


def seen(camera, x: float, y: float, width: float, height: float) -> Obstacle:
    """A board of that size that stands on the ground at (x, y), across the camera's view, as the camera sees it."""
    axis = camera.rotation[:, 0]
    corners = np.array([[x, y, up] + side * axis * width / 2 for side in (-1, 1) for up in (0.0, height)])
    u, v, w = (camera.matrix @ ((corners - camera.translation) @ camera.rotation).T).tolist()
    u, v = np.divide(u, w), np.divide(v, w)
    foot = ((u.min() + u.max()) / 2, v.max())
    box = (round(u.min()), round(v.min()), round(u.max()), round(v.max()))
    return Obstacle(box, 900, 0.75, foot, track_id=4, ground=ground_position(camera, foot))


@pytest.mark.parametrize("yaw", [0.0, 0.7, -2.5])
def test_positions_over_dds_are_those_of_the_obstacle(echo, yaw):
    matrix = np.array([[800.0, 0.0, 639.5], [0.0, 800.0, 359.5], [0.0, 0.0, 1.0]])
    camera = mounted(matrix, (), 1280, 720, 1.5, 0.1, 0.01, x=2.0, y=0.3, yaw=yaw)
    x, y = camera.translation[:2] + 12 * np.array([math.cos(yaw), math.sin(yaw)])
    obstacle = seen(camera, x, y, 1.0, 0.6)
    unplaced = Obstacle((0, 0, 1, 1), 1, 0.5, (0.5, 1.0))
    back = echo(to_detections_3d([obstacle, unplaced], HEADER, camera, "base_footprint"))
    assert (back.header.frame_id, back.header.stamp) == ("base_footprint", HEADER.stamp)
    (detection,) = back.detections
    assert (detection.header, detection.id) == (back.header, "4")
    (result,) = detection.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == (UNKNOWN_CLASS, 0.75)
    spot = result.pose.pose.position
    assert (spot.x, spot.y, spot.z) == pytest.approx((x, y, 0), abs=0.05)
    covariance = np.array(result.pose.covariance).reshape(6, 6)
    line = np.array([math.cos(yaw), math.sin(yaw), 0])
    half = (obstacle.ground.range_max - obstacle.ground.range_min) / 2
    assert math.sqrt(line @ covariance[:3, :3] @ line) == pytest.approx(half, rel=0.05), "uncertain along the sight"
    assert (np.linalg.eigvalsh(covariance) >= -1e-9).all()
    box, turn = detection.bbox, detection.bbox.center.orientation
    assert (box.center.position.x, box.center.position.y, box.center.position.z) == pytest.approx((x, y, 0.3), abs=0.05)
    assert (box.size.y, box.size.z) == pytest.approx((1.0, 0.6), rel=0.05)
    heading = 2 * math.atan2(turn.z, turn.w)
    assert math.cos(heading - yaw) == pytest.approx(1), "its x axis along the line of sight"
    # The same foot point in the camera's own frame: right, down, forward.
    flat, floating = echo(to_detections([obstacle, unplaced], HEADER, camera)).detections
    expected = camera.rotation.T @ (np.array(obstacle.ground.position) - camera.translation)
    there = flat.results[0].pose
    assert (there.pose.position.x, there.pose.position.y, there.pose.position.z) == pytest.approx(tuple(expected))
    assert math.sqrt(np.array(there.covariance).reshape(6, 6)[:3, :3].trace()) == pytest.approx(half, rel=0.05)
    assert not any(floating.results[0].pose.covariance), "nothing is known"


def test_label_info_over_dds_names_every_id_of_the_label_image(echo):
    labels = load_labels("driving11")
    back = echo(to_label_info(labels, HEADER))
    names = {entry.class_id: entry.class_name for entry in back.class_map}
    assert [names[index] for index in range(len(labels))] == list(labels.names)
    assert (names[254], names[255]) == ("unknown", "unlabeled")
    assert len(names) == len(back.class_map) == len(labels) + 2
