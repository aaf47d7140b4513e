"""config/oodseg.rviz against what the node really creates."""

from __future__ import annotations

import os

import pytest
import yaml

from oodseg_ros.labels import load_labels
from oodseg_ros.paths import config_dir

DISPLAYED = {
    "rviz_default_plugins/Image": "Image",
    "rviz_default_plugins/MarkerArray": "MarkerArray",
    "rviz_default_plugins/PointCloud2": "PointCloud2",
}
WANTED = {
    "/camera/overlay",
    "/camera/anomaly/mask",
    "/camera/anomaly/score",
    "/camera/semantic/image",
    "/camera/obstacles/markers",
    "/camera/obstacles/points",
}


@pytest.fixture(scope="module")
def config() -> dict:
    return yaml.safe_load((config_dir() / "oodseg.rviz").read_text())["Visualization Manager"]


@pytest.fixture(scope="module")
def published() -> dict:
    """Topic → publisher, of the node's real outputs for the default camera and base frame."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    import rclpy

    from oodseg_ros.parameters.schema import load_schema
    from oodseg_ros.parameters.settings import OUTPUTS
    from oodseg_ros.ros.node.outputs import CameraOutputs

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("rviz_check", context=context)
    schema = load_schema().node
    (camera,) = schema["cameras"].default
    outputs = CameraOutputs(node, camera, frozenset(OUTPUTS), load_labels("driving11"), schema["base_frame"].default)
    yield {publisher.topic_name: publisher for publisher in node.publishers}
    outputs.destroy()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def displays(config: dict) -> list[dict]:
    return [display for display in config["Displays"] if "Topic" in display]


def test_everything_has_a_display(config):
    assert {display["Topic"]["Value"] for display in displays(config)} == WANTED
    classes = {display["Class"] for display in config["Displays"]}
    assert classes == {*DISPLAYED, "rviz_default_plugins/Grid", "rviz_default_plugins/TF"}


def test_topics_and_types_are_the_nodes(config, published):
    for display in displays(config):
        publisher = published[display["Topic"]["Value"]]
        assert publisher.msg_type.__name__ == DISPLAYED[display["Class"]], display["Name"]


def test_qos_can_match(config, published):
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    for display in displays(config):
        asked, offered = display["Topic"], published[display["Topic"]["Value"]].qos_profile
        assert asked["Reliability Policy"] in ("Best Effort", "Reliable")
        assert asked["Durability Policy"] in ("Volatile", "Transient Local")
        if asked["Reliability Policy"] == "Reliable":
            assert offered.reliability == ReliabilityPolicy.RELIABLE, display["Name"]
        if asked["Durability Policy"] == "Transient Local":
            assert offered.durability == DurabilityPolicy.TRANSIENT_LOCAL, display["Name"]
        assert asked["History Policy"] == "Keep Last"
        assert 1 <= asked["Depth"] <= 10


def test_images_are_shown_best_effort(config):
    images = [display for display in displays(config) if display["Class"].endswith("/Image")]
    assert {display["Topic"]["Reliability Policy"] for display in images} == {"Best Effort"}
    score = next(display for display in images if display["Topic"]["Value"].endswith("score"))
    assert score["Normalize Range"] is True


def test_fixed_frame_is_the_base_frame(config):
    from oodseg_ros.parameters.schema import load_schema

    assert config["Global Options"]["Fixed Frame"] == load_schema().node["base_frame"].default
