"""Who publishes on a camera's topics: two drivers on one, a driver of another type, one whose QoS does not match."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from oodseg_ros.ros.tools.faults.messages import PICTURES

SIZE = (240, 320)
PERIOD = 0.15


@pytest.fixture(scope="module")
def node(perception: Callable, peer: Any) -> SimpleNamespace:
    process = perception(
        module="oodseg_ros.ros.tools.faults.node",
        cameras=["front", "rear", "side"],
        image_timeout=3.0,
        max_age=20.0,
        # Frozen pictures are what the second driver sends, and they must not be what is found.
        health={"frozen_after": 1.0},
        qos_overrides={
            f"{peer.node.get_namespace()}/front/camera_info": {
                "subscription": {"reliability": "reliable", "durability": "transient_local"}
            },
            f"{peer.node.get_namespace()}/side/image_raw": {"subscription": {"reliability": "reliable"}},
        },
    )
    assert process.change("configure"), process.log
    heard = {topic: peer.listen(DiagnosticArray, topic, 500) for topic in ("alert", "/diagnostics")}
    assert process.change("activate"), process.log
    return SimpleNamespace(process=process, peer=peer, heard=heard, index=0)


@pytest.fixture
def stranger(peer: Any) -> Iterator[Any]:
    """A node of another process, as DDS sees it."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("stranger", namespace=peer.node.get_namespace(), context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    node.spin = lambda: executor.spin_once(timeout_sec=0)
    yield node
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def told(node: SimpleNamespace, camera: str) -> dict[str, str]:
    """Values of the camera's newest alert."""
    for message in reversed(node.heard["alert"]):
        for status in message.status:
            if status.hardware_id == camera:
                return {pair.key: pair.value for pair in status.values} | {"message": status.message}
    return {}


def diagnosed(node: SimpleNamespace, camera: str) -> dict[str, str]:
    for message in reversed(node.heard["/diagnostics"]):
        for status in message.status:
            if status.name.endswith(f"camera {camera}"):
                return {pair.key: pair.value for pair in status.values} | {"level": status.level}
    return {}


def drive(node: SimpleNamespace, condition: Callable[[], Any], what: str, other: Callable[[Any], None] | None = None):
    """Send live pictures as the front camera, and let `other` send its own between them, until the condition holds."""
    last = [0.0]

    def step() -> Any:
        if time.monotonic() - last[0] >= PERIOD:
            last[0], node.index = time.monotonic(), node.index + 1
            node.peer.publish("front/image_raw", node.peer.image(PICTURES["good"](node.index, SIZE)))
            if other is not None:
                node.peer.spin(PERIOD / 2)
                other(node.peer.image(PICTURES["good"](0, SIZE)))
        return condition()

    node.peer.until(step, what)


def test_two_drivers_on_one_topic_are_told_and_never_clear(node: SimpleNamespace, stranger: Any) -> None:
    drive(node, lambda: told(node, "front").get("state") == "CLEAR", "one driver is CLEAR")
    drive(node, lambda: diagnosed(node, "front").get("publishers") == "ok", "one publisher is fine")
    second = stranger.create_publisher(Image, "front/image_raw", 1)
    node.peer.until(lambda: second.get_subscription_count(), "the second driver is heard")
    mixing = ("UNKNOWN", "several_publishers")
    drive(
        node,
        lambda: (told(node, "front")["state"], told(node, "front")["reason"]) == mixing,
        "the mixture is UNKNOWN",
        second.publish,
    )
    node.heard["alert"].clear()
    end = time.monotonic() + 4
    drive(node, lambda: time.monotonic() > end, "a while", second.publish)
    states = {told(SimpleNamespace(heard={"alert": [message]}), "front")["state"] for message in node.heard["alert"]}
    assert states == {"UNKNOWN"}
    node.peer.until(lambda: "/stranger" in diagnosed(node, "front").get("publishers", ""), "diagnostics tell")
    text = diagnosed(node, "front")["publishers"]
    assert "front/image_raw has 2 publishers" in text
    assert "/stranger" in text
    assert "/peer" in text
    assert diagnosed(node, "front")["level"] != b"\0"
    assert text in node.process.log
    # A driver that is there but silent mixes nothing: it is told, and the live one is believed.
    drive(node, lambda: told(node, "front")["state"] == "CLEAR", "CLEAR again")
    assert diagnosed(node, "front")["publishers"] != "ok"


def test_a_topic_of_another_type_is_named(node: SimpleNamespace, stranger: Any) -> None:
    driver = stranger.create_publisher(CompressedImage, "rear/image_raw", 1)
    node.peer.until(lambda: "/stranger as" in told(node, "rear").get("detail", ""), "the type is told")
    said = told(node, "rear")
    assert (said["state"], said["reason"]) == ("UNKNOWN", "no_image")
    assert "as sensor_msgs/msg/CompressedImage, but sensor_msgs/msg/Image is expected" in said["detail"]
    assert said["detail"] in said["message"]
    assert said["detail"] in node.process.log
    stranger.destroy_publisher(driver)
    node.peer.until(lambda: "nobody publishes" in told(node, "rear")["detail"], "it is gone")


def test_a_driver_whose_qos_does_not_match_is_named(node: SimpleNamespace, stranger: Any) -> None:
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    stranger.create_publisher(Image, "side/image_raw", best_effort)
    node.peer.until(lambda: "/stranger offers on" in told(node, "side").get("detail", ""), "the QoS is told")
    assert told(node, "side")["detail"].startswith("the QoS that ")


def test_a_latched_camera_info_arrives_where_the_override_asks_for_it(node: SimpleNamespace, stranger: Any) -> None:
    """Sent once, before the node listens; `anomaly/camera_info` gives back what it holds."""
    assert node.process.change("deactivate")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    stranger.create_publisher(CameraInfo, "front/camera_info", latched).publish(CameraInfo(width=320, height=240))
    back = node.peer.listen(CameraInfo, "front/anomaly/camera_info")
    assert node.process.change("activate")
    drive(node, lambda: bool(back), "the camera's calibration is known")
    assert (back[-1].width, back[-1].height) == (320, 240)


def test_misspelled_overrides_are_refused(perception: Callable, peer: Any) -> None:
    topic = f"{peer.node.get_namespace()}/front/image_raw"
    process = perception(
        module="oodseg_ros.ros.tools.faults.node",
        cameras=["front"],
        qos_overrides={topic: {"subscription": {"reliabilty": "reliable", "depth": 3}}},
    )
    assert not process.change("configure")
    assert "did you mean reliability?" in process.said(f"qos_overrides.{topic}.subscription.reliabilty")
