from __future__ import annotations

import math

import pytest

from oodseg_ros.frame import Alert, AlertState, GroundPosition, Obstacle
from oodseg_ros.ros.messages.alert import to_status
from oodseg_ros.ros.tools.listener import read_alert

NEAR = Obstacle((1, 2, 30, 40), 500, 0.8, (15.0, 40.0), ground=GroundPosition((10.0, 0.0, 0.0), 9.0, 11.5))
FAR = Obstacle((1, 2, 3, 4), 9, 0.95, (2.0, 4.0), ground=GroundPosition((50.0, 0.0, 0.0), 40.0, math.inf))
UNRANGED = Obstacle((1, 2, 3, 4), 9, 0.4, (2.0, 4.0))


def test_what_is_sent_is_read():
    alert = Alert(AlertState.OBSTACLE, "obstacle", 1_700_000_000_123_456_789, 0.125, (FAR, NEAR, UNRANGED))
    seen = read_alert(to_status("front", alert, 7, "road@abc"), 5)
    assert (seen.camera, seen.state, seen.reason) == ("front", AlertState.OBSTACLE, "obstacle")
    assert seen.stamp_ns == alert.stamp_ns
    assert seen.age_s == pytest.approx(0.125)
    assert seen.received_ns == 5
    assert seen.count == 3
    assert seen.nearest == (9.0, 11.5)
    assert seen.score == pytest.approx(0.95)


def test_an_infinite_range_is_read():
    seen = read_alert(to_status("front", Alert(AlertState.OBSTACLE, "obstacle", 1, 0.1, (FAR,)), 0, "b"), 0)
    assert seen.nearest == (40.0, math.inf)


def test_no_evidence():
    seen = read_alert(to_status("front", Alert(AlertState.UNKNOWN, "no_image"), 0, "b"), 0)
    assert (seen.state, seen.reason, seen.count, seen.nearest) == (AlertState.UNKNOWN, "no_image", 0, None)
    assert seen.stamp_ns == 0
    assert math.isinf(seen.age_s)
    assert math.isnan(seen.score)
