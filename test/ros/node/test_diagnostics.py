"""/diagnostics: levels, the account, and rates.

Each kind of trouble is said once per camera, and adversarial input cannot fill the log.
"""

from __future__ import annotations

import math

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from oodseg_ros.errors import ImageError
from oodseg_ros.frame import Alert, AlertState
from oodseg_ros.parameters.params_file import settings_for
from oodseg_ros.parameters.settings import Settings
from oodseg_ros.pipeline.reasons import DROPS, OVERWRITTEN
from oodseg_ros.pipeline.step import Camera
from oodseg_ros.ros.node.diagnostics import MAX_KINDS, LogOnce, Rates, camera_status, engine_status

pytest.importorskip("rclpy")

CLEAR = Alert(AlertState.CLEAR, "ok")


@pytest.fixture
def settings() -> Settings:
    return settings_for({}, ["front"])[0]


@pytest.fixture
def camera(settings: Settings) -> Camera:
    """Ten frames came, six were answered; two were lost on the way, three were dropped, one waits."""
    camera = Camera(settings.cameras[0], judge=None, gate=None, contradiction=None, locate=None)
    for period in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12):
        camera.counter.receive(period * 100_000_000)
    for _ in range(6):
        camera.counter.answer()
    for _ in range(3):
        camera.counter.drop(OVERWRITTEN)
    return camera


def test_levels_of_the_engine() -> None:
    identity = ("openvino-fp32", "road@123", 1e-5)
    assert engine_status("/n", "", *identity).level == DiagnosticStatus.OK
    assert engine_status("/n", "inactive", *identity).level == DiagnosticStatus.WARN
    assert engine_status("/n", "engine_failed", *identity).level == DiagnosticStatus.ERROR
    assert engine_status("/n", "", *identity, ("on the slow engine",)).level == DiagnosticStatus.WARN


def test_levels_of_a_camera(settings: Settings, camera: Camera) -> None:
    ok, warn, error = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
    rates, unknown = Rates(), Alert(AlertState.UNKNOWN, "inactive")
    assert camera_status("/n", camera, CLEAR, settings, rates, 10.0).level == ok
    assert camera_status("/n", camera, CLEAR, settings, rates, 11.0).level == ok
    assert camera_status("/n", camera, CLEAR, settings, rates, 12.0, publishers="two").level == warn
    camera.counter.drop(OVERWRITTEN)
    assert camera_status("/n", camera, CLEAR, settings, rates, 13.0).level == warn
    assert camera_status("/n", camera, CLEAR, settings, rates, 14.0).level == ok
    assert camera_status("/n", camera, unknown, settings, rates, 15.0).level == error


def test_the_account_of_a_camera_adds_up(settings: Settings, camera: Camera) -> None:
    status = camera_status("/v/perception", camera, CLEAR, settings, Rates(), 10.0)
    values = {pair.key: pair.value for pair in status.values}
    assert status.name == "/v/perception: camera front"
    assert values["frames_waiting"] == "1"
    assert values["frames_lost_in_transport"] == "2"
    assert sum(int(values[f"dropped_{reason}"]) for reason in DROPS) == int(values["frames_dropped"]) == 3
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
