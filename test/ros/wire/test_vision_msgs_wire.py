"""Detections and label info as real vision_msgs over DDS, announced with the released package's type hashes."""

from __future__ import annotations

import time

import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from oodseg_ros.frame import Obstacle
from oodseg_ros.labels import load_labels
from oodseg_ros.ros.messages.detections import UNKNOWN_CLASS, to_detections, to_label_info

vision_msgs = pytest.importorskip("vision_msgs.msg", reason="vision_msgs is neither installed nor generated")
HEADER = Header(stamp=Time(sec=3, nanosec=4), frame_id="front_optical")
TYPE_HASHES = {
    "Detection2DArray": "214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
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


def test_label_info_over_dds_names_every_id_of_the_label_image(echo):
    labels = load_labels("driving11")
    back = echo(to_label_info(labels, HEADER))
    names = {entry.class_id: entry.class_name for entry in back.class_map}
    assert [names[index] for index in range(len(labels))] == list(labels.names)
    assert names[255] == "unlabeled"
    assert len(names) == len(back.class_map) == len(labels) + 1
