"""All that the node publishes for a camera, over DDS: what a costmap, a viewer and a detector's consumer get."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import CameraInfo

from oodseg_ros.ros.messages.detections import VISION_MSGS
from oodseg_ros.ros.node.topics import message_type, outputs
from oodseg_ros.ros.tools.faults.messages import PICTURES
from oodseg_ros.ros.tools.faults.node import THRESHOLD
from oodseg_ros.views import ANOMALOUS_RGB, UNKNOWN_ID

SIZE = (240, 320)
HEIGHT_ABOVE_GROUND = 1.5
PERIOD = 0.15


@pytest.fixture(scope="module")
def node(perception: Callable, peer: Any) -> SimpleNamespace:
    """The active node around an engine that sees an obstacle, and everything that it says about one picture."""
    process = perception(
        module="oodseg_ros.ros.tools.faults.node",
        arguments=("--log-level", f"{peer.node.get_namespace().strip('/')}.perception:=debug"),
        cameras=["front"],
        front={"geometry": "mount", "mount": {"pitch": 0.2, "height": HEIGHT_ABOVE_GROUND}},
        base_frame="base_footprint",
        image_timeout=3.0,
        max_age=20.0,
    )
    assert process.change("configure"), process.log
    heard = {
        topic.tail: peer.listen(message_type(topic), topic.named("front"), latched=topic.quality.latched)
        for topic in outputs()
        if VISION_MSGS or not topic.kind.startswith("vision_msgs")
    }
    heard["/diagnostics"] = peer.listen(DiagnosticArray, "/diagnostics")
    assert process.change("activate"), process.log
    process.tell("obstacle")
    node = SimpleNamespace(process=process, peer=peer, heard=heard, last=None)
    info = CameraInfo(width=SIZE[1], height=SIZE[0], distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [250.0, 0, 159.5, 0, 250.0, 119.5, 0, 0, 1]
    sent = [0.0, 0]

    def complete() -> bool:
        if time.monotonic() - sent[0] >= PERIOD:
            sent[0], sent[1] = time.monotonic(), sent[1] + 1
            peer.publish("front/camera_info", info)
            node.last = peer.image(PICTURES["good"](sent[1], SIZE))
            peer.publish("front/image_raw", node.last)
        told = [s.message for m in heard["/diagnostics"] for s in m.status if ": alert: " in s.name]
        return all(heard.values()) and heard["obstacles/points"][-1].width and any("OBSTACLE" in text for text in told)

    peer.until(complete, f"something on {[name for name, messages in heard.items() if not messages]}")
    peer.spin(1.0)
    return node


def newest(node: SimpleNamespace, *tails: str) -> list[Any]:
    """Messages of the topics about the newest picture that all of them answered."""

    def stamps(tail: str) -> dict[tuple[int, int], Any]:
        return {(m.header.stamp.sec, m.header.stamp.nanosec): m for m in node.heard[tail]}

    found = [stamps(tail) for tail in tails]
    both = max(set(found[0]).intersection(*found[1:]))
    return [messages[both] for messages in found]


def pixels(message: Any) -> np.ndarray:
    kind, channels = {"mono8": (np.uint8, 1), "bgr8": (np.uint8, 3), "32FC1": (np.float32, 1)}[message.encoding]
    assert (message.height, message.width) == SIZE
    assert message.step == SIZE[1] * channels * np.dtype(kind).itemsize
    return np.frombuffer(message.data, kind).reshape(*SIZE, channels).squeeze()


def test_every_output_carries_a_header_of_an_input(node: SimpleNamespace) -> None:
    for topic in outputs():
        if topic.tail in node.heard and not topic.quality.latched:
            message = node.heard[topic.tail][-1]
            header = message.markers[0].header if topic.tail == "obstacles/markers" else message.header
            on_ground = topic.tail in {f"obstacles/{t}" for t in ("detections_3d", "markers", "points", "free_ground")}
            assert header.frame_id == ("base_footprint" if on_ground else "lens"), topic.tail


def test_what_a_segmentation_costmap_takes_is_aligned_pixel_by_pixel(node: SimpleNamespace) -> None:
    tails = ("semantic/image", "semantic/open_set", "semantic/confidence", "anomaly/mask", "anomaly/score")
    classes, opened, sure, mask, score = map(pixels, newest(node, *tails))
    assert mask.any()
    np.testing.assert_array_equal(opened, np.where(mask, UNKNOWN_ID, classes))
    # The test engine's table runs from 0 at 0 to 1 at twice the threshold.
    np.testing.assert_allclose(sure, 255 * (1 - np.clip(score / (2 * THRESHOLD), 0, 1)), atol=1)
    if VISION_MSGS:
        names = {entry.class_id: entry.class_name for entry in node.heard["semantic/label_info"][-1].class_map}
        assert set(np.unique(opened).tolist()) <= set(names)
        assert names[UNKNOWN_ID] == "unknown"


def test_what_people_see_is_colored(node: SimpleNamespace) -> None:
    picture, mask = newest(node, "anomaly/score_color", "anomaly/mask")
    assert (pixels(picture)[pixels(mask) != 0] == ANOMALOUS_RGB[::-1]).all()
    picture, classes = newest(node, "semantic/color", "semantic/image")
    colors = {int(i): pixels(picture)[pixels(classes) == i] for i in np.unique(pixels(classes))}
    assert all((each == each[0]).all() for each in colors.values())
    assert len({tuple(each[0]) for each in colors.values()}) == len(colors) > 1


def test_the_compressed_overlay_is_the_overlay(node: SimpleNamespace) -> None:
    plain, packed = newest(node, "overlay", "overlay/compressed")
    assert packed.format == "bgr8; jpeg compressed bgr8"
    back = cv2.imdecode(np.frombuffer(packed.data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(back.astype(int) - pixels(plain)).mean() < 6


def test_camera_info_lies_beside_the_answers_under_their_stamps(node: SimpleNamespace) -> None:
    for group in ("anomaly", "semantic"):
        image = {"anomaly": "anomaly/mask", "semantic": "semantic/image"}[group]
        info, _ = newest(node, f"{group}/camera_info", image)
        assert (info.width, info.height, info.k[0], len(info.d)) == (SIZE[1], SIZE[0], 250.0, 5)


def test_points_lie_in_the_obstacle_and_free_ground_ends_before_it(node: SimpleNamespace) -> None:
    marks, clears = newest(node, "obstacles/points", "obstacles/free_ground")
    marked, cleared = (np.frombuffer(m.data, np.float32).reshape(-1, 4) for m in (marks, clears))
    assert (marked[:, 2] > 0.02).all()
    # The engine's obstacle is 30 pixels wide and high from row 120 on: its foot is seen 1.5 m / tan(0.2 + ...) away.
    distance = HEIGHT_ABOVE_GROUND / np.tan(0.2 + np.arctan(30.5 / 250))
    np.testing.assert_allclose(marked[:, 0], distance, rtol=0.03)
    between = [p for p in cleared if marked[:, 1].min() / distance < p[1] / p[0] < marked[:, 1].max() / distance]
    assert len(cleared) > len(between) > 0
    assert max(p[0] for p in between) < distance
    assert max(p[0] for p in cleared) >= max(p[0] for p in between)


def test_the_log_level_debug_shows_every_answer(node: SimpleNamespace) -> None:
    lines = [line for line in node.process.log.splitlines() if "DEBUG" in line and "camera front: image of" in line]
    assert any("OBSTACLE (obstacle), 1 obstacles" in line for line in lines)


def test_the_alert_is_also_a_status_of_diagnostics(node: SimpleNamespace) -> None:
    name = f"{node.peer.node.get_namespace()}/perception: alert: front"

    def told() -> Any:
        found = [s for m in node.heard["/diagnostics"] for s in m.status if s.name == name]
        return next((each for each in reversed(found) if each.message.startswith("OBSTACLE")), None)

    status = node.peer.until(told, "OBSTACLE in diagnostics")
    values = {pair.key: pair.value for pair in status.values}
    assert (values["state"], values["ranges"], status.hardware_id) == ("OBSTACLE", "known", "front")
    assert status.level == DiagnosticStatus.WARN


@pytest.mark.skipif(not VISION_MSGS, reason="vision_msgs is neither installed nor generated")
def test_detections_in_two_and_three_dimensions_tell_the_same_place(node: SimpleNamespace) -> None:
    flat, solid = newest(node, "obstacles", "obstacles/detections_3d")
    (two,), (three,) = flat.detections, solid.detections
    assert two.id == three.id != ""
    there = two.results[0].pose.pose.position
    here = three.results[0].pose.pose.position
    # From the optical frame (right, down, forward), pitched by 0.2 rad, 1.5 m up, to the vehicle's.
    turned = np.cos(0.2) * there.z - np.sin(0.2) * there.y, -there.x
    assert (here.x, here.y) == pytest.approx(turned, abs=0.02)
    assert here.z == pytest.approx(0, abs=0.02)
    assert three.results[0].pose.covariance[0] > 0
    assert three.bbox.size.y > 0
