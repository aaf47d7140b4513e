"""The gates, the watchdog, zones and the lock of the real node over DDS, around an engine that fails on command."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import CameraInfo, Image

from oodseg_ros.ros.tools.faults.messages import PICTURES

SIZE = (240, 320)
EVERYWHERE = [-100.0, -500.0, 500.0, -500.0, 500.0, 500.0, -100.0, 500.0]
PERIOD = 0.1


@pytest.fixture(scope="module")
def node(perception: Callable, peer: Any) -> SimpleNamespace:
    """The active node and what it publishes; the ground everywhere is a zone whose obstacles are ignored."""
    process = perception(
        module="oodseg_ros.ros.tools.faults.node",
        cameras=["front"],
        front={"geometry": "mount", "mount": {"pitch": 0.2}},
        # Short enough to see a fault, long enough for a machine that is busy with other things.
        image_timeout=3.0,
        max_age=20.0,
        lock_careful=True,
        zones=["world"],
        zone={"world": {"polygon": EVERYWHERE, "action": "ignore"}},
        health={"stall_after": 1.0, "stall_exit": 0.0, "frozen_after": 0.5, "covered_after": 0.5, "drift_window": 6},
    )
    assert process.change("configure"), process.log
    alerts = peer.listen(DiagnosticArray, "alert", 1000)
    masks = peer.listen(Image, "front/anomaly/mask")
    assert process.change("activate"), process.log
    node = SimpleNamespace(process=process, peer=peer, alerts=alerts, masks=masks, index=0)
    stream(node, lambda: told(node) == ("CLEAR", "ok"), "a good camera is CLEAR")
    return node


def told(node: SimpleNamespace, message: DiagnosticArray | None = None) -> tuple[str, str]:
    """State and reason of the newest alert."""
    if message is None and not node.alerts:
        return "", ""
    entry = (message or node.alerts[-1]).status[0]
    values = {pair.key: pair.value for pair in entry.values}
    return values["state"], values["reason"]


def stream(
    node: SimpleNamespace,
    condition: Callable[[], Any],
    what: str,
    picture: str = "good",
    change: Callable[[Image], None] = lambda message: None,
) -> None:
    """Send images until the condition holds."""
    info = CameraInfo(width=SIZE[1], height=SIZE[0], k=[250.0, 0, 159.5, 0, 250.0, 119.5, 0, 0, 1])
    sent = [0.0]

    def next_one() -> Any:
        if time.monotonic() - sent[0] >= PERIOD:
            sent[0] = time.monotonic()
            node.index += 1
            message = node.peer.image(PICTURES[picture](node.index, SIZE))
            change(message)
            node.peer.publish("front/camera_info", info)
            node.peer.publish("front/image_raw", message)
        return condition()

    node.peer.until(next_one, what)


def recovers(node: SimpleNamespace) -> None:
    stream(node, lambda: told(node) == ("CLEAR", "ok"), "CLEAR again")


def engine(node: SimpleNamespace, mode: str) -> None:
    node.process.tell(mode)


@pytest.mark.parametrize(
    ("picture", "reason"), [("black", "black"), ("frozen", "frozen"), ("small", "wrong_size"), ("blocked", "blocked")]
)
def test_a_bad_picture_is_named_gets_no_answer_and_it_recovers(
    node: SimpleNamespace, picture: str, reason: str
) -> None:
    recovers(node)
    stream(node, lambda: told(node) == ("UNKNOWN", reason), f"UNKNOWN ({reason})", picture)
    node.peer.spin(0.3)
    node.masks.clear()
    before = node.index
    stream(node, lambda: node.index >= before + 5, "more of it", picture)
    node.peer.spin(0.3)
    assert node.masks == []
    assert told(node) == ("UNKNOWN", reason)
    recovers(node)
    assert node.masks


def test_repeated_stamps_and_stamps_in_the_future(node: SimpleNamespace) -> None:
    recovers(node)
    stamp = node.peer.now()

    def repeat(message: Image) -> None:
        message.header.stamp = stamp

    stream(node, lambda: told(node) == ("UNKNOWN", "repeated_stamp"), "repeated stamps", change=repeat)
    recovers(node)

    def ahead(message: Image) -> None:
        message.header.stamp = node.peer.now(30.0)

    stream(node, lambda: told(node) == ("UNKNOWN", "stamp_in_future"), "stamps in the future", change=ahead)
    recovers(node)


@pytest.mark.parametrize(
    ("mode", "reasons"),
    [("nan", {"score_not_finite"}), ("one_class", {"one_class"}), ("shift:2.5", {"score_drift", "score_saturated"})],
)
def test_a_bad_answer_is_unknown_and_never_published(node: SimpleNamespace, mode: str, reasons: set[str]) -> None:
    recovers(node)
    engine(node, mode)
    stream(node, lambda: told(node)[1] in reasons, f"{mode} is refused")
    node.peer.spin(0.3)
    node.masks.clear()
    before = node.index
    stream(node, lambda: node.index >= before + 5, "more of it")
    node.peer.spin(0.3)
    assert node.masks == []
    assert told(node)[0] == "UNKNOWN"
    engine(node, "good")
    recovers(node)


def test_a_blocked_inference_thread_is_named_while_the_heartbeat_goes_on(node: SimpleNamespace) -> None:
    recovers(node)
    engine(node, "hang:8 1")
    stream(node, lambda: told(node) == ("UNKNOWN", "inference_blocked"), "UNKNOWN (inference_blocked)")
    node.process.said("the inference thread has stood still")
    beats = [message for message in node.alerts if told(node, message)[1] == "inference_blocked"]
    numbers = [int(pair.value) for message in beats for pair in message.status[0].values if pair.key == "sequence"]
    node.peer.until(lambda: len(node.alerts) > 20, "heartbeats")
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "no heartbeat is missing"
    recovers(node)
    node.process.said("the inference thread moves again")


def test_zones_and_the_lock(node: SimpleNamespace) -> None:
    recovers(node)
    engine(node, "obstacle")
    before = node.index
    stream(node, lambda: node.index >= before + 10, "an obstacle where it is ignored")
    assert told(node)[0] == "CLEAR"
    assert change(node, "zone.world.action", string_value="alert", type=ParameterType.PARAMETER_STRING) == ""
    stream(node, lambda: told(node) == ("OBSTACLE", "obstacle"), "the obstacle counts now")
    values = {pair.key: pair.value for pair in node.alerts[-1].status[0].values}
    assert "zone=world" in values["obstacle_0"]
    refusal = change(node, "zone.world.action", string_value="ignore", type=ParameterType.PARAMETER_STRING)
    assert "lock_careful is set" in refusal
    assert "zone.world.action alert -> ignore" in refusal
    refusal = change(node, "obstacles.threshold", double_value=3e9, type=ParameterType.PARAMETER_DOUBLE)
    assert "obstacles.threshold 4 -> 3e+09" in refusal
    assert change(node, "obstacles.threshold", double_value=3.9, type=ParameterType.PARAMETER_DOUBLE) == ""
    assert change(node, "overlay_rate", double_value=2.0, type=ParameterType.PARAMETER_DOUBLE) == ""
    engine(node, "good")


def change(node: SimpleNamespace, name: str, **value: Any) -> str:
    """Why the node refuses a parameter; empty = it took it."""
    request = SetParameters.Request(parameters=[Parameter(name=name, value=ParameterValue(**value))])
    result = node.peer.call(SetParameters, "perception/set_parameters", request).results[0]
    return "" if result.successful else result.reason


def test_what_the_node_says_at_start_and_in_diagnostics(node: SimpleNamespace) -> None:
    log = node.process.log
    assert "worst-case reaction (2 hits in 3 images" in log
    assert "less careful than by default: health.covered_after" not in log
    assert "less careful than by default: image_timeout 1 -> 3" in log
    reports = node.peer.listen(DiagnosticArray, "/diagnostics")
    name = f"{node.peer.node.get_namespace()}/perception: camera front"

    def found() -> dict[str, str] | None:
        entries = [entry for message in reports for entry in message.status if entry.name == name]
        return {pair.key: pair.value for pair in entries[-1].values} if entries else None

    values = node.peer.until(found, "diagnostics of the camera")
    dropped = {key: int(value) for key, value in values.items() if key.startswith("dropped_") and value != "0"}
    assert {"dropped_black", "dropped_frozen", "dropped_wrong_size", "dropped_score_not_finite"} <= set(dropped)
    assert int(values["frames_dropped"]) == sum(dropped.values())
    assert float(values["score_drift_bits"]) < float(values["score_drift_limit_bits"]) == 0.15
    assert np.isfinite(float(values["worst_case_reaction_s"]))
