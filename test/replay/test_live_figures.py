"""Figures of a live run: the drive begins when the clock does."""

from __future__ import annotations

import math

import pytest

from oodseg_ros.replay.live_figures import LiveFigures

SECOND = 1_000_000_000


def test_heartbeats_before_the_clock_do_not_stretch_the_drive() -> None:
    figures = LiveFigures(None, "anomaly")
    start = 1_700_000_000 * SECOND
    figures.add_alert("front", 0, "UNKNOWN", "starting", float("inf"), 0)
    for index in range(11):
        state = "OBSTACLE" if index == 5 else "CLEAR"
        figures.add_alert("front", start + index * SECOND, state, "ok", 0.1, start + index * SECOND)
    found = figures.summary()
    assert found["duration_s"] == pytest.approx(10)
    assert found["alerts"]["onsets"] == 1
    assert math.isnan(found["alerts"]["per_hour"])  # one alert in ten seconds is no rate
    assert found["alerts"]["share_of_heartbeats"]["UNKNOWN"] == 0
