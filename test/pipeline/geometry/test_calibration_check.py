"""What of a camera_info contradicts the images, and what is only not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from sensor_msgs.msg import CameraInfo

from oodseg_ros.frame import Frame
from oodseg_ros.pipeline.geometry.camera_info import CalibrationCheck

FRAME = Frame(np.zeros((240, 320, 3), np.uint8), 1, "front")
K = [250.0, 0.0, 160.0, 0.0, 250.0, 120.0, 0.0, 0.0, 1.0]


def problem(geometry: str, **info: Any) -> str:
    message = CameraInfo(**{"width": 320, "height": 240, "k": K, **info})
    return CalibrationCheck(geometry, lambda: message)(FRAME)


def test_a_calibration_of_the_image_is_fine() -> None:
    assert problem("mount") == ""
    assert problem("auto", width=640, height=480, k=[2 * v for v in K[:8]] + [1.0]) == "", "the image is binned"
    assert CalibrationCheck("tf", lambda: None)(FRAME) == "", "its absence is no contradiction"


@pytest.mark.parametrize("geometry", ["auto", "mount", "tf"])
def test_another_size_and_nonsense_contradict(geometry: str) -> None:
    assert "320x240" in problem(geometry, width=1000, height=700)
    assert "not numbers" in problem(geometry, k=[float("nan")] * 9)
    assert "optical axis" in problem(geometry, k=[250.0, 0.0, 900.0, 0.0, 250.0, 120.0, 0.0, 0.0, 1.0])


def test_not_calibrated_matters_only_where_positions_are_promised() -> None:
    nothing = [0.0] * 9
    assert "not calibrated" in problem("mount", k=nothing)
    assert problem("auto", k=nothing) == ""
    assert problem("none", k=nothing, width=7) == ""


def test_it_is_looked_at_again_when_it_changes() -> None:
    infos = [CameraInfo(width=320, height=240, k=K), CameraInfo(width=999, height=240, k=K)]
    newest = [infos[0]]
    check = CalibrationCheck("mount", lambda: newest[0])
    assert check(FRAME) == ""
    newest[0] = infos[1]
    assert check(FRAME) != ""
    newest[0] = infos[0]
    assert check(FRAME) == ""
