"""The table of topics is what the real node creates, and what docs and policy are made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
import rclpy
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from oodseg_ros.ros.messages.detections import VISION_MSGS
from oodseg_ros.ros.node import outputs
from oodseg_ros.ros.node.topics import TOPICS, Topic, message_type, qualified, table
from oodseg_ros.ros.perception import SUCCESS, Perception
from oodseg_ros.ros.tools.faults.node import FaultEngine

DOCS = Path(__file__).parents[3] / "docs"
CAMERAS = {"front": "raw", "rear": "compressed"}
OVERRIDDEN = ("/car/front/overlay", "/car/front/camera_info")
ARGUMENTS = [
    *["--ros-args", "-p", "cameras:=[front, rear]", "-p", "rear.transport:=compressed"],
    *["-p", f"qos_overrides.{OVERRIDDEN[0]}.publisher.depth:=7"],
    *["-p", f"qos_overrides.{OVERRIDDEN[1]}.subscription.durability:=transient_local"],
    *["-p", f"qos_overrides.{OVERRIDDEN[1]}.subscription.reliability:=reliable"],
]


@pytest.fixture(scope="module")
def node() -> Iterator[Perception]:
    context = rclpy.Context()
    rclpy.init(context=context, args=ARGUMENTS)
    node = Perception(load=lambda settings, logger: (FaultEngine(), ()), namespace="/car", context=context)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    yield node
    node.close()
    rclpy.try_shutdown(context=context)


def declared() -> dict[str, Topic]:
    """Fully qualified name → topic, for the cameras of this test."""
    names: dict[str, Topic] = {}
    for topic in TOPICS:
        for camera, transport in CAMERAS.items():
            if not topic.subscribed or topic.group in ("", transport):
                names[qualified(topic.named(camera), "/car")] = topic
    return names


def test_the_node_creates_every_topic_of_the_table_with_its_type_and_qos(node: Perception) -> None:
    entities = {**{p.topic_name: p for p in node.publishers}, **{s.topic_name: s for s in node.subscriptions}}
    for name, topic in declared().items():
        if message_type(topic) is None:
            assert not VISION_MSGS
            continue
        entity, wanted = entities[name], topic.quality
        assert entity.msg_type is message_type(topic), name
        if name in OVERRIDDEN:
            continue
        qos = entity.qos_profile
        assert qos.depth == wanted.depth, name
        assert (qos.reliability == ReliabilityPolicy.RELIABLE) is wanted.reliable, name
        assert (qos.durability == DurabilityPolicy.TRANSIENT_LOCAL) is wanted.latched, name


def test_an_override_changes_its_own_topic_and_no_other(node: Perception) -> None:
    qos = {p.topic_name: p.qos_profile for p in node.publishers} | {
        s.topic_name: s.qos_profile for s in node.subscriptions
    }
    assert qos[OVERRIDDEN[0]].depth == 7
    assert qos["/car/rear/overlay"].depth == qos["/car/front/anomaly/mask"].depth == 1
    assert qos[OVERRIDDEN[1]].durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert qos[OVERRIDDEN[1]].reliability == ReliabilityPolicy.RELIABLE
    assert qos["/car/rear/camera_info"].durability == DurabilityPolicy.VOLATILE
    assert qos["/car/front/image_raw"].reliability == ReliabilityPolicy.BEST_EFFORT


def test_every_output_is_made_by_somebody() -> None:
    made = {*outputs._MAKERS, *outputs._IMAGES, *outputs._OVERLAYS, outputs._LABEL_INFO}
    assert {topic.tail for topic in TOPICS if topic.of_camera and not topic.subscribed} == made


def test_the_table_of_the_docs_is_this_one() -> None:
    assert table() in (DOCS / "node.md").read_text(), "run python -m oodseg_ros.ros.node.topics"
