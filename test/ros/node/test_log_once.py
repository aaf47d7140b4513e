"""Each kind of trouble is said once per camera, and adversarial input cannot fill the log."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
from oodseg_ros.errors import ImageError
from oodseg_ros.ros.node.log_once import MAX_KINDS, LogOnce


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
