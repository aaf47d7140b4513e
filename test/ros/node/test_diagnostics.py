"""/diagnostics: levels, the account, and rates.

Each kind of trouble is said once per camera, and adversarial input cannot fill the log.
"""

from __future__ import annotations

import math

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from oodseg_ros.errors import ImageError
from oodseg_ros.pipeline.account import OVERWRITTEN, REASONS, AgeWindow, FrameCounts
from oodseg_ros.ros.node.diagnostics import MAX_KINDS, CameraReport, LogOnce, NodeReport, Rates, to_diagnostics

pytest.importorskip("rclpy")


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


pytest.importorskip("rclpy")


class Log:
    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def error(self, text: str) -> None:
        self.errors.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def log() -> Log:
    return Log()


def test_other_figures_are_the_same_trouble_and_another_camera_is_not(log: Log) -> None:
    reports = LogOnce(log)
    for step in (100, 5, 33.5):
        reports.once("front", "decode_failed", ImageError(f"step is {step} bytes"))
    reports.once("rear", "decode_failed", ImageError("step is 7 bytes"))
    reports.once("rear", "decode_failed", ImageError("no data"))
    assert [text.partition(":")[0] for text in log.errors] == ["camera front", "camera rear", "camera rear"]


def test_a_foreign_error_is_told_with_its_type(log: Log) -> None:
    LogOnce(log).once("front", "engine_error", MemoryError("device"))
    assert "frame dropped (engine_error): MemoryError: device" in log.errors[0]


def test_the_log_is_bounded(log: Log) -> None:
    reports = LogOnce(log)
    for index in range(1000):
        reports.once("front", "decode_failed", ImageError("x" * index))
    assert len(log.errors) <= MAX_KINDS
    assert max(map(len, log.errors)) < 800


def test_what_is_not_severe_is_a_warning(log: Log) -> None:
    LogOnce(log).text_once("front", "geometry", "no camera_info", severe=False)
    assert (log.errors, log.warnings) == ([], ["no camera_info"])
