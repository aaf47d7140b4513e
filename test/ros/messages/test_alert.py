"""Alerts as diagnostics: the level, the sentence and every key of the three states."""

from __future__ import annotations

import math

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import deserialize_message, serialize_message

from oodseg_ros.frame import Alert, AlertState, GroundPosition, Obstacle
from oodseg_ros.pipeline.alert import STALE_REASONS, describe
from oodseg_ros.ros.messages.alert import to_alert

NEAR = Obstacle((10, 20, 60, 80), 900, 0.93, (35.0, 80.0), 7, 3, GroundPosition((12.0, 1.0, 0.0), 11.0, 14.25))
FAR = Obstacle((100, 20, 110, 25), 40, 0.5, (105.0, 25.0), 8, 1, GroundPosition((90.0, 0.0, 0.0), 60.0, math.inf))
FLOATING = Obstacle((1, 2, 3, 4), 4, 0.99, (2.0, 4.0))
STAMP = 1_700_000_000_000_000_042


def status(alert: Alert) -> DiagnosticStatus:
    """The one status of an alert, after a trip through the wire format."""
    array = to_alert({"front": alert}, Time(sec=5), 17, "lite@0123456789ab", node="/car/perception")
    back = deserialize_message(serialize_message(array), type(array))
    assert back == array
    assert back.header.stamp == Time(sec=5)
    assert len(back.status) == 1
    return back.status[0]


def values(alert: Alert) -> dict[str, str]:
    return {pair.key: pair.value for pair in status(alert).values}


@pytest.mark.parametrize(
    ("alert", "level", "message"),
    [
        (
            Alert(AlertState.CLEAR, "ok", STAMP, 0.123),
            DiagnosticStatus.OK,
            "CLEAR: no unknown obstacle, evidence 0.12 s old",
        ),
        (
            Alert(AlertState.OBSTACLE, "obstacle", STAMP, 0.1, (FAR, NEAR, FLOATING)),
            DiagnosticStatus.WARN,
            "OBSTACLE: 3 unknown obstacles, nearest at 11.0 to 14.2 m, evidence 0.10 s old",
        ),
        (
            Alert(AlertState.OBSTACLE, "obstacle", STAMP, 0.1, (FLOATING,)),
            DiagnosticStatus.WARN,
            "OBSTACLE: 1 unknown obstacle, range unknown, highest score 0.99, evidence 0.10 s old",
        ),
        (
            Alert(AlertState.OBSTACLE, "releasing", STAMP, 0.1),
            DiagnosticStatus.WARN,
            "OBSTACLE: seen a moment ago, not in this frame (releasing), evidence 0.10 s old",
        ),
        (
            Alert(AlertState.UNKNOWN, "no_image"),
            DiagnosticStatus.STALE,
            "UNKNOWN: no image arrives (no_image), no evidence",
        ),
        (
            Alert(AlertState.UNKNOWN, "black", STAMP, 2.0, detail="99 % darker than 3"),
            DiagnosticStatus.ERROR,
            "UNKNOWN: the picture is black (black: 99 % darker than 3), evidence 2.00 s old",
        ),
        (
            Alert(AlertState.UNKNOWN, "black_image", STAMP, 0.2),
            DiagnosticStatus.ERROR,
            "UNKNOWN: black image (black_image), evidence 0.20 s old",
        ),
    ],
)
def test_level_and_sentence(alert, level, message):
    got = status(alert)
    assert (got.level, got.message) == (level, message)
    assert (got.name, got.hardware_id) == ("/car/perception: front", "front")


def test_keys_of_an_obstacle_alert():
    assert values(Alert(AlertState.OBSTACLE, "obstacle", STAMP, 0.1, (NEAR, FLOATING))) == {
        "state": "OBSTACLE",
        "reason": "obstacle",
        "evidence_age_s": "0.100",
        "stamp": "1700000000.000000042",
        "sequence": "17",
        "bundle": "lite@0123456789ab",
        "detail": "",
        "score_drift_bits": "nan",
        "ranges": "known",
        "obstacle_count": "2",
        "obstacle_0": "10,20,60,80 score=0.930 area=900 track=7 age=3 position=12.00,1.00,0.00 range=11.00..14.25",
        "obstacle_1": "1,2,3,4 score=0.990 area=4 track=0 age=1",
    }


def test_cameras_without_a_position_say_that_ranges_are_unknown_and_why():
    alerts = {name: Alert(AlertState.CLEAR, "ok", STAMP, 0.1) for name in ("front", "rear")}
    array = to_alert(alerts, Time(), 0, "b", unplaced={"rear": "no camera_info", "front": ""})
    told = [{pair.key: pair.value for pair in entry.values}["ranges"] for entry in array.status]
    assert told == ["known", "unknown: no camera_info"]


def test_no_evidence_and_an_endless_range_are_written_as_inf():
    assert float(values(Alert(AlertState.UNKNOWN, "starting"))["evidence_age_s"]) == math.inf
    assert describe(FAR).endswith("range=60.00..inf")


def test_unknown_is_never_ok_or_warn_whatever_the_reason():
    for reason in (*STALE_REASONS, "frozen_image", "", "x" * 1000):
        assert status(Alert(AlertState.UNKNOWN, reason)).level in (DiagnosticStatus.ERROR, DiagnosticStatus.STALE)


def test_every_camera_has_its_status_in_order():
    alerts = {name: Alert(AlertState.CLEAR, "ok", 1, 0.0) for name in ("rear", "front", "left")}
    array = to_alert(alerts, Time(), 0, "b")
    assert [entry.name for entry in array.status] == ["perception: rear", "perception: front", "perception: left"]
    assert to_alert({}, Time(), 0, "b").status == []
