"""/diagnostics: levels, the account, and rates."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy")
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from oodseg_ros.pipeline.account import OVERWRITTEN, REASONS, AgeWindow, FrameCounts
from oodseg_ros.ros.node.diagnostics import CameraReport, NodeReport, Rates, to_diagnostics

FINE = NodeReport("", "openvino-fp32", "road@123", 1e-5)


def camera(state: str = "CLEAR (ok)", **counts: object) -> CameraReport:
    troubled = bool(counts.get("lost"))
    return CameraReport(FrameCounts(**counts), AgeWindow().summary(), 30.0, 29.5, state, troubled=troubled)


def levels(node: NodeReport, report: CameraReport) -> list[bytes]:
    return [status.level for status in to_diagnostics("/perception", Time(), node, {"front": report}).status]


def test_levels_of_engine_and_camera() -> None:
    ok, warn, error = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
    assert levels(FINE, camera(received=5, answered=5)) == [ok, ok]
    assert levels(NodeReport("inactive", "e", "b", 0.0), camera("UNKNOWN (inactive)")) == [warn, error]
    assert levels(NodeReport("engine_failed", "e", "b", 0.0), camera()) == [error, ok]
    assert levels(NodeReport("", "e", "b", 0.0, ("on the slow engine",)), camera(lost=1)) == [warn, warn]


def test_the_account_of_a_camera_adds_up() -> None:
    report = camera(received=10, answered=6, dropped={OVERWRITTEN: 3}, lost=2)
    status = to_diagnostics("/v/perception", Time(), FINE, {"front": report}).status[1]
    values = {pair.key: pair.value for pair in status.values}
    assert status.name == "/v/perception: camera front"
    assert values["frames_waiting"] == "1"
    assert values["frames_lost_in_transport"] == "2"
    assert sum(int(values[f"dropped_{reason}"]) for reason in REASONS) == int(values["frames_dropped"]) == 3
    assert "3 dropped, 2 lost in transport" in status.message
    assert math.isnan(float(values["age_p99_s"]))


def test_rates_are_differences_over_time() -> None:
    rates = Rates()
    assert rates.rate("a", 100, 10.0) == 0.0
    assert rates.rate("a", 130, 12.0) == pytest.approx(15.0)
    assert rates.rate("a", 130, 12.0) == 0.0
    assert rates.rate("b", 7, 12.0) == 0.0
